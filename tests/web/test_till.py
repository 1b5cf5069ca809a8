"""The till's verbs: each once by its number, with a problem that says what to do otherwise."""

from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from redis import Redis
from sqlmodel import Session, func, select

from store import (
    api_keys,
    card_codes,
    coupons,
    erasure,
    gifts,
    merges,
    orders,
    plan_shops,
    points,
)
from store.coupons import Coupon, CouponKind, CouponPlan, CouponState
from store.db import Database
from store.errors import WrongState
from store.members import Member
from store.orders import RefundForm
from store.points import PointsEntry
from store.redemptions import Redemption
from store.settings import Settings
from tests.builders import a_coupon, a_level, a_member, a_plan, a_shop, an_order_form
from tests.web.browser import Browser
from tests.web.scene import HOST, parts_of
from web.app import create_app

LOOKUP, COUPON = "/api/v1/till/lookup", "/api/v1/till/redeem-coupon"
POINTS, UNDO = "/api/v1/till/redeem-points", "/api/v1/till/undo"
PROBLEM = "application/problem+json"


class Till:
    """A till of shop S1 with its key; Li has 1,000 points and ten yuan off fifty."""

    def __init__(self, settings: Settings, database: Database, redis: Redis, now: datetime) -> None:
        self.settings, self.database, self.now = settings, database, now
        self.browser = Browser(create_app(parts_of(settings, database, redis, now)), HOST)
        with database.transaction() as session:
            self.shop = a_shop(session, code="S1")
            level = a_level(session, name="金卡")
            self.li = a_member(
                session, name="李雨桐", points=1000, mobile="17100000001", level_id=level.id
            )
            self.plan = a_plan(session, min_spend_fen=5_000)
            self.coupon = a_coupon(session, self.li, plan=self.plan, now=now)
            self.key = api_keys.issue(session, "till", now=now)

    def card(self, *, ago: int = 0, member: Member | None = None) -> str:
        """The code that a card showed so many seconds ago."""
        then = self.now - timedelta(seconds=ago)
        return card_codes.shown(self.settings.secret, (member or self.li).id, then)

    def post(self, path: str, key: str | None = None, **body: Any) -> httpx.Response:
        """Ask with the till's key, and perhaps an idempotency key."""
        headers = {"Authorization": f"Bearer {self.key}"}
        if key is not None:
            headers["Idempotency-Key"] = key
        return self.browser.post(path, json=body, headers=headers)

    def take_coupon(self, key: str | None = None, **facts: Any) -> httpx.Response:
        """Li's coupon for a purchase of a hundred yuan."""
        usual = {"coupon_code": self.coupon.code, "reference": "A1", "amount_fen": 10_000}
        return self.post(COUPON, key, **usual | {"shop_code": "S1"} | facts)

    def take_points(self, key: str | None = None, **facts: Any) -> httpx.Response:
        """Four hundred of Li's points."""
        usual = {"card_code": self.card(), "points": 400, "reference": "A1"}
        return self.post(POINTS, key, **usual | facts)

    def undo(self, answer: httpx.Response) -> httpx.Response:
        """Take back what was redeemed."""
        return self.post(UNDO, redemption=answer.json()["redemption"])

    def balance(self) -> int:
        """Li's points."""
        with self.database.transaction() as session:
            return points.balance(session, self.li.id)

    def state(self) -> CouponState:
        """How the coupon stands."""
        with self.database.transaction() as session:
            return session.get_one(Coupon, self.coupon.id).state

    def count(self, table: Any) -> int:
        """Rows of a table."""
        with self.database.transaction() as session:
            return session.exec(select(func.count()).select_from(table)).one()

    def order(self, session: Session, *, external_id: str = "A1", **facts: Any) -> orders.Placed:
        """The order of the purchase, handed in by the same system."""
        member = session.get_one(Member, self.li.id)
        form = an_order_form(
            session, member, external_id=external_id, shop_code="S1", paid_at=self.now, **facts
        )
        return orders.place(session, form, source="till", now=self.now)

    def erase(self) -> None:
        """Li wants to be forgotten."""
        with self.database.transaction() as session:
            erasure.erase(session, self.li.id, secret_key=self.settings.secret, now=self.now)

    def refund(self, session: Session, amount_fen: int, external_id: str = "R1") -> None:
        """Money back on that order."""
        form = RefundForm(
            external_id=external_id,
            order_external_id="A1",
            amount_fen=amount_fen,
            refunded_at=self.now,
        )
        orders.refund(session, form, source="till", now=self.now)


