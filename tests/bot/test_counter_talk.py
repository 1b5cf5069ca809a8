"""Points, the points shop and orders in the chat, through the real door."""

from datetime import timedelta

from sqlmodel import Session

from store import orders, points
from store.members import Member
from store.orders import RefundForm
from tests.bot.conftest import Phone
from tests.builders import a_plan, an_item, an_order_form


def _buy(session: Session, li: Phone, number: int) -> None:
    """A purchase so many days ago, of as many hundred yuan."""
    member = session.get_one(Member, li.member_id)
    paid_at = li.now - timedelta(days=number)
    form = an_order_form(
        session, member, external_id=f"A{number}", amount_fen=number * 10_000, paid_at=paid_at
    )
    orders.place(session, form, source="till", now=li.now)


def test_orders_are_the_last_three_with_a_way_to_all(li: Phone) -> None:
    li.say("你好")
    with li.desk.database.transaction() as session:
        for number in (4, 1, 3, 2):
            _buy(session, li, number)
        form = RefundForm(
            external_id="R1", order_external_id="A2", amount_fen=5_000, refunded_at=li.now
        )
        orders.refund(session, form, source="till", now=li.now)

    reply = li.say("我的订单")

    lines = [line for line in reply.splitlines() if line.startswith("·")]
    assert ["100 元" in lines[0], "150 元（已退 50 元），得 150 积分" in lines[1]] == [True, True]
    assert ["300 元" in lines[2], len(lines)] == [True, 3]
    assert reply.endswith("https://x.example/m/orders")


def test_somebody_without_orders_is_told_how_to_have_some(li: Phone) -> None:
    assert "还没有您的订单" in li.say("订单")


def test_points_shop_shows_what_can_be_had_and_takes_nothing(li: Phone) -> None:
    li.say("你好")
    with li.desk.database.transaction() as session:
        points.earn(session, li.member_id, 900, reason="test", source_id="1", now=li.now)
        for number in range(1, 7):
            plan = a_plan(session, name=f"礼品{number}")
            an_item(session, plan=plan, cost=number * 100, stock=0 if number == 1 else None)

    reply = li.say("积分商城")

    assert "您有 900 积分可以用" in reply
    assert "礼品1" not in reply
    assert "· 礼品2，200 积分" in reply
    assert "还有 1 样" in reply
    assert reply.endswith("https://x.example/m/points/shop")
    with li.desk.database.transaction() as session:
        assert points.balance(session, li.member_id) == 900


def test_empty_points_shop_keeps_the_points(li: Phone) -> None:
    assert "您的 0 积分先留着" in li.do("CLICK", key="points_shop")


def test_points_lead_to_the_page(li: Phone) -> None:
    li.say("你好")
    with li.desk.database.transaction() as session:
        points.earn(session, li.member_id, 900, reason="test", source_id="1", now=li.now)

    assert li.say("积分").endswith("https://x.example/m/points")
