"""The REST API: a key opens it, every item is answered by itself, nothing is half-written."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import httpx
import pytest
from redis import Redis
from sqlalchemy import func
from sqlmodel import select

from store import api_keys
from store.coupons import Coupon, CouponState
from store.db import Database
from store.jobs import Job
from store.members import Member
from store.orders import Order, OrderLine, Refund
from store.points import PointsEntry
from store.products import Product
from store.settings import Settings
from tests.builders import a_coupon, a_guide, a_member, a_plan, a_product, a_shop
from tests.web.browser import Browser
from tests.web.scene import HOST, parts_of
from web.app import create_app

ORDERS, REFUNDS = "/api/v1/orders", "/api/v1/refunds"
PROBLEM = "application/problem+json"


class Till:
    """An outside system with its key, in front of a shop with one product and one member."""

    def __init__(self, browser: Browser, database: Database, now: datetime) -> None:
        self.browser, self.database, self.now = browser, database, now
        with database.transaction() as session:
            self.shop = a_shop(session, code="S1")
            self.tea = a_product(session, external_id="TEA")
            self.li = a_member(session, external_id="li", mobile="17100000001")
            self.key = api_keys.issue(session, "till", now=now)

    def post(self, path: str, body: Any, **headers: str) -> httpx.Response:
        """Send a body with the key, unless other headers are given."""
        usual = {"Authorization": f"Bearer {self.key}"}
        return self.browser.post(path, json=body, headers=headers or usual)

    def order(self, external_id: str = "A1", **facts: Any) -> dict[str, Any]:
        """One tea for a hundred yuan, bought by Li."""
        line = {"product_external_id": "TEA", "quantity": 1, "amount_fen": 10_000}
        usual = {
            "external_id": external_id,
            "paid_at": self.now.isoformat(),
            "shop_code": "S1",
            "member": {"external_id": "li"},
            "lines": [line],
        }
        return usual | facts

    def items(self, path: str, *items: dict[str, Any]) -> list[dict[str, Any]]:
        """The answers to a batch that was taken in."""
        answer = self.post(path, {path.rsplit("/", 1)[-1]: list(items)})
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["items"]
        return found

    def count(self, table: Any) -> int:
        """Rows of a table."""
        with self.database.transaction() as session:
            return session.exec(select(func.count()).select_from(table)).one()


@pytest.fixture
def nudges() -> list[tuple[Job, int]]:
    """What commits handed over."""
    return []


@pytest.fixture
def till(
    settings: Settings,
    fresh_database: Database,
    redis: Redis,
    now: datetime,
    nudges: list[tuple[Job, int]],
) -> Till:
    """The app behind a till."""
    database = Database(fresh_database.engine, nudges.append)
    app = create_app(parts_of(settings, database, redis, now))
    return Till(Browser(app, HOST), database, now)


@pytest.mark.parametrize(
    "headers",
    [
        {"X-None": "1"},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Basic eDp5"},
        {"Authorization": "Bearer "},
    ],
)
@pytest.mark.parametrize("path", [ORDERS, REFUNDS])
def test_without_a_valid_key_nothing_opens(till: Till, path: str, headers: dict[str, str]) -> None:
    answer = till.post(path, {"orders": [till.order()]}, **headers)

    assert (answer.status_code, answer.headers["content-type"]) == (401, PROBLEM)
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json() == {
        "type": "about:blank",
        "status": 401,
        "code": "unauthorized",
        "detail": "Send a valid key in the header `Authorization: Bearer …`.",
    }
    assert till.count(Order) == 0


def test_a_replaced_key_no_longer_opens(till: Till) -> None:
    old = till.key
    with till.database.transaction() as session:
        api_keys.issue(session, "till", now=till.now)

    answer = till.post(ORDERS, {"orders": [till.order()]}, Authorization=f"Bearer {old}")

    assert answer.status_code == 401


def test_an_order_is_created_with_all_that_follows(
    till: Till, nudges: list[tuple[Job, int]]
) -> None:
    (item,) = till.items(ORDERS, till.order())

    assert item == {
        "index": 0,
        "external_id": "A1",
        "status": "created",
        "code": None,
        "field": None,
        "detail": None,
    }
    with till.database.transaction() as session:
        order = session.exec(select(Order)).one()
        entry = session.exec(select(PointsEntry)).one()
    assert (order.source, order.member_id, order.amount_fen) == ("till", till.li.id, 10_000)
    assert order.is_attribution_due
    assert (entry.member_id, entry.points) == (till.li.id, 100)
    assert nudges == [(Job.ATTRIBUTE_ORDER, order.id)]


def test_a_repeat_is_known_and_changes_nothing(till: Till) -> None:
    till.items(ORDERS, till.order())

    (again,) = till.items(ORDERS, till.order())
    (in_one_batch, twin) = till.items(ORDERS, till.order("A2"), till.order("A2"))

    assert (again["status"], in_one_batch["status"], twin["status"]) == (
        "known",
        "created",
        "known",
    )
    assert (till.count(Order), till.count(OrderLine), till.count(PointsEntry)) == (2, 2, 2)


def test_two_systems_may_use_the_same_number(till: Till) -> None:
    till.items(ORDERS, till.order())
    with till.database.transaction() as session:
        till.key = api_keys.issue(session, "shop", now=till.now)

    (item,) = till.items(ORDERS, till.order())

    assert item["status"] == "created"


_LINE = {"product_external_id": "TEA", "quantity": 1, "amount_fen": 1}


@pytest.mark.parametrize(
    ("facts", "code", "field"),
    [
        ({"member": {"external_id": "nobody"}}, "member_not_found", "member"),
        ({"member": {"mobile": "17199999999"}}, "member_not_found", "member"),
        ({"shop_code": "S9"}, "shop_unknown", "shop_code"),
        ({"guide_userid": "nobody"}, "guide_unknown", "guide_userid"),
        (
            {"lines": [_LINE, _LINE | {"product_external_id": "X"}]},
            "product_unknown",
            "lines[1].product_external_id",
        ),
        ({"coupon_code": "NOCOUPON"}, "coupon_not_found", "coupon_code"),
        ({"paid_at": "2030-01-01T00:00:00Z"}, "paid_in_future", "paid_at"),
        ({"paid_at": "2026-03-01T12:00:00"}, "invalid_input", "paid_at"),
        ({"paid_at": "yesterday"}, "invalid_input", "paid_at"),
        ({"paid_at": "0001-01-01T00:00:00+08:00"}, "invalid_input", "paid_at"),
        ({"lines": []}, "invalid_input", "lines"),
        ({"lines": [_LINE | {"amount_fen": -1}]}, "invalid_input", "lines.0.amount_fen"),
        ({"lines": [_LINE | {"amount_fen": 10**10}, _LINE]}, "invalid_input", "lines"),
        ({"lines": [_LINE | {"amount_fen": 10**30}]}, "invalid_input", "lines.0.amount_fen"),
        ({"lines": [_LINE | {"amount_fen": 0.5}]}, "invalid_input", "lines.0.amount_fen"),
        ({"member": {"mobile": "123"}}, "invalid_input", "member.mobile"),
        ({"member": {}}, "invalid_input", "member"),
        ({"external_id": ""}, "invalid_input", "external_id"),
        ({"external_id": "a\u0000b"}, "invalid_input", "external_id"),
        ({"colour": "red"}, "invalid_input", "colour"),
    ],
)
def test_a_bad_item_is_refused_by_itself_with_field_and_sentence(
    till: Till, facts: dict[str, Any], code: str, field: str
) -> None:
    first, bad, last = till.items(
        ORDERS, till.order("A1"), till.order("BAD") | facts, till.order("A3")
    )

    assert (first["status"], bad["status"], last["status"]) == ("created", "refused", "created")
    assert (bad["index"], bad["code"], bad["field"]) == (1, code, field)
    assert bad["detail"]
    assert (till.count(Order), till.count(OrderLine)) == (2, 2)


def test_a_refusal_shows_no_mobile(till: Till) -> None:
    wrong, strange = till.items(
        ORDERS,
        till.order() | {"member": {"mobile": "1719999999"}},
        till.order() | {"member": {"mobile": "17199999999"}},
    )

    assert "1719999999" not in f"{wrong['detail']}{strange['detail']}"


def test_a_refused_order_takes_back_all_it_had_written(till: Till) -> None:
    """The product and the order were written before the coupon turned out to be another's."""
    with till.database.transaction() as session:
        coupon = a_coupon(session, a_member(session), now=till.now)
    new = {"product_external_id": "NEW", "quantity": 1, "amount_fen": 1, "name": "新茶"}

    (item,) = till.items(ORDERS, till.order(lines=[new], coupon_code=coupon.code))

    assert (item["status"], item["code"], item["field"]) == (
        "refused",
        "coupon_of_another",
        "coupon_code",
    )
    assert (till.count(Order), till.count(PointsEntry), till.count(Product)) == (0, 0, 1)