@pytest.fixture
def till(settings: Settings, fresh_database: Database, redis: Redis, now: datetime) -> Till:
    """The till."""
    return Till(settings, fresh_database, redis, now)


def refused(answer: httpx.Response) -> tuple[int, str, str | None]:
    """Status, code and field of a problem, which says what to do and is one by its type."""
    assert answer.headers["content-type"] == PROBLEM
    found = answer.json()
    assert found["detail"]
    return answer.status_code, found["code"], found.get("field")


@pytest.mark.parametrize("path", [LOOKUP, COUPON, POINTS, UNDO])
def test_without_a_key_no_verb_opens(till: Till, path: str) -> None:
    till.key = "wrong"

    assert refused(till.post(path, redemption="x"))[:2] == (401, "unauthorized")


@pytest.mark.parametrize("by", ["card_code", "card_no", "mobile"])
def test_lookup_shows_what_a_cashier_needs_and_no_more(till: Till, by: str) -> None:
    who = {"card_code": till.card(), "card_no": till.li.card_no, "mobile": "17100000001"}[by]

    answer = till.post(LOOKUP, **{by: who}, shop_code="S1").json()

    assert answer == {
        "card_no": till.li.card_no,
        "name": "李**",
        "mobile": "171****0001",
        "level": "金卡",
        "points": 1000,
        "coupons": [
            {
                "coupon_code": till.coupon.code,
                "name": "十元券",
                "kind": "amount_off",
                "value": 1000,
                "min_spend_fen": 5000,
                "expires_at": till.coupon.expires_at.isoformat().replace("+00:00", "Z"),
            }
        ],
    }


def test_lookup_leaves_out_what_does_not_count_here(till: Till) -> None:
    with till.database.transaction() as session:
        plan_shops.limit(session, till.plan.id, [a_shop(session).id])

    assert till.post(LOOKUP, card_code=till.card(), shop_code="S1").json()["coupons"] == []


def test_lookup_of_a_card_that_was_merged_finds_who_it_became(till: Till) -> None:
    with till.database.transaction() as session:
        gone = a_member(session, name="李明")
        merges.merge(session, till.li.id, gone.id, reason="test", now=till.now)

    for who in ({"card_no": gone.card_no}, {"card_code": till.card(member=gone)}):
        assert till.post(LOOKUP, **who, shop_code="S1").json()["card_no"] == till.li.card_no


@pytest.mark.parametrize(
    ("who", "problem"),
    [
        ({"card_no": "unknown"}, (404, "holder_unknown", "card_no")),
        ({"mobile": "17199999999"}, (404, "holder_unknown", "mobile")),
        ({"card_code": "881234567812345678"}, (403, "card_code_stale", "card_code")),
        ({"mobile": "123"}, (422, "invalid_input", "body.mobile")),
        ({}, (422, "invalid_input", "body")),
        ({"mobile": "17100000001", "card_no": "x"}, (422, "invalid_input", "body")),
        ({"mobile": "17100000001", "shop_code": "S9"}, (404, "shop_unknown", "shop_code")),
    ],
)
def test_lookup_of_nobody_says_which_field(
    till: Till, who: dict[str, str], problem: tuple[int, str, str]
) -> None:
    answer = till.post(LOOKUP, **{"shop_code": "S1"} | who)

    assert refused(answer) == problem
    assert "17199999999" not in answer.text


def test_a_coupon_is_redeemed_once_and_a_repeat_hears_the_same(till: Till) -> None:
    first, again = till.take_coupon(), till.take_coupon()

    assert first.status_code == 200
    assert first.json() | {"redemption": ""} == {
        "redemption": "",
        "kind": "coupon",
        "reference": "A1",
        "status": "redeemed",
        "discount_fen": 1000,
        "points": None,
        "points_left": None,
    }
    assert again.json() == first.json()
    assert (till.state(), till.count(Redemption)) == (CouponState.REDEEMED, 1)


