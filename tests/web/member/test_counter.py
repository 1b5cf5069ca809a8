"""Points, the points shop and orders, as a member sees them on a phone."""

import re
from datetime import timedelta
from typing import Any

import httpx
import pytest

from store import gifts, orders, points, points_shop
from store.coupons import Coupon, CouponPlan
from store.members import Identity, Member
from store.orders import RefundForm
from store.points_shop import ShopItem
from tests.builders import a_plan, an_item, an_order, an_order_form
from tests.queries import counted
from tests.web.browser import Browser
from tests.web.scene import Scene, a_member, an_identity

SHOP = "/m/points/shop"
TOKEN = "a-token-of-a-form"


@pytest.fixture
def li(scene: Scene) -> Member:
    """A member with a thousand points."""
    member = a_member(scene, "李雨桐")
    give(scene, member, 1000)
    return member


@pytest.fixture
def phone(scene: Scene, li: Member) -> Browser:
    """Li's phone."""
    return scene.phone(an_identity(scene, li))


@pytest.fixture
def item(scene: Scene) -> ShopItem:
    """Ten yuan for three hundred points, two of them."""
    with scene.database.transaction() as session:
        return an_item(session, cost=300, stock=2, plan=a_plan(session, name="满减十元"))


def give(scene: Scene, member: Member, number: int, *, days: int = 365, ago: int = 0) -> None:
    with scene.database.transaction() as session:
        points.earn(
            session,
            member.id,
            number,
            reason="test",
            source_id=f"{member.id} {number} {days} {ago}",
            expires_at=scene.now + timedelta(days=days),
            now=scene.now - timedelta(days=ago),
        )


def balance(scene: Scene, member: Member) -> int:
    with scene.database.transaction() as session:
        return points.balance(session, member.id)


def token_on(answer: httpx.Response) -> str:
    found = re.search(r'name="token" value="([^"]+)"', answer.text)
    assert found
    return found[1]


def buy(scene: Scene, member: Member, number: int) -> None:
    with scene.database.transaction() as session:
        for n in range(number):
            form = an_order_form(session, member, paid_at=scene.now - timedelta(days=n))
            orders.place(session, form, source="till", now=scene.now)


def test_points_say_what_ends_on_which_day(scene: Scene, li: Member, phone: Browser) -> None:
    give(scene, li, 200, days=30)
    give(scene, li, 50, days=30, ago=1)

    page = phone.get("/m/points").text

    assert "1,250" in page
    ends = re.findall(r"<span>(\d+年\d+月\d+日)</span><span class=\"num\">([\d,]+) 分", page)
    assert ends == [("2026年3月31日", "250"), ("2027年3月1日", "1,000")]


def test_points_show_a_debt_and_what_is_to_come(scene: Scene) -> None:
    zhao = a_member(scene, "赵敏")
    with scene.database.transaction() as session:
        source: dict[str, Any] = {"reason": "test", "now": scene.now}
        earned = points.earn(session, zhao.id, 100, source_id="z1", **source)
        points.spend(session, zhao.id, 100, source_id="z2", **source)
        points.reverse(session, earned.id, 70, source_id="z3", **source)

    page = scene.phone(an_identity(scene, zhao)).get("/m/points").text

    assert "退货扣回的 70 分" in page
    assert 'class="figure">0<' in page


def test_movements_are_paged_and_none_is_lost(scene: Scene, li: Member, phone: Browser) -> None:
    for number in range(1, 25):
        give(scene, li, number)

    pages = [phone.get(f"/m/points?page={number}").text for number in (1, 2)]

    seen = [re.findall(r'<span class="num plus">([+\d,]+)</span>', page) for page in pages]
    assert [len(found) for found in seen] == [20, 5]
    assert seen[1][-1] == "+1,000"
    assert len({move for found in seen for move in found}) == 25
    assert ('rel="next"' in pages[0], 'rel="next"' in pages[1]) == (True, False)


