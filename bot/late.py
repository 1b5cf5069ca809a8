"""Answers that follow their callback: made and sent by a worker, each at most once (design.md §10).

By the protocol of touches: taken up, made and sent outside any transaction, then settled. They are
replies, so no cap of the brand counts them; the windows of the platform do.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import Session, select

from bot import answers
from bot.channels.base import ChannelError, spoken
from bot.channels.wechat_codes import CAUSES, NO_WINDOW
from bot.dialogue import HUMAN
from bot.inbox import Desk
from bot.messages import Act, Answer, Choices, Later, Menu, Other, Prompt, Reply, Text, Turn
from bot.wechat.client import WechatClients
from content import phrases
from store import grants, inbound, late, members
from store.accounts import Account
from store.db import Database
from store.inbound import InboundMessage, LateState
from store.members import Identity, IdentityChannel

_log = logging.getLogger(__name__)

# Makes the answer to a wish of `Later`; it keeps its own time and may call other servers.
Maker = Callable[[Turn, datetime], Answer]
Makers = Mapping[str, Maker]

# In a chat nobody connects a later answer with the question any more.
_WORTH = timedelta(minutes=10)
# So often an answer is begun to be made.
_MOST_ATTEMPTS = 4
# Of a longer peace that a platform wants, a look a minute costs it nothing (`provider_limits`).
_SHORTEST_PAUSE, _LONGEST_PAUSE = 5, 60


@dataclass(frozen=True)
class _Promised:
    row_id: int
    attempt: int
    answer: Answer
    turn: Turn


@dataclass(frozen=True)
class _Letter:
    row_id: int
    attempt: int
    answer: Prompt | Choices
    openid: str
    account: Account
    received_at: datetime
    # The windows whose message it uses up.
    windows: Sequence[int]


def send_answer(
    desk: Desk,
    clients: WechatClients,
    makers: Makers,
    row_id: int,
    *,
    clock: Callable[[], datetime],
) -> None:
    """Send one late answer; a second worker with the same message does nothing."""
    with desk.database.transaction() as session:
        promised = _taken_up(session, desk, row_id, clock())
    if promised is None:
        return
    answer = _made(promised, makers, clock())
    with desk.database.transaction() as session:
        letter = _fenced(session, desk, promised, answer, clock())
    if letter is None:
        return
    failure = _sent(clients, letter)
    with desk.database.transaction() as session:
        _settle(session, letter, failure, clock())


def sweep_answers(database: Database, *, now: datetime) -> None:
    """Answers whose sender fell silent become unknown."""
    with database.transaction() as session:
        lost = late.mark_unknown(session, now=now)
    if lost:
        _log.warning("%s answers fell silent while being sent; they are unknown now.", lost)


def _taken_up(session: Session, desk: Desk, row_id: int, now: datetime) -> _Promised | None:
    row = late.take_up(session, row_id, now=now)
    if row is None:
        return None
    account = session.get_one(Account, row.account_id)
    identity = _identity(session, account, row.outside_id)
    if identity is None or now - row.received_at > _WORTH:
        late.give_up(row, "no_identity" if identity is None else "too_late")
        return None
    answer = answers.read(row.reply or {}, desk.secret_key)
    turn = Turn(
        message=_message(row),
        member_id=identity.member_id,
        identity_id=identity.id,
        public_url=desk.public_url,
        zone=desk.zone,
        facts=answer.facts if isinstance(answer, Later) else {},
    )
    return _Promised(row.id, row.late_attempts, answer, turn)


def _identity(session: Session, account: Account, openid: str) -> Identity | None:
    query = select(Identity).where(
        Identity.channel == IdentityChannel.WECHAT,
        Identity.account == account.app_id,
        Identity.outside_id == openid,
    )
    return session.exec(query).one_or_none()


def _message(row: InboundMessage) -> Act:
    if "content" in row.payload:
        return Text(row.payload["content"])
    return Menu(row.payload["key"]) if "key" in row.payload else Other(row.kind)


def _made(promised: _Promised, makers: Makers, now: datetime) -> Answer:
    """The answer itself; a maker that failed again and again owes the person a sentence."""
    answer = promised.answer
    if not isinstance(answer, Later):
        return answer
    if promised.attempt >= _MOST_ATTEMPTS:
        return Reply(phrases.FAULT)
    return makers[answer.wish](promised.turn, now)


def _fenced(
    session: Session, desk: Desk, promised: _Promised, answer: Answer, now: datetime
) -> _Letter | None:
    reply = answers.kept(answer, desk.secret_key, now=now)
    try:
        member = members.lock(session, promised.turn.member_id)
    except members.MemberNotFound:
        # Forgotten meanwhile, and the message with them.
        return None
    row = late.fence(session, promised.row_id, attempt=promised.attempt, reply=reply, now=now)
    if row is None:
        return None
    # As it is kept: cut to what the platform takes.
    answer = answers.read(reply, desk.secret_key)
    if not isinstance(answer, Prompt | Choices):
        late.give_up(row, "nothing_to_say")
        return None
    if _talks_to_a_person(session, promised.turn, now):
        late.give_up(row, "with_a_person")
        return None
    account = session.get_one(Account, row.account_id)
    windows = grants.spend(session, member.id, account=account.app_id, now=now)
    if not windows:
        late.give_up(row, NO_WINDOW.reason)
        return None
    return _Letter(
        row.id, promised.attempt, answer, row.outside_id, account, row.received_at, windows
    )


def _talks_to_a_person(session: Session, turn: Turn, now: datetime) -> bool:
    """Whether a person answers meanwhile, who was told the question as well."""
    talk = inbound.conversation(session, turn.identity_id, now)
    return talk is not None and talk.step == HUMAN


def _sent(clients: WechatClients, letter: _Letter) -> ChannelError | None:
    try:
        client = spoken(lambda: clients.of(letter.account), CAUSES)
        spoken(lambda: client.send_answer(letter.openid, letter.answer), CAUSES)
    except ChannelError as failure:
        return failure
    return None


def _settle(session: Session, letter: _Letter, failure: ChannelError | None, now: datetime) -> None:
    if failure is None:
        late.settle(session, letter.row_id, LateState.SENT)
        return
    if failure.is_unsure:
        late.settle(session, letter.row_id, LateState.UNKNOWN, failure=failure.reason)
        return
    if not failure.permanent:
        # Nothing reached the person, so that the platform has debited nothing.
        grants.give_back(session, letter.windows)
    due_at = None if failure.permanent else _next_try(letter, failure, now)
    state = LateState.FAILED if due_at is None else LateState.PENDING
    late.settle(session, letter.row_id, state, failure=failure.reason, due_at=due_at)


def _next_try(letter: _Letter, failure: ChannelError, now: datetime) -> datetime | None:
    """When to try again, later with each attempt; none when it would be too late then."""
    wait = max(failure.retry_after or 0, _SHORTEST_PAUSE * 2 ** (letter.attempt - 1))
    due_at = now + timedelta(seconds=min(wait, _LONGEST_PAUSE))
    return due_at if due_at <= letter.received_at + _WORTH else None