def test_a_changed_repeat_is_refused(till: Till) -> None:
    till.items(ORDERS, till.order())

    (item,) = till.items(ORDERS, till.order(lines=[_LINE]))

    assert (item["status"], item["code"], item["field"]) == ("refused", "order_changed", "lines")


def test_an_order_may_use_a_coupon_and_name_a_guide(till: Till) -> None:
    with till.database.transaction() as session:
        coupon = a_coupon(session, session.get_one(Member, till.li.id), now=till.now)
        guide = a_guide(session)

    facts = {"coupon_code": coupon.code, "guide_userid": guide.userid}
    (item,) = till.items(ORDERS, till.order(**facts))

    assert item["status"] == "created"
    with till.database.transaction() as session:
        assert session.get_one(Coupon, coupon.id).state is CouponState.REDEEMED
        assert session.exec(select(Order)).one().guide_id == guide.id


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body.orders"),
        ({"orders": []}, "body.orders"),
        ({"orders": [{}] * 501}, "body.orders"),
        ({"orders": [3]}, "body.orders.0"),
        ({"orders": "many"}, "body.orders"),
        (None, "body"),
    ],
)
def test_a_batch_that_is_none_is_a_problem_with_its_field(
    till: Till, body: Any, field: str
) -> None:
    answer = till.post(ORDERS, body)

    found = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (422, PROBLEM)
    assert (found["type"], found["status"]) == ("about:blank", 422)
    assert (found["code"], found["field"]) == ("invalid_input", field)
    assert found["detail"].startswith(f"{field}: ")


