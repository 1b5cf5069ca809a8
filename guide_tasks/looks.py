"""What a member does with the product list of a task: opens it, taps a product, buys.

A list is open to whoever has its link, for some weeks. Who opens it has got the message, so the
first look proves what was known by the guide's word alone (design.md §9). The pages leave out who
is plainly not the member; a look that nobody can tell from the member's is taken for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy.dialects import postgresql
from sqlmodel import Session, col, select

from guide_tasks import proofs, sidebar, tasks
from store.campaigns import REACHED, Campaign, CareTask, TaskState, move_task
from store.errors import NotFound
from store.orders import Order, OrderLine
from store.pick_taps import PickTap
from store.products import Product
from store.touches import Evidence, Touch

# The message may be with the member before its platform has told us so.
_MAY_BE_THERE = REACHED | {TaskState.SENDING, TaskState.FELL_BACK}
# Goods and prices change; a list lives as long as its campaign credits sales, and a month at least.
_LIST_DAYS = 30
_BOUGHT_WITHIN = timedelta(days=90)


class ListNotFound(NotFound):
    """There is no such list, or no such product on it."""

    def __init__(self) -> None:
        super().__init__("There is no such product list.")


class ListOver(NotFound):
    """The list is older than its goods are meant to be shown."""

    def __init__(self) -> None:
        super().__init__("This product list is past its time.")


@dataclass(frozen=True, slots=True)
class Look:
    """What came of a list: products by name, in the order of the taps; `bought` of the list."""

    opened_at: datetime
    tapped: Sequence[str]
    bought: Sequence[str]


def task_of_list(session: Session, token: str, *, now: datetime) -> CareTask:
    """The task whose list has this token; refuses one that is past its time."""
    task = session.exec(select(CareTask).where(CareTask.token == token)).first()
    if task is None:
        raise ListNotFound
    days = max(session.get_one(Campaign, task.campaign_id).attribution_days, _LIST_DAYS)
    if now >= max(task.deadline_at, task.moved_at) + timedelta(days=days):
        raise ListOver
    return task


def product_of(session: Session, task: CareTask, place: int) -> Product:
    """The product at this place of the list, counted from one."""
    picks = dict(enumerate(task.picks, start=1))
    product = session.get(Product, picks[place]) if place in picks else None
    if product is None:
        raise ListNotFound
    return product


def open_list(session: Session, task: CareTask, *, now: datetime) -> None:
    """The member opened the list. Locks the member and the task when that is news."""
    if not _is_news(session, task):
        return
    tasks.lock(session, task)
    if task.state not in _MAY_BE_THERE:
        return
    task.picks_opened_at = task.picks_opened_at or now
    if task.state is TaskState.SENDING:
        sidebar.arrived(session, task, now=now)
    # A look that follows the purchase proves nothing about what led to it.
    if task.state is not TaskState.CONVERTED:
        proofs.by_answer(session, task, now=now)
    if task.state is TaskState.SENT:
        move_task(task, TaskState.DELIVERED, now=now)


def tap(session: Session, task: CareTask, product: Product, *, on: date, now: datetime) -> None:
    """The member looked at a product closely, and so has opened the list; counted once a day."""
    open_list(session, task, now=now)
    if task.state not in _MAY_BE_THERE:
        return
    row = {"care_task_id": task.id, "product_id": product.id, "tapped_on": on, "tapped_at": now}
    session.execute(postgresql.insert(PickTap).values(row).on_conflict_do_nothing())


def of_task(session: Session, task: CareTask) -> Look | None:
    """What the member did with the list of a task; nothing until it was opened."""
    if task.picks_opened_at is None:
        return None
    return Look(task.picks_opened_at, _tapped(session, task.id), _bought(session, task))


def of_member(session: Session, member_id: int) -> Look | None:
    """The same for the list that the member opened last."""
    query = (
        select(CareTask)
        .where(CareTask.member_id == member_id, col(CareTask.picks_opened_at).is_not(None))
        .order_by(col(CareTask.picks_opened_at).desc(), col(CareTask.id).desc())
        .limit(1)
    )
    task = session.exec(query).first()
    return of_task(session, task) if task is not None else None


def _is_news(session: Session, task: CareTask) -> bool:
    """Whether the look may change anything, so that most of them lock nobody."""
    if task.state not in _MAY_BE_THERE or task.state is TaskState.CONVERTED:
        return task.state in _MAY_BE_THERE and task.picks_opened_at is None
    if task.picks_opened_at is None or task.state is TaskState.SENT:
        return True
    on_a_word = (Touch.care_task_id == task.id, Touch.evidence == Evidence.SELF_REPORTED)
    return session.exec(select(Touch.id).where(*on_a_word).limit(1)).first() is not None


def _tapped(session: Session, task_id: int) -> list[str]:
    query = (
        select(Product.name)
        .join(PickTap, col(PickTap.product_id) == Product.id)
        .where(PickTap.care_task_id == task_id)
        .order_by(col(PickTap.tapped_at), col(PickTap.id))
    )
    return list(dict.fromkeys(session.exec(query).all()))


def _bought(session: Session, task: CareTask) -> list[str]:
    """Products of the list that the member has bought after opening it, and not brought back."""
    assert task.picks_opened_at is not None
    query = (
        select(Product.name)
        .join(OrderLine, col(OrderLine.product_id) == Product.id)
        .join(Order, col(Order.id) == OrderLine.order_id)
        .where(Order.member_id == task.member_id, col(Product.id).in_(task.picks))
        .where(Order.refunded_fen < Order.amount_fen, Order.paid_at >= task.picks_opened_at)
        .where(Order.paid_at < task.picks_opened_at + _BOUGHT_WITHIN)
        .order_by(col(Order.paid_at), col(OrderLine.line_no))
    )
    return list(dict.fromkeys(session.exec(query).all()))