@pytest.mark.parametrize(
    ("facts", "discount"),
    [
        ({"kind": CouponKind.AMOUNT_OFF, "value": 20_000}, 10_000),
        ({"kind": CouponKind.PERCENT_OFF, "value": 15}, 1_500),
        ({"kind": CouponKind.EXCHANGE, "value": 0}, 0),
    ],
)
def test_a_coupon_takes_off_what_its_plan_says(
    till: Till, facts: dict[str, Any], discount: int
) -> None:
    with till.database.transaction() as session:
        session.get_one(CouponPlan, till.plan.id).sqlmodel_update(facts)

    assert till.take_coupon().json()["discount_fen"] == discount


@pytest.mark.parametrize(
    ("facts", "problem"),
    [
        ({"coupon_code": "UNKNOWN"}, (404, "coupon_not_found", "coupon_code")),
        ({"amount_fen": 4_999}, (403, "spend_too_small", "amount_fen")),
        ({"shop_code": "S9"}, (404, "shop_unknown", "shop_code")),
        ({"amount_fen": -1}, (422, "invalid_input", "body.amount_fen")),
        ({"reference": ""}, (422, "invalid_input", "body.reference")),
    ],
)
def test_a_coupon_that_does_not_count_stays_usable(
    till: Till, facts: dict[str, Any], problem: tuple[int, str, str]
) -> None:
    assert refused(till.take_coupon(**facts)) == problem
    assert (till.state(), till.count(Redemption)) == (CouponState.AVAILABLE, 0)


def test_a_coupon_counts_only_in_the_shops_of_its_plan(till: Till) -> None:
    with till.database.transaction() as session:
        plan_shops.limit(session, till.plan.id, [a_shop(session, code="S2").id])

    assert refused(till.take_coupon()) == (403, "coupon_elsewhere", "shop_code")
    assert till.take_coupon(shop_code="S2").status_code == 200


def test_a_coupon_on_its_way_to_a_friend_is_dead_at_the_till(till: Till) -> None:
    with till.database.transaction() as session:
        gifts.offer(session, till.coupon.id, till.li.id, now=till.now)

    assert refused(till.take_coupon()) == (409, "coupon_on_its_way", "coupon_code")


def test_a_coupon_past_its_end_or_used_elsewhere_is_refused_by_name(till: Till) -> None:
    with till.database.transaction() as session:
        session.get_one(Coupon, till.coupon.id).expires_at = till.now
    assert refused(till.take_coupon()) == (403, "coupon_expired", "coupon_code")
    with till.database.transaction() as session:
        session.get_one(Coupon, till.coupon.id).expires_at = till.now + timedelta(days=1)
        coupons.redeem(session, till.coupon.code, order_id=None, now=till.now)

    assert refused(till.take_coupon()) == (409, "coupon_used", "coupon_code")


@pytest.mark.parametrize("key", [None, "try-1"])
def test_the_same_number_with_another_body_is_a_conflict(till: Till, key: str | None) -> None:
    till.take_coupon(key)
    till.take_points(key)

    changed = till.take_coupon(key, amount_fen=20_000)
    more = till.take_points(key, points=500)

    assert refused(changed) == (409, "redemption_differs", "amount_fen")
    assert refused(more) == (409, "redemption_differs", "points")
    assert (till.count(Redemption), till.balance()) == (2, 600)


def test_a_key_stands_for_one_purchase(till: Till) -> None:
    till.take_coupon("try-1")

    assert refused(till.take_coupon("try-1", reference="A2")) == (
        409,
        "redemption_differs",
        "reference",
    )


def test_a_purchase_takes_one_coupon(till: Till) -> None:
    with till.database.transaction() as session:
        other = a_coupon(session, till.li, plan=till.plan, now=till.now)
    till.take_coupon("try-1")

    second = till.take_coupon("try-2", coupon_code=other.code)

    assert refused(second) == (409, "redemption_differs", "coupon_code")


def test_another_systems_numbers_are_its_own(till: Till) -> None:
    first = till.take_points()
    with till.database.transaction() as session:
        till.key = api_keys.issue(session, "shop", now=till.now)

    assert refused(till.undo(first)) == (404, "redemption_not_found", "redemption")
    assert till.take_points(card_code=till.card(ago=60)).status_code == 200
    assert till.balance() == 200


