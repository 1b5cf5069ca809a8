"""Races around a gift: one winner each, and beside it the same race without the locks."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select

from content.phrases import of_refusal
from store import coupons, gifts, members
from store.coupons import Coupon, CouponNotFound, CouponState, Gift, GiftState
from store.db import Database, make_engine
from store.errors import Refusal, WrongState
from store.gifts import CouponNotGiftable, GiftCancelled, GiftLapsed, GiftTaken, TooManyClaims
from store.members import Member
from tests.builders import NOW, a_coupon, a_member, a_plan
from tests.races.racing import Act, race, waiting, winners

pytestmark = pytest.mark.race

CLAIMERS = 50
SOON, LAPSED = NOW + timedelta(hours=1), NOW + timedelta(hours=24)


@pytest.fixture
def crowd(database_url: str) -> Iterator[Database]:
    """The same database with a connection for everybody, so that nobody queues for one."""
    engine = make_engine(database_url, pool_size=CLAIMERS)
    yield Database(engine)
    engine.dispose()


def unlock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everybody reads without waiting for anybody, and neither of two writes before both have read.

    Called once the world is set up: whatever is put down alone would wait for a second one.
    """

    def lock(session: Session, member_id: int) -> Member:
        return session.get_one(Member, member_id)

    def look(session: Session, gift: Gift) -> Coupon:
        return session.get_one(Coupon, gift.coupon_id)

    def look_up(session: Session, code: str) -> Coupon:
        return session.exec(select(Coupon).where(Coupon.code == code)).one()

    monkeypatch.setattr(members, "lock", lock)
    monkeypatch.setattr(members, "lock_both", lambda s, one, other: (lock(s, one), lock(s, other)))
    monkeypatch.setattr(gifts, "_lock", waiting(2, look))
    monkeypatch.setattr(gifts, "_lock_coupon", waiting(2, lambda s, key: s.get_one(Coupon, key)))
    monkeypatch.setattr(coupons, "_lock_by_code", look_up)


def a_gift(database: Database) -> tuple[int, int, str]:
    """A gift on its way: its id, its giver and its token."""
    with database.transaction() as session:
        li = a_member(session)
        gift, token = gifts.offer(session, a_coupon(session, li).id, li.id, now=NOW)
        return gift.id, li.id, token


def people(database: Database, count: int) -> list[int]:
    with database.transaction() as session:
        return [a_member(session).id for _ in range(count)]


def claiming(token: str, member_id: int) -> Act:
    return lambda session: gifts.claim(session, token, member_id, now=SOON).member_id


def cancelling(gift_id: int, giver_id: int) -> Act:
    return lambda session: gifts.cancel(session, gift_id, giver_id, now=SOON).giver_id


def expiring() -> Act:
    """The job's clock is a moment ahead of the others'; it gives the giver's coupon back."""

    def act(session: Session) -> str:
        if gifts.expire_due(session, LAPSED) == 0:
            raise WrongState("gift", "closed", "expired")
        return "expired"

    return act


def standing(database: Database, gift_id: int) -> tuple[GiftState, CouponState, int, int | None]:
    with database.transaction() as session:
        gift = session.get_one(Gift, gift_id)
        coupon = session.get_one(Coupon, gift.coupon_id)
        return gift.state, coupon.state, coupon.member_id, gift.claimed_by_id


def test_fifty_claim_at_once_and_one_wins_and_the_others_hear_a_friendly_sentence(
    crowd: Database,
) -> None:
    gift_id, _, token = a_gift(crowd)
    claimers = people(crowd, CLAIMERS)

    outcomes = race(crowd, [claiming(token, who) for who in claimers])

    (winner,) = winners(outcomes)
    refused = [lost for lost in outcomes if isinstance(lost, Refusal)]
    assert {type(lost) for lost in refused} == {GiftTaken}
    assert {of_refusal(lost) for lost in refused} == {"来晚了一步，这份礼物已经被领走了。"}
    assert len(refused) == CLAIMERS - 1
    claimed = (GiftState.CLAIMED, CouponState.AVAILABLE, winner, winner)
    assert standing(crowd, gift_id) == claimed


