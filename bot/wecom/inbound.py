"""WeCom's callback door, without HTTP: what guides do in the app, and who becomes whose contact."""

from collections.abc import Mapping
from datetime import datetime

from sqlmodel import Session, select

from bot import answers, inbox
from bot.inbox import Desk, Handled
from bot.messages import Answer, Reply, Silence
from bot.wecom import crypto
from bot.wecom.parsing import Pushed, read
from content.messages import MessageKind, render
from store import members, relations
from store.accounts import Credentials, Platform
from store.inbound import Heard, InboundMessage
from store.members import IdentityChannel
from store.organisation import Guide

# An empty 200 is a full answer here (wecom.md §1.1).
NOTHING_TO_SAY = ""

_CONTACT_EVENT = "change_external_contact"
_ADDED = "add_external_contact"
# The guide deleted the customer, or the customer deleted the guide.
_REMOVED = frozenset({"del_external_contact", "del_follow_user"})


def verify(desk: Desk, code: str, query: Mapping[str, str], *, now: datetime) -> str:
    """Answer the check that WeCom makes when the door's address is entered."""
    account = inbox.account_behind(desk, code, Platform.WECOM)
    return crypto.verify_url(account, query, now=now, fresh=desk.fresh)


def receive(desk: Desk, code: str, query: Mapping[str, str], body: bytes, *, now: datetime) -> str:
    """Take one push and give the body of the answer: encrypted XML, or nothing.

    Refuses with `UnknownAccount`, `BadCallback` (answer 403, say nothing) and `Busy` (answer 503).
    """
    account = inbox.account_behind(desk, code, Platform.WECOM)
    opened = crypto.open_body(account, query, body, now=now, fresh=desk.fresh)
    pushed = read(opened.plain)
    heard = Heard(
        account.account_id,
        pushed.platform_id,
        pushed.sender,
        pushed.event or pushed.kind,
        pushed.payload,
    )
    spoken = inbox.answer_once(
        desk,
        heard,
        lambda session, row: _handle(session, desk, account, row, pushed, now),
        now=now,
    )
    if spoken is None:
        return NOTHING_TO_SAY
    reply = answers.xml(spoken, to=pushed.sender, sender=pushed.receiver)
    return crypto.seal_reply(account, opened, reply, now=now)


def _handle(
    session: Session,
    desk: Desk,
    account: Credentials,
    row: InboundMessage,
    pushed: Pushed,
    now: datetime,
) -> Handled:
    if pushed.event == _CONTACT_EVENT:
        row.member_id = _contact_changed(session, account, pushed, now)
    return Handled(_answer(desk, pushed))


def _answer(desk: Desk, pushed: Pushed) -> Answer:
    # Guides do their work in the workbench; whoever writes to the app is shown the way there.
    if pushed.event:
        return Silence()
    return Reply(render(MessageKind.GUIDE_DESK, url=f"{desk.public_url}/guide"))


def _contact_changed(
    session: Session, account: Credentials, pushed: Pushed, now: datetime
) -> int | None:
    """Keep friendships in step; contacts of people who are no guides of ours are not kept."""
    guide = session.exec(select(Guide).where(Guide.userid == pushed.userid)).one_or_none()
    if guide is None or not pushed.external_userid:
        return None
    if pushed.change in _REMOVED:
        relations.unfriend(session, guide.id, pushed.external_userid, now=now)
        return None
    if pushed.change != _ADDED:
        return None
    identity = members.meet(
        session,
        channel=IdentityChannel.WECOM,
        account=account.app_id,
        outside_id=pushed.external_userid,
        brand_id=account.brand_id,
        now=now,
    )
    relations.befriend(
        session, guide.id, pushed.external_userid, member_id=identity.member_id, now=now
    )
    return identity.member_id
