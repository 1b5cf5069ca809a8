"""Attribution: an order is credited to the last qualifying touch in its campaign's window.

A touch qualifies when it was sent for a care task of the member before the order was paid, within
the campaign's `attribution_days`; when the platform tells late that it went, or that it did not
arrive, the order is looked at again. Refunds take back sales and commission in proportion. What is
earned on it, and by whom, is said in `guide_tasks.commissions`.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import func, text
from sqlalchemy.dialects import postgresql
from sqlmodel import Session, col, select

from content import notices
from fatigue import facts
from guide_tasks import commissions, proofs
from store.attributions import Attribution, Commission, CommissionState, EntryReason
from store.campaigns import Campaign, CareTask, TaskState, move_task
from store.db import Database
from store.members import Member
from store.notices import NoticeForm, NoticeKind, post
from store.orders import Order
from store.touches import Channel, Evidence, Touch, TouchState

_BY_GUIDES = frozenset({Channel.WECOM_BROADCAST, Channel.WECOM_SIDEBAR})
_OPEN_FOR_SALE = frozenset(
    {TaskState.SENT, TaskState.DELIVERED, TaskState.REPLIED, TaskState.FELL_BACK}
)


def attribute(
    session: Session, order_id: int, *, public_url: str, now: datetime
) -> Attribution | None:
    """Credit an order to a care task, or follow what came after; a repeat changes nothing.

    Locks the member, then the order. An order of which nothing is left is credited to nobody.
    """
    order = _locked(session, order_id)
    order.is_attribution_due = False
    known = session.exec(select(Attribution).where(Attribution.order_id == order_id)).first()
    if known is not None:
        return _follow(session, known, order, public_url, now)
    if order.member_id is None or order.amount_fen <= order.refunded_fen:
        return None
    touch = _last_touch(session, order)
    return _credit(session, order, touch, public_url, now) if touch else None


def _locked(session: Session, order_id: int) -> Order:
    """The order under its member's lock, also when a merge hands it to another meanwhile."""
    order = session.get_one(Order, order_id)
    while True:
        member_id = order.member_id
        if member_id is not None:
            facts.lock(session, [member_id])
        session.refresh(order, with_for_update=True)
        if order.member_id == member_id:
            return order


def _last_touch(session: Session, order: Order) -> Touch | None:
    window = func.make_interval(text("days => campaigns.attribution_days"))
    query = (
        select(Touch)
        .join(Campaign, col(Campaign.id) == Touch.campaign_id)
        .where(Touch.member_id == order.member_id, Touch.state == TouchState.SENT)
        .where(col(Touch.care_task_id).is_not(None), col(Touch.counted_at) <= order.paid_at)
        .where(col(Touch.counted_at) + window > order.paid_at)
        .order_by(col(Touch.counted_at).desc(), col(Touch.id).desc())
        .limit(1)
    )
    return session.exec(query).first()


def _credit(
    session: Session, order: Order, touch: Touch, public_url: str, now: datetime
) -> Attribution | None:
    values = _credited_to(session, order, touch, now)
    made = session.exec(
        postgresql.insert(Attribution)  # type: ignore[call-overload]  # sqlmodel knows no upsert
        .values(**values)
        .on_conflict_do_nothing(constraint="attributions_order_id_key")
        .returning(Attribution.id)
    ).first()
    if made is None:
        return None
    attribution = session.get_one(Attribution, made[0])
    _sold(session, attribution, order, public_url, now)
    return attribution


def _credited_to(session: Session, order: Order, touch: Touch, now: datetime) -> dict[str, Any]:
    """The columns of a credit; the purchase itself may prove the touch."""
    proofs.by_purchase(session, touch, order.id, now=now)
    return {
        "order_id": order.id,
        "campaign_id": touch.campaign_id,
        "care_task_id": touch.care_task_id,
        "touch_id": touch.id,
        "guide_id": touch.guide_id if touch.channel in _BY_GUIDES else None,
        "evidence": touch.evidence or Evidence.SELF_REPORTED,
        "amount_fen": order.amount_fen - order.refunded_fen,
        "attributed_at": now,
    }


