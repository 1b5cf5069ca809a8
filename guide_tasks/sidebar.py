"""A guide sends from the toolbar of a chat: begun here, made on the phone, told here by the page.

The platform has no receipt for it (wecom.md §6.2). What no page tells of waits: it may have gone
out, so it counts and nobody else speaks, until the guide says, or a person does.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlmodel import Session, col, select

from fatigue import gate
from fatigue.gate import Forecast, Outcome
from guide_tasks import asks, progress
from store import letters
from store.audit import note
from store.campaigns import CareTask, TaskState, move_task
from store.touches import Channel, Evidence, Touch, TouchState

_MAY_HAVE_GONE = (TouchState.SENDING, TouchState.UNKNOWN)


class Told(StrEnum):
    """What the page says of a message: it went, the guide changed their mind, WeCom refused."""

    OK = "ok"
    CANCEL = "cancel"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Report:
    """A word on the `turn`-th attempt; `why` is the client's, for whoever looks for a fault."""

    told: Told
    turn: int
    why: str = ""


@dataclass(frozen=True, slots=True)
class Begun:
    """What came of a tap: `words` are to be sent now, as the `turn`-th attempt.

    Without words nothing may be sent: `forecast` says why, or another page is at it already.
    """

    turn: int
    words: str | None = None
    forecast: Forecast | None = None


def begin(session: Session, task: CareTask, *, actor: str, now: datetime) -> Begun:
    """Ask the gate and pass the fence for a task locked after its member; twice is one touch.

    A closed gate writes nothing: the guide may come back. Refuses a task that is not open to its
    guide, and one past its deadline.
    """
    turn = asks.attempts(session, task)
    if in_doubt(session, task) is not None:
        return Begun(turn)
    progress.need_open(task, now)
    wish = asks.of_guide(session, task, Channel.WECOM_SIDEBAR)
    forecast = gate.dry_run(session, [wish], now=now)[0]
    if forecast.outcome is not Outcome.OPEN:
        return Begun(turn, forecast=forecast)
    touch = gate.ask(session, wish, now=now)
    fenced = gate.fence(session, touch.id, now=now)
    # Nothing can have come between: the member is locked since the dry run.
    assert fenced.refusal is None
    move_task(task, TaskState.SENDING, now=now)
    note(session, actor, "task.sidebar", subject=f"care_task:{task.id}", now=now)
    return Begun(turn, words=task.text)


def tell(session: Session, task: CareTask, report: Report, *, actor: str, now: datetime) -> None:
    """The page, or later the guide, says what became of an attempt at a locked task.

    What went is sent on the guide's word; what did not gives the task back. A word on an attempt
    that is settled is not heard.
    """
    touch = in_doubt(session, task)
    if touch is None or report.turn != asks.attempts(session, task):
        return
    if report.told is Told.OK:
        word = Evidence.SELF_REPORTED
        sent = gate.settle(session, touch.id, TouchState.SENT, evidence=word, now=now)
        progress.touch_settled(session, sent, now=now)
    else:
        failure = f"{report.told.value}: {report.why}" if report.why else report.told.value
        gate.settle(session, touch.id, TouchState.FAILED, failure=failure, now=now)
        move_task(task, TaskState.ASSIGNED, now=now)
    letters.settle(session, [touch.id], now=now)
    facts = {"turn": report.turn, "told": report.told.value}
    note(session, actor, "task.sidebar_told", subject=f"care_task:{task.id}", now=now, **facts)


def arrived(session: Session, task: CareTask, *, now: datetime) -> None:
    """The member has what only the message of this locked task led to: so it went out."""
    touch = in_doubt(session, task)
    if touch is None:
        return
    sent = gate.settle(session, touch.id, TouchState.SENT, evidence=Evidence.EVENT, now=now)
    progress.touch_settled(session, sent, now=now)
    letters.settle(session, [touch.id], now=now)


def in_doubt(session: Session, task: CareTask) -> Touch | None:
    """The message of the task's guide that may have gone out, and of which no page has told."""
    query = (
        select(Touch)
        .where(Touch.care_task_id == task.id, Touch.guide_id == task.guide_id)
        .where(Touch.channel == Channel.WECOM_SIDEBAR, col(Touch.state).in_(_MAY_HAVE_GONE))
        .execution_options(populate_existing=True)
    )
    return session.exec(query).first()
