"""Assignment: the own guide of a member, else who last served, else the rota of the shop.

Guides on leave and those who have left are passed over.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, exists, func
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlmodel import Session, col, select

from store.bulk import among
from store.campaigns import Assignment, CareTask
from store.leaves import Leave
from store.members import Member
from store.orders import Order
from store.organisation import Guide, GuideStatus
from store.relations import Friendship, Ownership
from store.tokens import new_token

_ADD = insert(Assignment).on_conflict_do_nothing()


@dataclass(frozen=True, slots=True)
class Choice:
    """The guide for a member, the guide's shop, and whether WeCom lets them write to the member."""

    guide_id: int
    shop_id: int
    is_friend: bool


def choose(
    session: Session,
    campaign_id: int,
    member_ids: Sequence[int],
    *,
    besides: Collection[int] = (),
    now: datetime,
) -> dict[int, Choice]:
    """A guide at work for every member, none of `besides`; those of shops without one are left out.

    Whether the choice is a friend does not depend on the load, so a forecast agrees with a launch.
    """
    at_work = _at_work(session, besides, now)
    friends = _friendships(session, member_ids)
    chosen = {
        member_id: guide_id
        for member_id, guide_id in _last_served(session, member_ids, now)
        if guide_id in at_work
    }
    chosen |= {
        member_id: guide_id
        for member_id, guide_id in _own(session, member_ids)
        if guide_id in at_work
    }
    missing = [member_id for member_id in member_ids if member_id not in chosen]
    if missing:
        chosen |= _rota(session, _load(session, campaign_id), missing, friends, at_work)
    return {
        member_id: Choice(guide_id, at_work[guide_id], (guide_id, member_id) in friends)
        for member_id, guide_id in chosen.items()
    }


def is_at_work(now: datetime) -> ColumnElement[bool]:
    """SQL: a guide in post who is not on leave."""
    is_away = exists().where(
        col(Leave.guide_id) == Guide.id, col(Leave.since) <= now, col(Leave.until) > now
    )
    return (col(Guide.status) == GuideStatus.ACTIVE) & ~is_away


def _at_work(session: Session, besides: Collection[int], now: datetime) -> dict[int, int]:
    """Shops of the guides at work."""
    query = select(Guide.id, Guide.shop_id).where(is_at_work(now)).order_by(col(Guide.id))
    return {guide: shop for guide, shop in session.exec(query).all() if guide not in besides}


def _own(session: Session, member_ids: Sequence[int]) -> Sequence[tuple[int, int]]:
    query = select(Ownership.member_id, Ownership.guide_id).where(
        among(Ownership.member_id, member_ids), col(Ownership.until).is_(None)
    )
    return session.exec(query).all()


def _last_served(
    session: Session, member_ids: Sequence[int], now: datetime
) -> Sequence[tuple[int, int]]:
    """Of the guides at work, so that an absence does not hide who served before."""
    query = (
        select(Order.member_id, Order.guide_id)
        .join(Guide, col(Guide.id) == Order.guide_id)
        .where(among(Order.member_id, member_ids), is_at_work(now))
        .ext(distinct_on(col(Order.member_id)))
        .order_by(col(Order.member_id), col(Order.paid_at).desc(), col(Order.id).desc())
    )
    return [(m, g) for m, g in session.exec(query).all() if m is not None and g is not None]


def _rota(
    session: Session,
    load: Counter[int],
    member_ids: Sequence[int],
    friends: set[tuple[int, int]],
    at_work: Mapping[int, int],
) -> dict[int, int]:
    """Share out members among the guides of their shop: who can write to them, the least loaded."""
    chosen: dict[int, int] = {}
    for member_id, rota in _rotas(session, member_ids, at_work):
        if rota:
            able = [guide for guide in rota if (guide, member_id) in friends] or rota
            chosen[member_id] = min(able, key=lambda guide: load[guide])
            load[chosen[member_id]] += 1
    return chosen


def _rotas(
    session: Session, member_ids: Sequence[int], at_work: Mapping[int, int]
) -> list[tuple[int, list[int]]]:
    """Every member with the guides at work of the member's shop."""
    shops = session.exec(
        select(Member.id, Member.shop_id)
        .where(among(Member.id, member_ids))
        .order_by(col(Member.id))
    ).all()
    by_shop: dict[int | None, list[int]] = {}
    for guide, shop in at_work.items():
        by_shop.setdefault(shop, []).append(guide)
    return [(member_id, by_shop.get(shop, [])) for member_id, shop in shops]


def _load(session: Session, campaign_id: int) -> Counter[int]:
    query = (
        select(CareTask.guide_id, func.count())
        .where(CareTask.campaign_id == campaign_id, col(CareTask.guide_id).is_not(None))
        .group_by(col(CareTask.guide_id))
    )
    return Counter(
        {guide: tasks for guide, tasks in session.exec(query).all() if guide is not None}
    )


def _friendships(session: Session, member_ids: Sequence[int]) -> set[tuple[int, int]]:
    query = select(Friendship.guide_id, Friendship.member_id).where(
        among(Friendship.member_id, member_ids), col(Friendship.until).is_(None)
    )
    return {(guide, member) for guide, member in session.exec(query).all() if member is not None}


def assignments_of(
    session: Session, campaign_id: int, guide_ids: Collection[int], *, now: datetime
) -> dict[int, int]:
    """Ids of the assignments of these guides, made where there is none yet.

    In id order, so that two who make them at once do not wait for each other.
    """
    guides = sorted(set(guide_ids))
    known = _assignments(session, campaign_id, guides)
    missing = [guide for guide in guides if guide not in known]
    if missing:
        rows = [
            {"token": new_token(), "campaign_id": campaign_id, "guide_id": guide, "created_at": now}
            for guide in missing
        ]
        session.connection().execute(_ADD, rows)
        known |= _assignments(session, campaign_id, missing)
    return known


def _assignments(session: Session, campaign_id: int, guide_ids: Sequence[int]) -> dict[int, int]:
    query = select(Assignment.guide_id, Assignment.id).where(
        Assignment.campaign_id == campaign_id, among(Assignment.guide_id, guide_ids)
    )
    return dict(session.exec(query).all())
