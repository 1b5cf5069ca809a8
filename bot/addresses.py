"""Where a touch goes: the account that speaks, and the person's id there."""

from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session, col, select

from bot.channels.base import Address
from store import accounts, relations
from store.accounts import Account, Platform, UnknownAccount
from store.members import Identity, IdentityChannel
from store.organisation import Guide
from store.relations import Friendship
from store.touches import Channel, Touch


@dataclass(frozen=True)
class Addressed:
    """An account and an address on it."""

    account: Account
    address: Address


class NoAddress(Exception):  # noqa: N818 -- it says what is missing
    """The member cannot be reached on the touch's channel."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"There is nowhere to send it: {reason}.")


def address_of(session: Session, touch: Touch, *, is_past: bool = False) -> Addressed:
    """The address of a touch; `is_past` also takes a contact that has ended since it went out."""
    if touch.channel is Channel.WECOM_BROADCAST:
        return _of_contact(session, touch, is_past=is_past)
    return _of_follower(session, touch)


def close_address(session: Session, touch: Touch, *, now: datetime) -> None:
    """The platform says that nothing arrives there: remember it."""
    if touch.channel is Channel.WECOM_BROADCAST:
        friendship = _friendship(session, touch, is_past=False)
        if friendship is not None:
            relations.unfriend(session, friendship.guide_id, friendship.external_userid, now=now)
        return
    identity = _identity(session, touch)
    if identity is not None:
        identity.is_reachable = False
        session.add(identity)


def _of_follower(session: Session, touch: Touch) -> Addressed:
    identity = _identity(session, touch)
    if identity is None:
        raise NoAddress("no_identity")
    account = session.exec(
        select(Account).where(
            Account.platform == Platform.WECHAT, Account.app_id == identity.account
        )
    ).first()
    if account is None:
        raise NoAddress("no_account")
    return Addressed(account, Address(identity.outside_id))


def _of_contact(session: Session, touch: Touch, *, is_past: bool) -> Addressed:
    friendship = _friendship(session, touch, is_past=is_past)
    if friendship is None:
        raise NoAddress("no_friendship")
    guide = session.get_one(Guide, friendship.guide_id)
    try:
        account = accounts.of_brand(session, touch.brand_id, Platform.WECOM)
    except UnknownAccount:
        raise NoAddress("no_account") from None
    return Addressed(account, Address(friendship.external_userid, sender=guide.userid))


def _identity(session: Session, touch: Touch) -> Identity | None:
    """The member's reachable id on an account of the touch's brand, the newest first."""
    query = (
        select(Identity)
        .join(Account, col(Account.app_id) == Identity.account)
        .where(
            Identity.member_id == touch.member_id,
            Identity.channel == IdentityChannel.WECHAT,
            col(Identity.is_reachable),
            Account.platform == Platform.WECHAT,
            Account.brand_id == touch.brand_id,
        )
        .order_by(col(Identity.id).desc())
        .limit(1)
    )
    return session.exec(query).first()


def _friendship(session: Session, touch: Touch, *, is_past: bool) -> Friendship | None:
    query = select(Friendship).where(
        Friendship.member_id == touch.member_id, Friendship.guide_id == touch.guide_id
    )
    if not is_past:
        query = query.where(col(Friendship.until).is_(None))
    # An open one first, else the one that ended last.
    newest = query.order_by(col(Friendship.until).desc().nulls_first(), col(Friendship.id).desc())
    return session.exec(newest.limit(1)).first()
