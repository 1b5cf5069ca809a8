"""Circuits: one for each account and channel, so that a platform that fails is left in peace.

`closed`: messages go out. `open`: the platform failed, not one recipient of it, and nothing goes
out before `retry_at`. `trying`: one message is out to see; if nobody says by `retry_at` what became
of it, another one may try.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import CheckConstraint, ColumnElement, UniqueConstraint, and_, update
from sqlalchemy.dialects import postgresql
from sqlmodel import Session, SQLModel, col, select
from sqlmodel.sql.expression import SelectOfScalar

from store.columns import big_key, one_of, status
from store.touches import Channel

# A platform that stumbles once is no outage.
MOST_FAILURES = 5
_FIRST_WAIT = timedelta(seconds=30)
_LONGEST_WAIT = timedelta(minutes=10)
# The longest a message that is out to see can take.
_TRIAL = timedelta(minutes=2)


class CircuitState(StrEnum):
    """Whether messages go out, none do, or one does."""

    CLOSED = "closed"
    OPEN = "open"
    TRYING = "trying"


class Circuit(SQLModel, table=True):
    """What an account's channel last did: `failures` in a row, `openings` since it last worked."""

    __tablename__ = "circuits"
    __table_args__ = (
        one_of("state", CircuitState, "circuits"),
        one_of("channel", Channel, "circuits"),
        UniqueConstraint("account", "channel", name="uq_circuits_way"),
        CheckConstraint("(state = 'closed') = (retry_at IS NULL)", name="ck_circuits_retry"),
    )
    id: int = big_key()
    account: str
    channel: Channel = status(Channel)
    state: CircuitState = status(CircuitState, default=CircuitState.CLOSED)
    failures: int = 0
    openings: int = 0
    reason: str = ""
    retry_at: datetime | None = None
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Way:
    """One account's channel."""

    account: str
    channel: Channel


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing goes out before `retry_at`, but for one message where `may_try`."""

    reason: str
    retry_at: datetime
    may_try: bool = False


def troubled(session: Session) -> list[Circuit]:
    """Circuits that are not closed, for whoever looks after the house."""
    query = select(Circuit).where(Circuit.state != CircuitState.CLOSED)
    return list(session.exec(query.order_by(Circuit.account, col(Circuit.channel))).all())


def pauses(session: Session, ways: Collection[Way], *, now: datetime) -> dict[Way, Pause]:
    """The ways that are paused. One message may try where the time has come: whoever asks takes it.

    Locks what it changes, so that of two workers one tries.
    """
    not_well = _fresh(col(Circuit.state) != CircuitState.CLOSED)
    found = session.exec(not_well.order_by(col(Circuit.id))).all()
    ways_found = {Way(one.account, one.channel): one for one in found}
    return {
        way: pause
        for way, circuit in ways_found.items()
        if way in ways and (pause := _pause(session, circuit, now)) is not None
    }


def worked(session: Session, way: Way, *, now: datetime) -> None:
    """The platform took a message, or refused one for its recipient's sake: it is well."""
    # Nearly always there is nothing to change, and then nothing is locked.
    session.exec(
        update(Circuit)
        .where(_is(way), col(Circuit.failures) > 0)
        .values(state=CircuitState.CLOSED, failures=0, openings=0, retry_at=None, changed_at=now)
    )


def failed(
    session: Session,
    way: Way,
    *,
    reason: str,
    failures: int,
    pause: timedelta | None = None,
    now: datetime,
) -> None:
    """The platform failed so many times in a row; `pause` is how long it asked us to keep away."""
    fresh = postgresql.insert(Circuit).values(
        account=way.account,
        channel=way.channel,
        state=CircuitState.CLOSED,
        failures=0,
        openings=0,
        reason="",
        changed_at=now,
    )
    session.exec(fresh.on_conflict_do_nothing(index_elements=["account", "channel"]))
    circuit = session.exec(_fresh(_is(way)).with_for_update()).one()
    circuit.failures += failures
    was_trying = circuit.state is CircuitState.TRYING
    if pause is None and circuit.failures < MOST_FAILURES and not was_trying:
        return
    was_open = circuit.state is CircuitState.OPEN and circuit.retry_at is not None
    if not was_open:
        circuit.openings += 1
        circuit.changed_at = now
    retry_at = now + (pause or _wait(circuit.openings))
    # A batch that was out when it opened makes it no shorter.
    circuit.retry_at = max(retry_at, circuit.retry_at or now) if was_open else retry_at
    circuit.state, circuit.reason = CircuitState.OPEN, reason
    session.flush()


def _is(way: Way) -> ColumnElement[bool]:
    return and_(col(Circuit.account) == way.account, col(Circuit.channel) == way.channel)


def _fresh(condition: ColumnElement[bool]) -> SelectOfScalar[Circuit]:
    return select(Circuit).where(condition).execution_options(populate_existing=True)


def _pause(session: Session, circuit: Circuit, now: datetime) -> Pause | None:
    if circuit.retry_at is not None and circuit.retry_at <= now:
        # Somebody else may have taken the one message meanwhile.
        session.refresh(circuit, with_for_update=True)
    if circuit.retry_at is None:
        return None
    if circuit.retry_at > now:
        return Pause(circuit.reason, circuit.retry_at)
    circuit.state, circuit.retry_at, circuit.changed_at = CircuitState.TRYING, now + _TRIAL, now
    session.add(circuit)
    return Pause(circuit.reason, now + _FIRST_WAIT, may_try=True)


def _wait(openings: int) -> timedelta:
    """Half a minute, and twice as long after each trial that failed."""
    return min(_FIRST_WAIT * (1 << min(openings - 1, 10)), _LONGEST_WAIT)
