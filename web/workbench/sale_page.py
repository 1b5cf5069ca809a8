"""What stands behind a guide's figures: the tasks of a step, one sale with all that led there."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from sqlalchemy import exists, func, literal, tuple_
from sqlmodel import Session, col, select

from guide_tasks import trails
from store import visibility
from store.attributions import Attribution, Commission
from store.campaigns import REACHED, Campaign, CareTask, TaskState
from store.errors import NotFound
from store.members import Member, mask
from store.orders import Order
from store.organisation import Guide, GuideStatus
from store.pick_taps import PickTap
from store.touches import Channel, Evidence, Touch
from web.entry import DoorRoute
from web.pages import page
from web.workbench.entry import DeskDep

router = APIRouter(prefix="/results", route_class=DoorRoute)
PAGE_SIZE = 50
_RANK_OF = timedelta(days=30)


class Step(StrEnum):
    """A figure that opens to its tasks."""

    SENT = "sent"
    OPENED = "opened"
    TAPPED = "tapped"
    REPLIED = "replied"
    BOUGHT = "bought"


_CONDITIONS: dict[Step, Any] = {
    Step.SENT: col(CareTask.state).in_(REACHED),
    Step.OPENED: col(CareTask.picks_opened_at).is_not(None),
    Step.TAPPED: exists().where(col(PickTap.care_task_id) == CareTask.id),
    Step.REPLIED: col(CareTask.replied_at).is_not(None),
    Step.BOUGHT: col(CareTask.state) == TaskState.CONVERTED,
}


@dataclass(frozen=True, slots=True)
class StepRow:
    """A task behind a figure, with the channel of its touch and how sure it is that it came."""

    token: str
    member: str
    mobile: str
    campaign: str
    state: TaskState
    at: datetime
    channel: Channel | None
    evidence: Evidence | None


@dataclass(frozen=True, slots=True)
class Rank:
    """The guide's place in the shop by sales of thirty days."""

    place: int
    of: int
    sold_fen: int


@router.get("/steps/{step}")
def show_step(step: Step, desk: DeskDep, after: str | None = None) -> Response:
    """The tasks and touches behind one figure."""
    rows, following = _read(desk.session, desk.guide.id, step, after)
    return page(
        desk.request,
        "workbench/step.html",
        step=step,
        rows=rows,
        after=following,
        now=desk.now,
    )


@router.get("/sale")
def show_sale(desk: DeskDep, order: Annotated[str, Query()]) -> Response:
    """The order behind sales and commission, the touches before it, refunds, and each entry."""
    source, _, external_id = order.partition("~")
    query = (
        select(Attribution.id, Member.name)
        .join(Order, col(Order.id) == Attribution.order_id)
        .join(Member, col(Member.id) == Order.member_id)
        .join(Commission, col(Commission.attribution_id) == Attribution.id, isouter=True)
        .where(Order.source == source, Order.external_id == external_id)
        .where(
            col(Attribution.guide_id).in_(visibility.guides(desk.guide.id))
            | col(Commission.guide_id).in_(visibility.guides(desk.guide.id))
        )
    )
    found = desk.session.exec(query).first()
    if found is None:
        raise NotFound("There is no such sale of this guide.")
    trail = trails.of_attribution(desk.session, found[0])
    return page(desk.request, "workbench/sale.html", trail=trail, member=found[1], now=desk.now)


def rank(session: Session, guide: Guide, *, now: datetime) -> Rank:
    """Places are shared: whoever sold as much stands on the same one."""
    sold = func.coalesce(func.sum(Attribution.amount_fen), 0)
    recent = (col(Attribution.guide_id) == Guide.id) & (
        col(Attribution.attributed_at) >= now - _RANK_OF
    )
    query = (
        select(Guide.id, sold)
        .join(Attribution, recent, isouter=True)
        .where(Guide.shop_id == guide.shop_id, Guide.status == GuideStatus.ACTIVE)
        .group_by(col(Guide.id))
    )
    sales = dict(session.exec(query).all())
    ahead = sum(fen > sales[guide.id] for fen in sales.values())
    return Rank(ahead + 1, len(sales), int(sales[guide.id]))


def _read(
    session: Session, guide_id: int, step: Step, after: str | None
) -> tuple[list[StepRow], str | None]:
    keys = (col(CareTask.moved_at), col(CareTask.id))
    last = select(func.max(Touch.id)).where(Touch.care_task_id == CareTask.id).correlate(CareTask)
    own = (CareTask.guide_id == guide_id, visibility.sees_task(guide_id), _CONDITIONS[step])
    query = (
        select(CareTask, Member, Campaign.name, Touch)
        .join(Member, col(Member.id) == CareTask.member_id)
        .join(Campaign, col(Campaign.id) == CareTask.campaign_id)
        .join(Touch, col(Touch.id) == last.scalar_subquery(), isouter=True)
        .where(*own)
        .order_by(*(key.desc() for key in keys))
    )
    anchor = session.exec(select(*keys).where(*own, CareTask.token == after)).first()
    if anchor is not None:
        query = query.where(tuple_(*keys) < tuple_(*(literal(value) for value in anchor)))
    found = session.exec(query.limit(PAGE_SIZE + 1)).all()
    rows = [_row(*one) for one in found[:PAGE_SIZE]]
    return rows, rows[-1].token if len(found) > PAGE_SIZE else None


def _row(task: CareTask, member: Member, campaign: str, touch: Touch | None) -> StepRow:
    return StepRow(
        token=task.token,
        member=member.name,
        mobile=mask(member.mobile),
        campaign=campaign,
        state=task.state,
        at=task.moved_at,
        channel=touch.channel if touch is not None else None,
        evidence=touch.evidence if touch is not None else None,
    )