def test_five_hundred_items_are_answered_in_their_order(till: Till) -> None:
    orders = [till.order(f"A{n}", lines=[_LINE]) for n in range(499)]

    items = till.items(ORDERS, *orders, {"external_id": "BAD"})

    assert [item["external_id"] for item in items] == [*(f"A{n}" for n in range(499)), "BAD"]
    assert [item["status"] for item in items] == ["created"] * 499 + ["refused"]
    assert till.count(Order) == 499


def test_a_refund_is_accepted_once(till: Till, nudges: list[tuple[Job, int]]) -> None:
    till.items(ORDERS, till.order())
    form = a_refund(till, amount_fen=4_000)
    nudges.clear()

    (first,) = till.items(REFUNDS, form)
    (again,) = till.items(REFUNDS, form)

    assert (first["status"], again["status"]) == ("accepted", "accepted")
    with till.database.transaction() as session:
        order = session.exec(select(Order)).one()
    assert (order.refunded_fen, till.count(Refund)) == (4_000, 1)
    assert nudges == [(Job.ATTRIBUTE_ORDER, order.id)]


def a_refund(till: Till, **facts: Any) -> dict[str, Any]:
    """Forty yuan of the order A1."""
    return {
        "external_id": "R1",
        "order_external_id": "A1",
        "amount_fen": 4_000,
        "refunded_at": till.now.isoformat(),
    } | facts


@pytest.mark.parametrize(
    ("facts", "code", "field"),
    [
        ({"order_external_id": "A9"}, "order_not_found", "order_external_id"),
        ({"amount_fen": 10_001}, "refund_too_large", "amount_fen"),
        ({"amount_fen": 0}, "invalid_input", "amount_fen"),
    ],
)
def test_a_bad_refund_is_refused_with_field_and_sentence(
    till: Till, facts: dict[str, Any], code: str, field: str
) -> None:
    till.items(ORDERS, till.order())

    (item,) = till.items(REFUNDS, a_refund(till, **facts))

    assert (item["status"], item["code"], item["field"]) == ("refused", code, field)
    assert till.count(Refund) == 0


def test_a_refund_of_another_systems_order_is_not_found(till: Till) -> None:
    till.items(ORDERS, till.order())
    with till.database.transaction() as session:
        till.key = api_keys.issue(session, "shop", now=till.now)

    (item,) = till.items(REFUNDS, a_refund(till))

    assert item["code"] == "order_not_found"


def test_what_is_not_there_is_a_problem_too(till: Till) -> None:
    answer = till.browser.get("/api/v1/nothing")

    assert (answer.status_code, answer.headers["content-type"]) == (404, PROBLEM)
    assert answer.json()["code"] == "not_found"


def test_the_documentation_renders_and_names_both_doors(till: Till) -> None:
    page = till.browser.get("/api/docs")
    schema = till.browser.get("/api/openapi.json").json()

    assert page.status_code == 200
    assert "/api/openapi.json" in page.text
    assert {ORDERS, REFUNDS} <= schema["paths"].keys()
    assert schema["paths"][ORDERS]["post"]["security"] == [{"HTTPBearer": []}]


@pytest.mark.race
def test_two_batches_in_opposite_order_do_not_wait_for_each_other_for_ever(till: Till) -> None:
    with till.database.transaction() as session:
        for n in range(20):
            a_member(session, external_id=f"m{n}")
    orders = [
        [till.order(f"{side}{n}", member={"external_id": f"m{n}"}) for n in range(20)]
        for side in "AB"
    ]
    batches = [orders[0], orders[1][::-1]]

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda batch: till.items(ORDERS, *batch), batches))

    assert {item["status"] for items in answers for item in items} == {"created"}


@pytest.mark.race
def test_two_batches_with_coupons_of_each_others_buyers_do_not_wait_for_each_other_for_ever(
    till: Till,
) -> None:
    """Orders of nobody, paid with the coupon of a member whom the other batch has locked."""
    keys = ["one", "two"]
    with till.database.transaction() as session:
        members = [a_member(session, external_id=key) for key in keys]
        plan = a_plan(session)
        codes = [
            [a_coupon(session, member, plan=plan, now=till.now).code for _ in range(20)]
            for member in members
        ]
    batches = [
        [till.order(f"{key}-buys", member={"external_id": key})]
        + [till.order(f"{key}-{code}", member=None, coupon_code=code) for code in others]
        for key, others in zip(keys, codes[::-1], strict=True)
    ]

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda batch: till.items(ORDERS, *batch), batches))

    assert {item["status"] for items in answers for item in items} == {"created"}
