"""The windows that a member's own act opens for the account (wechat-oa.md §5.1, §6.2)."""

from datetime import datetime

from sqlmodel import Session

from bot.messages import Act, Follow, Menu, NoticeAnswer, Scan, is_spoken
from store.grants import Trigger, open_window
from store.inbound import InboundMessage


def open_all(
    session: Session, row: InboundMessage, message: Act, *, account: str, now: datetime
) -> None:
    """Open what this message allows the account to send; one push opens each window once."""
    assert row.member_id is not None
    source = f"inbound-{row.id}"
    if isinstance(message, NoticeAnswer):
        for place, template_id in enumerate(message.accepted):
            open_window(
                session,
                row.member_id,
                Trigger.ACCEPTANCE,
                account=account,
                source_id=f"{source}-{place}",
                now=now,
                template_id=template_id,
            )
        return
    trigger = trigger_of(message)
    if trigger is not None:
        open_window(session, row.member_id, trigger, account=account, source_id=source, now=now)


def trigger_of(message: Act) -> Trigger | None:
    """What the platform takes the message for."""
    if is_spoken(message):
        return Trigger.MESSAGE
    by_kind: dict[type, Trigger] = {
        Menu: Trigger.MENU,
        Follow: Trigger.FOLLOW,
        Scan: Trigger.SCAN,
    }
    return by_kind.get(type(message))
