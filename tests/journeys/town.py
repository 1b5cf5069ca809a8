"""A small town for browsers: the real processes on a small database, and people with phones."""

import os
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
from sqlalchemy import text

from sandbox import load, moving_clock, sms_server, stage
from sandbox.actors import World
from sandbox.demo import daylight_shift
from sandbox.processes import Crew
from store import clock
from store.db import Database
from store.embedded import Servers
from store.settings import Settings

_MEMBERS = 60
_START_SECONDS = 60.0


@dataclass(frozen=True)
class Town:
    """Where everything is; `product` and `sandbox` are addresses without a path."""

    database: Database
    product: str
    sandbox: str
    password: str
    till_key: str


@contextmanager
def daylight(settings: Settings) -> Iterator[None]:
    """A working hour on the clock of this process and its children: at night the gate holds."""
    shift = daylight_shift(clock.real(), ZoneInfo(settings.timezone), 0)
    before = os.environ.get(clock.SHIFT_FILE)
    moving_clock.keep_in(settings.var_dir.absolute() / "clock", shift)
    try:
        yield
    finally:
        os.environ.pop(clock.SHIFT_FILE)
        if before is not None:
            os.environ[clock.SHIFT_FILE] = before


@contextmanager
def open_town(
    database: Database, servers: Servers, redis_url: str, settings: Settings
) -> Iterator[Town]:
    """Load the people, start the processes, introduce everybody; all is gone afterwards."""
    with daylight(settings):
        with database.transaction() as session:
            stage.set_up(session, settings, now=clock.now())
        load.load(database, members=_MEMBERS, now=clock.now(), say=print)
        with database.transaction() as session:
            stage.set_joining_gift(session)
            stage.stock_points_shop(session)
        product = f"http://127.0.0.1:{_free_port()}"
        sandbox = f"http://127.0.0.1:{_free_port()}"
        place = {
            **servers.environment(),
            "ZHIYIN_DATABASE_URL": database.engine.url.render_as_string(hide_password=False),
            "ZHIYIN_REDIS_URL": redis_url,
            **_settings(settings, product, sandbox),
        }
        with Crew(settings.var_dir / "log") as crew:
            _start(crew, product, sandbox, place)
            key = _introduce(database, World(product, sandbox, httpx.Client()), settings)
            yield Town(database, product, sandbox, stage.password(settings), key)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _settings(settings: Settings, product: str, sandbox: str) -> Mapping[str, str]:
    return {
        "ZHIYIN_VAR_DIR": str(Path(settings.var_dir)),
        "ZHIYIN_SECRET_KEY": settings.secret,
        "ZHIYIN_PUBLIC_URL": product,
        "ZHIYIN_WECHAT_API_URL": f"{sandbox}/wechat",
        "ZHIYIN_WECOM_API_URL": f"{sandbox}/wecom",
        "ZHIYIN_WECOM_SDK_URL": f"{sandbox}/phone/static/jssdk.js",
        "ZHIYIN_OAUTH_URL": f"{sandbox}/oauth",
        "ZHIYIN_SMS_API_URL": f"{sandbox}/sms",
        "ZHIYIN_SMS_KEY_ID": sms_server.KEY_ID,
        "ZHIYIN_SMS_SECRET": sms_server.SECRET,
        "ZHIYIN_SMS_SIGNATURE": stage.BRAND_NAME,
        "ZHIYIN_TIMEZONE": settings.timezone,
    }


def _start(crew: Crew, product: str, sandbox: str, place: Mapping[str, str]) -> None:
    zhiyin = [sys.executable, "-m", "web.cli"]
    crew.start("sandbox", [*zhiyin, "sandbox", "--port", sandbox.rsplit(":", 1)[1]], place)
    crew.start("web", [*zhiyin, "serve", "--port", product.rsplit(":", 1)[1]], place)
    crew.start("worker", [*zhiyin, "worker"], place)
    crew.start("cron", [*zhiyin, "cron"], place)
    crew.wait_until_answers(f"{sandbox}/", _START_SECONDS)
    crew.wait_until_answers(f"{product}/readyz", _START_SECONDS)


def _introduce(database: Database, world: World, settings: Settings) -> str:
    """Tell the sandbox of accounts and people; gives the till's key."""
    with world.control, database.transaction() as session:
        world.tell("register", **stage.platforms(settings, world.product))
        world.tell("people", **load.people(session))
        return stage.till_key(session, now=clock.now())


_BASKET = text("""
    SELECT m.external_id, s.code, p.external_id FROM care_tasks t
    JOIN members m ON m.id = t.member_id JOIN shops s ON s.id = m.shop_id
    JOIN products p ON p.id = (t.picks ->> 0)::bigint
    WHERE m.name = :member AND t.state = 'replied' ORDER BY t.id DESC LIMIT 1
""")


def sell(town: Town, member: str, *, amount_fen: int) -> None:
    """The till hands in an order: the member bought the first thing on the list."""
    with town.database.transaction() as session:
        external_id, shop, product = session.connection().execute(_BASKET, {"member": member}).one()
    order = {
        "external_id": f"till-{external_id}",
        "paid_at": clock.now().isoformat(),
        "shop_code": shop,
        "member": {"external_id": external_id},
        "lines": [{"product_external_id": product, "quantity": 1, "amount_fen": amount_fen}],
    }
    answer = httpx.post(
        f"{town.product}/api/v1/orders",
        json={"orders": [order]},
        headers={"Authorization": f"Bearer {town.till_key}"},
        trust_env=False,
    )
    assert answer.json()["items"][0]["status"] == "created", answer.text


def somebody(town: Town) -> tuple[str, str]:
    """A guide without any task and a follower without any coupon: userid and openid."""
    with town.database.transaction() as session:
        run = session.connection().execute
        guide = run(text(_IDLE_GUIDE)).scalar_one()
        return guide, run(text(_PLAIN_FOLLOWER)).scalar_one()


_IDLE_GUIDE = """
    SELECT userid FROM guides WHERE status = 'active'
    AND id NOT IN (SELECT guide_id FROM care_tasks WHERE guide_id IS NOT NULL) ORDER BY id LIMIT 1
"""
_PLAIN_FOLLOWER = """
    SELECT outside_id FROM identities WHERE channel = 'wechat'
    AND member_id NOT IN (SELECT member_id FROM coupons WHERE member_id IS NOT NULL)
    ORDER BY id LIMIT 1
"""


_OPEN_TASK = """
    SELECT g.userid, m.name FROM care_tasks t
    JOIN guides g ON g.id = t.guide_id JOIN members m ON m.id = t.member_id
    JOIN identities i ON i.member_id = m.id AND i.channel = 'wechat'
    WHERE t.state = 'assigned'
    ORDER BY (SELECT count(*) FROM care_tasks o WHERE o.member_id = m.id), t.id DESC LIMIT 1
"""


def someone_to_care_for(town: Town) -> tuple[str, str]:
    """The newest open task of a follower with the fewest tasks: the guide's userid, the name."""
    with town.database.transaction() as session:
        guide, member = session.connection().execute(text(_OPEN_TASK)).one()
    return guide, member
