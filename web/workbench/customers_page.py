"""Customers at `/guide/customers`: look for one, know them, tag them with a tap, name them.

What is looked for is posted, so that no mobile stands in an address that servers log.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form, Response
from fastapi.responses import RedirectResponse
from sqlmodel import Session, col, select

from guide_tasks import looks
from store import contacts, tags, visibility
from store.audit import note
from store.contacts import Contact
from store.members import Identity, Member
from store.organisation import GuideRole
from store.tags import MemberTag, Tag, TagSource
from web.entry import DoorRoute
from web.pages import page
from web.workbench import customer, customer_list, notes_page, task_page
from web.workbench.entry import Desk, DeskDep

router = APIRouter(route_class=DoorRoute)
_LONGEST = 40
# WeCom's limit of a remark (wecom.md §3).
LONGEST_REMARK = 20
_PURCHASES = 10


@dataclass(frozen=True, slots=True)
class TagChoice:
    """A tag to tap: worn or not; what HQ or a rule has put on stays."""

    code: str
    name: str
    group: str
    is_worn: bool
    is_fixed: bool


@router.get("/customers")
def show_customers(desk: DeskDep, after: str | None = None) -> Response:
    """Who spent most on top; at the head of a region there are too many to leaf through."""
    if desk.guide.role in {GuideRole.REGION, GuideRole.HQ}:
        return _list(desk, "", None)
    return _list(desk, "", customer_list.read(desk.session, desk.guide, "", after))


@router.post("/customers")
def search(desk: DeskDep, words: Annotated[str, Form(max_length=_LONGEST)] = "") -> Response:
    """By part of the name, the last four digits, or the whole mobile."""
    words = words.strip()
    if not words:
        return _to("/guide/customers")
    return _list(desk, words, customer_list.read(desk.session, desk.guide, words, None))


@router.get("/c/{card_no}")
def show_customer(card_no: str, desk: DeskDep, *, noted: bool = False) -> Response:
    """One customer; `noted` says that a note was just written."""
    return _page(desk, customer_list.by_card(desk.session, desk.guide, card_no), noted=noted)


@router.post("/c/{card_no}/mobile")
def show_mobile(card_no: str, desk: DeskDep) -> Response:
    """The same page with the whole mobile, once, for leaders; the audit log says who looked."""
    member = customer_list.by_card(desk.session, desk.guide, card_no)
    if not _may_see_mobile(desk):
        raise visibility.MobileHidden
    actor, subject = f"guide:{desk.guide.userid}", f"member:{member.id}"
    note(desk.session, actor, "member.see_mobile", subject=subject, now=desk.now)
    answer = _page(desk, member, whole_mobile=member.mobile or "")
    answer.headers["Cache-Control"] = "no-store"
    return answer


@router.post("/c/{card_no}/tags")
def tap_tag(
    card_no: str,
    desk: DeskDep,
    code: Annotated[str, Form()],
    *,
    on: Annotated[bool, Form()] = False,
) -> Response:
    """Put on a tag that the guide has observed, or take it off; another's is left alone."""
    member = customer_list.by_card(desk.session, desk.guide, card_no)
    choice = next((one for one in _choices(desk, member) if one.code == code), None)
    if choice is None:
        raise tags.TagNotFound(code)
    if on and not choice.is_worn:
        observed = TagSource.OBSERVED
        tags.put(desk.session, member.id, code, source=observed, now=desk.now)
    elif not on and choice.is_worn and not choice.is_fixed:
        tags.take_off(desk.session, member.id, code, now=desk.now)
    return _to(f"/guide/c/{card_no}#tags")


@router.post("/c/{card_no}/remark")
def rename(
    card_no: str, desk: DeskDep, remark: Annotated[str, Form(max_length=LONGEST_REMARK)] = ""
) -> Response:
    """What the guide calls the customer, here and in WeCom."""
    member = customer_list.by_card(desk.session, desk.guide, card_no)
    contact = _contact(desk.session, desk.guide.id, member.id)
    if contact is not None and remark.strip():
        contacts.rename(desk.session, contact, remark.strip(), now=desk.now)
    return _to(f"/guide/c/{card_no}")


@router.get("/c/{card_no}/{act}")
def back_to_customer(card_no: str, act: str) -> Response:
    """A post that had to log in first comes back as a read."""
    del act
    return _to(f"/guide/c/{card_no}")


def _list(desk: Desk, words: str, found: customer_list.CustomerPage | None) -> Response:
    return page(desk.request, "workbench/customers.html", words=words, found=found, now=desk.now)


def _page(desk: Desk, member: Member, *, whole_mobile: str = "", noted: bool = False) -> Response:
    look = looks.of_member(desk.session, member.id)
    contact = _contact(desk.session, desk.guide.id, member.id)
    return page(
        desk.request,
        "workbench/customer.html",
        person=customer.person(desk.session, member.id, desk.now),
        purchases=customer.purchases(desk.session, member.id, most=_PURCHASES),
        coupons=customer.usable_coupons(desk.session, member.id, desk.now),
        touches=customer.touches(desk.session, member.id),
        look=task_page.look_words(look, zone=desk.zone, now=desk.now),
        notes=notes_page.read(desk, member, most=notes_page.FIRST),
        noted=noted,
        choices=_choices(desk, member),
        remark=None if contact is None else contact.wanted_remark or contact.remark,
        longest=LONGEST_REMARK,
        may_see_mobile=_may_see_mobile(desk) and member.mobile is not None,
        whole_mobile=whole_mobile,
        now=desk.now,
    )


def _may_see_mobile(desk: Desk) -> bool:
    return desk.guide.role is not GuideRole.GUIDE


def _choices(desk: Desk, member: Member) -> Sequence[TagChoice]:
    """All tags of the house, by group."""
    worn = (col(MemberTag.tag_id) == Tag.id) & (col(MemberTag.member_id) == member.id)
    fresh = col(MemberTag.expires_at).is_(None) | (col(MemberTag.expires_at) > desk.now)
    query = (
        select(Tag, MemberTag.source)
        .join(MemberTag, worn & fresh, isouter=True)
        .order_by(Tag.group_name, Tag.name)
    )
    return [
        TagChoice(
            tag.code,
            tag.name,
            tag.group_name,
            is_worn=source is not None,
            is_fixed=source not in {None, TagSource.OBSERVED},
        )
        for tag, source in desk.session.exec(query).all()
    ]


def _contact(session: Session, guide_id: int, member_id: int) -> Contact | None:
    """The guide's own living contact with a member in WeCom."""
    query = (
        select(Contact)
        .join(Identity, col(Identity.id) == Contact.identity_id)
        .where(Contact.guide_id == guide_id, Identity.member_id == member_id)
        .where(col(Contact.ended_by).is_(None))
        .limit(1)
    )
    return session.exec(query).first()


def _to(place: str) -> Response:
    return RedirectResponse(place, status_code=303)
