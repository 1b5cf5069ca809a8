"""Gifts: one winner, a dead code, an end that never moves, and every way it can go."""

from datetime import datetime, timedelta

import pytest
from sqlmodel import Session

from store import coupons, gifts
from store.coupons import (
    Coupon,
    CouponExpired,
    CouponNotFound,
    CouponState,
    Gift,
    GiftState,
    LimitReached,
)
from store.errors import Refusal, WrongState
from store.gifts import (
    CLAIMS_PER_DAY,
    GIFTS_PER_DAY,
    CouponNotGiftable,
    GiftCancelled,
    GiftLapsed,
    GiftNotFound,
    GiftTaken,
    GiftToSelf,
    HopsUsedUp,
    TooManyClaims,
    TooManyGifts,
)
from store.members import IdentityChannel, Member
from store.tokens import digest
from tests.builders import NOW, a_coupon, a_member, a_plan, an_identity

SOON = NOW + timedelta(hours=1)
LAPSED = NOW + timedelta(hours=24)
OVER = NOW + timedelta(days=30)


def offered(session: Session, giver: Member, **plan: int) -> tuple[Coupon, Gift, str]:
    coupon = a_coupon(session, giver, plan=a_plan(session, **plan))
    gift, token = gifts.offer(session, coupon.id, giver.id, now=NOW)
    return coupon, gift, token


def test_the_code_is_dead_at_the_till_from_the_offer_on(session: Session) -> None:
    li = a_member(session)
    coupon, gift, token = offered(session, li)

    with pytest.raises(WrongState):
        coupons.redeem(session, coupon.code, order_id=None, now=SOON)

    assert (gift.state, coupon.state) == (GiftState.OPEN, CouponState.GIFTING)
    assert gift.token_hash == digest(token)
    assert coupons.usable(session, li.id, SOON) == []


def test_a_claim_gives_a_new_code_and_keeps_the_end(session: Session) -> None:
    li, zhao = a_member(session), a_member(session)
    coupon, gift, token = offered(session, li)
    end, old_code = coupon.expires_at, coupon.code

    claimed = gifts.claim(session, token, zhao.id, now=SOON)

    assert (claimed.member_id, claimed.hops, claimed.expires_at) == (zhao.id, 1, end)
    assert claimed.code != old_code
    assert (gift.state, gift.claimed_by_id, gift.old_code) == (
        GiftState.CLAIMED,
        zhao.id,
        old_code,
    )
    with pytest.raises(CouponNotFound):
        coupons.redeem(session, old_code, order_id=None, now=SOON)


def test_the_winner_gets_the_same_coupon_again_and_others_are_too_late(session: Session) -> None:
    li, zhao, qian = a_member(session), a_member(session), a_member(session)
    _, _, token = offered(session, li)

    first = gifts.claim(session, token, zhao.id, now=SOON)
    code = first.code
    again = gifts.claim(session, token, zhao.id, now=LAPSED)

    assert (again.id, again.code, again.hops) == (first.id, code, 1)
    with pytest.raises(GiftTaken):
        gifts.claim(session, token, qian.id, now=SOON)


def test_a_giver_cannot_claim_the_own_gift_nor_through_another_account(session: Session) -> None:
    li, li_too, zhao = a_member(session), a_member(session), a_member(session)
    an_identity(session, li, unionid="u1")
    an_identity(session, li_too, channel=IdentityChannel.WECOM, unionid="u1")
    _, _, token = offered(session, li)

    for oneself in (li, li_too):
        with pytest.raises(GiftToSelf):
            gifts.claim(session, token, oneself.id, now=SOON)

    assert gifts.claim(session, token, zhao.id, now=SOON).member_id == zhao.id


def test_a_gift_cannot_be_claimed_once_its_time_is_over(session: Session) -> None:
    li, zhao = a_member(session), a_member(session)
    _, _, token = offered(session, li)
    _, _, other = offered(session, li)

    with pytest.raises(GiftLapsed):
        gifts.claim(session, token, zhao.id, now=LAPSED)
    late = gifts.claim(session, other, zhao.id, now=LAPSED - timedelta(microseconds=1))

    assert late.member_id == zhao.id


def test_a_gift_that_nobody_claimed_comes_back_with_its_old_code_and_end(session: Session) -> None:
    li = a_member(session)
    coupon, gift, _ = offered(session, li)
    end, code = coupon.expires_at, coupon.code

    count = gifts.expire_due(session, LAPSED)

    assert (count, gift.state, coupon.state) == (1, GiftState.EXPIRED, CouponState.AVAILABLE)
    assert (coupon.expires_at, coupon.code, coupon.hops) == (end, code, 0)
    assert gifts.expire_due(session, LAPSED) == 0


def test_gifts_come_back_some_at_a_time_until_none_is_left(session: Session) -> None:
    for _ in range(3):
        offered(session, a_member(session))

    assert [gifts.expire_due(session, LAPSED, limit=2) for _ in range(3)] == [2, 1, 0]


def test_a_gift_ends_no_later_than_its_coupon_which_then_ends_for_good(session: Session) -> None:
    li = a_member(session)
    coupon = a_coupon(session, li, plan=a_plan(session, valid_days=30))
    gift, _ = gifts.offer(session, coupon.id, li.id, now=OVER - timedelta(hours=2))

    gifts.expire_due(session, OVER)

    assert gift.expires_at == OVER
    assert (gift.state, coupon.state) == (GiftState.EXPIRED, CouponState.EXPIRED)


