"""Handing a member over to a person and back: who answers, who is told, and what the member hears.

The guide is told by a notice, the member by a service touch; both rows are written with the act and
sent after it.
"""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import Session

from bot.dialogue import HUMAN
from content import notices as words
from content.messages import MessageKind, render
from fatigue import gate
from fatigue.gate import Ask
from guide_tasks import duty
from store import handovers, inbound, leaves, members, notices
from store.db import Database
from store.handovers import Ending, Handover, HandoverLine, Side
from store.jobs import Job, after_commit
from store.members import Member
from store.notices import NoticeForm, NoticeKind
from store.organisation import Guide, GuideStatus
from store.touches import Category, Channel, Touch, TouchState

_log = logging.getLogger(__name__)

# What is said about a talk is stale after that.
_FRESH = timedelta(hours=1)
_SWEEP_LIMIT = 200


@dataclass(frozen=True)
class Answered:
    """A guide's line, and the touch that carries it."""

    line: HandoverLine
    touch: Touch


def nudge(session: Session, handover: Handover, *, public_url: str, now: datetime) -> None:
    """Tell the guide of everything that was said since the last nudge, in one message."""
    is_first = handover.nudges == 0 or handover.nudged_at is None
    untold = handovers.take_untold(session, handover, now=now)
    if not untold or handover.guide_id is None:
        return
    message = words.handover(
        member=session.get_one(Member, handover.member_id).name,
        lines=[line.words for line in untold],
        is_first=is_first,
        url=f"{public_url}/guide/talks/{handover.token}",
    )
    key = handovers.notice_key(handover)
    form = NoticeForm(key, handover.guide_id, NoticeKind.HANDOVER, message)
    notices.post(session, form, now=now)


def keep_going(session: Session, handover: Handover, step: str, *, now: datetime) -> None:
    """Let the bot keep still for as long as the talk lasts."""
    facts = {"handover_id": handover.id}
    until = handover.expires_at
    inbound.begin_talk(session, handover.identity_id, step, facts=facts, now=now, until=until)


def answer(
    session: Session, handover: Handover, text: str, *, step: str, now: datetime
) -> Answered:
    """The guide writes to the member; the gate says whether it may go out now."""
    handovers.lock(session, handover)
    line = handovers.say(session, handover, Side.GUIDE, text, now=now)
    keep_going(session, handover, step, now=now)
    touch = _tell(session, handover, f"handover-line-{line.id}", line.words, now)
    line.touch_id = touch.id
    session.flush()
    return Answered(line, touch)


def release(session: Session, handover: Handover, by: Ending, *, now: datetime) -> None:
    """The talk is over, and the bot answers again; unless the member said so, they are told."""
    handovers.lock(session, handover)
    _end(session, handover, by, now)


def tend(database: Database, *, public_url: str, now: datetime) -> None:
    """Look after open talks: pass on those nobody hears, nudge again, end those that lapsed."""
    with database.transaction() as session:
        due = handovers.due(session, now, limit=_SWEEP_LIMIT)
    for handover_id in due:
        with database.transaction() as session:
            _tend(session, handover_id, public_url, now)


def _tend(session: Session, handover_id: int, public_url: str, now: datetime) -> None:
    handover = session.get(Handover, handover_id)
    if handover is None:
        return
    try:
        handovers.lock(session, handover)
    except (handovers.HandoverOver, members.MemberNotFound):
        return
    if handover.expires_at <= now:
        _end(session, handover, Ending.LAPSED, now)
        return
    if _is_unheard(session, handover) and not _pass_on(session, handover, now):
        _end(session, handover, Ending.NOBODY, now)
        return
    if _waits_in_vain(session, handover, now):
        # Without a colleague to take it, whoever is away may still find the time.
        _pass_on(session, handover, now)
    if handovers.may_nudge(handover, now):
        nudge(session, handover, public_url=public_url, now=now)


def _is_unheard(session: Session, handover: Handover) -> bool:
    """Whether the guide left, or no message can reach them."""
    if handover.guide_id is None:
        return False
    guide = session.get_one(Guide, handover.guide_id)
    is_gone = guide.status is not GuideStatus.ACTIVE
    return is_gone or guide.id in handovers.unheard_by(session, handover)


def _waits_in_vain(session: Session, handover: Handover, now: datetime) -> bool:
    """Whether the last word is the member's, and the guide is away while the shop is open."""
    if handover.guide_id is None or handover.expires_at - handovers.PATIENCE > now:
        return False
    last = handovers.last_lines(session, [handover.id]).get(handover.id)
    is_answered = last is not None and last.side is Side.GUIDE
    return not is_answered and handover.guide_id in leaves.away(
        session, [handover.guide_id], now=now
    )


def _pass_on(session: Session, handover: Handover, now: datetime) -> bool:
    besides = handovers.unheard_by(session, handover) | {handover.guide_id or 0}
    other = duty.on_duty(
        session,
        handover.member_id,
        load=lambda ids: handovers.open_load(session, ids),
        besides=besides,
        now=now,
    )
    if other is None:
        return False
    _log.warning("Talk %s is passed on: its guide cannot be reached.", handover.id)
    handovers.pass_on(session, handover, other.id, now=now)
    keep_going(session, handover, HUMAN, now=now)
    return True


def _end(session: Session, handover: Handover, by: Ending, now: datetime) -> None:
    handovers.end(session, handover, by, now=now)
    inbound.end_talk(session, handover.identity_id)
    if by is Ending.MEMBER:
        return
    guide = session.get(Guide, handover.guide_id) if handover.guide_id is not None else None
    text = render(MessageKind.HANDOVER_ENDED, by=by, name=guide.name if guide else "")
    _tell(session, handover, f"handover-{handover.id}-over", text, now)


def _tell(session: Session, handover: Handover, key: str, text: str, now: datetime) -> Touch:
    wish = Ask(
        key=key,
        member_id=members.survivor(session, handover.member_id),
        channels=(Channel.WECHAT_SERVICE,),
        category=Category.SERVICE,
        brand_id=handover.brand_id,
        guide_id=handover.guide_id,
        text=text,
        deadline_at=now + _FRESH,
    )
    touch = gate.ask(session, wish, now=now)
    if touch.state is TouchState.RESERVED:
        after_commit(session, Job.DELIVER_TOUCH, touch.id)
    return touch
