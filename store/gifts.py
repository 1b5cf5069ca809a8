"""Giving a coupon to a friend: offer, claim, take back, expire (reference loyalty.md §2.5).

The coupon's code is dead at the till from the offer on; a claim gives the coupon to its one winner
under a new code and with its old end. The link's token is shown once and kept only as a hash.
"""

from datetime import datetime, timedelta

from sqlalchemy.orm import aliased
from sqlmodel import col, func, select

from store import coupons, members
from store.coupon_rows import (
    Coupon,
    CouponPlan,
    CouponState,
    Gift,
    GiftState,
    close_gift,
    end_lapsed,
    move_coupon,
    rest,
)
from store.coupons import CouponExpired, CouponNotFound
from store.db import Session
from store.errors import Exhausted, NotAllowed, NotFound, WrongState
from store.members import Identity
from store.tokens import digest, new_code, new_token

GIFT_LIFE_HOURS = 24
# Against chains of resellers (reference loyalty.md §2.8); counted over the last 24 hours.
GIFTS_PER_DAY = 10
CLAIMS_PER_DAY = 10
# Their givers are locked until the commit, and some may be writing to us meanwhile.
MOST_AT_ONCE = 200
_DAY = timedelta(hours=24)
_LIFE = timedelta(hours=GIFT_LIFE_HOURS)


class GiftNotFound(NotFound):
    """There is no such gift, or it is not this person's."""

    def __init__(self) -> None:
        super().__init__("There is no such gift here.")


class CouponNotGiftable(WrongState):
    """The coupon is used, expired, revoked or on its way to somebody already."""

    def __init__(self, state: CouponState) -> None:
        super().__init__("coupon", state, CouponState.GIFTING)


class HopsUsedUp(Exhausted):
    """The coupon has been given on as often as its plan allows."""

    def __init__(self, hops: int) -> None:
        self.hops = hops
        super().__init__(f"The coupon may be given on {hops} times, and was.")


class TooManyGifts(Exhausted):
    """The giver has offered as many gifts as one may in a day."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        super().__init__(f"A member may offer {limit} gifts in 24 hours.")


class TooManyClaims(Exhausted):
    """The receiver has claimed as many gifts as one may in a day."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        super().__init__(f"A member may claim {limit} gifts in 24 hours.")


class GiftToSelf(NotAllowed):
    """A giver cannot claim the own gift, nor through another account of the same person."""

    def __init__(self) -> None:
        super().__init__("A gift cannot be claimed by its giver.")


class GiftTaken(WrongState):
    """Somebody else was first."""

    def __init__(self) -> None:
        super().__init__("gift", GiftState.CLAIMED, GiftState.CLAIMED)


class GiftCancelled(WrongState):
    """The giver took the gift back."""

    def __init__(self) -> None:
        super().__init__("gift", GiftState.CANCELLED, GiftState.CLAIMED)


class GiftLapsed(WrongState):
    """Nobody claimed the gift in time."""

    def __init__(self, expired_at: datetime) -> None:
        self.expired_at = expired_at
        super().__init__("gift", GiftState.EXPIRED, GiftState.CLAIMED)


def by_token(session: Session, token: str) -> Gift:
    """The gift behind a link; `GiftNotFound` if the token is not one of ours."""
    gift = session.exec(select(Gift).where(Gift.token_hash == digest(token))).first()
    if gift is None:
        raise GiftNotFound
    return gift


def given(
    session: Session, giver_id: int, *, limit: int = coupons.MOST_PAST
) -> list[tuple[Gift, CouponPlan]]:
    """What friends have claimed of this giver's, the last first."""
    query = (
        select(Gift, CouponPlan)
        .join(Coupon, col(Coupon.id) == Gift.coupon_id)
        .join(CouponPlan, col(CouponPlan.id) == Coupon.plan_id)
        .where(Gift.giver_id == giver_id, Gift.state == GiftState.CLAIMED)
    )
    return list(session.exec(query.order_by(col(Gift.closed_at).desc()).limit(limit)))


def was_offered(session: Session, token: str, giver_id: int) -> bool:
    """Whether this giver's gift has this token; that of somebody else is `GiftNotFound`."""
    gift = session.exec(select(Gift).where(Gift.token_hash == digest(token))).first()
    if gift is not None and gift.giver_id != giver_id:
        raise GiftNotFound
    return gift is not None


def offer(
    session: Session, coupon_id: int, giver_id: int, *, token: str | None = None, now: datetime
) -> tuple[Gift, str]:
    """Put a coupon on its way to a friend; gives the gift and the link's token, shown only here.

    A form brings a token of its own, so that it leads to the same gift when it is sent again.

    The gift lives `GIFT_LIFE_HOURS` and never longer than the coupon.
    """
    giver = members.lock(session, giver_id)
    coupon = _lock_coupon(session, coupon_id)
    if coupon.member_id != giver.id:
        raise CouponNotFound
    end_lapsed(session, coupon, now)
    _need_giftable(session, coupon, now)
    _need_fewer(session, giver.id, now)
    token = token or new_token()
    gift = Gift(
        coupon_id=coupon.id,
        giver_id=giver.id,
        token_hash=digest(token),
        old_code=coupon.code,
        opened_at=now,
        expires_at=min(now + _LIFE, coupon.expires_at),
    )
    move_coupon(coupon, CouponState.GIFTING)
    session.add(gift)
    session.flush()
    return gift, token


