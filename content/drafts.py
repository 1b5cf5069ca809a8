"""Drafts: the words for each member of a chunk, offline, from a content piece and member facts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlmodel import Session, col, select

from content.pieces import MemberVariables
from store.bulk import among, id_array
from store.organisation import Guide, Shop

_FACTS = text("""
    SELECT m.id, m.name, coalesce(l.name, ''),
        coalesce((SELECT CAST(sum(points) AS bigint) FROM points_entries
            WHERE member_id = m.id), 0),
        f.last_order_at, coalesce(f.orders_count, 0), coalesce(f.favourite_categories, '[]')
    FROM members m
    LEFT JOIN levels l ON l.id = m.level_id
    LEFT JOIN member_facts f ON f.member_id = m.id
    WHERE m.id = ANY(CAST(:members AS bigint[]))
""")


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
    session.flush()
    found = session.connection().execute(_FACTS, {"members": id_array(member_ids)}).all()
    return {
        member_id: DraftFacts(
            name, level, max(points, 0), _days_since(last_order_at, now), orders, tuple(likes)
        )
        for member_id, name, level, points, last_order_at, orders, likes in found
    }


def _days_since(last_order_at: datetime | None, now: datetime) -> int | None:
    return None if last_order_at is None else max((now - last_order_at).days, 0)


def speakers(session: Session, guide_ids: Sequence[int]) -> Mapping[int, Speaker]:
    """Names of guides and their shops, by guide id."""
    query = (
        select(Guide.id, Guide.name, Shop.name)
        .join(Shop, col(Shop.id) == Guide.shop_id)
        .where(among(Guide.id, guide_ids))
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
