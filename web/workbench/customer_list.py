"""Whom a person at the workbench may look up: the list by value, and a search by name or mobile."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, literal, tuple_
from sqlmodel import Session, col, select

from store import visibility
from store.bulk import among
from store.members import Member, MemberNotFound, MemberStatus, is_mobile, mask
from store.orders import MemberFacts
from store.organisation import Guide, GuideRole

PAGE_SIZE = 50
_DIGITS = 4
_VALUE = func.coalesce(col(MemberFacts.spent_365_fen), 0)
_KEYS: tuple[Any, ...] = (-_VALUE, col(Member.id))


@dataclass(frozen=True, slots=True)
class CustomerRow:
    """One customer; `value_fen` is what they spent within a year."""

    card_no: str
    name: str
    mobile: str
    value_fen: int
    last_order_at: datetime | None


@dataclass(frozen=True, slots=True)
class CustomerPage:
    """Up to 50 customers, and the card after which the next page begins."""

    rows: list[CustomerRow]
    after: str | None


def by_card(session: Session, guide: Guide, card_no: str) -> Member:
    """The member with this card, if the guide may see them."""
    query = select(Member).where(Member.card_no == card_no, sees(guide))
    member = session.exec(query.where(Member.status == MemberStatus.ACTIVE)).first()
    if member is None:
        raise MemberNotFound("in sight")
    return member


def read(session: Session, guide: Guide, words: str, after: str | None) -> CustomerPage:
    """One page, who spent most on top; an unknown `after` begins at the top."""
    seen = _in_sight(session, guide)
    query = (
        select(Member, _VALUE, MemberFacts.last_order_at)
        .join(MemberFacts, col(MemberFacts.member_id) == Member.id, isouter=True)
        .where(Member.status == MemberStatus.ACTIVE, seen)
    )
    if words:
        query = query.where(_matches(words))
    anchor = _anchor(session, guide, after)
    if anchor is not None:
        query = query.where(tuple_(*_KEYS) > anchor)
    found = session.exec(query.order_by(*_KEYS).limit(PAGE_SIZE + 1)).all()
    rows = [
        CustomerRow(member.card_no, member.name, mask(member.mobile), int(value), last)
        for member, value, last in found[:PAGE_SIZE]
    ]
    return CustomerPage(rows, rows[-1].card_no if len(found) > PAGE_SIZE else None)


def _in_sight(session: Session, guide: Guide) -> ColumnElement[bool]:
    """The same for a list: a guide's own are few, and named to the server so that it scans none."""
    if guide.role is not GuideRole.GUIDE:
        return sees(guide)
    ids = session.execute(visibility.customer_ids(guide.id)).scalars()
    return among(Member.id, set(ids))


def sees(guide: Guide) -> ColumnElement[bool]:
    """SQL: whom this person may see."""
    if guide.role is GuideRole.GUIDE:
        return visibility.is_customer_of(guide.id)
    return visibility.sees_member(guide.id)


def _matches(words: str) -> ColumnElement[bool]:
    if is_mobile(words):
        return col(Member.mobile) == words
    if words.isdecimal() and len(words) == _DIGITS:
        return func.right(col(Member.mobile), _DIGITS) == words
    return col(Member.name).contains(words, autoescape=True)


def _anchor(session: Session, guide: Guide, after: str | None) -> Any:
    if not after:
        return None
    place = session.exec(
        select(*_KEYS)
        .select_from(Member)
        .join(MemberFacts, col(MemberFacts.member_id) == Member.id, isouter=True)
        .where(Member.card_no == after, sees(guide))
    ).first()
    return tuple_(*(literal(value) for value in place)) if place else None