@pytest.mark.parametrize("number", ["0", "-1", "x", "99999999999"])
def test_a_page_that_cannot_be_is_no_fault_of_ours(phone: Browser, number: str) -> None:
    assert phone.get(f"/m/points?page={number}").status_code == 422


@pytest.mark.parametrize("place", ["/m/points", SHOP, "/m/orders", "/m/points/had/some-token"])
def test_stranger_is_sent_to_log_in(scene: Scene, place: str) -> None:
    answer = scene.browser().get(place)

    assert answer.status_code == 303
    assert "/oauth/connect/oauth2/authorize" in answer.headers["location"]


@pytest.mark.parametrize("place", ["/m/points", SHOP, "/m/orders", "/m/card"])
def test_who_has_nothing_finds_a_calm_page(scene: Scene, place: str) -> None:
    visitor = Member(brand_id=scene.brand.id, created_at=scene.now)
    scene.add(visitor)

    assert scene.phone(an_identity(scene, visitor)).get(place).status_code == 200


def test_shop_asks_before_it_takes_points(
    scene: Scene, li: Member, phone: Browser, item: ShopItem
) -> None:
    shelf = phone.get(SHOP).text
    question = phone.get(f"{SHOP}/{item.code}").text

    assert "满减十元" in shelf
    assert "仅剩 2 份" in shelf
    assert "确认兑换" in question
    assert "700 积分" in question
    assert balance(scene, li) == 1000


def test_a_tap_brings_the_coupon(scene: Scene, li: Member, phone: Browser, item: ShopItem) -> None:
    token = token_on(phone.get(f"{SHOP}/{item.code}"))

    page = phone.follow(phone.post(f"{SHOP}/{item.code}", data={"token": token})).text

    assert "兑换成功" in page
    assert "还剩 700 积分" in page
    assert balance(scene, li) == 700


def test_the_same_form_sent_twice_is_one_redemption(
    scene: Scene, li: Member, phone: Browser, item: ShopItem
) -> None:
    answers = [phone.post(f"{SHOP}/{item.code}", data={"token": TOKEN}) for _ in range(2)]

    assert {answer.headers["location"] for answer in answers} == {f"/m/points/had/{TOKEN}"}
    assert balance(scene, li) == 700


def test_who_has_too_few_points_reads_how_many_are_missing(scene: Scene, phone: Browser) -> None:
    with scene.database.transaction() as session:
        code = an_item(session, cost=1200).code

    page = phone.get(f"{SHOP}/{code}").text
    answer = phone.post(f"{SHOP}/{code}", data={"token": TOKEN})

    assert "还差 200 积分" in page
    assert "确认兑换" not in page
    assert answer.status_code == 409
    assert "积分不够哦，现在可用 1000 分。" in answer.text


def test_who_comes_late_keeps_the_points(
    scene: Scene, li: Member, phone: Browser, item: ShopItem
) -> None:
    token = token_on(phone.get(f"{SHOP}/{item.code}"))
    with scene.database.transaction() as session:
        points_shop.offer(session, item.code, item.plan_id, cost=300, stock=0)

    answer = phone.post(f"{SHOP}/{item.code}", data={"token": token})

    assert answer.status_code == 409
    assert "刚刚兑完了，您的积分没有动" in answer.text
    assert balance(scene, li) == 1000


def test_an_item_that_is_gone_is_not_there(phone: Browser) -> None:
    answer = phone.get(f"{SHOP}/unknown")

    assert answer.status_code == 404
    assert "可能已经下架了" in answer.text


@pytest.mark.parametrize("token", ["", "short", "x" * 65, "<script>alert(1)</script>"])
def test_a_form_with_a_made_up_token_takes_nothing(
    scene: Scene, li: Member, phone: Browser, item: ShopItem, token: str
) -> None:
    assert phone.post(f"{SHOP}/{item.code}", data={"token": token}).status_code == 422
    assert balance(scene, li) == 1000