def claim(session: Session, token: str, receiver_id: int, *, now: datetime) -> Coupon:
    """Give the coupon to the first who asks; the same winner asking again gets the same coupon.

    Locks giver and receiver in id order, then the coupon and the gift.
    """
    gift = by_token(session, token)
    _, receiver = members.lock_both(session, gift.giver_id, receiver_id)
    coupon = _lock(session, gift)
    if gift.state is GiftState.CLAIMED and receiver.id in (gift.claimed_by_id, coupon.member_id):
        return _still_theirs(coupon, receiver.id)
    _need_open(gift, now)
    _need_other_person(session, gift.giver_id, receiver.id)
    _need_fewer_claims(session, receiver.id, now)
    coupons.check_limit(session, session.get_one(CouponPlan, coupon.plan_id), receiver.id)
    move_coupon(coupon, CouponState.AVAILABLE)
    coupon.member_id, coupon.code, coupon.hops = receiver.id, new_code(), coupon.hops + 1
    gift.claimed_by_id = receiver.id
    close_gift(gift, GiftState.CLAIMED, now)
    session.flush()
    return coupon


def cancel(session: Session, gift_id: int, giver_id: int, *, now: datetime) -> Gift:
    """Take a gift back before anybody claimed it; again for the same gift changes nothing."""
    giver = members.lock(session, giver_id)
    gift = session.get(Gift, gift_id)
    if gift is None:
        raise GiftNotFound
    coupon = _lock(session, gift)
    if gift.giver_id != giver.id:
        raise GiftNotFound
    if gift.state is GiftState.CLAIMED:
        raise GiftTaken
    if gift.state is GiftState.OPEN:
        is_over = gift.expires_at <= now
        _return(session, gift, coupon, GiftState.EXPIRED if is_over else GiftState.CANCELLED, now)
    return gift


def expire_due(session: Session, now: datetime, *, limit: int = MOST_AT_ONCE) -> int:
    """Return gifts that nobody claimed in time; gives how many, fewer than `limit` when all are.

    The coupon comes back with its old code and end; past that end it is expired for good.
    """
    due = (
        select(Gift.id, Gift.giver_id)
        .where(Gift.state == GiftState.OPEN, Gift.expires_at <= now)
        .order_by(col(Gift.giver_id), col(Gift.id))
        .limit(limit)
    )
    return sum(
        _expire(session, gift_id, giver_id, now) for gift_id, giver_id in session.exec(due).all()
    )


def _expire(session: Session, gift_id: int, giver_id: int, now: datetime) -> bool:
    members.lock(session, giver_id)
    gift = session.get_one(Gift, gift_id)
    coupon = _lock(session, gift)
    if gift.state is not GiftState.OPEN:
        return False
    _return(session, gift, coupon, GiftState.EXPIRED, now)
    return True


def _lock_coupon(session: Session, coupon_id: int) -> Coupon:
    coupon = session.get(Coupon, coupon_id)
    if coupon is None:
        raise CouponNotFound
    session.refresh(coupon, with_for_update=True)
    return coupon


def _lock(session: Session, gift: Gift) -> Coupon:
    """Lock the coupon, then its gift, both freshly read; after the members, as always."""
    coupon = _lock_coupon(session, gift.coupon_id)
    session.refresh(gift, with_for_update=True)
    return coupon


def _return(session: Session, gift: Gift, coupon: Coupon, state: GiftState, now: datetime) -> None:
    rest(coupon, now)
    close_gift(gift, state, now)
    session.flush()


def _need_giftable(session: Session, coupon: Coupon, now: datetime) -> None:
    if coupon.state is not CouponState.AVAILABLE:
        raise CouponNotGiftable(coupon.state)
    if coupon.expires_at <= now:
        raise CouponExpired(coupon.expires_at)
    hops = session.get_one(CouponPlan, coupon.plan_id).gift_hops
    if coupon.hops >= hops:
        raise HopsUsedUp(hops)


def _need_fewer(session: Session, giver_id: int, now: datetime) -> None:
    query = select(func.count(col(Gift.id))).where(
        Gift.giver_id == giver_id, Gift.opened_at > now - _DAY
    )
    if session.exec(query).one() >= GIFTS_PER_DAY:
        raise TooManyGifts(GIFTS_PER_DAY)


def _need_fewer_claims(session: Session, receiver_id: int, now: datetime) -> None:
    query = select(func.count(col(Gift.id))).where(
        Gift.claimed_by_id == receiver_id, col(Gift.closed_at) > now - _DAY
    )
    if session.exec(query).one() >= CLAIMS_PER_DAY:
        raise TooManyClaims(CLAIMS_PER_DAY)


def _need_open(gift: Gift, now: datetime) -> None:
    if gift.state is GiftState.CLAIMED:
        raise GiftTaken
    if gift.state is GiftState.CANCELLED:
        raise GiftCancelled
    if gift.state is GiftState.EXPIRED or gift.expires_at <= now:
        raise GiftLapsed(gift.expires_at)


def _need_other_person(session: Session, giver_id: int, receiver_id: int) -> None:
    if giver_id == receiver_id:
        raise GiftToSelf
    other = aliased(Identity)
    query = (
        select(Identity.id)
        .join(other, col(other.unionid) == col(Identity.unionid))
        .where(Identity.member_id == giver_id, other.member_id == receiver_id)
    )
    if session.exec(query).first() is not None:
        raise GiftToSelf


def _still_theirs(coupon: Coupon, receiver_id: int) -> Coupon:
    """The coupon of a gift claimed before, unless the winner has given it on since."""
    if coupon.member_id != receiver_id:
        raise GiftTaken
    return coupon
