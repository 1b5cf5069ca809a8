"""Whom a guide could contact besides the tasks, at `/guide/opportunities`: a few, with reasons.

A page of its own, so that today's page asks nothing more of the database.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Response

from content import opportunity_words as words
from guide_tasks import opportunities
from guide_tasks.opportunities import Opportunity, Reason, Why
from store.members import mask
from store.organisation import Shop
from web.entry import DoorRoute
from web.pages import page
from web.workbench.entry import DeskDep

router = APIRouter(route_class=DoorRoute)


@dataclass(frozen=True, slots=True)
class Row:
    """A customer with each reason in words, the weightiest first."""

    card_no: str
    name: str
    mobile: str
    reasons: Sequence[str]


@router.get("/opportunities")
def show_opportunities(desk: DeskDep) -> Response:
    """A short list; a tap leads to the customer."""
    brand_id = desk.session.get_one(Shop, desk.guide.shop_id).brand_id
    found = opportunities.of_guide(
        desk.session, desk.guide, brand_id=brand_id, zone=desk.zone, now=desk.now
    )
    return page(desk.request, "workbench/opportunities.html", rows=list(map(_row, found)))


def _row(one: Opportunity) -> Row:
    return Row(one.card_no, one.name, mask(one.mobile), list(map(_said, one.reasons)))


def _said(why: Why) -> str:
    match why.reason:
        case Reason.BIRTHDAY:
            return words.birthday(why.days)
        case Reason.COUPON_ENDS:
            return words.coupon_ends(why.days, why.what)
        case Reason.USED_UP:
            return words.used_up(why.days, why.what, why.amount)
        case Reason.POINTS_END:
            return words.points_end(why.days, why.amount)
        case Reason.NEVER_BACK:
            return words.never_back(why.days)
