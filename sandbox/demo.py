"""`zhiyin demo`: real servers, real data, real processes, then the classic case on them."""

import fcntl
import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
import psycopg
from rich.console import Console
from sqlalchemy.exc import OperationalError, PendingRollbackError
from sqlmodel import Session

from sandbox import case, load, moving_clock, report, sms_server, stage
from sandbox.actors import ActorStuck, World
from sandbox.processes import Crew, CrewError, free_port
from sandbox.scene import Case
from store import clock, migrate
from store.db import Database, make_engine
from store.embedded import Servers, hold_servers
from store.imports.run import ImportFailed
from store.settings import Settings

PRODUCT_PORT = 8000
SANDBOX_PORT = 8100
# The case needs daylight: at night the gate would rightly hold everything back.
_DAY_BEGINS, _DAY_ENDS = 9, 19
_START_SECONDS = 60
_AUDIENCE_SHARE = 16
_AUDIENCE_MAX, _AUDIENCE_MIN = 150, 18
_REGISTER_SECONDS = 60.0
# What others notice of a death, and how long it may take until it is known who died.
_SYMPTOMS = (
    ActorStuck,
    ImportFailed,
    httpx.HTTPError,
    OperationalError,
    PendingRollbackError,
    psycopg.OperationalError,
)
_INQUEST_SECONDS = 5.0


class DemoRunsError(Exception):
    """Another demo plays on the same data; the message is a sentence for the person."""


@dataclass
class Demo:
    """One run of the demo."""

    settings: Settings
    console: Console
    members: int | None
    seconds: dict[str, float] = field(default_factory=dict)

    def say(self, sentence: str) -> None:
        """One line of progress, with the time since the last."""
        self.console.print(f"[green]▸[/green] {sentence}", highlight=False)

    @contextmanager
    def step(self, name: str, sentence: str) -> Iterator[None]:
        """Say what begins, and keep how long it took."""
        self.say(sentence)
        began = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - began


def daylight_shift(now: datetime, zone: ZoneInfo, before: int) -> int:
    """Seconds to move the sandbox's clock, so that its day is between 9 and 19.

    Never less than `before`, the shift of the last run: the sandbox's time must not run backwards.
    """
    local = (now + timedelta(seconds=before)).astimezone(zone)
    if _DAY_BEGINS <= local.hour < _DAY_ENDS:
        return before
    morning = local.replace(hour=_DAY_BEGINS, minute=30, second=0, microsecond=0)
    if morning < local:
        morning += timedelta(days=1)
    return before + int((morning - local).total_seconds())


def move_clock(settings: Settings) -> int:
    """Move the clock of this process and of those it starts; the shift is kept under `var/`."""
    memory = settings.var_dir / "demo-clock"
    before = int(memory.read_text()) if memory.exists() else 0
    shift = daylight_shift(clock.real(), ZoneInfo(settings.timezone), before)
    moving_clock.keep_in(memory.absolute(), shift)
    return shift


def run(demo: Demo, *, is_once: bool) -> None:
    """Servers, data, processes; then the case, or the addresses to open until Ctrl-C.

    Raises DemoRunsError, CrewError, ActorStuck.
    """
    with hold_servers(demo.settings, demo.say) as held, _alone(demo.settings.var_dir):
        if move_clock(demo.settings):
            demo.say(f"the sandbox's clock says {clock.now():%F %R} UTC: a shop's working day")
        engine = make_engine(held.database_url)
        database = Database(engine)
        try:
            with (
                Crew(demo.settings.var_dir / "log", demo.say, held.fault) as crew,
                _naming_the_dead(crew),
            ):
                key = _prepare(demo, held, database)
                world = _start(demo, held, crew, database)
                _play(demo, database, world, key, crew, is_once=is_once)
        finally:
            engine.dispose()


@contextmanager
def _alone(var: Path) -> Iterator[None]:
    """Two at once would play each other's guides and move each other's clock."""
    var.mkdir(parents=True, exist_ok=True)
    with (var / "demo").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as fault:
            raise DemoRunsError(
                f"A demo runs on {var} already: use that one, or stop it with Ctrl-C first."
            ) from fault
        yield


@contextmanager
def _naming_the_dead(crew: Crew) -> Iterator[None]:
    """Tell who has died rather than what others noticed of it. Raises CrewError."""
    try:
        yield
    except _SYMPTOMS as fault:
        crew.find_dead(_INQUEST_SECONDS)
        if isinstance(fault, ActorStuck | ImportFailed):
            raise
        what = "A page" if isinstance(fault, httpx.HTTPError) else "The database"
        raise CrewError(f"{what} broke off in the middle ({type(fault).__name__}).") from fault


