"""A care task whose message a person has sent again from a letter (docs/decisions/0016).

A task that failed comes back with it. One that has gone another way meanwhile, or is over, does
not: the member would hear the same thing twice.
"""

from datetime import datetime

from sqlmodel import Session

from guide_tasks import asks
from store.campaigns import CareTask, TaskState, move_task
from store.errors import WrongState
from store.touches import Touch, TouchState

# Stands as the reason of a task that came back, until it is settled anew.
SENT_AGAIN = "sent_again"
SUFFIX = "~again"


class AnotherWay(WrongState):
    """The member's task goes another way or is over, so its old message must not go out."""

    def __init__(self, state: TaskState) -> None:
        self.state = state
        super().__init__("care task", state, "sent again")


def need_open(session: Session, touch: Touch) -> None:
    """Refuse to send the message of a locked touch again where its task has gone on; locks that.

    A message of which nobody knew still has its task waiting for it.
    """
    task = _task(session, touch)
    if task is None or task.state is TaskState.FAILED:
        return
    is_guides = touch.channel not in asks.BY_ITSELF and touch.key != asks.broadcast_key(task)
    waiting = TaskState.SENDING if is_guides else TaskState.FELL_BACK
    if touch.state is not TouchState.UNKNOWN or task.state is not waiting:
        raise AnotherWay(task.state)


def bring_back(session: Session, touch: Touch, *, now: datetime) -> None:
    """The gate lets the message go once more: its task is under way again, in the brand's name."""
    task = _task(session, touch)
    if task is None or touch.state is TouchState.WITHHELD:
        return
    if task.state is TaskState.FAILED:
        move_task(task, TaskState.FELL_BACK, reason=SENT_AGAIN, now=now)


def carries(task: CareTask, touch: Touch) -> bool:
    """Whether this touch alone now decides what becomes of the task."""
    return task.state_reason == SENT_AGAIN and touch.key.endswith(SUFFIX)


def _task(session: Session, touch: Touch) -> CareTask | None:
    if touch.care_task_id is None:
        return None
    session.flush()
    task = session.get_one(CareTask, touch.care_task_id)
    session.refresh(task, with_for_update=True)
    return task
