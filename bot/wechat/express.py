"""Express: pushes that only ask a question, answered many at once in one transaction.

A glance changes nothing but the list of what was heard and the windows it opens, so nobody need be
locked. Whoever is in the middle of anything, is new, or repeats a push takes the usual way
(docs/decisions/0008-express.md).
"""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.errors import LockNotAvailable
from sqlmodel import Session

from bot import answers
from bot.glances import Glance
from bot.inbox import Desk
from bot.messages import Answer, Menu, Text, Turn
from bot.wechat.inbound import handler_of
from bot.wechat.push import Push, sealed
from bot.wechat.windows import trigger_of
from guide_tasks import progress
from store import asking
from store.asking import Answered, Asker


@dataclass(frozen=True, slots=True)
class Question:
    """A push that a glance serves, if who asks is not in the middle of something."""

    push: Push
    glance: Glance[Any]

    @property
    def key(self) -> str:
        """The push again is the same question."""
        return self.push.said.platform_id


@dataclass(frozen=True, slots=True)
class _Asked:
    question: Question
    turn: Turn


def question_in(desk: Desk, push: Push) -> Question | None:
    """The question that only reads, if the push may be one: words or a tap that a glance serves."""
    message = push.said.message
    if not isinstance(message, Text | Menu):
        return None
    handler = handler_of(_turn(desk, message, Asker(0, 0)))
    return Question(push, handler) if isinstance(handler, Glance) else None


def answer_many(desk: Desk, questions: Sequence[Question], *, now: datetime) -> list[str | None]:
    """The answers to questions to one account, in their order; None has to take the usual way."""
    try:
        with desk.database.transaction() as session:
            replies = _replies(session, desk, questions, now)
    except LockNotAvailable:
        return [None] * len(questions)
    return [_spoken(desk, one, replies, now) for one in questions]


def _replies(
    session: Session, desk: Desk, questions: Sequence[Question], now: datetime
) -> dict[str, dict[str, Any]]:
    """The kept replies by platform id, of the pushes that were answered here."""
    started = time.perf_counter()
    asked = _asked(session, desk, questions, now)
    said = _answers(session, asked, now)
    replies = {key: answers.kept(words, desk.secret_key, now=now) for key, words in said.items()}
    heard = [_answered(asked[key], reply) for key, reply in replies.items()]
    if not heard:
        return {}
    account = questions[0].push.account
    took_ms = round((time.perf_counter() - started) * 1000, 3)
    door = account.account_id, account.app_id
    kept = asking.keep(session, door, heard, took_ms=took_ms, now=now)
    return {key: replies[key] for key in kept}


def _asked(
    session: Session, desk: Desk, questions: Sequence[Question], now: datetime
) -> dict[str, _Asked]:
    """The questions that are answered here; the same one twice is one."""
    openids = {one.push.said.sender for one in questions}
    app_id, since = questions[0].push.account.app_id, now - progress.REPLY_WINDOW
    known = asking.askers(session, app_id, openids, answers_since=since, now=now)
    asked = {}
    for one in questions:
        asker, message = known.get(one.push.said.sender), one.push.said.message
        assert isinstance(message, Text | Menu)
        if asker is not None:
            asked[one.key] = _Asked(one, _turn(desk, message, asker))
    return asked


def _answers(session: Session, asked: Mapping[str, _Asked], now: datetime) -> dict[str, Answer]:
    """One read for each kind of question, then pure words."""
    members: dict[Glance[Any], set[int]] = defaultdict(set)
    for one in asked.values():
        members[one.question.glance].add(one.turn.member_id)
    views = {glance: glance.read(session, ids, now) for glance, ids in members.items()}
    said = {}
    for key, one in asked.items():
        glance = one.question.glance
        said[key] = glance.say(one.turn, views[glance][one.turn.member_id], now)
    return said


def _answered(one: _Asked, reply: Mapping[str, Any]) -> Answered:
    said, opens = one.question.push.said, trigger_of(one.turn.message)
    assert opens is not None
    return Answered(
        said.platform_id, said.sender, one.turn.member_id, said.kind, said.payload, reply, opens
    )


def _turn(desk: Desk, message: Text | Menu, asker: Asker) -> Turn:
    return Turn(
        message=message,
        member_id=asker.member_id,
        identity_id=asker.identity_id,
        public_url=desk.public_url,
        zone=desk.zone,
    )


def _spoken(
    desk: Desk, question: Question, replies: Mapping[str, dict[str, Any]], now: datetime
) -> str | None:
    reply = replies.get(question.key)
    if reply is None:
        return None
    return sealed(question.push, answers.at_once(reply, desk.secret_key), now=now)
