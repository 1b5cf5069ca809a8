"""Notices to guides go out by the same protocol as touches: claim, send, write what came of it."""

import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from sqlmodel import Session, select

from bot.addresses import Addressed
from bot.channels.base import Address, Channel, ChannelError, Outgoing, Receipt
from bot.wecom.cards import CODE_LIFE
from store import accounts, cards, notices
from store.accounts import Platform, UnknownAccount
from store.cards import Card
from store.db import Database
from store.notices import Notice, NoticeState
from store.organisation import Guide, GuideStatus, Shop
from store.touches import Channel as ChannelName

_log = logging.getLogger(__name__)

# Above these WeCom drops app messages to one person without a word (wecom.md §2.4).
_LIMITS = ((timedelta(minutes=1), 30), (timedelta(hours=1), 1000))
# With the pauses of `notices.waiting` the last of them comes after three and a half hours.
_MOST_ATTEMPTS = 12
_SILENCE = timedelta(minutes=5)


def send_notice(
    database: Database,
    channels: Mapping[ChannelName, Channel],
    notice_id: int,
    *,
    clock: Callable[[], datetime],
) -> None:
    """Send one pending notice; one over WeCom's limits stays pending for the sweeper."""
    with database.transaction() as session:
        notice, to = _claimed(session, notice_id, clock())
    if notice is None or to is None:
        return
    out = Outgoing(notice.key, str(notice.message.get("text", "")), notice.message)
    receipt, failure = Receipt(), None
    try:
        channel = channels[ChannelName.WECOM_APP]
        receipt = channel.send(out, to.address, to.account)
    except ChannelError as error:
        failure = error
    with database.transaction() as session:
        _settle(session, notice.id, receipt.provider_id, failure, clock())
        if receipt.response_code:
            _keep_card(session, notice, receipt, clock())


def sweep_notices(database: Database, *, now: datetime) -> None:
    """Notices whose sender fell silent become unknown."""
    with database.transaction() as session:
        lost = notices.mark_unknown(session, older_than=now - _SILENCE)
    if lost:
        _log.warning("%s notices fell silent while sending; they are unknown now.", lost)


def _claimed(
    session: Session, notice_id: int, now: datetime
) -> tuple[Notice, Addressed] | tuple[None, None]:
    guide = session.exec(
        select(Guide)
        .join(Notice)
        .where(Notice.id == notice_id)
        .with_for_update(of=Guide, key_share=True)
    ).one_or_none()
    # Counted under the guide's lock, so that two workers do not both send the thirtieth.
    if guide is None or _is_full(session, guide.id, now):
        return None, None
    notice = notices.claim(session, notice_id, now=now)
    if notice is None:
        return None, None
    to = _address(session, guide)
    if to is None:
        notices.move(notice, NoticeState.FAILED)
        notice.failure = "no_address"
        return None, None
    return notice, to


def _is_full(session: Session, guide_id: int, now: datetime) -> bool:
    return any(notices.out_since(session, guide_id, now - span) >= most for span, most in _LIMITS)


def _address(session: Session, guide: Guide) -> Addressed | None:
    if guide.status is not GuideStatus.ACTIVE:
        return None
    shop = session.get_one(Shop, guide.shop_id)
    try:
        account = accounts.of_brand(session, shop.brand_id, Platform.WECOM)
    except UnknownAccount:
        return None
    return Addressed(account, Address(guide.userid))


def _keep_card(session: Session, notice: Notice, receipt: Receipt, now: datetime) -> None:
    cards.sent(
        session,
        Card(
            task_id=notice.key,
            msgid=receipt.provider_id or "",
            response_code=receipt.response_code,
            code_until=now + CODE_LIFE,
            sent_at=now,
        ),
    )


def _settle(
    session: Session,
    notice_id: int,
    provider_id: str | None,
    failure: ChannelError | None,
    now: datetime,
) -> None:
    notice = session.get_one(Notice, notice_id)
    session.refresh(notice, with_for_update=True)
    state = _state_after(notice, failure)
    if notice.state is not NoticeState.SENDING and notice.state is not NoticeState.UNKNOWN:
        return
    notices.move(notice, state)
    notice.provider_id = provider_id
    notice.failure = failure.reason if failure else None
    notice.sent_at = now if state is NoticeState.SENT else None
    session.add(notice)


def _state_after(notice: Notice, failure: ChannelError | None) -> NoticeState:
    if failure is None:
        return NoticeState.SENT
    if failure.is_unsure:
        return NoticeState.UNKNOWN
    if failure.permanent or notice.attempts >= _MOST_ATTEMPTS:
        return NoticeState.FAILED
    # The platform surely took nothing: the sweeper nudges it again.
    return NoticeState.PENDING
