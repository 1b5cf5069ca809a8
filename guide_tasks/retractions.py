"""A message that the platform took, and of which it says later that it did not arrive.

What followed from it is taken back: its care task has reached nobody, and orders that it was
credited with are looked at again (`guide_tasks.attribution`).
"""

from datetime import datetime

from sqlalchemy import update
from sqlmodel import Session, col, select

from store.attributions import Attribution
from store.campaigns import REACHED, CareTask, TaskState, move_task
from store.jobs import Job, after_commit
from store.orders import Order
from store.touches import Touch, TouchState


def is_meant(task: CareTask, touch: Touch) -> bool:
    """Whether a task counts as arrived, and its message is said to have failed."""
    return task.state in REACHED and touch.state is TouchState.FAILED


def retract(session: Session, task: CareTask, touch: Touch, *, now: datetime) -> bool:
    """The message of a task, locked after its member, did not arrive; gives whether that ends it.

    A task that another message reached stays as it is. A repeat changes nothing.
    """
    _look_again(session, task, touch)
    if not is_meant(task, touch) or _has_another(session, task):
        return False
    move_task(task, TaskState.FAILED, reason=touch.failure or "", now=now)
    return True


def _has_another(session: Session, task: CareTask) -> bool:
    query = select(Touch.id).where(Touch.care_task_id == task.id, Touch.state == TouchState.SENT)
    return session.exec(query.limit(1)).first() is not None


def _look_again(session: Session, task: CareTask, touch: Touch) -> None:
    credited = select(Attribution.order_id).where(
        Attribution.care_task_id == task.id, Attribution.touch_id == touch.id
    )
    found = session.execute(
        update(Order)
        .where(col(Order.id).in_(credited), col(Order.is_attribution_due).is_(False))
        .values(is_attribution_due=True)
        .returning(col(Order.id))
    )
    for order_id in found.scalars().all():
        after_commit(session, Job.ATTRIBUTE_ORDER, order_id)