def _prepare(demo: Demo, held: Servers, database: Database) -> str:
    """Migrate, set the stage, load the data; gives the till's key."""
    with demo.step("migrate", "bringing the database to the newest revision"):
        migrate.upgrade(held.database_url)
    with database.transaction() as session:
        stage.set_up(session, demo.settings, now=clock.now())
    with demo.step("load", "loading a year of real purchases through the CSV importers"):
        steps = load.load(
            database,
            members=demo.members,
            now=clock.now(),
            say=demo.say,
            folder=demo.settings.var_dir / "demo-data",
        )
    demo.seconds |= {f"load.{name}": value for name, value in steps.items()}
    with database.transaction() as session:
        stage.set_joining_gift(session)
        stage.stock_points_shop(session)
        return stage.till_key(session, now=clock.now())


def _start(demo: Demo, held: Servers, crew: Crew, database: Database) -> World:
    """Start sandbox, web, worker and cron, and introduce the demo's people to the sandbox."""
    product = f"http://127.0.0.1:{free_port(PRODUCT_PORT, demo.say)}"
    sandbox = f"http://127.0.0.1:{free_port(SANDBOX_PORT, demo.say)}"
    environment = _environment(demo, held, product, sandbox)
    with demo.step("start", "starting the sandbox, web, worker and cron"):
        zhiyin = [sys.executable, "-m", "web.cli"]
        port = sandbox.rsplit(":", 1)[1]
        receipts = str(demo.settings.var_dir / "demo-receipts.jsonl")
        command = [*zhiyin, "sandbox", "--port", port, "--receipts", receipts]
        crew.start("sandbox", command, environment)
        port = product.rsplit(":", 1)[1]
        crew.start("web", [*zhiyin, "serve", "--port", port], environment)
        crew.start("worker", [*zhiyin, "worker"], environment)
        crew.start("cron", [*zhiyin, "cron"], environment)
        crew.wait_until_answers(f"{sandbox}/", _START_SECONDS)
        crew.wait_until_answers(f"{product}/readyz", _START_SECONDS)
    # Nobody else may have answered in the place of one of ours.
    crew.check()
    world = World(product, sandbox, httpx.Client(timeout=_REGISTER_SECONDS))
    with demo.step("register", "introducing members and guides to the sandbox"):
        world.tell("register", **stage.platforms(demo.settings, product))
        world.tell("sms/door", url=f"{product}/sms/{stage.WECHAT_CODE}")
        with database.transaction() as session:
            world.tell("people", **_people(session))
    return world


def _people(session: Session) -> Mapping[str, object]:
    return load.people(session)


def _environment(demo: Demo, held: Servers, product: str, sandbox: str) -> dict[str, str]:
    return {
        **held.environment(),
        "ZHIYIN_SECRET_KEY": demo.settings.secret,
        "ZHIYIN_PUBLIC_URL": product,
        "ZHIYIN_WECHAT_API_URL": f"{sandbox}/wechat",
        "ZHIYIN_WECOM_API_URL": f"{sandbox}/wecom",
        "ZHIYIN_WECOM_SDK_URL": f"{sandbox}/phone/static/jssdk.js",
        "ZHIYIN_OAUTH_URL": f"{sandbox}/oauth",
        "ZHIYIN_SMS_API_URL": f"{sandbox}/sms",
        "ZHIYIN_SMS_KEY_ID": sms_server.KEY_ID,
        "ZHIYIN_SMS_SECRET": sms_server.SECRET,
        "ZHIYIN_SMS_SIGNATURE": stage.BRAND_NAME,
        "ZHIYIN_TIMEZONE": demo.settings.timezone,
    }


def _play(
    demo: Demo, database: Database, world: World, key: str, crew: Crew, *, is_once: bool
) -> None:
    with database.transaction() as session:
        plan = stage.coupon_plan(session)
        members = report.collect(session, {})["members"]
    password = stage.password(demo.settings)
    played = Case(database, world, password, key, plan, demo.say, demo.seconds, crew.check)
    audience = max(min(members // _AUDIENCE_SHARE, _AUDIENCE_MAX), _AUDIENCE_MIN)
    if is_once:
        case.play(played, audience=audience)
        _write_report(demo, database)
    else:
        case.launch(played, "秋日老客关怀", audience=audience, hours=24)
        _show_addresses(demo, world, password)
        crew.watch()


def _write_report(demo: Demo, database: Database) -> None:
    with database.transaction() as session:
        found = report.collect(session, demo.seconds)
    path: Path = demo.settings.var_dir / "demo-report.json"
    path.write_text(json.dumps(found, ensure_ascii=False, indent=2) + "\n")
    report.show(found, demo.console)
    demo.say(f"the report is in {path}")


def _show_addresses(demo: Demo, world: World, password: str) -> None:
    demo.console.print(
        f"\n  HQ console      {world.product}/hq   (login {stage.LOGIN}, password {password})"
        f"\n  Phones          {world.sandbox}/   (be a guide or a member; a stand-in, not WeChat)"
        f"\n  REST API        {world.product}/api/docs"
        "\n\n  Ctrl-C stops everything.\n",
        highlight=False,
    )
