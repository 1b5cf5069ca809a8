"""A push of WeChat, verified and open, and the answer on its way back."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from bot import answers, inbox
from bot.answers import Spoken
from bot.envelope import Opened
from bot.fields import BadCallback
from bot.inbox import Desk
from bot.wechat import crypto
from bot.wechat.parsing import Said, read
from store.accounts import Credentials, Platform

# The bare answer that stops WeChat from asking again (wechat-oa.md §3).
NOTHING_TO_SAY = "success"


@dataclass(frozen=True, slots=True)
class Push:
    """One push, verified and open."""

    account: Credentials
    opened: Opened
    said: Said


def open_push(
    desk: Desk, code: str, query: Mapping[str, str], body: bytes, *, now: datetime
) -> Push:
    """Verify and open a push. Refuses with `UnknownAccount` and `BadCallback`: answer 403."""
    push = open_known(desk, code, query, body, now=now)
    if push is not None:
        return push
    account = inbox.account_behind(desk, code, Platform.WECHAT)
    desk.keyring.put(account)
    return _opened(desk, account, query, body, now)


def open_known(
    desk: Desk, code: str, query: Mapping[str, str], body: bytes, *, now: datetime
) -> Push | None:
    """The same without a look into the database, if the account was seen a moment ago.

    None also when it does not open: the account's keys may have changed meanwhile. One that does
    not open with keys that were just read is refused.
    """
    account = desk.keyring.get(code)
    if account is None or account.platform is not Platform.WECHAT:
        return None
    try:
        return _opened(desk, account, query, body, now)
    except BadCallback:
        if desk.keyring.is_just_read(code):
            raise
        return None


def sealed(push: Push, spoken: Spoken | None, *, now: datetime) -> str:
    """The answer to a push as it goes back: encrypted XML, or `success` when there is none."""
    if spoken is None:
        return NOTHING_TO_SAY
    reply = answers.xml(spoken, to=push.said.sender, sender=push.said.receiver)
    return crypto.seal_reply(push.account, push.opened, reply, now=now)


def _opened(
    desk: Desk, account: Credentials, query: Mapping[str, str], body: bytes, now: datetime
) -> Push:
    opened = crypto.open_body(account, query, body, now=now, fresh=desk.fresh)
    return Push(account, opened, read(opened.plain))
