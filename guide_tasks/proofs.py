"""What proves a message that only a guide's word tells of: answer, look, purchase (design.md §9).

A purchase proves it when it holds a product of the list that the message led to.
"""

from datetime import datetime

from sqlmodel import Session, col, select

from fatigue import gate
from store import orders_due
from store.campaigns import CareTask
from store.orders import OrderLine
from store.touches import Evidence, Touch, TouchState

_PROOF = frozenset({Evidence.PLATFORM, Evidence.EVENT})


def by_answer(session: Session, task: CareTask, *, now: datetime) -> None:
    """The member answered a task, or opened its list; orders since are looked at again.

    The caller has locked the member.
    """
    query = (
        select(Touch)
        .where(Touch.care_task_id == task.id, Touch.state == TouchState.SENT)
        .order_by(col(Touch.counted_at).desc(), col(Touch.id).desc())
        .limit(1)
    )
    touch = session.exec(query).first()
    if touch is None or touch.evidence in _PROOF:
        return
    _prove(session, touch, now)
    orders_due.reopen(session, touch.member_id, since=touch.counted_at or now)


def by_purchase(session: Session, touch: Touch, order_id: int, *, now: datetime) -> None:
    """An order that is credited to this touch came in. The caller has locked the member."""
    if touch.evidence in _PROOF:
        return
    picks = session.get_one(CareTask, touch.care_task_id).picks
    of_list = (OrderLine.order_id == order_id, col(OrderLine.product_id).in_(picks))
    if session.exec(select(OrderLine.line_no).where(*of_list).limit(1)).first() is not None:
        _prove(session, touch, now)


def _prove(session: Session, touch: Touch, now: datetime) -> None:
    gate.settle(session, touch.id, TouchState.SENT, evidence=Evidence.EVENT, now=now)
