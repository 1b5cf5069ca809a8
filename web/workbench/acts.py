"""What a guide does with an own care task; each act locks the member before the task."""

from datetime import datetime

from sqlmodel import Session

from fatigue import facts
from guide_tasks import progress
from store.campaigns import WITH_GUIDE, CareTask
from store.organisation import Guide


def send(
    session: Session, guide: Guide, token: str, *, text: str | None, now: datetime
) -> CareTask:
    """Send in the words of the text field, if it came along; a repeat changes nothing."""
    task = _locked(session, guide, token)
    if task.state not in WITH_GUIDE:
        return task
    if text is not None:
        progress.edit(session, task, _plain(text), now=now)
    progress.send(session, task, actor=f"guide:{guide.userid}", now=now)
    return task


def edit(session: Session, guide: Guide, token: str, *, text: str, now: datetime) -> CareTask:
    """Keep the guide's words for later."""
    task = _locked(session, guide, token)
    if task.state in WITH_GUIDE:
        progress.edit(session, task, _plain(text), now=now)
    return task


def skip(session: Session, guide: Guide, token: str, *, why: str, now: datetime) -> CareTask:
    """Leave the member alone."""
    task = _locked(session, guide, token)
    if task.state in WITH_GUIDE:
        progress.skip(session, task, why, now=now)
    return task


def _locked(session: Session, guide: Guide, token: str) -> CareTask:
    """The own task with its member and itself locked, in the order that the gate locks them."""
    task = progress.task_of_guide(session, token, guide.id)
    facts.lock(session, [task.member_id])
    session.refresh(task, with_for_update=True)
    return task


def _plain(text: str) -> str:
    """A browser sends the line breaks of a text field as CR LF."""
    return text.replace("\r\n", "\n")
