"""Shops: the nearest to a place that was sent, those of a city or district, and their hours."""

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlmodel import Session

from bot import understanding
from bot.messages import Answer, Place, Reply, Turn
from bot.router import Handler
from content import talk_words
from content.keywords import normal
from content.messages import MessageKind, render
from content.phrases import Intent
from store import inbound, relations, shops
from store.members import Member
from store.organisation import Brand, Shop
from store.shops import Found

WHERE = "shops_where"
_MOST_CITIES = 12


def show(turn: Turn, session: Session, now: datetime) -> Answer:
    """The shops of the place that the words name; else the own shop, and a question where."""
    member = session.get_one(Member, turn.member_id)
    found = shops.in_place(session, member.brand_id, normal(turn.words), is_by_name=False)
    if found:
        return _listed(turn, session, found, now, title=_place_of(found))
    inbound.begin_talk(session, turn.identity_id, WHERE, facts={}, now=now)
    own = _own(session, member)
    if own is not None:
        return _listed(turn, session, [Found(own)], now, title=talk_words.OWN_SHOP, asks=True)
    return _ask(turn, session, member.brand_id)


def near(turn: Turn, session: Session, now: datetime) -> Answer:
    """A place was sent: the nearest shops, or those its name tells where none is on a map."""
    assert isinstance(turn.message, Place)
    member = session.get_one(Member, turn.member_id)
    place = turn.message
    found = shops.nearest(session, member.brand_id, place.latitude, place.longitude)
    title = talk_words.NEAREST
    if not found:
        found = shops.in_place(session, member.brand_id, normal(place.label), is_by_name=False)
        title = _place_of(found)
    if not found:
        inbound.begin_talk(session, turn.identity_id, WHERE, facts={}, now=now)
        return _ask(turn, session, member.brand_id)
    if turn.step == WHERE:
        inbound.end_talk(session, turn.identity_id)
    return _listed(turn, session, found, now, title=title)


def answering(otherwise: Handler) -> Handler:
    """The handler of what is typed as the answer to the question where.

    What names no place of ours and clearly is another wish goes to `otherwise`.
    """

    def where(turn: Turn, session: Session, now: datetime) -> Answer:
        member = session.get_one(Member, turn.member_id)
        found = shops.in_place(session, member.brand_id, normal(turn.words))
        if found:
            inbound.end_talk(session, turn.identity_id)
            return _listed(turn, session, found, now, title=_place_of(found))
        if _is_other_wish(turn):
            return otherwise(turn, session, now)
        return _ask(turn, session, member.brand_id, missing=turn.words.strip()[:_LONGEST_ECHO])

    return where


def hours_line(session: Session, shop: Shop, now: datetime) -> str:
    """How the door of a shop stands now, in words."""
    zone = ZoneInfo(session.get_one(Brand, shop.brand_id).timezone)
    return talk_words.open_hours(shops.hours(shop, zone, now), now.astimezone(zone))


def _own(session: Session, member: Member) -> Shop | None:
    guide = relations.guide_of(session, member.id)
    shop_id = guide.shop_id if guide is not None else member.shop_id
    return session.get(Shop, shop_id) if shop_id is not None else None


def _listed(
    turn: Turn,
    session: Session,
    found: Sequence[Found],
    now: datetime,
    *,
    title: str,
    asks: bool = False,
) -> Reply:
    lines = [
        {
            "name": one.shop.name,
            "far": talk_words.far(one.km),
            "hours": hours_line(session, one.shop, now),
            "phone": one.shop.phone,
            "address": one.shop.address,
        }
        for one in found
    ]
    is_on_map = asks and shops.are_on_map(session, found[0].shop.brand_id)
    facts = {"asks": asks, "is_on_map": is_on_map, "url": turn.page("shops")}
    return Reply(render(MessageKind.SHOPS, title=title, shops=lines, **facts))


def _is_other_wish(turn: Turn) -> bool:
    wish = understanding.understand(turn.words).intent if turn.wits.understands else None
    return wish not in {None, Intent.SHOPS}


def _place_of(found: Sequence[Found]) -> str:
    """What the shops have in common: the district, else the city, else nothing."""
    for name in ("district", "city"):
        places = {getattr(one.shop, name) for one in found}
        if len(places) == 1 and any(places):
            return talk_words.SHOPS_OF.format(place=places.pop())
    return ""


def _ask(turn: Turn, session: Session, brand_id: int, *, missing: str = "") -> Reply:
    cities = shops.cities(session, brand_id)
    return Reply(
        render(
            MessageKind.SHOPS_WHERE,
            missing=missing,
            is_on_map=shops.are_on_map(session, brand_id),
            cities=cities[:_MOST_CITIES],
            more=len(cities) > _MOST_CITIES,
            url=turn.page("shops"),
        )
    )


_LONGEST_ECHO = 20
