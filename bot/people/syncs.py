"""Keeping in step by asking: each kind of run, taken on bit by bit by whichever worker is free.

A run does a stretch of work, writes down where it stands after every bit, and gives way to other
jobs; killed, it goes on from there. A bit that is done twice does no harm.
"""

import logging
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from sqlmodel import Session, col, select

from bot.calls import ApiError
from bot.people import broadcasts, directory, tags, walk
from bot.people.bits import Bit, Position, Trip
from bot.wecom.client import WeComApi, WecomClients
from store import sync_runs
from store.accounts import Account, Platform, SealBroken
from store.db import Database
from store.sync_runs import SyncKind, SyncRun

_log = logging.getLogger(__name__)

# A worker does one job at a time, and a guide's card should not wait for the directory.
_STRETCH_SECONDS = 3.0
_PAUSE = timedelta(minutes=5)
# How often each kind begins anew; callbacks bring most of it much sooner.
PACE: Mapping[SyncKind, timedelta] = {
    SyncKind.DIRECTORY: timedelta(hours=1),
    SyncKind.TAGS: timedelta(hours=1),
    SyncKind.BROADCASTS: timedelta(minutes=30),
    SyncKind.CONTACTS: timedelta(hours=24),
}


def begin_due(database: Database, *, now: datetime) -> None:
    """Begin every run that is due, for each app of WeCom."""
    with database.transaction() as session:
        query = select(Account.id).where(Account.platform == Platform.WECOM)
        for account_id in session.exec(query.order_by(col(Account.id))).all():
            _begin_due(session, account_id, now)


def run(
    database: Database, clients: WecomClients, run_id: int, *, clock: Callable[[], datetime]
) -> None:
    """Take a run on for a stretch; a second worker with the same run does nothing."""
    with database.transaction() as session:
        found = sync_runs.claim(session, run_id, now=clock())
        account = session.get_one(Account, found.account_id) if found is not None else None
    if found is None or account is None:
        return
    try:
        _take_on(database, clients.of(account), account, found, clock)
    except (ApiError, SealBroken) as error:
        _log.warning("A %s run of account %s rests: %s", found.kind, account.id, error)
        code = getattr(error, "code", None)
        failure = f"errcode {code}" if code is not None else type(error).__name__
        with database.transaction() as session:
            sync_runs.pause(session, found, failure=failure, until=clock() + _PAUSE)


def _begin_due(session: Session, account_id: int, now: datetime) -> None:
    for kind, pace in PACE.items():
        last = sync_runs.last_began(session, account_id, kind)
        if last is None or last + pace <= now:
            sync_runs.begin(session, account_id, kind, now=now)


def _take_on(
    database: Database,
    api: WeComApi,
    account: Account,
    run: SyncRun,
    clock: Callable[[], datetime],
) -> None:
    until = time.monotonic() + _STRETCH_SECONDS
    trip = Trip(database, api, account, run.began_at, clock)
    position: Position = run.position
    while True:
        bit = _ACTS[run.kind](trip, position)
        with database.transaction() as session:
            sync_runs.move(session, run, bit.position or {}, bit.counts, now=clock())
            if bit.position is None:
                sync_runs.finish(session, run, now=clock())
                return
            if time.monotonic() >= until:
                sync_runs.let_go(session, run)
                return
        position = bit.position


_ACTS: Mapping[SyncKind, Callable[[Trip, Position], Bit]] = {
    SyncKind.DIRECTORY: directory.bit,
    SyncKind.CONTACTS: walk.bit,
    SyncKind.TAGS: tags.bit,
    SyncKind.BROADCASTS: broadcasts.bit,
}
