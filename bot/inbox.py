"""The inbox: each callback is handled once, and its repeats get the same answer (design.md §10)."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from psycopg.errors import LockNotAvailable
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlmodel import Session

from bot import answers
from bot.answers import Spoken
from bot.envelope import FRESH
from bot.keyring import Keyring
from bot.messages import Answer, Choices, Later, Wits
from store import accounts, inbound, late
from store.accounts import Credentials, Platform, UnknownAccount
from store.db import Database
from store.inbound import Heard, InboundMessage, InboundState
from store.jobs import Job, after_commit


class Busy(Exception):  # noqa: N818 -- the platform will ask again; nothing is broken
    """The person's rows are locked by other work; a moment later they are free."""


@dataclass(frozen=True)
class Desk:
    """What the doors work with; built once by the wiring."""

    database: Database
    secret_key: str = field(repr=False)
    public_url: str
    zone: ZoneInfo
    # The platforms cut the line after 5 s; a repeat waits this long for the first try to finish.
    wait_ms: int = 3000
    # How far a callback's time may be from ours, so that an old one cannot be played again.
    fresh: timedelta = FRESH
    wits: Wits = field(default_factory=Wits)
    keyring: Keyring = field(default_factory=Keyring, repr=False)


@dataclass(frozen=True)
class Handled:
    """What a handler made of a callback."""

    answer: Answer
    state: InboundState = InboundState.ANSWERED


Handle = Callable[[Session, InboundMessage], Handled]


def account_behind(desk: Desk, code: str, platform: Platform) -> Credentials:
    """The account of a callback door, its secrets open; a door of the other platform is none."""
    with desk.database.transaction() as session:
        account = accounts.by_code(session, code)
    if account.platform is not platform:
        raise UnknownAccount(code)
    return accounts.opened(account, secret_key=desk.secret_key)


def keep(desk: Desk, heard: Heard, job: Job, *, now: datetime) -> None:
    """Write the callback down for a job to work on; a repeat of it changes nothing."""
    with desk.database.transaction() as session:
        row_id = inbound.keep(session, heard, now=now)
        if row_id is not None:
            after_commit(session, job, row_id)


def answer_once(desk: Desk, heard: Heard, handle: Handle, *, now: datetime) -> Spoken | None:
    """Write the callback down, handle it and keep the reply, all in one transaction.

    Three tries of one push run one handler: the others wait on the row and read the kept reply.
    None when there is nothing to say. One that waits in vain is `Busy`: what the first try is still
    at work on may yet fail, so nobody is told that it was taken.
    """
    started = time.perf_counter()
    try:
        with desk.database.transaction() as session:
            session.execute(text(f"SET LOCAL lock_timeout = {int(desk.wait_ms)}"))
            row = inbound.hear(session, heard, now=now)
            if row.state is InboundState.RECEIVED:
                handled = handle(session, row)
                _close(session, desk, row, handled, started=started, now=now)
            # What follows as a message of its own must not be said by a repeat as well.
            return None if row.late else answers.at_once(row.reply or {}, desk.secret_key)
    except OperationalError as error:
        if isinstance(error.orig, LockNotAvailable):
            raise Busy("The person's rows are locked; try again.") from None
        raise


def _close(
    session: Session,
    desk: Desk,
    row: InboundMessage,
    handled: Handled,
    *,
    started: float,
    now: datetime,
) -> None:
    took = round((time.perf_counter() - started) * 1000, 3)
    reply = answers.kept(handled.answer, desk.secret_key, now=now)
    inbound.close(session, row, reply, state=handled.state, handled_ms=took, now=now)
    if isinstance(handled.answer, Choices | Later):
        late.promise(session, row)
