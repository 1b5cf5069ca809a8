"""The facts an audience can name, as SQL over one member: columns, claims, codes and scores."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Subquery, exists, func, or_
from sqlmodel import col, select

from store.campaigns import AudienceMember
from store.levels import Level
from store.members import Identity, IdentityChannel, Member, MemberStatus
from store.orders import MemberFacts
from store.organisation import Guide, GuideStatus, Shop
from store.relations import Friendship, Ownership
from store.tags import MemberTag, Tag

_GROUPS = 5


def _has_level(codes: list[str], _now: datetime) -> ColumnElement[bool]:
    return exists().where(col(Level.id) == Member.level_id, col(Level.code).in_(codes))


def _has_tag(codes: list[str], now: datetime) -> ColumnElement[bool]:
    return exists().where(
        col(MemberTag.member_id) == Member.id,
        col(MemberTag.tag_id) == Tag.id,
        col(Tag.code).in_(codes),
        or_(col(MemberTag.expires_at).is_(None), col(MemberTag.expires_at) > now),
    )


def _of_shop(codes: list[str], _now: datetime) -> ColumnElement[bool]:
    return exists().where(col(Shop.id) == Member.shop_id, col(Shop.code).in_(codes))


def _likes(categories: list[str], _now: datetime) -> ColumnElement[bool]:
    return or_(*(col(MemberFacts.favourite_categories).contains([name]) for name in categories))


def _has_guide() -> ColumnElement[bool]:
    return _knows(Ownership)


def _has_friend() -> ColumnElement[bool]:
    return _knows(Friendship)


def _knows(tie: type[Ownership] | type[Friendship]) -> ColumnElement[bool]:
    """Whether a tie to a guide in post is open."""
    return exists().where(
        col(tie.member_id) == Member.id,
        col(tie.until).is_(None),
        col(Guide.id) == tie.guide_id,
        col(Guide.status) == GuideStatus.ACTIVE,
    )


def _follows() -> ColumnElement[bool]:
    return exists().where(
        col(Identity.member_id) == Member.id,
        col(Identity.channel) == IdentityChannel.WECHAT,
        col(Identity.is_reachable),
    )


def _was_in_a_campaign() -> ColumnElement[bool]:
    return exists().where(col(AudienceMember.member_id) == Member.id)


NUMBERS: dict[str, Any] = {
    "orders_count": col(MemberFacts.orders_count),
    "spent_fen": col(MemberFacts.spent_fen),
    "spent_365_fen": col(MemberFacts.spent_365_fen),
    "interval_days": col(MemberFacts.interval_days),
}
DAYS: dict[str, Any] = {
    "recency_days": col(MemberFacts.last_order_at),
    "first_order_days": col(MemberFacts.first_order_at),
    "joined_days": col(Member.joined_at),
}
SCORES = ("r_score", "f_score", "m_score")
WORDS: dict[str, Callable[[list[str], datetime], ColumnElement[bool]]] = {
    "level": _has_level,
    "tag": _has_tag,
    "shop": _of_shop,
    "favourite_category": _likes,
}
CLAIMS: dict[str, Callable[[], ColumnElement[bool]]] = {
    "has_guide": _has_guide,
    "is_friend_of_a_guide": _has_friend,
    "follows_account": _follows,
    "was_in_a_campaign": _was_in_a_campaign,
}


def quintiles() -> Subquery:
    """Quintiles of every member who ever bought: one pass over the facts."""
    ranked = {
        "r_score": MemberFacts.last_order_at,
        "f_score": MemberFacts.orders_count,
        "m_score": MemberFacts.spent_365_fen,
    }
    member_id = col(MemberFacts.member_id)
    quintiles = [
        func.ntile(_GROUPS).over(order_by=(col(fact), member_id)).label(name)
        for name, fact in ranked.items()
    ]
    return (
        select(member_id, *quintiles)
        .join(Member, col(Member.id) == member_id)
        .where(Member.status == MemberStatus.ACTIVE, MemberFacts.orders_count > 0)
        .subquery("scores")
    )
