"""What a guide does with an own care task; each act locks the member before the task."""

from datetime import datetime

from sqlmodel import Session

from content.tones import Tone
from guide_tasks import progress, redrafting, sidebar
from guide_tasks.sidebar import Begun
from store.campaigns import WITH_GUIDE, CareTask
from store.members import Member
from store.organisation import Guide


def send(
    session: Session, guide: Guide, token: str, *, text: str | None, now: datetime
) -> CareTask:
    """Send in the words of the text field, if it came along; a repeat changes nothing."""
    task = _in_these_words(session, guide, token, text, now)
    if task.state in WITH_GUIDE:
        progress.send(session, task, actor=f"guide:{guide.userid}", now=now)
    return task


def told(
    session: Session, guide: Guide, token: str, *, text: str | None, now: datetime
) -> CareTask:
    """The guide has copied the words and sent them by hand; a repeat changes nothing."""
    task = _in_these_words(session, guide, token, text, now)
    if task.state in WITH_GUIDE:
        progress.report(session, task, actor=f"guide:{guide.userid}", now=now)
    return task


def begin_in_chat(
    session: Session,
    guide: Guide,
    token: str,
    *,
    to: Member,
    text: str | None,
    now: datetime,
) -> Begun | None:
    """Ask to send in the chat with `to`, in the words of the text field if it came along.

    None when the chat is with somebody else than the task is about.
    """
    task = progress.own_locked(session, token, guide.id)
    if task.member_id != to.id:
        return None
    if text is not None and task.state in WITH_GUIDE:
        progress.edit(session, task, text, now=now)
    return sidebar.begin(session, task, actor=f"guide:{guide.userid}", now=now)


def edit(session: Session, guide: Guide, token: str, *, text: str, now: datetime) -> CareTask:
    """Keep the guide's words for later."""
    return _in_these_words(session, guide, token, text, now)


def keep(session: Session, guide: Guide, token: str, *, text: str, now: datetime) -> None:
    """Keep the words while the guide writes; refuses when the task is not the guide's any more."""
    task = progress.own_locked(session, token, guide.id)
    progress.edit(session, task, text, now=now)


def say_otherwise(
    session: Session, guide: Guide, token: str, *, tone: Tone, now: datetime
) -> CareTask:
    """Put the draft into another tone, instead of what stood there."""
    task = progress.own_locked(session, token, guide.id)
    if task.state in WITH_GUIDE:
        words = redrafting.in_tone(session, task, tone, now=now)
        progress.edit(session, task, words, now=now)
    return task


def skip(session: Session, guide: Guide, token: str, *, why: str, now: datetime) -> CareTask:
    """Leave the member alone."""
    task = progress.own_locked(session, token, guide.id)
    if task.state in WITH_GUIDE:
        progress.skip(session, task, why, now=now)
    return task


def snooze(
    session: Session, guide: Guide, token: str, *, until: datetime, now: datetime
) -> CareTask:
    """Come back to the member later."""
    task = progress.own_locked(session, token, guide.id)
    if task.state in WITH_GUIDE:
        progress.snooze(session, task, until, now=now)
    return task


def _in_these_words(
    session: Session, guide: Guide, token: str, text: str | None, now: datetime
) -> CareTask:
    task = progress.own_locked(session, token, guide.id)
    if task.state in WITH_GUIDE and text is not None:
        progress.edit(session, task, text, now=now)
    return task