def test_two_claim_and_two_win_without_the_locks(
    fresh_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, _, token = a_gift(fresh_database)
    claimers = people(fresh_database, 2)
    unlock(monkeypatch)

    outcomes = race(fresh_database, [claiming(token, who) for who in claimers])

    assert sorted(winners(outcomes)) == claimers


def test_one_friend_who_taps_many_times_at_once_has_one_coupon(fresh_database: Database) -> None:
    _, _, token = a_gift(fresh_database)
    (zhao,) = people(fresh_database, 1)

    outcomes = race(fresh_database, [claiming(token, zhao)] * 6)

    assert outcomes == [zhao] * 6
    with fresh_database.transaction() as session:
        assert session.exec(select(Coupon.hops)).all() == [1]


def test_a_claim_and_a_cancel_at_once_leave_one_of_the_two(fresh_database: Database) -> None:
    gift_id, giver, token = a_gift(fresh_database)
    (zhao,) = people(fresh_database, 1)

    claimed, cancelled = race(fresh_database, [claiming(token, zhao), cancelling(gift_id, giver)])

    was_claimed = claimed == zhao
    assert isinstance(cancelled if was_claimed else claimed, GiftTaken | GiftCancelled)
    assert standing(fresh_database, gift_id) == (
        (GiftState.CLAIMED, CouponState.AVAILABLE, zhao, zhao)
        if was_claimed
        else (GiftState.CANCELLED, CouponState.AVAILABLE, giver, None)
    )


def test_a_claim_and_a_cancel_both_win_without_the_locks(
    fresh_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    gift_id, giver, token = a_gift(fresh_database)
    (zhao,) = people(fresh_database, 1)
    unlock(monkeypatch)

    outcomes = race(fresh_database, [claiming(token, zhao), cancelling(gift_id, giver)])

    assert winners(outcomes) == [zhao, giver]


def test_a_claim_and_the_expiry_at_once_leave_one_of_the_two(fresh_database: Database) -> None:
    gift_id, giver, token = a_gift(fresh_database)
    (zhao,) = people(fresh_database, 1)

    claimed, expired = race(fresh_database, [claiming(token, zhao), expiring()])

    was_claimed = claimed == zhao
    assert isinstance(expired if was_claimed else claimed, WrongState | GiftLapsed)
    assert standing(fresh_database, gift_id) == (
        (GiftState.CLAIMED, CouponState.AVAILABLE, zhao, zhao)
        if was_claimed
        else (GiftState.EXPIRED, CouponState.AVAILABLE, giver, None)
    )


def test_a_claim_and_the_expiry_both_win_without_the_locks(
    fresh_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, _, token = a_gift(fresh_database)
    (zhao,) = people(fresh_database, 1)
    unlock(monkeypatch)

    outcomes = race(fresh_database, [claiming(token, zhao), expiring()])

    assert winners(outcomes) == [zhao, "expired"]


def a_coupon_in_hand(database: Database) -> tuple[int, str, int]:
    """A coupon: its id, its code and its owner."""
    with database.transaction() as session:
        li = a_member(session)
        coupon = a_coupon(session, li)
        return coupon.id, coupon.code, li.id


def redeeming(code: str) -> Act:
    return lambda session: coupons.redeem(session, code, order_id=None, now=SOON).state


def giving(coupon_id: int, giver_id: int) -> Act:
    return lambda session: gifts.offer(session, coupon_id, giver_id, now=SOON)[0].state


def test_a_coupon_is_used_or_given_when_both_are_tried_at_once(fresh_database: Database) -> None:
    coupon_id, code, li = a_coupon_in_hand(fresh_database)

    used, given = race(fresh_database, [redeeming(code), giving(coupon_id, li)])

    was_used = used is CouponState.REDEEMED
    assert isinstance(given if was_used else used, CouponNotGiftable | WrongState)
    assert given is GiftState.OPEN or was_used
    with fresh_database.transaction() as session:
        gifts_made = session.exec(select(Gift.id)).all()
        state = session.get_one(Coupon, coupon_id).state
    assert state is (CouponState.REDEEMED if was_used else CouponState.GIFTING)
    assert len(gifts_made) == int(not was_used)


def test_a_coupon_is_used_and_given_without_the_locks(
    fresh_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    coupon_id, code, li = a_coupon_in_hand(fresh_database)
    unlock(monkeypatch)
    both, look_up = waiting(2, lambda coupon: coupon), coupons._lock_by_code
    monkeypatch.setattr(coupons, "_lock_by_code", lambda s, code: both(look_up(s, code)))
    monkeypatch.setattr(gifts, "_lock_coupon", lambda s, key: both(s.get_one(Coupon, key)))

    outcomes = race(fresh_database, [redeeming(code), giving(coupon_id, li)])

    assert winners(outcomes) == [CouponState.REDEEMED, GiftState.OPEN]


def test_a_coupon_is_given_once_when_its_owner_taps_many_times_at_once(
    fresh_database: Database,
) -> None:
    coupon_id, _, li = a_coupon_in_hand(fresh_database)

    outcomes = race(fresh_database, [giving(coupon_id, li)] * 6)

    assert winners(outcomes) == [GiftState.OPEN]
    assert [type(lost) for lost in outcomes].count(CouponNotGiftable) == 5


def test_a_second_gift_breaks_on_the_databases_promise_without_the_locks(
    fresh_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both see the coupon in hand; the index of open gifts lets one through, the other crashes."""
    coupon_id, _, li = a_coupon_in_hand(fresh_database)
    unlock(monkeypatch)

    outcomes = race(fresh_database, [giving(coupon_id, li)] * 2)

    assert winners(outcomes) == [GiftState.OPEN]
    assert [type(lost) for lost in outcomes].count(IntegrityError) == 1


def test_an_old_code_is_dead_for_a_till_that_reads_it_while_a_friend_claims(
    fresh_database: Database,
) -> None:
    gift_id, _, token = a_gift(fresh_database)
    (zhao,) = people(fresh_database, 1)
    with fresh_database.transaction() as session:
        code = session.get_one(Gift, gift_id).old_code

    claimed, used = race(fresh_database, [claiming(token, zhao), redeeming(code)])

    assert claimed == zhao
    assert isinstance(used, CouponNotFound | WrongState)


def last_claims(database: Database, monkeypatch: pytest.MonkeyPatch) -> list[Act]:
    """Two gifts for somebody who may claim one more today."""
    monkeypatch.setattr(gifts, "CLAIMS_PER_DAY", 1)
    (zhao,) = people(database, 1)
    return [claiming(a_gift(database)[2], zhao) for _ in range(2)]


def test_the_daily_limit_holds_when_two_gifts_are_claimed_at_once(
    fresh_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = race(fresh_database, last_claims(fresh_database, monkeypatch))

    assert len(winners(outcomes)) == 1
    assert [type(lost) for lost in outcomes].count(TooManyClaims) == 1


def test_the_daily_limit_breaks_without_the_locks(
    fresh_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    acts = last_claims(fresh_database, monkeypatch)
    unlock(monkeypatch)
    monkeypatch.setattr(gifts, "_need_fewer_claims", waiting(2, gifts._need_fewer_claims))

    assert len(winners(race(fresh_database, acts))) == 2


def test_the_plans_limit_holds_when_two_gifts_are_claimed_at_once(
    fresh_database: Database,
) -> None:
    with fresh_database.transaction() as session:
        plan = a_plan(session, per_member_limit=1)
        zhao = a_member(session).id
        tokens = []
        for giver in (a_member(session), a_member(session)):
            coupon = a_coupon(session, giver, plan=plan)
            tokens.append(gifts.offer(session, coupon.id, giver.id, now=NOW)[1])

    outcomes = race(fresh_database, [claiming(token, zhao) for token in tokens])

    assert len(winners(outcomes)) == 1
    with fresh_database.transaction() as session:
        query = select(Coupon.id).where(col(Coupon.member_id) == zhao)
        assert len(session.exec(query).all()) == 1


def test_two_who_claim_each_others_gifts_do_not_wait_for_each_other(
    fresh_database: Database,
) -> None:
    one, other = a_gift(fresh_database), a_gift(fresh_database)

    outcomes = race(fresh_database, [claiming(one[2], other[1]), claiming(other[2], one[1])])

    assert outcomes == [other[1], one[1]]
