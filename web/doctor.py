"""What `zhiyin doctor` looks at: each check gives a finding that says what is, and what to do."""

import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import ValidationError
from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import Connection, inspect, text
from sqlalchemy.engine.interfaces import ReflectedColumn
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session, select

from store import accounts, circuits, directory, letters, migrate
from store.accounts import Account, Platform
from store.db import make_engine
from store.embedded import Servers
from store.settings import Settings

_SECRET_LENGTH = 32
_CLOCK_TOLERANCE = timedelta(seconds=2)
_POSTGRES_MAJOR = 15
_REDIS_MAJOR = 7
_VALKEY_MAJOR = 8
# The demo's data takes about 2 GB with its indexes and write-ahead log.
_ROOM_BYTES = 3 * 1024**3
_HERE = {"127.0.0.1", "localhost", "::1"}


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's answer."""

    subject: str
    is_ok: bool
    says: str


def explain_settings(fault: Exception) -> str:
    """One sentence per setting that could not be read, with its name in the environment."""
    if isinstance(fault, KeyError):
        return f"ZHIYIN_TIMEZONE: {fault.args[0]}; write a name such as Asia/Shanghai."
    if not isinstance(fault, ValidationError):
        return f"A setting cannot be read: {fault}"
    return " ".join(
        f"ZHIYIN_{'_'.join(str(part) for part in error['loc']).upper()}:"
        f" {error['msg'].removeprefix('Value error, ')}."
        for error in fault.errors()
    )


def check_settings(settings: Settings) -> list[Finding]:
    """The settings by themselves: the secret, the public address, room on the disk, halves."""
    whole = [_secret(settings), _public_url(settings), _disk(settings.var_dir)]
    return [*whole, *_half_set(settings)]


def check_servers(
    settings: Settings, servers: Servers, now: Callable[[], datetime]
) -> list[Finding]:
    """What the servers say: reach and versions, migrations, credentials, clock."""
    findings = list(_redis(servers.redis_url))
    engine = make_engine(servers.database_url, pool_size=1)
    try:
        with engine.connect() as connection:
            findings += [
                _postgres(connection),
                _migrations(servers.database_url),
                _credentials(connection, settings.secret),
                _clock(connection, now),
                *_delivery(connection),
                *_people(connection),
            ]
    except SQLAlchemyError as fault:
        first = str(fault).splitlines()[0]
        says = f"no answer: {first}. Check ZHIYIN_DATABASE_URL and that the server runs."
        findings.append(Finding("postgresql", is_ok=False, says=says))
    finally:
        engine.dispose()
    return findings


def _secret(settings: Settings) -> Finding:
    if settings.secret_key is None:
        says = f"made and kept in {settings.var_dir / 'secret_key'}; keep a copy with your backups."
        return Finding("secret", is_ok=True, says=says)
    if len(settings.secret_key) < _SECRET_LENGTH:
        says = f"ZHIYIN_SECRET_KEY is short; give it {_SECRET_LENGTH} random characters or more."
        return Finding("secret", is_ok=False, says=says)
    return Finding("secret", is_ok=True, says="set by ZHIYIN_SECRET_KEY.")


def _public_url(settings: Settings) -> Finding:
    url = urlsplit(settings.public_url)
    if url.scheme not in {"http", "https"} or not url.hostname:
        says = f"ZHIYIN_PUBLIC_URL is {settings.public_url!r}; write it as https://host."
        return Finding("public url", is_ok=False, says=says)
    if url.hostname in _HERE:
        says = f"{settings.public_url} is this machine only: right for a demo, not for WeChat."
        return Finding("public url", is_ok=True, says=says)
    if url.scheme == "http":
        says = f"{settings.public_url} is not https, which WeChat's pages and WeCom's sidebar need."
        return Finding("public url", is_ok=False, says=says)
    return Finding("public url", is_ok=True, says=f"{settings.public_url}")


def _half_set(settings: Settings) -> Iterator[Finding]:
    """What does nothing, or is refused, because a part of it is missing."""
    for subject, names in (
        ("sms", ("sms_api_url", "sms_key_id", "sms_secret", "sms_signature")),
        ("model", ("llm_base_url", "llm_model")),
    ):
        missing = [f"ZHIYIN_{name.upper()}" for name in names if not getattr(settings, name)]
        if 0 < len(missing) < len(names):
            says = f"set only in part; set {' and '.join(missing)}, too."
            yield Finding(subject, is_ok=False, says=says)


def _disk(var_dir: Path) -> Finding:
    folder = var_dir.resolve()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    says = f"{free / 1024**3:.1f} GB free for {var_dir}"
    if free < _ROOM_BYTES:
        return Finding("disk", is_ok=False, says=f"{says}; make room, or set ZHIYIN_VAR_DIR.")
    return Finding("disk", is_ok=True, says=f"{says}.")


