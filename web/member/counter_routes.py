"""The counter at `/m`: card, points, points shop, orders, and the way to all the rest."""

from typing import Annotated

from fastapi import APIRouter, Form, Query, Response
from fastapi.responses import RedirectResponse

from content.phrases import of_refusal
from store import points_shop
from store.errors import Exhausted, NotAllowed, Refusal
from web.deps import PartsDep
from web.entry import DoorRoute
from web.member import card_page, me_page, orders_page, points_page, shop_page
from web.member.barcodes import bars, qr
from web.member.entry import Visit, VisitDep
from web.member.forms import Token
from web.pages import page

router = APIRouter(route_class=DoorRoute)

# Nobody pages further by hand.
_LAST_PAGE = 5000
PageNumber = Annotated[int, Query(alias="page", ge=1, le=_LAST_PAGE)]
# The price on the page; a page that was opened before there was this field sends none.
Asked = Annotated[int | None, Form()]


@router.get("/card")
def show_card(visit: VisitDep, parts: PartsDep) -> Response:
    """The own card, with the code of this minute; the browser asks again when it ends."""
    person = visit.someone()
    card = card_page.read(visit.session, person, secret=parts.settings.secret, now=visit.now)
    return page(
        visit.request,
        "member/card.html",
        card=card,
        card_bars=bars(card.code) if card.code else "",
        card_qr=qr(card.code) if card.code else "",
    )


@router.get("/points")
def show_points(visit: VisitDep, number: PageNumber = 1) -> Response:
    """The own points."""
    person = visit.someone()
    shown = points_page.read(visit.session, person, number=number, zone=visit.zone, now=visit.now)
    return page(visit.request, "member/points.html", points=shown)


@router.get("/orders")
def show_orders(visit: VisitDep, number: PageNumber = 1) -> Response:
    """The own orders."""
    shown = orders_page.read(visit.session, visit.someone(), number=number)
    return page(visit.request, "member/orders.html", view=shown)


@router.get("/me")
def show_me(visit: VisitDep) -> Response:
    """Who one is here, and the ways to everything that has no tab of its own."""
    return page(visit.request, "member/me.html", me=me_page.read(visit.session, visit.someone()))


@router.get("/points/shop")
def show_shop(visit: VisitDep) -> Response:
    """What points buy."""
    shown = shop_page.read(visit.session, visit.someone(), now=visit.now)
    return page(visit.request, "member/points_shop.html", shop=shown)


@router.get("/points/shop/{code}")
def ask_to_redeem(code: str, visit: VisitDep) -> Response:
    """What it is and what it costs, and a last question; looking spends nothing."""
    return _question(visit, code)


@router.post("/points/shop/{code}")
def redeem(code: str, visit: VisitDep, token: Token, asked: Asked = None) -> Response:
    """Spend the points; the same form sent twice leads to the same coupon."""
    try:
        with visit.session.begin_nested():
            points_shop.redeem(
                visit.session, code, visit.someone().id, token=token, asked=asked, now=visit.now
            )
    except (Exhausted, NotAllowed) as refusal:
        return _question(visit, code, problem=refusal)
    return RedirectResponse(f"/m/points/had/{token}", status_code=303)


@router.get("/points/had/{token}")
def show_had(token: str, visit: VisitDep) -> Response:
    """What the points brought."""
    shown = shop_page.had(visit.session, visit.someone(), token, now=visit.now)
    return page(visit.request, "member/points_had.html", had=shown)


def _question(visit: Visit, code: str, *, problem: Refusal | None = None) -> Response:
    shown = shop_page.ask(visit.session, visit.someone(), code, now=visit.now)
    return page(
        visit.request,
        "member/points_item.html",
        status_code=200 if problem is None else 409,
        view=shown,
        problem=of_refusal(problem) if problem is not None else "",
    )