def _sold(
    session: Session, attribution: Attribution, order: Order, public_url: str, now: datetime
) -> None:
    """What a new credit does to its task and its guide."""
    task = session.get_one(CareTask, attribution.care_task_id)
    session.refresh(task, with_for_update=True)
    if task.state in _OPEN_FOR_SALE:
        move_task(task, TaskState.CONVERTED, now=now)
    if attribution.guide_id is not None:
        _reward(session, attribution, order, public_url, now)


def _reward(
    session: Session, attribution: Attribution, order: Order, public_url: str, now: datetime
) -> None:
    """Commission for the guide, and the news of the sale."""
    assert attribution.guide_id is not None
    earned = commissions.settle(
        session, attribution, order, reason=EntryReason.EARNED, source_id=str(order.id), now=now
    )
    member = session.get_one(Member, order.member_id)
    message = notices.sale(
        member=member.name,
        sales_fen=attribution.amount_fen,
        commission_fen=earned.get(attribution.guide_id, 0),
        url=f"{public_url}/guide/results",
    )
    news = NoticeForm(f"sale-{attribution.id}", attribution.guide_id, NoticeKind.SALE, message)
    post(session, news, now=now)


def _follow(
    session: Session, attribution: Attribution, order: Order, public_url: str, now: datetime
) -> Attribution | None:
    """What came after the credit: refunds, and what became known of the touch behind it."""
    session.refresh(attribution, with_for_update=True)
    touch = session.get_one(Touch, attribution.touch_id, populate_existing=True)
    if touch.state is not TouchState.SENT:
        return _take_back(session, attribution, order, public_url, now)
    evidence = touch.evidence or Evidence.SELF_REPORTED
    if evidence is not attribution.evidence:
        attribution.evidence = evidence
        commissions.settle(
            session,
            attribution,
            order,
            reason=EntryReason.PROVEN,
            source_id=evidence.value,
            now=now,
        )
    attribution.amount_fen = order.amount_fen - order.refunded_fen
    commissions.settle(
        session,
        attribution,
        order,
        reason=EntryReason.REFUNDED,
        source_id=str(order.refunded_fen),
        now=now,
    )
    return attribution


def _take_back(
    session: Session, attribution: Attribution, order: Order, public_url: str, now: datetime
) -> Attribution | None:
    """The touch behind a credit did not arrive: the last one that did has it, else nobody."""
    touch = _last_touch(session, order) if order.amount_fen > order.refunded_fen else None
    source = f"touch-{touch.id}" if touch is not None else f"failed-{attribution.touch_id}"
    attribution.amount_fen = 0
    if touch is not None:
        attribution.sqlmodel_update(_credited_to(session, order, touch, now))
    commissions.settle(
        session, attribution, order, reason=EntryReason.PROVEN, source_id=source, now=now
    )
    if touch is not None:
        _sold(session, attribution, order, public_url, now)
    elif not commissions.of_attribution(session, attribution.id):
        session.delete(attribution)
        session.flush()
        return None
    # What was earned is taken back by an entry, so the credit stays beside it, worth nothing.
    return attribution


def confirm_due(database: Database, *, now: datetime) -> int:
    """Confirm commissions whose return period is over, once every refund until then is in them."""
    with database.transaction() as session:
        due = session.exec(
            select(Commission)
            .join(Attribution, col(Attribution.id) == Commission.attribution_id)
            .join(Order, col(Order.id) == Attribution.order_id)
            .where(Commission.state == CommissionState.UNCONFIRMED, Commission.confirms_at <= now)
            .where(col(Order.is_attribution_due).is_(False))
            .with_for_update(of=Commission, skip_locked=True)
        ).all()
        for commission in due:
            commission.state = CommissionState.CONFIRMED
        return len(due)
