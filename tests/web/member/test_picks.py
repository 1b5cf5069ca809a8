"""The product list of a task, open to whoever has its link."""

import re

from store.campaigns import TaskState
from tests.web.queries import counted
from tests.web.scene import Scene, a_member, a_product, a_task


def test_list_shows_the_chosen_goods_in_their_order(scene: Scene) -> None:
    milk, bread = a_product(scene, "鲜牛奶"), a_product(scene, "吐司", category="面包")
    task = a_task(scene, picks=[bread.id, milk.id], state=TaskState.SENT)

    page = scene.browser().get(f"/m/picks/{task.token}").text

    assert re.findall("<h2>([^<]+)</h2>", page) == ["吐司", "鲜牛奶"]
    assert "王芳" in page
    assert "城西店" in page


def test_list_says_nothing_about_the_member(scene: Scene) -> None:
    member = a_member(scene, "李雨桐")
    task = a_task(scene, member, picks=[a_product(scene).id], state=TaskState.SENT)

    page = scene.browser().get(f"/m/picks/{task.token}").text

    for secret in (str(member.mobile), str(member.mobile)[-4:], "积分", "李雨桐", member.card_no):
        assert secret not in page


def test_list_is_marked_as_opened_once_the_message_is_sent(scene: Scene) -> None:
    task = a_task(scene, state=TaskState.SENT)

    scene.browser().get(f"/m/picks/{task.token}")

    assert scene.fresh(task).picks_opened_at == scene.now


def test_list_that_a_guide_looks_at_before_sending_is_not_marked(scene: Scene) -> None:
    task = a_task(scene)

    scene.browser().get(f"/m/picks/{task.token}")

    assert scene.fresh(task).picks_opened_at is None


def test_list_of_an_unknown_token_is_not_there(scene: Scene) -> None:
    assert scene.browser().get("/m/picks/unknown").status_code == 404


def test_list_asks_as_many_queries_for_three_goods_as_for_one(scene: Scene) -> None:
    one_good = a_task(scene, picks=[a_product(scene).id], state=TaskState.SENT)
    goods = [a_product(scene).id for _ in range(3)]
    three_goods = a_task(scene, a_member(scene), picks=goods, state=TaskState.SENT)
    browser = scene.browser()
    with counted(scene.database) as one:
        browser.get(f"/m/picks/{one_good.token}")
    with counted(scene.database) as three:
        browser.get(f"/m/picks/{three_goods.token}")

    assert len(three) == len(one)
