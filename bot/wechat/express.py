"""Express: pushes that only ask a question, answered many at once.

A glance changes nothing but the list of what was heard and the windows it opens, so nobody need be
locked. Whoever is in the middle of anything, is new, or repeats a push takes the usual way
(docs/decisions/0008-express.md).
"""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from psycopg import OperationalError

from bot import answers
from bot.glances import Glance
from bot.inbox import Desk
from bot.messages import Menu, Text, Turn
from bot.router import Handler
from bot.wechat.inbound import handler_of
from bot.wechat.push import Push, sealed
from bot.wechat.windows import trigger_of
from guide_tasks import replies
from store import asking
from store.asking import Answered, Asker
from store.bare import Lines

# People say the same again and again; which route it takes depends on the words alone.
_REMEMBERED = 1024


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
    view: Any


def question_in(desk: Desk, push: Push) -> Question | None:
    """The question that only reads, if the push may be one: words or a tap that a glance serves."""
    message = push.said.message
    if not isinstance(message, Text | Menu):
        return None
    handler = _handler(message, desk.zone)
    return Question(push, handler) if isinstance(handler, Glance) else None


async def answer_many(
    desk: Desk, questions: Sequence[Question], *, now: datetime
) -> list[str | None]:
    """The answers to questions to one account, in their order; None has to take the usual way."""
    try:
        replies = await _replies(desk, questions, now)
    except OperationalError:
        # Whoever is kept waiting, or was cut off, is better off the usual way, which tries again.
        return [None] * len(questions)
    return [_spoken(desk, one, replies, now) for one in questions]


async def _replies(
    desk: Desk, questions: Sequence[Question], now: datetime
) -> dict[str, dict[str, Any]]:
    """The kept replies by platform id, of the pushes that were answered here."""
    started = time.perf_counter()
    asked = await _asked(desk, questions, now)
    replies, heard = {}, []
    for key, one in asked.items():
        words = one.question.glance.say(one.turn, one.view, now)
        replies[key] = answers.kept(words, desk.secret_key, now=now)
        heard.append(_answered(one, replies[key]))
    if not heard:
        return {}
    account = questions[0].push.account
    took_ms = round((time.perf_counter() - started) * 1000, 3)
    door = account.account_id, account.app_id
    kept = await desk.database.lines.fetch(asking.keeping(door, heard, took_ms=took_ms, now=now))
    return {key: replies[key] for (key,) in kept}


async def _asked(desk: Desk, questions: Sequence[Question], now: datetime) -> dict[str, _Asked]:
    """The questions that are answered here, with what they ask for; the same one twice is one."""
    known, views = await _read(desk.database.lines, questions, now)
    asked = {}
    for one in questions:
        message, asker = one.push.said.message, known.get(one.push.said.sender)
        assert isinstance(message, Text | Menu)
        # A merge between the two looks takes the member away: the usual way knows where to.
        if asker is not None and asker.member_id in views[one.glance]:
            turn = _turn(desk, message, asker)
            asked[one.key] = _Asked(one, turn, views[one.glance][asker.member_id])
    return asked


async def _read(
    lines: Lines, questions: Sequence[Question], now: datetime
) -> tuple[dict[str, Asker], dict[Glance[Any], Mapping[int, Any]]]:
    """Who asks, and for each kind of question what those who ask it see, by member."""
    app_id = questions[0].push.account.app_id
    openids: dict[Glance[Any], set[str]] = defaultdict(set)
    for one in questions:
        openids[one.glance].add(one.push.said.sender)
    everybody, since = set[str]().union(*openids.values()), now - replies.WINDOW
    who, *found = await lines.fetch_each(
        [
            asking.seeking(app_id, everybody, answers_since=since, now=now),
            *(glance.asks(asking.behind(app_id, ids), now) for glance, ids in openids.items()),
        ]
    )
    views = {glance: glance.views(rows) for glance, rows in zip(openids, found, strict=True)}
    return asking.askers(who), views


def _answered(one: _Asked, reply: Mapping[str, Any]) -> Answered:
    said, opens = one.question.push.said, trigger_of(one.turn.message)
    assert opens is not None
    return Answered(
        said.platform_id, said.sender, one.turn.member_id, said.kind, said.payload, reply, opens
    )


@lru_cache(_REMEMBERED)
def _handler(message: Text | Menu, zone: ZoneInfo) -> Handler:
    """Who answers this to somebody who is in the middle of nothing."""
    nobody = Turn(message=message, member_id=0, identity_id=0, public_url="", zone=zone)
    return handler_of(nobody)


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