def test_points_are_spent_once_and_a_repeat_counts_when_the_code_is_stale(till: Till) -> None:
    code = till.card(ago=100)
    first = till.take_points(card_code=code)
    till.browser = Browser(
        create_app(
            parts_of(till.settings, till.database, None, till.now + timedelta(minutes=9))  # type: ignore[arg-type]  # this verb needs no Redis
        ),
        HOST,
    )

    again = till.take_points(card_code=code)

    assert first.json()["points_left"] == 600
    assert (again.status_code, again.json()) == (200, first.json())
    assert till.balance() == 600


@pytest.mark.parametrize(
    ("facts", "problem"),
    [
        ({"points": 1_001}, (409, "not_enough_points", "points")),
        ({"points": 0}, (422, "invalid_input", "body.points")),
        ({"points": 1.5}, (422, "invalid_input", "body.points")),
        ({"card_code": "881234567812345678"}, (403, "card_code_stale", "card_code")),
        ({"card_code": "17100000001"}, (403, "card_code_stale", "card_code")),
    ],
)
def test_points_that_cannot_be_spent_stay(
    till: Till, facts: dict[str, Any], problem: tuple[int, str, str]
) -> None:
    assert refused(till.take_points(**facts)) == problem
    assert till.balance() == 1000


def test_a_stale_code_pays_nothing(till: Till) -> None:
    problem = refused(till.take_points(card_code=till.card(ago=180)))

    assert problem == (403, "card_code_stale", "card_code")


def test_a_code_that_was_seen_by_somebody_else_does_not_pay_twice(till: Till) -> None:
    till.take_points()

    assert refused(till.take_points(reference="A2")) == (409, "card_code_used", "card_code")
    assert till.balance() == 600


def test_undo_gives_back_once(till: Till) -> None:
    coupon, spent = till.take_coupon(), till.take_points()

    answers = [till.undo(coupon), till.undo(coupon), till.undo(spent), till.undo(spent)]

    assert [answer.json()["status"] for answer in answers] == ["undone"] * 4
    assert answers[2].json()["points_left"] == 1000
    assert (till.state(), till.balance()) == (CouponState.AVAILABLE, 1000)
    assert till.count(PointsEntry) == 3


def test_a_late_repeat_of_what_was_undone_redeems_nothing(till: Till) -> None:
    till.undo(till.take_points())

    assert refused(till.take_points())[:2] == (409, "redemption_undone")
    assert till.take_points("try-2", points=100).status_code == 200
    assert till.balance() == 900


def test_an_undone_coupon_can_be_used_for_another_purchase(till: Till) -> None:
    till.undo(till.take_coupon())

    assert till.take_coupon(reference="A2").status_code == 200


def test_an_undone_coupon_past_its_end_is_over(till: Till) -> None:
    answer = till.take_coupon()
    with till.database.transaction() as session:
        session.get_one(Coupon, till.coupon.id).expires_at = till.now

    till.undo(answer)

    assert till.state() is CouponState.EXPIRED


def test_till_and_order_of_one_number_are_one_redemption(till: Till) -> None:
    answer = till.take_coupon()
    with till.database.transaction() as session:
        placed = till.order(session, coupon_code=till.coupon.code)
        assert session.get_one(Coupon, till.coupon.id).redeemed_order_id == placed.order.id

    assert till.take_coupon().json() == answer.json()
    assert refused(till.undo(answer)) == (409, "order_is_in", "redemption")
    assert till.count(Redemption) == 1


def test_order_first_and_till_after_is_one_redemption_too(till: Till) -> None:
    with till.database.transaction() as session:
        till.order(session, coupon_code=till.coupon.code)

    assert till.take_coupon().json()["discount_fen"] == 1000
    assert refused(till.take_coupon(reference="A2")) == (409, "coupon_used", "coupon_code")


def test_an_order_of_another_number_does_not_get_the_tills_coupon(till: Till) -> None:
    till.take_coupon()

    with pytest.raises(WrongState), till.database.transaction() as session:
        till.order(session, external_id="A2", coupon_code=till.coupon.code)


@pytest.mark.parametrize("names_coupon", [True, False])
def test_a_refund_gives_back_what_the_till_took(till: Till, *, names_coupon: bool) -> None:
    till.take_coupon()
    till.take_points()
    code = {"coupon_code": till.coupon.code} if names_coupon else {}
    with till.database.transaction() as session:
        # Nine yuan earn nine points, which go with the refund.
        till.order(session, amount_fen=900, **code)
    with till.database.transaction() as session:
        till.refund(session, 450)
    half = till.balance()
    with till.database.transaction() as session:
        till.refund(session, 450, "R2")

    assert half == 1000 - 400 + 200 + 9 - 4
    assert (till.balance(), till.state()) == (1000, CouponState.AVAILABLE)
    assert till.take_coupon(reference="A3").status_code == 200