def test_a_giver_takes_the_gift_back_and_may_offer_again(session: Session) -> None:
    li, zhao = a_member(session), a_member(session)
    coupon, gift, token = offered(session, li)

    gifts.cancel(session, gift.id, li.id, now=SOON)
    gifts.cancel(session, gift.id, li.id, now=SOON)

    assert (gift.state, coupon.state) == (GiftState.CANCELLED, CouponState.AVAILABLE)
    with pytest.raises(GiftCancelled):
        gifts.claim(session, token, zhao.id, now=SOON)
    again, _ = gifts.offer(session, coupon.id, li.id, now=SOON)
    assert again.state is GiftState.OPEN


def test_only_the_giver_takes_a_gift_back_and_not_after_a_claim(session: Session) -> None:
    li, zhao = a_member(session), a_member(session)
    _, gift, token = offered(session, li)

    with pytest.raises(GiftNotFound):
        gifts.cancel(session, gift.id, zhao.id, now=SOON)
    gifts.claim(session, token, zhao.id, now=SOON)
    with pytest.raises(GiftTaken):
        gifts.cancel(session, gift.id, li.id, now=SOON)


def test_a_lapsed_gift_is_over_for_its_giver_before_the_job_has_come(session: Session) -> None:
    li = a_member(session)
    coupon, gift, _ = offered(session, li)

    again, _ = gifts.offer(session, coupon.id, li.id, now=LAPSED)

    assert (gift.state, again.state) == (GiftState.EXPIRED, GiftState.OPEN)


def test_a_gift_taken_back_after_its_time_was_over_already(session: Session) -> None:
    li = a_member(session)
    coupon, gift, _ = offered(session, li)

    gifts.cancel(session, gift.id, li.id, now=LAPSED)

    assert (gift.state, coupon.state) == (GiftState.EXPIRED, CouponState.AVAILABLE)


@pytest.mark.parametrize(("hops", "refusal"), [(0, HopsUsedUp), (1, HopsUsedUp), (2, None)])
def test_a_coupon_is_given_on_as_often_as_its_plan_allows(
    session: Session, hops: int, refusal: type[Refusal] | None
) -> None:
    li, zhao = a_member(session), a_member(session)
    plan = a_plan(session, gift_hops=hops)
    coupon = a_coupon(session, li, plan=plan)

    def give_twice() -> Gift:
        _, token = gifts.offer(session, coupon.id, li.id, now=NOW)
        gifts.claim(session, token, zhao.id, now=NOW)
        return gifts.offer(session, coupon.id, zhao.id, now=NOW)[0]

    if refusal is None:
        assert give_twice().giver_id == zhao.id
    else:
        with pytest.raises(refusal):
            give_twice()


def test_only_an_own_living_coupon_can_be_offered_once_at_a_time(session: Session) -> None:
    li, zhao = a_member(session), a_member(session)
    coupon, _, _ = offered(session, li)
    used, over = a_coupon(session, li), a_coupon(session, li)
    coupons.redeem(session, used.code, order_id=None, now=NOW)

    with pytest.raises(CouponNotFound):
        gifts.offer(session, over.id, zhao.id, now=NOW)
    with pytest.raises(CouponNotGiftable):
        gifts.offer(session, coupon.id, li.id, now=SOON)
    with pytest.raises(CouponNotGiftable):
        gifts.offer(session, used.id, li.id, now=SOON)
    with pytest.raises(CouponExpired):
        gifts.offer(session, over.id, li.id, now=OVER)


def test_the_receivers_limit_of_the_plan_counts(session: Session) -> None:
    li, zhao, plan = a_member(session), a_member(session), a_plan(session, per_member_limit=1)
    coupon = a_coupon(session, li, plan=plan)
    a_coupon(session, zhao, plan=plan)
    gift, token = gifts.offer(session, coupon.id, li.id, now=NOW)

    with pytest.raises(LimitReached):
        gifts.claim(session, token, zhao.id, now=SOON)

    assert gift.state is GiftState.OPEN


def test_a_member_offers_only_so_many_gifts_a_day(session: Session) -> None:
    li = a_member(session)
    for _ in range(GIFTS_PER_DAY):
        offered(session, li)
    coupon = a_coupon(session, li)

    with pytest.raises(TooManyGifts):
        gifts.offer(session, coupon.id, li.id, now=SOON)

    assert gifts.offer(session, coupon.id, li.id, now=LAPSED)[0].state is GiftState.OPEN


def test_a_member_claims_only_so_many_gifts_a_day(session: Session) -> None:
    zhao = a_member(session)
    for _ in range(CLAIMS_PER_DAY):
        gifts.claim(session, offered(session, a_member(session))[2], zhao.id, now=NOW)
    _, _, token = offered(session, a_member(session))

    with pytest.raises(TooManyClaims):
        gifts.claim(session, token, zhao.id, now=SOON)


def test_a_token_that_is_none_of_ours_opens_nothing(session: Session) -> None:
    _, gift, token = offered(session, a_member(session))

    assert gifts.by_token(session, token) == gift
    for wrong in ("", token[:-1], gift.token_hash):
        with pytest.raises(GiftNotFound):
            gifts.by_token(session, wrong)


@pytest.mark.parametrize("at", [SOON, LAPSED])
def test_a_claim_and_its_rival_end_in_one_of_two_states(session: Session, at: datetime) -> None:
    """Whatever comes second finds the gift closed: claim then expiry, expiry then claim."""
    li, zhao = a_member(session), a_member(session)
    coupon, gift, token = offered(session, li)

    if at < gift.expires_at:
        gifts.claim(session, token, zhao.id, now=at)
    gifts.expire_due(session, LAPSED)

    owner, state = (zhao, GiftState.CLAIMED) if at == SOON else (li, GiftState.EXPIRED)
    assert (coupon.member_id, gift.state) == (owner.id, state)
    assert coupon.state is CouponState.AVAILABLE