def test_a_post_of_another_site_takes_nothing(
    scene: Scene, li: Member, phone: Browser, item: ShopItem
) -> None:
    answer = phone.post(
        f"{SHOP}/{item.code}", data={"token": TOKEN}, headers={"Origin": "https://evil.test"}
    )

    assert answer.status_code == 403
    assert balance(scene, li) == 1000


def test_what_was_had_is_shown_to_who_had_it_and_only_while_it_is_theirs(
    scene: Scene, li: Member, phone: Browser, item: ShopItem
) -> None:
    phone.post(f"{SHOP}/{item.code}", data={"token": TOKEN})
    zhao: Identity = an_identity(scene, a_member(scene, "赵敏"))
    with scene.database.transaction() as session:
        coupon = points_shop.of_token(session, TOKEN, li.id)
        assert isinstance(coupon, Coupon)
        gifts.offer(session, coupon.id, li.id, now=scene.now)

    mine = phone.get(f"/m/points/had/{TOKEN}")

    assert "去用券" not in mine.text
    assert scene.phone(zhao).get(f"/m/points/had/{TOKEN}").status_code == 404


def test_orders_show_lines_refunds_and_the_points_they_gave(
    scene: Scene, li: Member, phone: Browser
) -> None:
    with scene.database.transaction() as session:
        placed = an_order(session, li, now=scene.now, amount_fen=10_000)
        form = RefundForm(
            external_id="R1",
            order_external_id=placed.order.external_id,
            amount_fen=2_500,
            refunded_at=scene.now,
        )
        orders.refund(session, form, source=placed.order.source, now=scene.now)

    page = phone.get("/m/orders").text

    for words in ("茉莉花茶", "¥100.00", "退款 ¥25.00", "实付 <b>¥75.00", "获得 75 积分"):
        assert words in page


def test_orders_are_the_own_ones_and_paged(scene: Scene, li: Member, phone: Browser) -> None:
    buy(scene, li, 11)
    buy(scene, a_member(scene, "赵敏"), 1)

    counts = [phone.get(f"/m/orders?page={n}").text.count('class="order"') for n in (1, 2)]

    assert counts == [10, 1]


@pytest.mark.parametrize("place", [SHOP, "/m/orders", "/m/points"])
def test_a_list_asks_as_many_queries_for_three_rows_as_for_one(
    scene: Scene, li: Member, place: str
) -> None:
    def fill(member: Member, number: int) -> None:
        buy(scene, member, number)
        with scene.database.transaction() as session:
            for _ in range(number):
                an_item(session)

    def asked(member: Member) -> int:
        browser = scene.phone(an_identity(scene, member))
        with counted(scene.database.engine) as queries:
            browser.get(place)
        return len(queries)

    fill(li, 1)
    one = asked(li)
    fill(li, 2)

    assert asked(li) == one


def test_plan_that_is_closed_leaves_the_shelf(scene: Scene, phone: Browser, item: ShopItem) -> None:
    with scene.database.transaction() as session:
        session.get_one(CouponPlan, item.plan_id).is_active = False

    assert "现在没有可以兑换的东西" in phone.get(SHOP).text


def test_every_tab_and_every_way_from_the_own_page_leads_somewhere(
    phone: Browser, scene: Scene
) -> None:
    visitor = Member(brand_id=scene.brand.id, created_at=scene.now)
    scene.add(visitor)
    stranger = scene.phone(an_identity(scene, visitor))

    mine, theirs = phone.get("/m/me").text, stranger.get("/m/me").text

    ways = set(re.findall(r'href="(/m/[a-z/]+)"', mine))
    assert len(ways) == 10
    assert {way: phone.get(way).status_code for way in ways} == dict.fromkeys(ways, 200)
    assert "李雨桐" in mine
    assert 'href="/m/bind"' in theirs
