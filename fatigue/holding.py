"""Holds: what a scheduled campaign keeps of its members' caps against lower bands (design.md §8).

What a hold does to the touches of others is said in `fatigue.counting`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, update
from sqlalchemy.dialects import postgresql
from sqlmodel import Session, col

from store.holds import Hold
from store.touches import Category, Channel

# Holds that are long over say no more than the touches that came of them.
_KEPT = timedelta(days=90)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A touch that is to come at some moment of `[planned_from, planned_until]`."""

    campaign_id: int
    member_id: int
    channels: tuple[Channel, ...]
    category: Category
    brand_id: int
    priority: int
    planned_from: datetime
    planned_until: datetime
    guide_id: int | None = None


def hold(session: Session, plans: Sequence[Plan], *, now: datetime) -> None:
    """Hold capacity for planned touches until they are due.

    A campaign holds once for a member: a second plan takes the place of the first.
    """
    if not plans:
        return
    # Each row locks the key of its member: in id order, as every act on members does.
    rows = [_row(plan, now) for plan in sorted(plans, key=lambda plan: plan.member_id)]
    upsert = postgresql.insert(Hold).values(rows)
    replaced = {name: upsert.excluded[name] for name in rows[0] if name not in _KEY}
    again = upsert.on_conflict_do_update(
        constraint="uq_holds_member", set_=replaced | {"lifted_at": None}
    )
    session.connection().execute(again)


def lift(session: Session, campaign_id: int, *, now: datetime) -> int:
    """Give back all that a campaign holds; gives how many holds. Nobody is asked again sooner."""
    mine = (col(Hold.campaign_id) == campaign_id) & col(Hold.lifted_at).is_(None)
    return session.connection().execute(update(Hold).where(mine).values(lifted_at=now)).rowcount


def forget(session: Session, now: datetime) -> int:
    """Delete holds that ended long ago; gives how many."""
    old = col(Hold.expires_at) < now - _KEPT
    return session.connection().execute(delete(Hold).where(old)).rowcount


_KEY = ("campaign_id", "member_id")


def _row(plan: Plan, now: datetime) -> dict[str, object]:
    return {
        "campaign_id": plan.campaign_id,
        "member_id": plan.member_id,
        "channels": [channel.value for channel in plan.channels],
        "category": plan.category,
        "brand_id": plan.brand_id,
        "guide_id": plan.guide_id,
        "priority": plan.priority,
        "planned_from": plan.planned_from,
        "planned_until": plan.planned_until,
        "expires_at": plan.planned_until,
        "held_at": now,
    }
