"""Assignment: the own guide of a member, else who last served, else the rota of the shop."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import distinct_on
from sqlmodel import Session, col, select

from store.campaigns import Assignment, CareTask
from store.members import Member
from store.orders import Order
from store.organisation import Guide, GuideStatus
from store.relations import Friendship, Ownership


@dataclass(frozen=True, slots=True)
class Choice:
    """The guide for a member, and whether WeCom lets that guide write to the member."""

    guide_id: int
    is_friend: bool


def choose(session: Session, campaign_id: int, member_ids: Sequence[int]) -> dict[int, Choice]:
    """A guide in post for every member; those of shops without guides are left out.

    Whether the choice is a friend does not depend on the load, so a forecast agrees with a launch.
    """
    friends = _friendships(session, member_ids)
    chosen = _last_served(session, member_ids) | _own(session, member_ids)
    missing = [member_id for member_id in member_ids if member_id not in chosen]
    chosen |= _rota(session, _load(session, campaign_id), missing, friends)
    return {
        member_id: Choice(guide_id, (guide_id, member_id) in friends)
        for member_id, guide_id in chosen.items()
    }


def _own(session: Session, member_ids: Sequence[int]) -> dict[int, int]:
    query = (
        select(Ownership.member_id, Ownership.guide_id)
        .join(Guide, col(Guide.id) == Ownership.guide_id)
        .where(col(Ownership.member_id).in_(member_ids), col(Ownership.until).is_(None))
        .where(Guide.status == GuideStatus.ACTIVE)
    )
    return dict(session.exec(query).all())


def _last_served(session: Session, member_ids: Sequence[int]) -> dict[int, int]:
    query = (
        select(Order.member_id, Order.guide_id)
        .join(Guide, col(Guide.id) == Order.guide_id)
        .where(col(Order.member_id).in_(member_ids), Guide.status == GuideStatus.ACTIVE)
        .ext(distinct_on(col(Order.member_id)))
        .order_by(col(Order.member_id), col(Order.paid_at).desc(), col(Order.id).desc())
    )
    return {m: g for m, g in session.exec(query).all() if m is not None and g is not None}


def _rota(
    session: Session,
    load: Counter[int],
    member_ids: Sequence[int],
    friends: set[tuple[int, int]],
) -> dict[int, int]:
    """Share out members among the guides of their shop: who can write to them, the least loaded."""
    chosen: dict[int, int] = {}
    for member_id, rota in _rotas(session, member_ids):
        if rota:
            able = [guide for guide in rota if (guide, member_id) in friends] or rota
            chosen[member_id] = min(able, key=lambda guide: load[guide])
            load[chosen[member_id]] += 1
    return chosen


def _rotas(session: Session, member_ids: Sequence[int]) -> list[tuple[int, list[int]]]:
    """Every member with the guides in post of the member's shop."""
    shops = session.exec(
        select(Member.id, Member.shop_id)
        .where(col(Member.id).in_(member_ids))
        .order_by(col(Member.id))
    ).all()
    guides = session.exec(
        select(Guide.shop_id, Guide.id)
        .where(Guide.status == GuideStatus.ACTIVE)
        .where(col(Guide.shop_id).in_({shop for _, shop in shops if shop is not None}))
        .order_by(col(Guide.id))
    ).all()
    by_shop: dict[int | None, list[int]] = {}
    for shop, guide in guides:
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
        col(Friendship.member_id).in_(member_ids), col(Friendship.until).is_(None)
    )
    return {(guide, member) for guide, member in session.exec(query).all() if member is not None}


def assignments_of(session: Session, campaign_id: int) -> dict[int, Assignment]:
    """Assignments of a campaign by guide id."""
    rows = session.exec(select(Assignment).where(Assignment.campaign_id == campaign_id)).all()
    return {row.guide_id: row for row in rows}
