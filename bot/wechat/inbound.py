"""WeChat's callback door, without HTTP: a push comes in, a passive reply goes out."""

from collections.abc import Mapping
from datetime import datetime

from sqlmodel import Session

from bot import delivery_reports, inbox, routes
from bot.inbox import Desk, Handled
from bot.messages import Act, Leaving, Report, Silence, Turn, is_spoken
from bot.router import Handler
from bot.wechat import crypto, windows
from bot.wechat.parsing import Said
from bot.wechat.push import NOTHING_TO_SAY, Push, open_push, sealed
from guide_tasks import replies
from store import erasure, inbound, members, silences
from store.accounts import Credentials, Platform
from store.inbound import Heard, InboundMessage, InboundState
from store.members import Identity, IdentityChannel

__all__ = ["NOTHING_TO_SAY", "answer", "handler_of", "receive", "verify"]

_ROUTER = routes.build()


def verify(desk: Desk, code: str, query: Mapping[str, str], *, now: datetime) -> str:
    """Answer the check that WeChat makes when the door's address is entered."""
    account = inbox.account_behind(desk, code, Platform.WECHAT)
    return crypto.verify_url(account, query, now=now, fresh=desk.fresh)


def receive(desk: Desk, code: str, query: Mapping[str, str], body: bytes, *, now: datetime) -> str:
    """Take one push and give the body of the answer: encrypted XML, or `success`.

    Refuses as `open_push` and `answer` do.
    """
    return answer(desk, open_push(desk, code, query, body, now=now), now=now)


def answer(desk: Desk, push: Push, *, now: datetime) -> str:
    """Handle an open push, once, and give the body of the answer; `Busy` means 503."""
    account, said = push.account, push.said
    heard = Heard(account.account_id, said.platform_id, _person(said), said.kind, said.payload)
    spoken = inbox.answer_once(
        desk, heard, lambda session, row: _handle(session, desk, account, row, said, now), now=now
    )
    return sealed(push, spoken, now=now)


def handler_of(turn: Turn) -> Handler:
    """The handler that a turn of this account goes to."""
    return _ROUTER.handler(turn)


def _handle(
    session: Session,
    desk: Desk,
    account: Credentials,
    row: InboundMessage,
    said: Said,
    now: datetime,
) -> Handled:
    match said.message:
        case Report() as report:
            delivery_reports.heard(session, account.app_id, said.sender, report, now=now)
            return Handled(Silence())
        case Leaving(openid=openid):
            _forget(session, desk, account, openid, now)
            return Handled(Silence())
        case act:
            return _answer(session, desk, account, row, act, now)


def _person(said: Said) -> str:
    """Whose act it is: nobody's who leaves, and nobody's where the platform only reports."""
    return said.sender if isinstance(said.message, Act) else ""


def _forget(session: Session, desk: Desk, account: Credentials, openid: str, now: datetime) -> None:
    erasure.forget_wechat(
        session, app_id=account.app_id, openid=openid, secret_key=desk.secret_key, now=now
    )


def _answer(
    session: Session, desk: Desk, account: Credentials, row: InboundMessage, act: Act, now: datetime
) -> Handled:
    identity = _met(session, desk, account, row.outside_id, now)
    row.member_id = identity.member_id
    windows.open_all(session, row, act, account=account.app_id, now=now)
    if is_spoken(act):
        replies.member_wrote(session, identity.member_id, now=now)
    turn = _turn(session, desk, identity, act, now)
    outcome = _ROUTER.answer(turn, session, now)
    state = InboundState.FAILED if outcome.is_fault else InboundState.ANSWERED
    return Handled(outcome.answer, state)


def _met(
    session: Session, desk: Desk, account: Credentials, openid: str, now: datetime
) -> Identity:
    """The person's identity, the member locked: two workers never interleave one person."""
    identity = _behind(session, account, openid, now)
    if members.lock_behind(session, identity) is None:
        # Forgotten a moment ago: whoever speaks now is a stranger.
        identity = _behind(session, account, openid, now)
        members.lock(session, identity.member_id)
    if identity.created_at == now:
        silences.recall(session, identity.member_id, secret_key=desk.secret_key, now=now)
    return identity


def _behind(session: Session, account: Credentials, openid: str, now: datetime) -> Identity:
    return members.meet(
        session,
        channel=IdentityChannel.WECHAT,
        account=account.app_id,
        outside_id=openid,
        brand_id=account.brand_id,
        now=now,
    )


def _turn(session: Session, desk: Desk, identity: Identity, act: Act, now: datetime) -> Turn:
    talk = inbound.conversation(session, identity.id, now)
    return Turn(
        message=act,
        member_id=identity.member_id,
        identity_id=identity.id,
        public_url=desk.public_url,
        zone=desk.zone,
        step=talk.step if talk else "",
        facts=talk.facts if talk else {},
        wits=desk.wits,
    )
