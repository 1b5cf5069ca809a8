"""Runs of what is kept in step with WeCom by asking: where each stands, so that a crash resumes.

Callbacks get lost and come in any order (wecom.md §1.1), so everything that they tell is asked
after as well. Of one kind and account there is one run at a time.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Index, or_
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import SQLModel, col, select
from sqlmodel.sql.expression import SelectOfScalar

from store.columns import big_key, json_column, link, one_of, status
from store.db import Session
from store.jobs import Job, after_commit

# Longer than any one step of a run; whoever holds a run longer has died.
LEASE = timedelta(minutes=2)


class SyncKind(StrEnum):
    """What is asked after."""

    DIRECTORY = "directory"
    CONTACTS = "contacts"
    TAGS = "tags"
    BROADCASTS = "broadcasts"


class SyncRun(SQLModel, table=True):
    """One walk through everything. `position` is where it goes on, `counts` what it found."""

    __tablename__ = "sync_runs"
    __table_args__ = (
        one_of("kind", SyncKind, "sync_runs"),
        Index(
            "uq_sync_runs_open",
            "account_id",
            "kind",
            unique=True,
            postgresql_where="finished_at IS NULL",
        ),
        Index("ix_sync_runs_newest", "account_id", "kind", "began_at"),
    )
    id: int = big_key()
    account_id: int = link("accounts.id", index=False)
    kind: SyncKind = status(SyncKind)
    position: dict[str, Any] = json_column(default_factory=dict)
    counts: dict[str, Any] = json_column(default_factory=dict)
    failure: str = ""
    began_at: datetime
    leased_until: datetime | None = None
    finished_at: datetime | None = None


def begin(session: Session, account_id: int, kind: SyncKind, *, now: datetime) -> int | None:
    """Begin a run and nudge for it; none when one is under way."""
    query = insert(SyncRun).values(
        account_id=account_id, kind=kind, position={}, counts={}, failure="", began_at=now
    )
    run_id = session.execute(
        query.on_conflict_do_nothing().returning(col(SyncRun.id))
    ).scalar_one_or_none()
    if run_id is not None:
        after_commit(session, Job.SYNC, run_id)
    return run_id


def last_began(session: Session, account_id: int, kind: SyncKind) -> datetime | None:
    """When the newest run of a kind began."""
    query = select(SyncRun.began_at).where(SyncRun.account_id == account_id, SyncRun.kind == kind)
    return session.exec(query.order_by(col(SyncRun.began_at).desc()).limit(1)).one_or_none()


def claim(session: Session, run_id: int, *, now: datetime) -> SyncRun | None:
    """Take a run in hand; none when it is over, or in another worker's."""
    query = select(SyncRun).where(SyncRun.id == run_id, col(SyncRun.finished_at).is_(None))
    query = query.with_for_update(skip_locked=True).execution_options(populate_existing=True)
    run = session.exec(query).one_or_none()
    if run is None or (run.leased_until is not None and run.leased_until > now):
        return None
    run.leased_until = now + LEASE
    session.flush()
    return run


def move(
    session: Session,
    run: SyncRun,
    position: Mapping[str, Any],
    counts: Mapping[str, int],
    *,
    now: datetime,
) -> None:
    """Go on from here after a crash; what was found since is added to the counts."""
    row = _own(session, run)
    row.position = dict(position)
    row.counts = {
        name: int(row.counts.get(name, 0)) + counts.get(name, 0)
        for name in sorted(row.counts.keys() | counts.keys())
    }
    row.leased_until = now + LEASE
    session.flush()


def pause(session: Session, run: SyncRun, *, failure: str, until: datetime) -> None:
    """Leave a run for a while: the platform could not be asked."""
    row = _own(session, run)
    row.failure, row.leased_until = failure, until
    session.flush()


def let_go(session: Session, run: SyncRun) -> None:
    """Give a run back for the next worker, who is nudged."""
    row = _own(session, run)
    row.failure, row.leased_until = "", None
    session.flush()
    after_commit(session, Job.SYNC, row.id)


def finish(session: Session, run: SyncRun, *, now: datetime) -> None:
    """The whole has been walked through."""
    row = _own(session, run)
    row.finished_at, row.leased_until, row.failure = now, None, ""
    session.flush()


def waiting(now: datetime) -> SelectOfScalar[int]:
    """Runs that a job should go on with."""
    is_free = or_(col(SyncRun.leased_until).is_(None), col(SyncRun.leased_until) <= now)
    query = select(SyncRun.id).where(col(SyncRun.finished_at).is_(None), is_free)
    return query.order_by(col(SyncRun.id))


def _own(session: Session, run: SyncRun) -> SyncRun:
    query = select(SyncRun).where(SyncRun.id == run.id).with_for_update()
    return session.exec(query.execution_options(populate_existing=True)).one()
