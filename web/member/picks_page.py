"""The product list made for one member, opened from the guide's message: no log-in, no secrets."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from sqlmodel import Session, col, select

from store.campaigns import Campaign, CareTask
from store.organisation import Brand, Guide, Shop
from store.products import Product

_COLOURS = 360


@dataclass(frozen=True, slots=True)
class Card:
    """One product; `hue` is the colour of its category, the same on every page.

    `place` counts the list from one.
    """

    place: int
    name: str
    category: str
    department: str
    price_fen: int | None
    hue: int


@dataclass(frozen=True, slots=True)
class PicksView:
    """The page: the guide and shop who chose are empty when the brand itself speaks."""

    token: str
    brand: str
    guide: str
    shop: str
    address: str
    hours: str
    cards: Sequence[Card]

    def at(self, place: int) -> Card:
        """The product at a place that the list has."""
        return next(card for card in self.cards if card.place == place)


def read(session: Session, task: CareTask) -> PicksView:
    """What the member sees; nothing on it says who the member is."""
    campaign = session.get_one(Campaign, task.campaign_id)
    guide, shop = _speaker(session, task.guide_id)
    return PicksView(
        token=task.token,
        brand=session.get_one(Brand, campaign.brand_id).name,
        guide=guide.name if guide is not None else "",
        shop=shop.name if shop is not None else "",
        address=shop.address if shop is not None else "",
        hours=f"{shop.opens_at:%H:%M}–{shop.closes_at:%H:%M}" if shop is not None else "",
        cards=_cards(session, task),
    )


def _speaker(session: Session, guide_id: int | None) -> tuple[Guide | None, Shop | None]:
    query = select(Guide, Shop).join(Shop, col(Shop.id) == Guide.shop_id)
    found = session.exec(query.where(Guide.id == guide_id)).first()
    return found if found is not None else (None, None)


def _cards(session: Session, task: CareTask) -> list[Card]:
    query = select(Product).where(col(Product.id).in_(task.picks))
    found = {product.id: product for product in session.exec(query).all()}
    places = enumerate(task.picks, start=1)
    return [_card(place, found[key]) for place, key in places if key in found]


def _card(place: int, product: Product) -> Card:
    hue = zlib.crc32((product.category or product.name).encode()) % _COLOURS
    return Card(place, product.name, product.category, product.department, product.price_fen, hue)
