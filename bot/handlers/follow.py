"""Following and leaving the account, and events that need no answer."""

from datetime import datetime

from sqlmodel import Session

from bot.messages import Answer, Reply, Silence, Turn
from content.messages import MessageKind, render
from store.members import Identity


def greet(turn: Turn, session: Session, _now: datetime) -> Answer:
    """Welcome a new or returning follower; messages can reach them again."""
    _set_reachable(session, turn.identity_id, is_reachable=True)
    return Reply(render(MessageKind.WELCOME))


def part(turn: Turn, session: Session, _now: datetime) -> Answer:
    """The person left: nothing sent there would arrive."""
    _set_reachable(session, turn.identity_id, is_reachable=False)
    return Silence()


def stay_silent(_turn: Turn, _session: Session, _now: datetime) -> Answer:
    """An event that the person did not mean as a question."""
    return Silence()


def _set_reachable(session: Session, identity_id: int, *, is_reachable: bool) -> None:
    identity = session.get_one(Identity, identity_id)
    identity.is_reachable = is_reachable
    session.add(identity)
