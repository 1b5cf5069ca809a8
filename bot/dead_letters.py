"""What a person can do about a letter: read it, send it again, say that it arrived, or drop it.

Sending again is a new ask at the gate under a new key, so that no cap, stop or quiet hour is passed
by, and a second tap is the same touch.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlmodel import Session, col, select

from fatigue import gate
from guide_tasks import again, progress
from store import letters
from store.audit import note
from store.errors import WrongState
from store.jobs import Job, after_commit
from store.letters import Letter, LetterState
from store.members import Member
from store.touches import Channel, Evidence, Touch, TouchState

# By then every call has ended and every platform that can be asked was asked.
_PATIENCE = timedelta(minutes=30)
# A broadcast may be confirmed by its guide for so long, and is asked after all the time.
_GUIDES_PATIENCE = timedelta(days=31)
# What is sent again after its deadline has this long to go out.
_GRACE = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class LetterView:
    """An open letter with its touch, for a page or a table."""

    letter: Letter
    touch: Touch
    member: Member

    @property
    def is_unknown(self) -> bool:
        """Whether the message may have arrived."""
        return self.touch.state is TouchState.UNKNOWN


def waiting(session: Session, *, after: int = 0, limit: int = 50) -> Sequence[LetterView]:
    """Open letters, the oldest first, from the key `after` on."""
    query = (
        select(Letter, Touch, Member)
        .join(Touch, col(Touch.id) == Letter.touch_id)
        .join(Member, col(Member.id) == Touch.member_id)
        .where(Letter.state == LetterState.OPEN, col(Letter.id) > after)
        .order_by(col(Letter.id))
        .limit(limit)
    )
    return [LetterView(*row) for row in session.exec(query).all()]


def retry(session: Session, token: str, *, actor: str, now: datetime) -> Touch:
    """Ask the gate for the same message once more; of an unknown one this says it never arrived.

    Gives the new touch as the gate decided; a care task that failed comes back with it. Refuses a
    letter that is closed, and one whose care task has gone another way or is over.
    """
    touch = _open(session, token, LetterState.RETRIED, actor=actor, now=now)
    if touch.state not in {TouchState.FAILED, TouchState.UNKNOWN}:
        # Never a second time where the first is known to have gone.
        raise WrongState("touch", touch.state, TouchState.ASKED)
    again.need_open(session, touch)
    if touch.state is TouchState.UNKNOWN:
        gate.settle(session, touch.id, TouchState.FAILED, now=now)
    wish = replace(gate.ask_of(touch), key=f"{touch.key}{again.SUFFIX}")
    if touch.channel is Channel.WECOM_SIDEBAR:
        # Nobody is at the page now: the guide confirms it in WeCom instead.
        wish = replace(wish, channels=(Channel.WECOM_BROADCAST,))
    if wish.deadline_at is not None and wish.deadline_at <= now:
        wish = replace(wish, deadline_at=now + _GRACE)
    second = gate.ask(session, wish, now=now)
    again.bring_back(session, second, now=now)
    if second.state is TouchState.RESERVED:
        after_commit(session, Job.DELIVER_TOUCH, second.id)
    note(session, actor, "letter.retry", subject=f"touch:{touch.id}", now=now, again=second.id)
    return second


def confirm(session: Session, token: str, *, actor: str, now: datetime) -> Touch:
    """An unknown message arrived, as a person has found out. Refuses one that surely failed."""
    touch = _open(session, token, LetterState.CONFIRMED, actor=actor, now=now)
    if touch.state is not TouchState.UNKNOWN:
        raise WrongState("touch", touch.state, TouchState.SENT)
    return _settle(session, touch, TouchState.SENT, "letter.confirm", actor=actor, now=now)


def drop(session: Session, token: str, *, actor: str, now: datetime) -> Touch:
    """Let it be; of an unknown message this says that it never arrived."""
    touch = _open(session, token, LetterState.DROPPED, actor=actor, now=now)
    return _settle(session, touch, TouchState.FAILED, "letter.drop", actor=actor, now=now)


def write_unknown(session: Session, *, now: datetime) -> int:
    """Open letters for touches of which nobody knows, once everybody who could was asked."""
    lost = {
        touch.id: touch.failure or "silent"
        for touch in letters.unanswered(session, older_than=now - _PATIENCE)
        if not _may_be_told_yet(touch, now)
    }
    letters.write(session, lost, now=now)
    return len(lost)


def _may_be_told_yet(touch: Touch, now: datetime) -> bool:
    if touch.channel is not Channel.WECOM_BROADCAST:
        return False
    if touch.provider_id is None:
        # Not before it was looked for among what the guide has to confirm (`bot.reconciling`).
        return touch.retry_at is None
    return touch.fenced_at is not None and touch.fenced_at > now - _GUIDES_PATIENCE


def _open(session: Session, token: str, state: LetterState, *, actor: str, now: datetime) -> Touch:
    letter = letters.by_token(session, token)
    touch = gate.locked(session, [letter.touch_id])[letter.touch_id]
    letters.close(session, letter, state, actor=actor, now=now)
    return touch


def _settle(
    session: Session, touch: Touch, state: TouchState, act: str, *, actor: str, now: datetime
) -> Touch:
    note(session, actor, act, subject=f"touch:{touch.id}", now=now)
    if touch.state is not TouchState.UNKNOWN:
        return touch
    evidence = Evidence.SELF_REPORTED if state is TouchState.SENT else None
    settled = gate.settle(session, touch.id, state, evidence=evidence, now=now)
    progress.touch_settled(session, settled, now=now)
    return settled
