"""Coupons and gifts at `/m`: the lists, the code for the till, giving away, claiming."""

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Query, Response
from fastapi.responses import RedirectResponse

from bot.gift_news import tell_giver
from content.phrases import of_refusal
from store import coupons, gifts
from store.errors import Exhausted, Refusal, WrongState
from store.tokens import new_token
from web import oauth
from web.deps import PartsDep
from web.entry import DoorRoute
from web.member import coupons_page, gift_page
from web.member.barcodes import bars, qr
from web.member.coupons_page import Shelf
from web.member.entry import Visit, VisitDep
from web.member.forms import Token
from web.member.gift_page import GiftView, Look
from web.pages import page
from web.sessions import Door

router = APIRouter(route_class=DoorRoute)


@router.get("/coupons")
def list_coupons(visit: VisitDep, show: Annotated[Shelf, Query()] = Shelf.USABLE) -> Response:
    """The own coupons under one tab."""
    shown = coupons_page.read(visit.session, visit.someone(), show, now=visit.now)
    return page(visit.request, "member/coupons.html", coupons=shown)


@router.get("/coupons/{ref}")
def show_coupon(ref: str, visit: VisitDep) -> Response:
    """One coupon, its code big enough for a till."""
    return _coupon(visit, ref, "member/coupon.html")


@router.get("/coupons/{ref}/give")
def ask_to_give(ref: str, visit: VisitDep) -> Response:
    """What giving it away means, and a last question."""
    return _coupon(visit, ref, "member/give.html", token=new_token())


@router.post("/coupons/{ref}/give")
def give_coupon(ref: str, visit: VisitDep, token: Token = "") -> Response:
    """Put the coupon on its way; the gift's page is the link to hand on.

    The same form sent twice leads to the same gift: nobody is shown the link a second time. A page
    that was opened before forms had a token sends none.
    """
    person, token = visit.someone(), token or new_token()
    try:
        with visit.session.begin_nested():
            coupons_page.give(visit.session, person, ref, token=token, now=visit.now)
    except (Exhausted, WrongState) as refusal:
        return _coupon(visit, ref, "member/coupon.html", problem=refusal)
    return _to(f"/m/gift/{token}")


@router.post("/coupons/{ref}/take-back")
def take_coupon_back(ref: str, visit: VisitDep) -> Response:
    """The link is dead and the coupon is usable again, unless a friend was faster."""
    person = visit.someone()
    try:
        with visit.session.begin_nested():
            coupons_page.take_back(visit.session, person, ref, now=visit.now)
    except (coupons.CouponNotFound, gifts.GiftTaken):
        return _to(f"/m/coupons?show={Shelf.USED}")
    return _to(f"/m/coupons/{ref}")


@router.get("/coupons/{ref}/take-back")
def back_to_coupon(ref: str) -> Response:
    """A post that had to log in first comes back as a read: the member looks and taps again."""
    return _to(f"/m/coupons/{ref}")


@router.get("/gift/{token}")
def show_gift(token: str, visit: VisitDep) -> Response:
    """A coupon from a friend; looking at it changes nothing, for previews of links look too."""
    gift = gift_page.read(visit.session, token, visit.person, now=visit.now)
    return _gift(visit, token, gift)


@router.post("/gift/{token}/claim")
def claim_gift(token: str, visit: VisitDep) -> Response:
    """Take the coupon; what stands in the way is said on the gift's own page."""
    person = visit.someone()
    gift = gift_page.read(visit.session, token, person, now=visit.now)
    if gift.look is not Look.OPEN:
        return _to(f"/m/gift/{token}")
    try:
        with visit.session.begin_nested():
            gifts.claim(visit.session, token, person.id, now=visit.now)
    except gifts.GiftToSelf:
        return _gift(visit, token, replace(gift, look=Look.OWN), status_code=409)
    except Exhausted:
        return _gift(visit, token, replace(gift, look=Look.FULL), status_code=409)
    except WrongState:
        # Somebody was faster, or the giver took it back meanwhile: the page says which.
        return _to(f"/m/gift/{token}")
    tell_giver(visit.session, gifts.by_token(visit.session, token), now=visit.now)
    return _to(f"/m/gift/{token}")


@router.get("/gift/{token}/claim")
def go_on_claiming(token: str, visit: VisitDep, parts: PartsDep) -> Response:
    """Where a tap goes on that had to log in first; to whoever did not tap it is a mere look."""
    if not oauth.has_begun_here(parts, visit.request, Door.MEMBER):
        return _to(f"/m/gift/{token}")
    response = claim_gift(token, visit)
    oauth.forget(visit.request, response, Door.MEMBER)
    return response


@router.post("/gift/{token}/take-back")
def take_gift_back(token: str, visit: VisitDep) -> Response:
    """The giver wants it back; a friend who was faster keeps it, and the page says so."""
    person = visit.someone()
    gift = gifts.by_token(visit.session, token)
    if gift.giver_id == person.id:
        try:
            with visit.session.begin_nested():
                gifts.cancel(visit.session, gift.id, person.id, now=visit.now)
        except WrongState:
            return _to(f"/m/gift/{token}")
    return _to(f"/m/gift/{token}")


@router.get("/gift/{token}/take-back")
def back_to_gift(token: str) -> Response:
    """The same for a gift."""
    return _to(f"/m/gift/{token}")


def _coupon(
    visit: Visit, ref: str, name: str, *, token: str = "", problem: Refusal | None = None
) -> Response:
    coupon = coupons_page.read_one(visit.session, visit.someone(), ref, now=visit.now)
    return page(
        visit.request,
        name,
        status_code=200 if problem is None else 409,
        coupon=coupon,
        token=token,
        code_qr=qr(coupon.code) if coupon.code else "",
        code_bars=bars(coupon.code) if coupon.code else "",
        problem=of_refusal(problem) if problem is not None else "",
    )


def _gift(visit: Visit, token: str, gift: GiftView, *, status_code: int = 200) -> Response:
    return page(
        visit.request,
        "member/gift.html",
        status_code=status_code,
        token=token,
        gift=gift,
        code_qr=qr(gift.code) if gift.code else "",
        code_bars=bars(gift.code) if gift.code else "",
    )


def _to(place: str) -> Response:
    return RedirectResponse(place, status_code=303)