def _redis(url: str) -> Iterator[Finding]:
    client = Redis.from_url(url, socket_timeout=5)
    try:
        facts = client.info("server")
    except (RedisError, OSError) as fault:
        says = f"no answer: {fault}. Check ZHIYIN_REDIS_URL and that the server runs."
        yield Finding("redis", is_ok=False, says=says)
        return
    finally:
        client.close()
    assert isinstance(facts, dict)
    name, wanted = (
        ("Valkey", _VALKEY_MAJOR) if "valkey_version" in facts else ("Redis", _REDIS_MAJOR)
    )
    version = str(facts.get("valkey_version", facts["redis_version"]))
    yield _version("redis", name, version, wanted)


def _postgres(connection: Connection) -> Finding:
    version = connection.scalar(text("SHOW server_version"))
    return _version("postgresql", "PostgreSQL", str(version), _POSTGRES_MAJOR)


def _version(subject: str, name: str, version: str, wanted: int) -> Finding:
    if int(version.split(".")[0]) < wanted:
        says = f"{name} {version} is too old; use {wanted} or newer, or the embedded one."
        return Finding(subject, is_ok=False, says=says)
    return Finding(subject, is_ok=True, says=f"{name} {version} answers.")


def _migrations(url: str) -> Finding:
    current, heads = migrate.current(url), migrate.heads()
    if [current] == heads:
        return Finding("migrations", is_ok=True, says=f"at the newest revision, {current}.")
    says = f"at {current or 'nothing'}, the code is at {', '.join(heads)}; run `zhiyin migrate`."
    return Finding("migrations", is_ok=False, says=says)


def _credentials(connection: Connection, secret: str) -> Finding:
    known = {column["name"] for column in _columns(connection)}
    if not known >= set(Account.model_fields):
        return Finding("credentials", is_ok=True, says="not looked at before `zhiyin migrate`.")
    with Session(connection) as session:
        counts = Counter(_open_one(account, secret) for account in session.exec(select(Account)))
    if sealed := counts.pop(None, 0):
        says = f"{sealed} cannot be opened: set the ZHIYIN_SECRET_KEY that sealed them."
        return Finding("credentials", is_ok=False, says=says)
    missing = [platform for platform in Platform if platform not in counts]
    if missing:
        says = f"no account for {' and '.join(missing)} yet; nothing can be sent there."
        return Finding("credentials", is_ok=True, says=says)
    says = ", ".join(f"{count} {platform}" for platform, count in counts.items())
    return Finding("credentials", is_ok=True, says=f"accounts that open: {says}.")


def _delivery(connection: Connection) -> Iterator[Finding]:
    """What a person should know of messages: paused ways, letters that wait."""
    if not inspect(connection).has_table("letters"):
        return
    with Session(connection) as session:
        for one in circuits.troubled(session):
            says = f"{one.channel} of {one.account} is paused ({one.reason}); it tries by itself."
            yield Finding("channel", is_ok=False, says=says)
        waiting = letters.count_open(session)
    if waiting:
        says = f"{waiting} messages wait for a decision: zhiyin letters list, or /hq/letters."
        yield Finding("letters", is_ok=False, says=says)
    else:
        yield Finding("letters", is_ok=True, says="no message waits for a decision.")


def _people(connection: Connection) -> Iterator[Finding]:
    """Guides of whom nobody knows whether they have left."""
    if not inspect(connection).has_table("directory_entries"):
        return
    with Session(connection) as session:
        missing = directory.missing(session)
    if missing:
        says = f"WeCom does not show {len(missing)} guides in post: zhiyin guide missing."
        yield Finding("guides", is_ok=False, says=says)


def _columns(connection: Connection) -> list[ReflectedColumn]:
    tables = inspect(connection)
    return tables.get_columns("accounts") if tables.has_table("accounts") else []


def _open_one(account: Account, secret: str) -> Platform | None:
    try:
        accounts.opened(account, secret_key=secret)
    except accounts.SealBroken:
        return None
    return account.platform


def _clock(connection: Connection, now: Callable[[], datetime]) -> Finding:
    theirs = connection.scalar(text("SELECT clock_timestamp()"))
    assert isinstance(theirs, datetime)
    apart = abs(now() - theirs.astimezone(UTC))
    if apart > _CLOCK_TOLERANCE:
        says = (
            f"this machine and the database are {apart.total_seconds():.0f} s apart; "
            "switch on time synchronisation (and unset ZHIYIN_CLOCK_SHIFT_*)."
        )
        return Finding("clock", is_ok=False, says=says)
    return Finding("clock", is_ok=True, says="agrees with the database's clock.")
