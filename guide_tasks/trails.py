"""What stands behind a figure: an order, its refunds, what came before it, each entry earned."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import Session, col, select

from store.attributions import (
    Attribution,
    Commission,
    CommissionEntry,
    CommissionState,
    EntryReason,
)
from store.campaigns import Campaign, CareTask, CommissionTo
from store.orders import Order, Refund
from store.organisation import Guide
from store.pick_taps import PickTap
from store.products import Product
from store.touches import Channel, Evidence, Touch, TouchState


@dataclass(frozen=True, slots=True)
class PastTouch:
    """A touch before the order, newest first; one of them has the credit."""

    at: datetime
    channel: Channel
    campaign: str
    guide: str
    evidence: Evidence | None
    is_credited: bool


@dataclass(frozen=True, slots=True)
class Tap:
    """A product of the list that the member looked at."""

    at: datetime
    product: str


@dataclass(frozen=True, slots=True)
class GivenBack:
    """A refund of the order."""

    at: datetime
    amount_fen: int


@dataclass(frozen=True, slots=True)
class Change:
    """An entry of a commission."""

    at: datetime
    amount_fen: int
    reason: EntryReason


@dataclass(frozen=True, slots=True)
class Earned:
    """What one guide gets, and how it came to that."""

    guide: str
    amount_fen: int
    state: CommissionState
    confirms_at: datetime
    changes: Sequence[Change]


@dataclass(frozen=True, slots=True)
class Trail:
    """A credited order with the plan of its campaign, and all that led there.

    `opened_at` and `taps` are what the member did with the list of the credited task.
    """

    order: str
    paid_at: datetime
    amount_fen: int
    left_fen: int
    campaign: str
    window_days: int
    commission_bp: int
    commission_cap_fen: int | None
    commission_to: CommissionTo
    refunds: Sequence[GivenBack]
    touches: Sequence[PastTouch]
    opened_at: datetime | None
    taps: Sequence[Tap]
    earned: Sequence[Earned]


def of_attribution(session: Session, attribution_id: int) -> Trail:
    """Everything behind one credited order; as many queries, whatever stands behind it."""
    credit = session.get_one(Attribution, attribution_id)
    order = session.get_one(Order, credit.order_id)
    campaign = session.get_one(Campaign, credit.campaign_id)
    return Trail(
        order=order.external_id,
        paid_at=order.paid_at,
        amount_fen=order.amount_fen,
        left_fen=credit.amount_fen,
        campaign=campaign.name,
        window_days=campaign.attribution_days,
        commission_bp=campaign.commission_bp,
        commission_cap_fen=campaign.commission_cap_fen,
        commission_to=campaign.commission_to,
        refunds=_refunds(session, order.id),
        touches=_touches(session, credit, order),
        opened_at=session.get_one(CareTask, credit.care_task_id).picks_opened_at,
        taps=_taps(session, credit.care_task_id),
        earned=_earned(session, credit.id),
    )


def _refunds(session: Session, order_id: int) -> list[GivenBack]:
    query = select(Refund).where(Refund.order_id == order_id).order_by(col(Refund.refunded_at))
    return [GivenBack(row.refunded_at, row.amount_fen) for row in session.exec(query)]


def _touches(session: Session, credit: Attribution, order: Order) -> list[PastTouch]:
    """Sent touches of care tasks within the longest window that a campaign can have."""
    since = order.paid_at - timedelta(days=90)
    query = (
        select(Touch, Campaign.name, Guide.name)
        .join(Campaign, col(Campaign.id) == Touch.campaign_id)
        .join(Guide, col(Guide.id) == Touch.guide_id, isouter=True)
        .where(Touch.member_id == order.member_id, Touch.state == TouchState.SENT)
        .where(col(Touch.care_task_id).is_not(None), col(Touch.counted_at) > since)
        .where(col(Touch.counted_at) <= order.paid_at)
        .order_by(col(Touch.counted_at).desc(), col(Touch.id).desc())
    )
    return [
        PastTouch(
            at=touch.counted_at or touch.asked_at,
            channel=touch.channel,
            campaign=campaign,
            guide=guide or "",
            evidence=touch.evidence,
            is_credited=touch.id == credit.touch_id,
        )
        for touch, campaign, guide in session.exec(query).all()
    ]


def _taps(session: Session, task_id: int) -> list[Tap]:
    query = (
        select(PickTap.tapped_at, Product.name)
        .join(Product, col(Product.id) == PickTap.product_id)
        .where(PickTap.care_task_id == task_id)
        .order_by(col(PickTap.tapped_at), col(PickTap.id))
    )
    return [Tap(at, product) for at, product in session.exec(query).all()]


def _earned(session: Session, attribution_id: int) -> list[Earned]:
    query = (
        select(Commission, Guide.name)
        .join(Guide, col(Guide.id) == Commission.guide_id)
        .where(Commission.attribution_id == attribution_id)
        .order_by(col(Commission.id))
    )
    found = session.exec(query).all()
    changes = _changes(session, [commission.id for commission, _ in found])
    return [
        Earned(
            guide,
            commission.amount_fen,
            commission.state,
            commission.confirms_at,
            changes[commission.id],
        )
        for commission, guide in found
    ]


def _changes(session: Session, commission_ids: Sequence[int]) -> dict[int, list[Change]]:
    query = (
        select(CommissionEntry)
        .where(col(CommissionEntry.commission_id).in_(commission_ids))
        .order_by(col(CommissionEntry.id))
    )
    found: dict[int, list[Change]] = {commission_id: [] for commission_id in commission_ids}
    for entry in session.exec(query):
        change = Change(entry.created_at, entry.amount_fen, entry.reason)
        found[entry.commission_id].append(change)
    return found
