"""The promise of the ledger, for any order of acts: sum(entries) = sum(remaining) - debt."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlmodel import Session, col, func, select

from store import ledger, points
from store.errors import Refusal
from store.points import EntryKind, PointsEntry, PointsLot, PointsTake
from tests.builders import NOW, a_member, number


@dataclass(frozen=True)
class Step:
    """One act: what, how many points, on which earlier entry, and how many days later."""

    act: str
    points: int
    which: int
    days: int


STEPS = st.lists(
    st.builds(
        Step,
        act=st.sampled_from(["earn", "spend", "reverse", "give_back", "expire", "adjust"]),
        points=st.integers(1, 60),
        which=st.integers(0, 9),
        days=st.integers(0, 20),
    ),
    min_size=1,
    max_size=14,
)


def do(session: Session, member_id: int, step: Step, now: datetime) -> None:
    source: dict[str, Any] = {"reason": "any", "source_id": str(number())}
    if step.act == "expire":
        points.expire_due(session, now)
    elif step.act == "earn":
        ends = now + timedelta(days=1 + step.points)
        points.earn(session, member_id, step.points, now=now, expires_at=ends, **source)
    elif step.act == "spend":
        points.spend(session, member_id, step.points, now=now, **source)
    elif step.act == "adjust":
        points.adjust(session, member_id, step.points - 30 or 1, now=now, **source)
    elif (entry_id := earlier(session, member_id, step)) is not None:
        act = points.reverse if step.act == "reverse" else points.give_back
        act(session, entry_id, step.points, now=now, **source)


def earlier(session: Session, member_id: int, step: Step) -> int | None:
    kind = EntryKind.EARN if step.act == "reverse" else EntryKind.SPEND
    query = select(PointsEntry.id).where(
        PointsEntry.member_id == member_id, PointsEntry.kind == kind
    )
    found = session.exec(query.order_by(col(PointsEntry.id))).all()
    return found[step.which % len(found)] if found else None


def check(session: Session, member_id: int, now: datetime) -> None:
    lots = session.exec(select(PointsLot).where(PointsLot.member_id == member_id)).all()
    left = sum(lot.remaining for lot in lots)
    owed = ledger.debt(session, member_id)
    assert owed >= 0
    assert points.balance(session, member_id) == left - owed
    assert all(0 <= lot.remaining <= lot.points for lot in lots)
    for lot in lots:
        taken = select(func.coalesce(func.sum(PointsTake.points), 0))
        taken = taken.where(PointsTake.lot_id == lot.id)
        assert lot.remaining == lot.points - session.exec(taken).one()
    fresh = [lot.remaining for lot in lots if lot.expires_at is None or lot.expires_at > now]
    # A debt never stands beside points that could pay it.
    assert owed == 0 or sum(fresh) == 0


@settings(max_examples=60)
@given(steps=STEPS)
def test_entries_equal_what_remains_less_the_debt_after_any_acts(
    session: Session, steps: list[Step]
) -> None:
    member_id = a_member(session).id
    now = NOW

    for step in steps:
        now += timedelta(days=step.days)
        try:
            with session.begin_nested():
                do(session, member_id, step, now)
        except Refusal:
            pass
        check(session, member_id, now)
