"""Shops with their hours, city by city; and the member's own guide with the code to add."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import segno
from fastapi import APIRouter, Query, Response

from content import talk_words
from store import relations, shops
from store.accounts import Platform
from store.members import Member
from store.organisation import Brand, Guide, Shop
from web.entry import DoorRoute, first_account
from web.member.entry import Visit, VisitDep
from web.pages import page

router = APIRouter(prefix="/m", route_class=DoorRoute)

_MAP = "https://apis.map.qq.com/uri/v1/marker"


@dataclass(frozen=True, slots=True)
class ShopView:
    """One shop; `hours` is how its door stands now, `map_url` is empty where the place is unknown.

    `span` are its hours of every day.
    """

    name: str
    hours: str
    span: str
    is_open: bool
    address: str
    phone: str
    map_url: str


@dataclass(frozen=True, slots=True)
class GuideView:
    """The member's own guide; `code` is a picture that a long press in WeChat reads."""

    name: str
    shop: ShopView
    contact_url: str
    code: str


@router.get("/shops")
def show_shops(visit: VisitDep, city: str = Query(default="", max_length=40)) -> Response:
    """The shops of a city, or all of them. Everybody may look, without a log-in."""
    brand = _brand(visit)
    found = shops.of_city(visit.session, brand.id, city)
    return page(
        visit.request,
        "member/shops.html",
        brand=brand.name,
        city=city,
        cities=shops.cities(visit.session, brand.id),
        shops=_views(visit, [one.shop for one in found], brand),
    )


@router.get("/guide")
def show_guide(visit: VisitDep) -> Response:
    """Who looks after the member."""
    guide = relations.guide_of(visit.session, visit.someone().id)
    view = _guide(visit, guide) if guide is not None else None
    return page(visit.request, "member/guide.html", guide=view)


def _brand(visit: Visit) -> Brand:
    """The member's brand; who is not known gets that of the account whose log-in the pages use."""
    person: Member | None = visit.person
    if person is not None:
        return visit.session.get_one(Brand, person.brand_id)
    account = first_account(visit.session, Platform.WECHAT)
    return visit.session.get_one(Brand, account.brand_id)


def _views(visit: Visit, found: Sequence[Shop], brand: Brand) -> list[ShopView]:
    zone = ZoneInfo(brand.timezone)
    return [_shop(visit, shop, zone) for shop in found]


def _shop(visit: Visit, shop: Shop, zone: ZoneInfo) -> ShopView:
    hours = shops.hours(shop, zone, visit.now)
    return ShopView(
        name=shop.name,
        hours=talk_words.open_hours(hours, visit.now.astimezone(zone)),
        span=f"{shop.opens_at:%H:%M}–{shop.closes_at:%H:%M}" if hours.until else "",
        is_open=hours.is_open,
        address=shop.address,
        phone=shop.phone,
        map_url=_map_url(shop),
    )


def _map_url(shop: Shop) -> str:
    """A page of Tencent's map, which opens in WeChat and speaks the same degrees."""
    if shop.latitude is None:
        return ""
    marker = f"coord:{shop.latitude},{shop.longitude};title:{shop.name};addr:{shop.address}"
    return f"{_MAP}?{urlencode({'marker': marker, 'referer': 'zhiyin'})}"


def _guide(visit: Visit, guide: Guide) -> GuideView:
    shop = visit.session.get_one(Shop, guide.shop_id)
    zone = ZoneInfo(visit.session.get_one(Brand, shop.brand_id).timezone)
    url = guide.contact_url
    # Only a picture of its own can be pressed long in WeChat, a drawing in the page cannot.
    code = segno.make_qr(url, error="m").png_data_uri(scale=8, border=2) if url else ""
    return GuideView(guide.name, _shop(visit, shop, zone), url, code)
