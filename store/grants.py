"""Grants: a platform's window that the member's own act opens (design.md §8; wechat-oa.md §5.1)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, func, update
from sqlalchemy.dialects import postgresql
from sqlmodel import Session, SQLModel, col, select

from store.columns import big_key, link, one_of, status
from store.touches import COUNTED, Channel, Touch


class Trigger(StrEnum):
    """The member's acts that open a window."""

    MESSAGE = "message"
    MENU = "menu"
    FOLLOW = "follow"
    SCAN = "scan"
    ACCEPTANCE = "acceptance"


@dataclass(frozen=True, slots=True)
class Terms:
    """What a platform gives: `allowance` touches on `channel` within `seconds`, or without end."""

    channel: Channel
    allowance: int
    seconds: int | None


# In force since 2023-06-12: 5 messages in 48 hours after a message, 3 in 1 minute after a tap on
# the menu, a follow or a scan (wechat-oa.md §5.1); one notice for one acceptance (§6.2).
TERMS: dict[Trigger, Terms] = {
    Trigger.MESSAGE: Terms(Channel.WECHAT_SERVICE, 5, 48 * 3600),
    Trigger.MENU: Terms(Channel.WECHAT_SERVICE, 3, 60),
    Trigger.FOLLOW: Terms(Channel.WECHAT_SERVICE, 3, 60),
    Trigger.SCAN: Terms(Channel.WECHAT_SERVICE, 3, 60),
    Trigger.ACCEPTANCE: Terms(Channel.WECHAT_NOTICE, 1, None),
}


class Grant(SQLModel, table=True):
    """From `opened_at` on `account` may send `allowance` touches, until `expires_at` if set.

    A late answer takes its message out of the allowance; touches are counted, not taken out.
    """

    __tablename__ = "grants"
    __table_args__ = (
        one_of("channel", Channel, "grants"),
        UniqueConstraint("source_id", name="uq_grants_source"),
        CheckConstraint("allowance >= 0", name="ck_grants_allowance"),
        Index("ix_grants_member", "member_id", "channel", "opened_at"),
    )
    id: int = big_key()
    member_id: int = link("members.id", index=False)
    channel: Channel = status(Channel)
    account: str
    template_id: str = ""
    allowance: int
    opened_at: datetime
    expires_at: datetime | None = None
    source_id: str


def open_window(  # noqa: PLR0913 -- a window is all of these facts
    session: Session,
    member_id: int,
    trigger: Trigger,
    *,
    account: str,
    source_id: str,
    template_id: str = "",
    now: datetime,
) -> Grant:
    """Open what the platform gives for `trigger`; the same `source_id` again opens nothing more."""
    terms = TERMS[trigger]
    ends = None if terms.seconds is None else now + timedelta(seconds=terms.seconds)
    insert = postgresql.insert(Grant).values(
        member_id=member_id,
        channel=terms.channel,
        account=account,
        template_id=template_id,
        allowance=terms.allowance,
        opened_at=now,
        expires_at=ends,
        source_id=source_id,
    )
    session.exec(insert.on_conflict_do_nothing(index_elements=["source_id"]))
    return session.exec(select(Grant).where(Grant.source_id == source_id)).one()


def spend(session: Session, member_id: int, *, account: str, now: datetime) -> list[int]:
    """Take one message out of the open windows for customer-service messages; gives which.

    The platform does not say which window it debits (wechat-oa.md §5.1), so every open one with
    something left is. The member must be locked: the gate counts its touches under that lock.
    """
    open_ones = session.exec(
        select(Grant).where(
            Grant.member_id == member_id,
            Grant.channel == Channel.WECHAT_SERVICE,
            Grant.account == account,
            Grant.opened_at <= now,
            col(Grant.expires_at) > now,
        )
    ).all()
    usable = [grant for grant in open_ones if grant.allowance > _touches_in(session, grant)]
    for grant in usable:
        grant.allowance -= 1
        session.add(grant)
    return [grant.id for grant in usable]


def give_back(session: Session, grant_ids: Sequence[int]) -> None:
    """Put back what `spend` took for a message that surely reached nobody."""
    session.execute(
        update(Grant)
        .where(col(Grant.id).in_(grant_ids))
        .values(allowance=col(Grant.allowance) + 1)
        .execution_options(synchronize_session=False)
    )


def _touches_in(session: Session, grant: Grant) -> int:
    return session.exec(
        select(func.count())
        .select_from(Touch)
        .where(
            Touch.member_id == grant.member_id,
            Touch.channel == grant.channel,
            col(Touch.state).in_(COUNTED),
            col(Touch.counted_at) >= grant.opened_at,
        )
    ).one()
