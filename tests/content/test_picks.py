"""Picks: what a member buys again, then what sells in the favourites, never twice, never dead."""

from datetime import datetime, timedelta

from sqlmodel import Session

from content import picks
from content.picks import PICKS_PER_MEMBER
from store import orders
from store.members import Member
from store.orders import LineForm, RefundForm
from store.products import Product
from tests.builders import SOURCE, a_member, a_product, an_order, number


def goods(session: Session, *names: str, category: str = "茶叶") -> list[Product]:
    return [a_product(session, name=name, category=category) for name in names]


def sell(session: Session, product: Product, times: int, *, now: datetime) -> None:
    """Strangers buy it so many times."""
    for _ in range(times):
        an_order(session, None, product=product, now=now)


def buy(session: Session, member: Member, product: Product, *, now: datetime) -> None:
    an_order(session, member, product=product, now=now)


def names_for(session: Session, member: Member, *favourites: str, now: datetime) -> list[str]:
    best = picks.best_sellers(session, now=now)
    return [
        pick.name for pick in picks.picks_for(session, {member.id: favourites}, best)[member.id]
    ]


def test_what_is_bought_again_comes_before_best_sellers(session: Session, now: datetime) -> None:
    own, often, best, second = goods(session, "own", "often", "best", "second")
    li = a_member(session)
    for product, times in ((own, 2), (often, 3)):
        for _ in range(times):
            buy(session, li, product, now=now)
    sell(session, best, 9, now=now)
    sell(session, second, 8, now=now)

    found = names_for(session, li, "茶叶", now=now)

    assert found == ["often", "own", "best", "second"]


def test_best_sellers_of_the_favourites_take_turns(session: Session, now: datetime) -> None:
    tea = goods(session, "t1", "t2", "t3")
    milk = goods(session, "m1", "m2", category="牛奶")
    for place, product in enumerate([*tea, *milk]):
        sell(session, product, 9 - place, now=now)

    found = names_for(session, a_member(session), "牛奶", "茶叶", now=now)

    assert found == ["m1", "t1", "m2", "t2"]


def test_nothing_is_picked_twice(session: Session, now: datetime) -> None:
    (own,) = goods(session, "own")
    li = a_member(session)
    for _ in range(5):
        buy(session, li, own, now=now)

    assert names_for(session, li, "茶叶", "茶叶", now=now) == ["own"]


def test_a_best_seller_that_the_member_knows_is_no_news(session: Session, now: datetime) -> None:
    known, fresh = goods(session, "known", "fresh")
    li = a_member(session)
    buy(session, li, known, now=now)
    sell(session, known, 9, now=now)
    sell(session, fresh, 1, now=now)

    assert names_for(session, li, "茶叶", now=now) == ["fresh"]


def test_a_best_seller_is_known_however_long_the_list_of_the_own(
    session: Session, now: datetime
) -> None:
    (again,) = goods(session, "again")
    known = goods(session, *(f"known{n}" for n in range(2 * PICKS_PER_MEMBER)))
    (fresh,) = goods(session, "fresh")
    li = a_member(session)
    for product in (again, again, *known):
        buy(session, li, product, now=now)
    sell(session, known[-1], 9, now=now)
    sell(session, fresh, 1, now=now)

    assert names_for(session, li, "茶叶", now=now) == ["again", "fresh"]


def test_two_lines_of_one_order_are_one_purchase(session: Session, now: datetime) -> None:
    once, best = goods(session, "once", "best")
    li = a_member(session)
    line = LineForm(product_external_id=once.external_id, quantity=1, amount_fen=1)
    an_order(session, li, product=once, lines=[line, line], now=now)
    sell(session, best, 1, now=now)

    assert names_for(session, li, "茶叶", now=now) == ["best"]


def test_what_was_given_back_says_nothing(session: Session, now: datetime) -> None:
    disliked, best = goods(session, "disliked", "best")
    li = a_member(session)
    for _ in range(2):
        order = an_order(session, li, product=disliked, now=now).order
        form = RefundForm(
            external_id=f"R{number()}",
            order_external_id=order.external_id,
            amount_fen=order.amount_fen,
            refunded_at=now,
        )
        orders.refund(session, form, source=SOURCE, now=now)
    sell(session, best, 1, now=now)

    assert names_for(session, li, "茶叶", now=now) == ["best"]


def test_a_product_off_the_shelf_is_never_picked(session: Session, now: datetime) -> None:
    gone, here = goods(session, "gone", "here")
    li = a_member(session)
    for _ in range(3):
        buy(session, li, gone, now=now)
    sell(session, gone, 5, now=now)
    sell(session, here, 1, now=now)
    gone.is_active = False
    session.flush()

    assert names_for(session, li, "茶叶", now=now) == ["here"]


def test_a_product_without_a_category_is_never_picked(session: Session, now: datetime) -> None:
    bag, tea = goods(session, "bag", category="")[0], goods(session, "tea")[0]
    li = a_member(session)
    for _ in range(3):
        buy(session, li, bag, now=now)
    sell(session, tea, 1, now=now)

    assert names_for(session, li, now=now) == ["tea"]


def test_who_never_bought_sees_what_sells_best_of_all(session: Session, now: datetime) -> None:
    tea, milk = goods(session, "tea")[0], goods(session, "milk", category="牛奶")[0]
    sell(session, tea, 1, now=now)
    sell(session, milk, 2, now=now)

    assert names_for(session, a_member(session), now=now) == ["milk", "tea"]


def test_best_sellers_are_those_of_the_last_quarter(session: Session, now: datetime) -> None:
    old, new = goods(session, "old", "new")
    sell(session, old, 5, now=now - timedelta(days=91))
    sell(session, new, 1, now=now - timedelta(days=89))

    assert names_for(session, a_member(session), "茶叶", now=now) == ["new"]


def test_no_more_than_a_handful_is_picked(session: Session, now: datetime) -> None:
    for product in goods(session, *"abcdef"):
        sell(session, product, 1, now=now)

    found = names_for(session, a_member(session), "茶叶", now=now)

    assert len(found) == PICKS_PER_MEMBER


def test_with_nothing_new_to_show_the_own_goods_are_shown(session: Session, now: datetime) -> None:
    (own,) = goods(session, "own")
    li = a_member(session)
    buy(session, li, own, now=now)

    assert names_for(session, li, "牛奶", now=now) == ["own"]


def test_an_empty_shop_has_no_picks(session: Session, now: datetime) -> None:
    assert names_for(session, a_member(session), "茶叶", now=now) == []
