"""Where a touch goes: the account that speaks, and the person's id there."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session, col, select
from sqlmodel.sql.expression import Select

from bot.channels.base import Address
from store import accounts, consents, contacts, relations
from store.accounts import Account, Platform, UnknownAccount
from store.members import Identity, IdentityChannel, Member
from store.organisation import Guide
from store.relations import Friendship
from store.touches import Channel, Touch

_TO_FOLLOWERS = frozenset({Channel.WECHAT_SERVICE, Channel.WECHAT_NOTICE, Channel.WECHAT_TEMPLATE})
_TO_CONTACTS = frozenset({Channel.WECOM_BROADCAST, Channel.WECOM_SIDEBAR})


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
    if is_past and touch.channel in _TO_CONTACTS:
        return _of_contact(session, touch)
    found = addresses_of(session, [touch])[touch.id]
    if isinstance(found, NoAddress):
        raise found
    return found


def addresses_of(session: Session, touches: Sequence[Touch]) -> dict[int, Addressed | NoAddress]:
    """The address of each touch, or why it has none, in as many statements as there are kinds."""
    found: dict[int, Addressed | NoAddress] = {}
    for find, kind in (
        (_followers, [one for one in touches if one.channel in _TO_FOLLOWERS]),
        (_contacts, [one for one in touches if one.channel in _TO_CONTACTS]),
        (_newcomers, [one for one in touches if one.channel is Channel.WECOM_WELCOME]),
        (_mobiles, [one for one in touches if one.channel is Channel.SMS]),
    ):
        if kind:
            found |= find(session, kind)
    return found


def close_address(session: Session, touch: Touch, *, now: datetime) -> None:
    """The platform says that nothing arrives there: remember it."""
    if touch.channel is Channel.SMS:
        consents.stop(session, touch.member_id, channel=Channel.SMS, reason="provider", now=now)
        return
    if touch.channel in _TO_CONTACTS:
        friendship = _friendship(session, touch, is_past=False)
        if friendship is not None:
            relations.unfriend(session, friendship.guide_id, friendship.external_userid, now=now)
            contacts.hide(session, friendship.guide_id, friendship.external_userid, now=now)
        return
    found = session.exec(_reachable({touch.member_id})).all()
    of_brand = [one for one, account in found if account.brand_id == touch.brand_id]
    if of_brand:
        of_brand[-1].is_reachable = False
        session.add(of_brand[-1])


def _followers(session: Session, touches: Sequence[Touch]) -> dict[int, Addressed | NoAddress]:
    rows = session.exec(_reachable({touch.member_id for touch in touches})).all()
    # The newest comes last, and stands.
    newest = {(one.member_id, account.brand_id): (one, account) for one, account in rows}
    places = {touch.id: newest.get((touch.member_id, touch.brand_id)) for touch in touches}
    return {
        touch_id: Addressed(place[1], Address(place[0].outside_id))
        if place
        else NoAddress("no_identity")
        for touch_id, place in places.items()
    }


def _contacts(session: Session, touches: Sequence[Touch]) -> dict[int, Addressed | NoAddress]:
    query = (
        select(Friendship, Guide.userid)
        .join(Guide, col(Guide.id) == Friendship.guide_id)
        .where(
            col(Friendship.member_id).in_({touch.member_id for touch in touches}),
            col(Friendship.until).is_(None),
        )
        .order_by(col(Friendship.id))
    )
    open_ones = {
        (one.member_id, one.guide_id): (one, userid) for one, userid in session.exec(query)
    }
    speakers = _accounts(session, touches, Platform.WECOM)
    found: dict[int, Addressed | NoAddress] = {}
    for touch in touches:
        friendship = open_ones.get((touch.member_id, touch.guide_id or 0))
        account = speakers.get(touch.brand_id)
        if friendship is None or account is None:
            found[touch.id] = NoAddress("no_account" if friendship else "no_friendship")
        else:
            one, userid = friendship
            found[touch.id] = Addressed(account, Address(one.external_userid, sender=userid))
    return found


def _newcomers(session: Session, touches: Sequence[Touch]) -> dict[int, Addressed | NoAddress]:
    """The code of a welcome knows whom; the guide may not even have agreed to the contact yet."""
    speakers = _accounts(session, touches, Platform.WECOM)
    return {
        touch.id: Addressed(speakers[touch.brand_id], Address(""))
        if touch.brand_id in speakers
        else NoAddress("no_account")
        for touch in touches
    }


def _mobiles(session: Session, touches: Sequence[Touch]) -> dict[int, Addressed | NoAddress]:
    """The members' mobiles; the deployment's one provider speaks for the brand's account."""
    ids = {touch.member_id for touch in touches}
    known = session.exec(select(Member.id, Member.mobile).where(col(Member.id).in_(ids))).all()
    mobiles = dict(known)
    speakers = _accounts(session, touches)
    found: dict[int, Addressed | NoAddress] = {}
    for touch in touches:
        mobile, account = mobiles.get(touch.member_id), speakers.get(touch.brand_id)
        if mobile and account:
            found[touch.id] = Addressed(account, Address(mobile))
        else:
            found[touch.id] = NoAddress("no_account" if mobile else "no_identity")
    return found


def _accounts(
    session: Session, touches: Sequence[Touch], platform: Platform | None = None
) -> dict[int, Account]:
    """The first account of each brand, on one platform or on any."""
    query = select(Account).where(col(Account.brand_id).in_({one.brand_id for one in touches}))
    if platform is not None:
        query = query.where(Account.platform == platform)
    return {one.brand_id: one for one in session.exec(query.order_by(col(Account.id).desc()))}


def _of_contact(session: Session, touch: Touch) -> Addressed:
    friendship = _friendship(session, touch, is_past=True)
    if friendship is None:
        raise NoAddress("no_friendship")
    guide = session.get_one(Guide, friendship.guide_id)
    try:
        account = accounts.of_brand(session, touch.brand_id, Platform.WECOM)
    except UnknownAccount:
        raise NoAddress("no_account") from None
    return Addressed(account, Address(friendship.external_userid, sender=guide.userid))


def _reachable(member_ids: Collection[int]) -> Select[Identity, Account]:
    """The reachable ids of members on official accounts, the oldest first."""
    return (
        select(Identity, Account)
        .join(Account, col(Account.app_id) == Identity.account)
        .where(
            col(Identity.member_id).in_(member_ids),
            Identity.channel == IdentityChannel.WECHAT,
            col(Identity.is_reachable),
            Account.platform == Platform.WECHAT,
        )
        .order_by(col(Identity.id))
    )


def _friendship(session: Session, touch: Touch, *, is_past: bool) -> Friendship | None:
    query = select(Friendship).where(
        Friendship.member_id == touch.member_id, Friendship.guide_id == touch.guide_id
    )
    if not is_past:
        query = query.where(col(Friendship.until).is_(None))
    # An open one first, else the one that ended last.
    newest = query.order_by(col(Friendship.until).desc().nulls_first(), col(Friendship.id).desc())
    return session.exec(newest.limit(1)).first()
