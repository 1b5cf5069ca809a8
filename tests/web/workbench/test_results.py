"""What a guide's care has earned."""

import re

from sqlmodel import select

from store.attributions import Commission, CommissionEntry, EntryReason
from store.campaigns import TaskState
from store.orders import Order
from tests.queries import counted
from tests.web.scene import Scene, a_member, a_sale, a_task


def test_results_show_the_order_with_its_commission(scene: Scene) -> None:
    task = a_task(scene, a_member(scene, "赵敏"), state=TaskState.CONVERTED)
    a_sale(scene, task, amount_fen=88_60)

    page = scene.guide().get("/guide/results").text

    assert "赵敏" in page
    assert "¥88.60" in page
    assert "待确认 ¥4.43" in page


def test_results_show_nothing_of_another_guide(scene: Scene) -> None:
    member = a_member(scene, "赵敏")
    a_sale(scene, a_task(scene, member, guide=scene.sun, state=TaskState.CONVERTED))

    page = scene.guide().get("/guide/results").text

    assert "赵敏" not in page
    assert "还没有成交" in page


def test_results_go_on_after_fifty_without_losing_or_repeating(scene: Scene) -> None:
    task = a_task(scene, state=TaskState.CONVERTED)
    for number in range(52):
        a_sale(scene, task, amount_fen=1000_00 + number)
    browser = scene.guide()

    first = browser.get("/guide/results").text
    following = re.search(r'href="(/guide/results\?after=[^"]+)"', first)
    assert following is not None
    second = browser.get(following[1]).text

    amounts = [
        re.findall(r'<span class="money">¥1,000\.(\d\d)<br>', page) for page in (first, second)
    ]
    assert [len(page) for page in amounts] == [50, 2]
    assert len({*amounts[0], *amounts[1]}) == 52


def test_results_ask_as_many_queries_for_three_orders_as_for_one(scene: Scene) -> None:
    task = a_task(scene, state=TaskState.CONVERTED)
    browser = scene.guide()
    a_sale(scene, task)
    with counted(scene.database.engine) as one:
        browser.get("/guide/results")
    for _ in range(2):
        a_sale(scene, task)
    with counted(scene.database.engine) as three:
        browser.get("/guide/results")

    assert len(three) == len(one)


def test_a_shared_commission_is_one_line_for_each_with_the_own_share(scene: Scene) -> None:
    task = a_task(scene, a_member(scene, "赵敏"), state=TaskState.CONVERTED)
    credit = a_sale(scene, task, amount_fen=88_60)
    with scene.database.transaction() as session:
        share = Commission(
            attribution_id=credit.id,
            guide_id=scene.sun.id,
            amount_fen=1_11,
            confirms_at=scene.now,
            created_at=scene.now,
        )
        session.add(share)

    pages = [scene.guide(who).get("/guide/results").text for who in (scene.wang, scene.sun)]

    assert [page.count("¥88.60<br>") for page in pages] == [1, 1]
    assert ["¥4.43" in page for page in pages] == [True, False]
    assert ["¥1.11" in page for page in pages] == [False, True]


def test_step_without_anybody_says_what_to_do(scene: Scene) -> None:
    page = scene.guide().get("/guide/results/steps/opened").text

    assert "打开清单的顾客" in page
    assert "还没有顾客打开清单，发出以后再来看看" in page


def test_step_names_the_customers_and_how_they_were_reached(scene: Scene) -> None:
    task = a_task(scene, a_member(scene, "赵敏"), state=TaskState.CONVERTED)
    a_sale(scene, task)

    page = scene.guide().get("/guide/results/steps/bought").text

    assert '<b class="name">赵敏</b>' in page
    assert "<i>企业微信</i>" in page


def test_what_was_earned_on_a_message_that_did_not_arrive_is_shown_as_taken_back(
    scene: Scene,
) -> None:
    credit = a_sale(scene, a_task(scene, state=TaskState.FAILED))
    with scene.database.transaction() as session:
        commission = session.exec(select(Commission)).one()
        for fen, reason in ((4_43, EntryReason.EARNED), (-4_43, EntryReason.PROVEN)):
            entry = CommissionEntry(
                commission_id=commission.id,
                amount_fen=fen,
                reason=reason,
                source_id=reason.value,
                created_at=scene.now,
            )
            session.add(entry)
        order = session.get_one(Order, credit.order_id)

    page = scene.guide().get(f"/guide/results/sale?order=test~{order.external_id}").text

    assert "没有送到，扣回" in page
    assert "送达得到证实" not in page
