"""Express: pushes that only ask a question, answered many at once in one transaction.

A glance changes nothing but the list of what was heard and the windows it opens, so nobody need be
locked. Whoever is in the middle of anything, is new, or repeats a push takes the usual way
(docs/decisions/0007-express.md).
"""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.errors import LockNotAvailable
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlmodel import Session

from bot import answers
from bot.glances import Glance
from bot.inbox import Desk
from bot.messages import Answer, Menu, Text, Turn
from bot.wechat.inbound import handler_of
from bot.wechat.push import Push, sealed
from bot.wechat.windows import trigger_of
from guide_tasks import progress
from store import grants, questions
from store.grants import Trigger
from store.questions import Answered, Asker

# Who is locked for longer keeps nobody else waiting: all of them take the usual way.
_WAIT = text("SET LOCAL lock_timeout = 200")


@dataclass(frozen=True, slots=True)
class _Question:
    push: Push
    turn: Turn
    glance: Glance[Any]


def takes(desk: Desk, push: Push) -> bool:
    """Whether this may be a question that only reads: words or a tap that a glance serves."""
    message = push.said.message
    if not isinstance(message, Text | Menu):
        return False
    return isinstance(handler_of(_turn(desk, message, Asker(0, 0))), Glance)


def answer_many(desk: Desk, pushes: Sequence[Push], *, now: datetime) -> list[str | None]:
    """The answers to pushes of one account, in their order; None has to take the usual way."""
    try:
        with desk.database.transaction() as session:
            session.connection().execute(_WAIT)
            replies = _replies(session, desk, pushes, now)
    except OperationalError as error:
        if isinstance(error.orig, LockNotAvailable):
            return [None] * len(pushes)
        raise
    return [_spoken(desk, push, replies, now) for push in pushes]


def _replies(
    session: Session, desk: Desk, pushes: Sequence[Push], now: datetime
) -> dict[str, dict[str, Any]]:
    """The kept replies by platform id, of the pushes that were answered here."""
    started = time.perf_counter()
    asked = _questions(session, desk, pushes, now)
    said = _answers(session, asked, now)
    replies = {key: answers.kept(words, desk.secret_key, now=now) for key, words in said.items()}
    heard = [_answered(asked[key], reply) for key, reply in replies.items()]
    if not heard:
        return {}
    account = pushes[0].account
    took_ms = round((time.perf_counter() - started) * 1000, 3)
    rows = questions.keep(session, account.account_id, heard, took_ms=took_ms, now=now)
    openings = [_opening(asked[key].turn, row_id) for key, row_id in rows.items()]
    grants.open_many(session, openings, account=account.app_id, now=now)
    return {key: replies[key] for key in rows}


def _questions(
    session: Session, desk: Desk, pushes: Sequence[Push], now: datetime
) -> dict[str, _Question]:
    """The pushes that are answered here, by platform id; the same push twice is one question."""
    openids = {push.said.sender for push in pushes}
    known = questions.askers(session, pushes[0].account.app_id, openids, now)
    members = {asker.member_id for asker in known.values()}
    awaited = progress.awaiting_answer(session, members, now=now)
    asked = {}
    for push in pushes:
        asker, message = known.get(push.said.sender), push.said.message
        assert isinstance(message, Text | Menu)
        if asker is None or asker.member_id in awaited:
            continue
        turn = _turn(desk, message, asker)
        glance = handler_of(turn)
        if isinstance(glance, Glance):
            asked[push.said.platform_id] = _Question(push, turn, glance)
    return asked


def _answers(session: Session, asked: Mapping[str, _Question], now: datetime) -> dict[str, Answer]:
    """One read for each kind of question, then pure words."""
    wanted: dict[int, list[_Question]] = defaultdict(list)
    for question in asked.values():
        wanted[id(question.glance)].append(question)
    views = {}
    for same in wanted.values():
        glance, members = same[0].glance, {question.turn.member_id for question in same}
        views[id(glance)] = glance.read(session, members, now)
    return {
        key: one.glance.say(one.turn, views[id(one.glance)][one.turn.member_id], now)
        for key, one in asked.items()
    }


def _answered(question: _Question, reply: Mapping[str, Any]) -> Answered:
    said = question.push.said
    member_id = question.turn.member_id
    return Answered(said.platform_id, said.sender, member_id, said.kind, said.payload, reply)


def _opening(turn: Turn, row_id: int) -> tuple[int, Trigger, str]:
    trigger = trigger_of(turn.message)
    assert trigger is not None
    return turn.member_id, trigger, f"inbound-{row_id}"


def _turn(desk: Desk, message: Text | Menu, asker: Asker) -> Turn:
    return Turn(
        message=message,
        member_id=asker.member_id,
        identity_id=asker.identity_id,
        public_url=desk.public_url,
        zone=desk.zone,
    )


def _spoken(
    desk: Desk, push: Push, replies: Mapping[str, dict[str, Any]], now: datetime
) -> str | None:
    reply = replies.get(push.said.platform_id)
    return None if reply is None else sealed(push, answers.at_once(reply, desk.secret_key), now=now)
