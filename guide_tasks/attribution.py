"""Attribution: an order is credited to the last qualifying touch in its campaign's window.

A touch qualifies when it was sent for a care task of the member before the order was paid, within
the campaign's `attribution_days`. Refunds take back sales and commission in proportion.
"""

from datetime import datetime, timedelta

from sqlalchemy import func, text
from sqlalchemy.dialects import postgresql
from sqlmodel import Session, col, select

from content import notices
from fatigue import facts
from store.attributions import Attribution, Commission, CommissionState
from store.campaigns import Campaign, CareTask, TaskState, move_task
from store.db import Database
from store.members import Member
from store.notices import NoticeForm, NoticeKind, post
from store.orders import Order
from store.touches import Channel, Evidence, Touch, TouchState

# What a shopper may bring back without a reason (seven days in Chinese consumer law): until then a
# commission is not confirmed.
RETURN_DAYS = 7
_BASIS_POINTS = 10_000
_CONFIRMED_EVIDENCE = frozenset({Evidence.PLATFORM, Evidence.EVENT})
_GUIDE_CHANNELS = frozenset({Channel.WECOM_BROADCAST})
_OPEN_FOR_SALE = frozenset(
    {TaskState.SENT, TaskState.DELIVERED, TaskState.REPLIED, TaskState.FELL_BACK}
)


def attribute(
    session: Session, order_id: int, *, public_url: str, now: datetime
) -> Attribution | None:
    """Credit an order to a care task, or follow its refunds; a repeat changes nothing.

    Locks the member, then the order. An order of which nothing is left is credited to nobody.
    """
    order = _locked(session, order_id)
    order.is_attribution_due = False
    known = session.exec(select(Attribution).where(Attribution.order_id == order_id)).first()
    if known is not None:
        _follow_refunds(session, known, order)
        return known
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
    task = session.get_one(CareTask, touch.care_task_id)
    evidence = touch.evidence or Evidence.SELF_REPORTED
    guide_id = touch.guide_id if touch.channel in _GUIDE_CHANNELS else None
    made = session.exec(
        postgresql.insert(Attribution)  # type: ignore[call-overload]  # sqlmodel knows no upsert
        .values(
            order_id=order.id,
            campaign_id=task.campaign_id,
            care_task_id=task.id,
            touch_id=touch.id,
            guide_id=guide_id,
            evidence=evidence,
            amount_fen=order.amount_fen - order.refunded_fen,
            attributed_at=now,
        )
        .on_conflict_do_nothing(constraint="attributions_order_id_key")
        .returning(Attribution.id)
    ).first()
    if made is None:
        return None
    attribution = session.get_one(Attribution, made[0])
    session.refresh(task, with_for_update=True)
    if task.state in _OPEN_FOR_SALE:
        move_task(task, TaskState.CONVERTED, now=now)
    if guide_id is not None:
        _reward(session, attribution, order, public_url, now)
    return attribution


def _reward(
    session: Session, attribution: Attribution, order: Order, public_url: str, now: datetime
) -> None:
    """Commission for the guide, on confirmed evidence only, and the news of the sale."""
    assert attribution.guide_id is not None
    is_confirmed = attribution.evidence in _CONFIRMED_EVIDENCE
    earned = _commission_fen(session, attribution) if is_confirmed else 0
    if earned:
        session.add(
            Commission(
                attribution_id=attribution.id,
                guide_id=attribution.guide_id,
                amount_fen=earned,
                confirms_at=order.paid_at + timedelta(days=RETURN_DAYS),
                created_at=now,
            )
        )
    member = session.get_one(Member, order.member_id)
    message = notices.sale(
        member=member.name,
        sales_fen=attribution.amount_fen,
        commission_fen=earned,
        url=f"{public_url}/guide/results",
    )
    news = NoticeForm(f"sale-{attribution.id}", attribution.guide_id, NoticeKind.SALE, message)
    post(session, news, now=now)


def _commission_fen(session: Session, attribution: Attribution) -> int:
    """Basis points of the attributed amount, rounded down to a fen."""
    rate = session.get_one(Campaign, attribution.campaign_id).commission_bp
    return attribution.amount_fen * rate // _BASIS_POINTS


def _follow_refunds(session: Session, attribution: Attribution, order: Order) -> None:
    session.refresh(attribution, with_for_update=True)
    attribution.amount_fen = order.amount_fen - order.refunded_fen
    query = select(Commission).where(Commission.attribution_id == attribution.id)
    commission = session.exec(query.with_for_update()).first()
    if commission is not None:
        commission.amount_fen = _commission_fen(session, attribution)
        if commission.amount_fen == 0:
            commission.state = CommissionState.CLAWED_BACK


def confirm_due(database: Database, *, now: datetime) -> int:
    """Confirm commissions whose return period is over."""
    with database.transaction() as session:
        due = session.exec(
            select(Commission)
            .where(Commission.state == CommissionState.UNCONFIRMED, Commission.confirms_at <= now)
            .with_for_update(skip_locked=True)
        ).all()
        for commission in due:
            commission.state = CommissionState.CONFIRMED
        return len(due)
