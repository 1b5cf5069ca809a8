"""Loads the demo brand through the product's own importers, once; a killed load is gone on with.

What was loaded is noted in the audit log: at the start the day that the files are made for, so that
a later run makes the same files, and at the end how many members are there.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, nullcontext
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import text
from sqlmodel import col, select

from sandbox.journey import write_csvs
from sandbox.stage import APP_ID, BRAND_CODE, CORP_ID
from store import binding
from store.audit import AuditEntry, note
from store.db import Database, Session
from store.imports.run import Options, import_file
from store.levels import Level
from store.members import Identity, IdentityChannel, Member
from store.organisation import Brand, Guide, GuideStatus
from store.relations import Friendship
from web.imports import watcher

ALL_MEMBERS = 2469
SOURCE = "journey"
_JOINING_POINTS = 100
_ORDER_OF_FILES = ("shops", "guides", "members", "products", "coupons", "orders")
_LONG = "orders"
_ACTOR, _SUBJECT = "sandbox", "sandbox:data"
_BEGUN, _LOADED = "sandbox.load_begun", "sandbox.loaded"
# One point a yuan at first; money spent in a year, in fen.
_LEVELS = (
    ("basic", "普卡", 0, 100),
    ("silver", "银卡", 100_000, 110),
    ("gold", "金卡", 300_000, 125),
    ("black", "黑卡", 600_000, 150),
)


class LoadError(Exception):
    """The importers refused rows of our own files: a fault of ours, not of the person."""


def load(
    database: Database,
    *,
    members: int | None,
    now: datetime,
    say: Callable[[str], None],
    folder: Path | None = None,
) -> dict[str, float]:
    """Load the brand, or its steadiest members; gives seconds per step, nothing when all is there.

    The stage is set up first (`sandbox.stage`). Files made in a `folder` that is named stay there.
    """
    wanted = min(members or ALL_MEMBERS, ALL_MEMBERS)
    with database.transaction() as session:
        loaded = _loaded(session)
        if loaded >= wanted:
            say(f"{loaded:,} members and their orders are there already")
            return {}
        made_at = _begin(session, now=now)
    with ExitStack() as stack:
        folder = folder or Path(stack.enter_context(TemporaryDirectory(prefix="zhiyin-data-")))
        seconds = {"files": _write_files(folder, wanted, say, now=made_at)}
        for kind in _ORDER_OF_FILES:
            seconds[kind] = _import(database, kind, folder, say, now=now)
    seconds["statistics"] = _finish(database, wanted, now=now)
    return seconds


def people(session: Session) -> Mapping[str, object]:
    """Everybody that the sandbox's servers must be told of: the body of its `people`."""
    followers = session.exec(
        select(Identity.outside_id, Identity.unionid, Member.name, Member.mobile)
        .join(Member, col(Member.id) == col(Identity.member_id))
        .where(Identity.channel == IdentityChannel.WECHAT, Identity.account == APP_ID)
        .order_by(col(Member.id))
    )
    guides = session.exec(select(Guide).where(Guide.status == GuideStatus.ACTIVE))
    return {
        "followers": [
            {"openid": openid, "unionid": unionid or "", "nickname": name, "mobile": mobile or ""}
            for openid, unionid, name, mobile in followers
        ],
        "guides": [{"userid": guide.userid, "name": guide.name} for guide in guides],
        "contacts": _contacts(session),
    }


def _contacts(session: Session) -> dict[str, list[dict[str, str]]]:
    """The customers of each guide, by userid."""
    found = session.execute(
        select(Guide.userid, Friendship.external_userid, Identity.unionid, Member.name)
        .select_from(Friendship)
        .join(Guide, col(Guide.id) == col(Friendship.guide_id))
        .join(Member, col(Member.id) == col(Friendship.member_id))
        .join(Identity, col(Identity.outside_id) == col(Friendship.external_userid))
        .where(
            col(Friendship.until).is_(None),
            Identity.channel == IdentityChannel.WECOM,
            Identity.account == CORP_ID,
            Guide.status == GuideStatus.ACTIVE,
        )
        .order_by(col(Friendship.id))
    )
    contacts: dict[str, list[dict[str, str]]] = {}
    for userid, external_userid, unionid, name in found:
        contact = {"external_userid": external_userid, "unionid": unionid or "", "name": name}
        contacts.setdefault(userid, []).append(contact)
    return contacts


def _loaded(session: Session) -> int:
    """How many members a finished load has brought so far."""
    ends = session.exec(select(AuditEntry).where(AuditEntry.act == _LOADED)).all()
    return max((int(end.facts["members"]) for end in ends), default=0)


def _begin(session: Session, *, now: datetime) -> datetime:
    """Note the first load's moment, or give the one noted: all files are made for one day."""
    begun = session.exec(
        select(AuditEntry).where(AuditEntry.act == _BEGUN).order_by(col(AuditEntry.id))
    ).first()
    if begun:
        return begun.at
    note(session, _ACTOR, _BEGUN, subject=_SUBJECT, now=now)
    if session.exec(select(Level)).first() is None:
        for rank, (code, name, spent, earn) in enumerate(_LEVELS, start=1):
            session.add(
                Level(code=code, name=name, rank=rank, min_spent_fen=spent, earn_percent=earn)
            )
    return now


def _write_files(folder: Path, wanted: int, say: Callable[[str], None], *, now: datetime) -> float:
    started = time.monotonic()
    written = write_csvs(folder, members=None if wanted == ALL_MEMBERS else wanted, now=now)
    seconds = round(time.monotonic() - started, 2)
    say(f"files: {written.members:,} members with {written.orders:,} orders ({seconds} s)")
    return seconds


def _import(
    database: Database, kind: str, folder: Path, say: Callable[[str], None], *, now: datetime
) -> float:
    """Import one of the files; every row of it must land."""
    started = time.monotonic()
    options = Options(brand=BRAND_CODE, source=SOURCE, wechat_account=APP_ID, wecom_account=CORP_ID)
    path = folder / f"{kind}.csv"
    # Only one file takes long enough for a bar.
    with watcher(kind) if kind == _LONG else nullcontext(_silent) as progress:
        report = import_file(database, kind, path, options=options, progress=progress, now=now)
    if report.refused:
        first = report.complaints[0]
        raise LoadError(f"{report.refused} rows of {kind}.csv were refused: {first}")
    seconds = round(time.monotonic() - started, 2)
    say(f"{kind}: {report.rows:,} rows read, {report.added:,} {kind} added ({seconds} s)")
    return seconds


def _silent(step: str, done: int, total: int) -> None:
    """Say nothing."""


def _finish(database: Database, members: int, *, now: datetime) -> float:
    """Tell the planner what came in, and note that the load is whole."""
    started = time.monotonic()
    with database.transaction() as session:
        session.execute(text("ANALYZE"))
        brand = session.exec(select(Brand).where(Brand.code == BRAND_CODE)).one()
        binding.offer(session, brand.id, points=_JOINING_POINTS)
        note(session, _ACTOR, _LOADED, subject=_SUBJECT, now=now, members=members)
    return round(time.monotonic() - started, 2)
