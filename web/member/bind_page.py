"""Binding a mobile: ask for it, send a code, take the code, agree; then the card.

Each step is a form of its own and works without scripts. What is answered before the code is right
is the same for every mobile, so that nobody learns who is a member.
"""

import logging
import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse
from sqlmodel import Session, col, select

from bot.channels.base import Address, ChannelError, Outgoing
from bot.channels.sms import Sms, SmsKind
from content import terms
from content.messages import MessageKind, render
from content.phrases import joining_gift, of_refusal
from store import binding, codes, consents, members, silences
from store.binding import Gift
from store.codes import CodeNotSent, CodeTooSoon, CodeWrong
from store.consents import Purpose
from store.errors import Refusal
from store.members import Identity, Member
from store.organisation import Brand
from store.tokens import new_token
from store.touches import Channel
from web.deps import NowDep, PartsDep
from web.entry import DoorRoute
from web.member.entry import Visit, VisitDep, identity_of
from web.origin import OwnPostsOnly
from web.pages import page
from web.parts import Parts

_log = logging.getLogger(__name__)

router = APIRouter(prefix="/m/bind", route_class=DoorRoute, dependencies=[OwnPostsOnly])

Typed = Annotated[str, Form(max_length=40)]
_COUNTRY = "86"
_MOBILE_DIGITS = 11
# As long as the page after the binding may be looked at, it says what was given.
_FRESH = timedelta(minutes=30)
_CONSENTED = (Channel.WECHAT_SERVICE, Channel.WECHAT_NOTICE)


@dataclass(frozen=True, slots=True)
class BindView:
    """The page. `mobile` is what was typed; `masked` the mobile that is bound already."""

    brand: str
    mobile: str = ""
    masked: str = ""
    is_bound: bool = False
    gift: str = ""
    promised: str = ""


@router.get("")
def show(visit: VisitDep, *, change: bool = False) -> Response:
    """Ask for the mobile; who has bound one sees it, and what joining brought."""
    person = visit.someone()
    is_bound = person.mobile is not None and not change
    view = BindView(
        brand=_brand(visit.session, person),
        masked=members.mask(person.mobile),
        is_bound=is_bound,
        gift=_in_words(binding.gift_since(visit.session, person.id, visit.now - _FRESH)),
        promised=_promised(visit.session, person),
    )
    return _page(visit.request, view)


@router.get("/code")
def back_to_start() -> Response:
    """A post that had to log in first comes back as a read."""
    return RedirectResponse("/m/bind", status_code=303)


@router.post("/code")
def send_code(request: Request, parts: PartsDep, now: NowDep, mobile: Typed = "") -> Response:
    """Send a code: written down first, sent between two transactions, taken back if it failed."""
    mobile = digits(mobile)
    with parts.database.transaction() as session:
        identity = identity_of(parts, request, session)
        person = session.get_one(Member, identity.member_id)
        view = BindView(
            brand=_brand(session, person), mobile=mobile, promised=_promised(session, person)
        )
    try:
        _send(parts, identity.id, mobile, now=now)
    except CodeTooSoon as refusal:
        return _page(request, view, refusal, is_code_sent=True)
    except Refusal as refusal:
        return _page(request, view, refusal)
    return _page(request, view, is_code_sent=True)


@router.post("")
def bind(
    visit: VisitDep, parts: PartsDep, mobile: Typed = "", code: Typed = "", consent: Typed = ""
) -> Response:
    """Take the code and bind; a wrong try is written down, so nothing is raised past here."""
    identity = identity_of(parts, visit.request, visit.session)
    person = visit.someone()
    mobile, secret_key = digits(mobile), parts.settings.secret
    promised = _promised(visit.session, person)
    view = BindView(brand=_brand(visit.session, person), mobile=mobile, promised=promised)
    if not codes.is_right(
        visit.session, identity.id, mobile, digits(code), secret_key=secret_key, now=visit.now
    ):
        if _has_bound(visit.session, identity.id, mobile):
            return RedirectResponse("/m/bind", status_code=303)
        return _page(visit.request, view, CodeWrong(), is_code_sent=True)
    try:
        with visit.session.begin_nested():
            _bind(visit, mobile, secret_key, is_consenting=bool(consent))
    except Refusal as refusal:
        return _page(visit.request, view, refusal)
    return RedirectResponse("/m/bind", status_code=303)


def digits(typed: str) -> str:
    """The digits of what was typed, without spaces, dashes and the country's 86."""
    found = re.sub(r"\D", "", unicodedata.normalize("NFKC", typed))
    is_long = len(found) == _MOBILE_DIGITS + len(_COUNTRY) and found.startswith(_COUNTRY)
    return found[len(_COUNTRY) :] if is_long else found


def _bind(visit: Visit, mobile: str, secret_key: str, *, is_consenting: bool) -> None:
    session, now, version = visit.session, visit.now, terms.version()
    person = visit.someone()
    bound = binding.bind(
        session, person.id, mobile, text_version=version, secret_key=secret_key, now=now
    )
    if not is_consenting:
        silences.recall(session, bound.member.id, secret_key=secret_key, now=now)
        return
    silences.forgive(session, bound.member.id, secret_key=secret_key)
    for channel in _CONSENTED:
        for purpose in Purpose:
            consents.state(
                session,
                bound.member.id,
                channel,
                purpose,
                is_granted=True,
                text_version=version,
                source="binding",
                now=now,
            )


def _has_bound(session: Session, identity_id: int, mobile: str) -> bool:
    """Whether the mobile is the person's by now: the form came twice, and the first used the code.

    Asks the record anew: what this page has read is from before it waited for the code's row.
    """
    query = select(Member.mobile).join(Identity, col(Identity.member_id) == col(Member.id))
    return session.exec(query.where(Identity.id == identity_id)).first() == mobile


def _send(parts: Parts, identity_id: int, mobile: str, *, now: datetime) -> None:
    if parts.sms is None:
        _log.error("Set ZHIYIN_SMS_API_URL: without SMS nobody can bind a mobile.")
        raise CodeNotSent
    with parts.database.transaction() as session:
        row, code = codes.issue(
            session, identity_id, mobile, secret_key=parts.settings.secret, now=now
        )
    try:
        _speak(parts.sms, mobile, code)
    except ChannelError as failed:
        # One that may have arrived counts: its code is good.
        if not failed.is_unsure:
            with parts.database.transaction() as session:
                codes.take_back(session, row.id)
            raise CodeNotSent from None


def _speak(sms: Sms, mobile: str, code: str) -> None:
    minutes = int(codes.LIFE / timedelta(minutes=1))
    words = render(MessageKind.SMS_CODE, code=code, minutes=minutes)
    sms.send(Outgoing(f"code-{new_token()}", words), Address(mobile), kind=SmsKind.CODE)


def _brand(session: Session, person: Member) -> str:
    return session.get_one(Brand, person.brand_id).name


def _promised(session: Session, person: Member) -> str:
    """What joining brings; told to everybody alike who has no mobile yet."""
    is_new = person.joined_at is None
    return _in_words(binding.offered(session, person.brand_id)) if is_new else ""


def _in_words(gift: Gift | None) -> str:
    return joining_gift(gift.coupon, gift.points) if gift else ""


def _page(
    request: Request, view: BindView, refusal: Refusal | None = None, *, is_code_sent: bool = False
) -> Response:
    return page(
        request,
        "member/bind.html",
        status_code=422 if refusal else 200,
        view=view,
        is_code_sent=is_code_sent,
        problem=of_refusal(refusal) if refusal else "",
        terms=terms,
        pause=int(codes.PAUSE.total_seconds()),
    )
