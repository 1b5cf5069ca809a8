"""Drafts: the words for each member of a chunk, offline, from a content piece and member facts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func
from sqlmodel import Session, col, select

from content.pieces import MemberVariables
from store.levels import Level
from store.members import Member
from store.orders import MemberFacts
from store.organisation import Guide, Shop
from store.points import PointsEntry


@dataclass(frozen=True, slots=True)
class DraftFacts:
    """What a draft needs to know about one member."""

    name: str
    level: str
    points: int
    days_since: int | None
    orders_count: int
    favourites: Sequence[str]


@dataclass(frozen=True, slots=True)
class Speaker:
    """Who signs the words: a guide of a shop."""

    name: str
    shop: str


def facts_of(
    session: Session, member_ids: Sequence[int], *, now: datetime
) -> dict[int, DraftFacts]:
    """Facts of a chunk of members, by member id."""
    points = _balances(session, member_ids)
    query = (
        select(Member.id, Member.name, Level.name, MemberFacts)
        .join(Level, col(Level.id) == Member.level_id, isouter=True)
        .join(MemberFacts, col(MemberFacts.member_id) == Member.id, isouter=True)
        .where(col(Member.id).in_(member_ids))
    )
    return {
        member_id: _facts(name, level, points.get(member_id, 0), facts, now)
        for member_id, name, level, facts in session.exec(query).all()
    }


def _balances(session: Session, member_ids: Sequence[int]) -> dict[int, int]:
    query = (
        select(PointsEntry.member_id, func.sum(PointsEntry.points))
        .where(col(PointsEntry.member_id).in_(member_ids))
        .group_by(col(PointsEntry.member_id))
    )
    return {member_id: int(points) for member_id, points in session.exec(query).all()}


def _facts(
    name: str, level: str | None, points: int, facts: MemberFacts | None, now: datetime
) -> DraftFacts:
    last = facts.last_order_at if facts else None
    return DraftFacts(
        name=name,
        level=level or "",
        points=max(points, 0),
        days_since=max((now - last).days, 0) if last else None,
        orders_count=facts.orders_count if facts else 0,
        favourites=tuple(facts.favourite_categories) if facts else (),
    )


def speakers(session: Session, guide_ids: Sequence[int]) -> Mapping[int, Speaker]:
    """Names of guides and their shops, by guide id."""
    query = (
        select(Guide.id, Guide.name, Shop.name)
        .join(Shop, col(Shop.id) == Guide.shop_id)
        .where(col(Guide.id).in_(guide_ids))
    )
    return {guide_id: Speaker(name, shop) for guide_id, name, shop in session.exec(query).all()}


def house_speaker(brand: str) -> Speaker:
    """Who signs when no guide can: the brand's own assistant."""
    return Speaker("小知", brand)


def variables(
    facts: DraftFacts, speaker: Speaker, *, product: str, coupon: str, link: str
) -> MemberVariables:
    """The variables of a piece for one member."""
    return MemberVariables(
        name=facts.name or "顾客",
        guide=speaker.name,
        shop=speaker.shop,
        level=facts.level,
        points=facts.points,
        days_since=facts.days_since,
        category=facts.favourites[0] if facts.favourites else "好物",
        product=product,
        coupon=coupon,
        link=link,
    )


def reason(facts: DraftFacts) -> str:
    """Why this member, in one line for the guide."""
    if facts.days_since is None:
        return "还没有买过东西，可以先认识一下"
    like = f"，常买{'、'.join(facts.favourites[:2])}" if facts.favourites else ""
    # Days are whole spans of 24 hours: less than two of them may be today or yesterday.
    last = f"上次是 {facts.days_since} 天前" if facts.days_since > 1 else "这两天刚来过"
    return f"来过 {facts.orders_count} 次，{last}{like}"
