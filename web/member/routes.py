"""Member pages at `/m`, opened from WeChat: the list of goods, a gift, the card."""

from dataclasses import replace

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from bot.calls import ApiError
from bot.wechat.client import PageVisitor
from guide_tasks import progress
from store import gifts, members
from store.accounts import Account, Platform
from store.errors import Exhausted, WrongState
from store.members import IdentityChannel
from web import oauth
from web.deps import PartsDep
from web.entry import DoorRoute, first_account
from web.member import card_page, gift_page, picks_page
from web.member.barcodes import qr
from web.member.entry import Visit, VisitDep
from web.member.gift_page import GiftView, Look
from web.origin import OwnPostsOnly
from web.pages import page
from web.parts import Parts
from web.sessions import Door

router = APIRouter(prefix="/m", route_class=DoorRoute, dependencies=[OwnPostsOnly])


@router.get("/login/back")
def come_back(request: Request, parts: PartsDep) -> Response:
    """WeChat sends the person back with a code that says who it is."""
    try:
        code, wanted = oauth.finish(parts, request, Door.MEMBER)
        with parts.database.transaction() as session:
            account = first_account(session, Platform.WECHAT)
        visitor = parts.wechat.of(account).visitor(code)
    except (oauth.LoginBroken, ApiError):
        return page(request, "member/no_login.html", status_code=403)
    if visitor.is_snapshot:
        return page(request, "member/snapshot.html", place=wanted)
    response = _to(wanted)
    parts.sessions.open(response, Door.MEMBER, _meet(parts, account, visitor))
    return response


def _meet(parts: Parts, account: Account, visitor: PageVisitor) -> int:
    """The identity of who logged in, made when it is a new face."""
    with parts.database.transaction() as session:
        identity = members.meet(
            session,
            channel=IdentityChannel.WECHAT,
            account=account.app_id,
            outside_id=visitor.openid,
            brand_id=account.brand_id,
            unionid=visitor.unionid,
            now=parts.clock(),
        )
        return identity.id


@router.get("/picks/{token}")
def show_picks(token: str, visit: VisitDep) -> Response:
    """The goods that were chosen for the member of a care task."""
    task = progress.open_picks(visit.session, token, now=visit.now)
    return page(visit.request, "member/picks.html", picks=picks_page.read(visit.session, task))


@router.get("/gift/{token}")
def show_gift(token: str, visit: VisitDep) -> Response:
    """A coupon from a friend."""
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
    return _to(f"/m/gift/{token}")


def _gift(visit: Visit, token: str, gift: GiftView, *, status_code: int = 200) -> Response:
    return page(
        visit.request,
        "member/gift.html",
        status_code=status_code,
        token=token,
        gift=gift,
        is_known=visit.person is not None,
        code_qr=qr(gift.code) if gift.code else "",
    )


@router.get("/gift/{token}/claim")
def back_to_gift(token: str) -> Response:
    """A post that had to log in first comes back as a read: the friend looks and taps again."""
    return _to(f"/m/gift/{token}")


@router.get("/card")
def show_card(visit: VisitDep) -> Response:
    """The own card."""
    card = card_page.read(visit.session, visit.someone(), now=visit.now)
    return page(visit.request, "member/card.html", card=card, card_qr=qr(card.card_no))


def _to(place: str) -> Response:
    return RedirectResponse(place, status_code=303)
