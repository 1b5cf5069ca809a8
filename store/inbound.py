"""Inbound messages: every callback once, with the reply it got; and where a conversation stands."""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, delete, or_, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Field, Session, SQLModel, col, select
from sqlmodel.sql.expression import SelectOfScalar

from store import touches
from store.columns import big_key, json_column, link, one_of, status
from store.errors import WrongState

# A callback that cannot be worked on is tried again after these, for some hours.
_PAUSE, _MOST_TRIES = timedelta(seconds=20), 10
CONVERSATION_LIFE = timedelta(minutes=10)
# "Cancel" is still an answer to a question of this age.
_STILL_MEANT = timedelta(days=1)
# A voice that WeChat recognised holds words too.
_TYPED = ("text", "voice")
# How the reply of a message is kept that needed none.
_SILENCE = "silence"


class InboundState(StrEnum):
    """`answered` keeps the finished reply, so that a repeat gets the same bytes."""

    RECEIVED = "received"
    ANSWERED = "answered"
    FAILED = "failed"


class LateState(StrEnum):
    """An answer that follows its callback; `sending` after a crash is `unknown`, never repeated."""

    PENDING = "pending"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"
    UNKNOWN = "unknown"


class InboundMessage(SQLModel, table=True):
    """One message or event; `platform_id` is MsgId with the sender, or a digest of the XML.

    `late` is set when the answer follows the callback (`store.late`), and `answered_at` moves to
    when it left. Until `late_due_at` it is in the hands of whoever took it up; so is a callback
    that was only kept, for a job to work on.
    """

    __tablename__ = "inbound_messages"
    __table_args__ = (
        UniqueConstraint("account_id", "platform_id", name="uq_inbound_messages_platform"),
        one_of("state", InboundState, "inbound_messages"),
        one_of("late", LateState, "inbound_messages"),
        CheckConstraint("handled_ms >= 0", name="ck_inbound_messages_handled_ms"),
        Index("ix_inbound_messages_member", "member_id", "received_at"),
        Index("ix_inbound_messages_received", "id", postgresql_where="state = 'received'"),
        Index("ix_inbound_messages_late", "id", postgresql_where="late IN ('pending', 'sending')"),
    )
    id: int = big_key()
    account_id: int = link("accounts.id", index=False)
    platform_id: str
    outside_id: str
    member_id: int | None = link("members.id", index=False, default=None, nullable=True)
    kind: str
    payload: dict[str, Any] = json_column()
    state: InboundState = status(InboundState, default=InboundState.RECEIVED)
    reply: dict[str, Any] | None = json_column(default=None, nullable=True)
    received_at: datetime
    answered_at: datetime | None = None
    handled_ms: float | None = None
    late: LateState | None = status(LateState, default=None, nullable=True)
    late_attempts: int = 0
    late_due_at: datetime | None = None
    late_failure: str | None = None


class Conversation(SQLModel, table=True):
    """Where a multi-turn talk stands; `version` grows at each turn, void after `expires_at`."""

    __tablename__ = "conversations"
    identity_id: int = link("identities.id", index=False, primary_key=True)
    step: str
    facts: dict[str, Any] = json_column(default_factory=dict)
    version: int = Field(default=1)
    expires_at: datetime


@dataclass(frozen=True)
class Heard:
    """A callback as it came in, decrypted; `payload` holds only plain text fields worth keeping."""

    account_id: int
    platform_id: str
    outside_id: str
    kind: str
    payload: dict[str, Any]


class Interleaved(WrongState):
    """The conversation moved on in another worker meanwhile."""

    def __init__(self) -> None:
        super().__init__("conversation", "changed by someone else", "the next step")


def hear(session: Session, heard: Heard, *, now: datetime) -> InboundMessage:
    """Write the callback down once and give its row, locked; a repeat gives the row of the first.

    While another transaction handles the same callback this waits for it, up to `lock_timeout`.
    """
    session.execute(
        insert(InboundMessage)
        .values(state=InboundState.RECEIVED, received_at=now, **asdict(heard))
        .on_conflict_do_nothing(constraint="uq_inbound_messages_platform")
    )
    return session.exec(
        select(InboundMessage)
        .where(
            InboundMessage.account_id == heard.account_id,
            InboundMessage.platform_id == heard.platform_id,
        )
        .with_for_update()
    ).one()


def keep(session: Session, heard: Heard, *, now: datetime) -> int | None:
    """Write down a callback that a job will work on; none for a repeat."""
    query = insert(InboundMessage).values(
        state=InboundState.RECEIVED, received_at=now, **asdict(heard)
    )
    query = query.on_conflict_do_nothing(constraint="uq_inbound_messages_platform")
    return session.execute(query.returning(col(InboundMessage.id))).scalar_one_or_none()


def take_up(session: Session, row_id: int, *, now: datetime) -> InboundMessage | None:
    """Take a kept callback in hand; none when it is done, or in another worker's.

    Whoever fails leaves it lying twice as long each time, and after some tries for good.
    """
    query = select(InboundMessage).where(
        InboundMessage.id == row_id, InboundMessage.state == InboundState.RECEIVED
    )
    query = query.with_for_update(skip_locked=True).execution_options(populate_existing=True)
    row = session.exec(query).one_or_none()
    if row is None or (row.late_due_at is not None and row.late_due_at > now):
        return None
    if row.late_attempts >= _MOST_TRIES:
        row.state, row.late_failure = InboundState.FAILED, "given_up"
        return None
    row.late_due_at = now + _PAUSE * 2**row.late_attempts
    row.late_attempts += 1
    session.flush()
    return row