def test_the_documentation_shows_every_verb_with_an_example(till: Till) -> None:
    page = till.browser.get("/api/docs").text

    for path in (LOOKUP, COUPON, POINTS, UNDO, "/api/v1/points-shop/{code}"):
        assert path in page
    for example in ("882393788384101481", "Q4T8ZK2MWX7C", "Idempotency-Key"):
        assert example in page


def test_an_item_for_points_is_offered_by_its_code(till: Till) -> None:
    form = {"plan_code": till.plan.code, "points": 300, "stock": 5}
    headers = {"Authorization": f"Bearer {till.key}"}

    first, again = [
        till.browser.put("/api/v1/points-shop/TEN", json=form, headers=headers) for _ in range(2)
    ]
    unknown = till.browser.put(
        "/api/v1/points-shop/TEN", json=form | {"plan_code": "none"}, headers=headers
    )

    assert first.json() == again.json()
    assert first.json() == form | {
        "code": "TEN",
        "sold": 0,
        "per_member_limit": None,
        "is_active": True,
    }
    assert refused(unknown) == (404, "plan_unknown", "plan_code")


def test_a_plan_is_limited_to_shops_and_freed_again(till: Till) -> None:
    headers = {"Authorization": f"Bearer {till.key}"}
    path = f"/api/v1/coupon-plans/{till.plan.code}/shops"
    with till.database.transaction() as session:
        a_shop(session, code="S2")

    till.browser.put(path, json={"shop_codes": ["S2"]}, headers=headers)
    there = refused(till.take_coupon())
    till.browser.put(path, json={"shop_codes": []}, headers=headers)

    assert there == (403, "coupon_elsewhere", "shop_code")
    assert till.take_coupon().status_code == 200


def test_money_goes_back_for_an_order_of_somebody_who_was_erased_since(till: Till) -> None:
    till.take_coupon()
    till.take_points()
    with till.database.transaction() as session:
        order = till.order(session, coupon_code=till.coupon.code).order
    till.erase()

    with till.database.transaction() as session:
        till.refund(session, 4_000)
        till.refund(session, 6_000, "R2")

    with till.database.transaction() as session:
        assert session.get_one(orders.Order, order.id).refunded_fen == 10_000
        assert all(row.undone_at for row in session.exec(select(Redemption)))


def test_sale_to_somebody_who_was_erased_since_can_be_cancelled(till: Till) -> None:
    coupon, spent = till.take_coupon(), till.take_points()
    till.erase()

    answers = [till.undo(coupon), till.undo(spent)]

    assert [answer.json().get("status") for answer in answers] == ["undone"] * 2
    assert (till.state(), till.count(PointsEntry)) == (CouponState.REDEEMED, 2)


def test_order_for_which_nothing_was_paid_can_be_cancelled_for_no_refund_could(till: Till) -> None:
    coupon, spent = till.take_coupon(), till.take_points()
    with till.database.transaction() as session:
        till.order(session, amount_fen=0, coupon_code=till.coupon.code)

    answers = [till.undo(coupon), till.undo(spent)]

    assert [answer.json().get("status") for answer in answers] == ["undone"] * 2
    assert (till.state(), till.balance()) == (CouponState.AVAILABLE, 1000)
    assert till.take_coupon("anew", reference="A2").status_code == 200


def test_coupon_of_an_order_without_a_till_is_taken_back_under_the_orders_number(
    till: Till,
) -> None:
    with till.database.transaction() as session:
        till.order(session, amount_fen=0, coupon_code=till.coupon.code)

    found = till.take_coupon(amount_fen=1000)
    answer = till.undo(found)

    assert (found.status_code, answer.json()["status"]) == (200, "undone")
    assert till.state() is CouponState.AVAILABLE
    assert till.take_coupon("anew", reference="A2").status_code == 200


def test_coupon_of_somebody_who_was_erased_is_unknown_and_names_nobody(till: Till) -> None:
    till.erase()

    answer = till.take_coupon()

    assert refused(answer)[:2] == (404, "coupon_not_found")
    assert "member" not in answer.text
