"""WeCom's callback door, without HTTP: what guides write is answered, what happens is kept.

An event is written down once, by the digest of its plain text, and answered with nothing at once;
a job does the work (`bot.people.events`). Several apps of one corp have a door each.
"""

from collections.abc import Mapping
from datetime import datetime

from bot import answers, inbox
from bot.inbox import Desk, Handled
from bot.messages import Reply
from bot.wecom import crypto
from bot.wecom.parsing import Pushed, read
from content.messages import MessageKind, render
from store.accounts import Credentials, Platform
from store.inbound import Heard
from store.jobs import Job

# An empty 200 is a full answer here (wecom.md §1.1).
NOTHING_TO_SAY = ""


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
    heard = _heard(account, pushed)
    if pushed.event:
        inbox.keep(desk, heard, Job.HEAR_WECOM, now=now)
        return NOTHING_TO_SAY
    spoken = inbox.answer_once(desk, heard, lambda _session, _row: _to_desk(desk), now=now)
    if spoken is None:
        return NOTHING_TO_SAY
    reply = answers.xml(spoken, to=pushed.sender, sender=pushed.receiver)
    return crypto.seal_reply(account, opened, reply, now=now)


def _heard(account: Credentials, pushed: Pushed) -> Heard:
    kind = pushed.event or pushed.kind
    return Heard(account.account_id, pushed.platform_id, pushed.sender, kind, pushed.payload)


def _to_desk(desk: Desk) -> Handled:
    # Guides do their work in the workbench; whoever writes to the app is shown the way there.
    return Handled(Reply(render(MessageKind.GUIDE_DESK, url=f"{desk.public_url}/guide")))