def unheard(now: datetime) -> SelectOfScalar[int]:
    """Kept callbacks that a job should work on."""
    is_free = or_(col(InboundMessage.late_due_at).is_(None), col(InboundMessage.late_due_at) <= now)
    query = select(InboundMessage.id).where(InboundMessage.state == InboundState.RECEIVED, is_free)
    return query.order_by(col(InboundMessage.id))


def close(
    session: Session,
    row: InboundMessage,
    reply: dict[str, Any],
    *,
    state: InboundState,
    handled_ms: float,
    now: datetime,
) -> None:
    """Keep the finished reply with its message, so that a repeat gets the same."""
    row.reply = reply
    row.state = state
    row.handled_ms = handled_ms
    row.answered_at = now
    session.add(row)


def conversation(session: Session, identity_id: int, now: datetime) -> Conversation | None:
    """Where the talk with this person stands; a lapsed one is none. The row is locked."""
    return session.exec(
        select(Conversation)
        .where(Conversation.identity_id == identity_id, Conversation.expires_at > now)
        .with_for_update()
    ).one_or_none()


def last_words(session: Session, member_id: int, *, now: datetime, limit: int = 3) -> list[str]:
    """What the person last wrote to the bot within a talk's life and was answered, oldest first."""
    query = _answered(member_id, since=now - CONVERSATION_LIFE)
    newest = session.exec(query.where(col(InboundMessage.kind).in_(_TYPED)).limit(limit)).all()
    said = [str(message.payload.get("content", "")) for message in newest]
    return [words for words in reversed(said) if words]


def is_left_open(session: Session, identity_id: int, member_id: int, *, now: datetime) -> bool:
    """Whether a talk lapsed within a day, or the last answer was a question with choices."""
    lapsed = select(Conversation.identity_id).where(
        Conversation.identity_id == identity_id,
        Conversation.expires_at <= now,
        Conversation.expires_at > now - _STILL_MEANT,
    )
    last = session.exec(_answered(member_id, since=now - _STILL_MEANT).limit(1)).first()
    is_asked = last is not None and (last.reply or {}).get("kind") == "choices"
    return is_asked or session.exec(lapsed).first() is not None


def asked_last(session: Session, member_id: int, *, now: datetime) -> list[str]:
    """The keys of the choices that the person got as our last words within a talk's life, if any.

    A question that is still on its way to them was not read. Where an earlier one reached them
    after the last, nobody knows which of the two they mean.
    """
    answered = _answered(member_id, since=now - CONVERSATION_LIFE)
    last = session.exec(answered.limit(1)).first()
    if last is None or last.late is not LateState.SENT:
        return []
    came_after = answered.where(col(InboundMessage.answered_at) > last.answered_at)
    if session.exec(came_after.limit(1)).first() is not None:
        return []
    if touches.has_come_into_chat(session, member_id, since=last.received_at):
        return []
    return [key for key, _ in (last.reply or {}).get("items", [])]


def has_gone_on(session: Session, member_id: int, talk: Conversation) -> bool:
    """Whether the person was told something else since the last step of their talk."""
    since = talk.expires_at - CONVERSATION_LIFE
    is_told = col(InboundMessage.reply)["kind"].astext != _SILENCE
    told = session.exec(_answered(member_id, since=since).where(is_told).limit(1)).first()
    return told is not None or touches.has_come_into_chat(session, member_id, since=since)


def _answered(member_id: int, *, since: datetime) -> SelectOfScalar[InboundMessage]:
    """What the person sent after that and was answered, if only with our regrets, newest first."""
    return (
        select(InboundMessage)
        .where(
            InboundMessage.member_id == member_id,
            InboundMessage.received_at > since,
            InboundMessage.state != InboundState.RECEIVED,
        )
        .order_by(col(InboundMessage.received_at).desc(), col(InboundMessage.id).desc())
    )


def begin_talk(
    session: Session,
    identity_id: int,
    step: str,
    *,
    facts: dict[str, Any],
    now: datetime,
    until: datetime | None = None,
) -> None:
    """Start a conversation, in place of any other; it lapses after ten minutes or at `until`."""
    fresh = {"step": step, "facts": facts, "expires_at": until or now + CONVERSATION_LIFE}
    session.execute(
        insert(Conversation)
        .values(identity_id=identity_id, version=1, **fresh)
        .on_conflict_do_update(
            index_elements=["identity_id"], set_=fresh | {"version": Conversation.version + 1}
        )
    )


def move_talk(
    session: Session, talk: Conversation, step: str, *, facts: dict[str, Any], now: datetime
) -> None:
    """Take the next step from the version that was read; refuses when another worker was first."""
    changed = session.execute(
        update(Conversation)
        .where(
            col(Conversation.identity_id) == talk.identity_id,
            col(Conversation.version) == talk.version,
        )
        .values(
            step=step, facts=facts, version=talk.version + 1, expires_at=now + CONVERSATION_LIFE
        )
        .execution_options(synchronize_session=False)
        .returning(col(Conversation.identity_id))
    ).all()
    if not changed:
        raise Interleaved


def end_talk(session: Session, identity_id: int) -> None:
    """Forget the conversation."""
    session.execute(
        delete(Conversation)
        .where(col(Conversation.identity_id) == identity_id)
        .execution_options(synchronize_session=False)
    )
