"""The product list of a task, open to whoever has its link."""

import asyncio
import re
from datetime import timedelta

import pytest
from sqlmodel import select

from store.campaigns import CareTask, TaskState
from store.pick_taps import PickTap
from tests.queries import counted
from tests.web.scene import Scene, a_member, a_product, a_sale, a_task, an_identity


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
    with counted(scene.database.engine) as one:
        browser.get(f"/m/picks/{one_good.token}")
    with counted(scene.database.engine) as three:
        browser.get(f"/m/picks/{three_goods.token}")

    assert len(three) == len(one)


def _taps(scene: Scene) -> int:
    with scene.database.transaction() as session:
        return len(session.exec(select(PickTap)).all())


def _opened(scene: Scene, task: CareTask) -> bool:
    return scene.fresh(task).picks_opened_at is not None


def test_tap_shows_the_product_and_is_kept_once_a_day(scene: Scene) -> None:
    milk, bread = a_product(scene, "鲜牛奶"), a_product(scene, "吐司", category="面包")
    task = a_task(scene, picks=[milk.id, bread.id], state=TaskState.SENT)
    browser = scene.browser()
    place = browser.get(f"/m/picks/{task.token}").text.split('<a href="')[2].split('"')[0]

    pages = [browser.get(place) for _ in range(2)]

    assert all("<h1>吐司</h1>" in page.text for page in pages)
    assert pages[0].headers["cache-control"] == "no-store"
    with scene.database.transaction() as session:
        assert session.exec(select(PickTap.product_id)).all() == [bread.id]


def test_tap_alone_opens_the_list_too(scene: Scene) -> None:
    task = a_task(scene, picks=[a_product(scene).id], state=TaskState.SENT)

    scene.browser().get(f"/m/picks/{task.token}/1")

    assert _opened(scene, task)


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-purpose": "prefetch;prerender"},
        {"purpose": "prefetch"},
        {"user-agent": "Mozilla/5.0 (compatible; Baiduspider/2.0)"},
        {"user-agent": "Mozilla/5.0 (compatible; bingbot/2.0)"},
        {"user-agent": "Mozilla/5.0 (Linux; Android 13) wxwork/4.1.0 MicroMessenger/7.0.1"},
    ],
)
def test_whoever_is_not_the_member_sees_the_list_and_is_not_counted(
    scene: Scene, headers: dict[str, str]
) -> None:
    task = a_task(scene, picks=[a_product(scene).id], state=TaskState.SENT)
    browser = scene.browser()

    for place in ("", "/1"):
        assert browser.get(f"/m/picks/{task.token}{place}", headers=headers).status_code == 200

    assert (_opened(scene, task), _taps(scene)) == (False, 0)


def test_phone_of_the_member_is_counted(scene: Scene) -> None:
    agent = "Mozilla/5.0 (Linux; Android 13; CUBOT X50) MicroMessenger/8.0.49"
    task = a_task(scene, picks=[a_product(scene).id], state=TaskState.SENT)

    scene.browser().get(f"/m/picks/{task.token}/1", headers={"user-agent": agent})

    assert (_opened(scene, task), _taps(scene)) == (True, 1)


def test_head_is_no_look(scene: Scene) -> None:
    task = a_task(scene, picks=[a_product(scene).id], state=TaskState.SENT)

    for place in ("", "/1"):
        asyncio.run(scene.browser()._ask("HEAD", f"/m/picks/{task.token}{place}"))

    assert (_opened(scene, task), _taps(scene)) == (False, 0)


def test_friend_who_was_sent_the_link_is_not_counted_and_the_member_is(scene: Scene) -> None:
    li, friend = a_member(scene, "李雨桐"), a_member(scene, "赵敏")
    task = a_task(scene, li, picks=[a_product(scene).id], state=TaskState.SENT)
    place = f"/m/picks/{task.token}/1"

    scene.phone(an_identity(scene, friend)).get(place)
    by_friend = (_opened(scene, task), _taps(scene))
    scene.phone(an_identity(scene, li)).get(place)

    assert by_friend == (False, 0)
    assert (_opened(scene, task), _taps(scene)) == (True, 1)


@pytest.mark.parametrize("place", ["0", "2", "-1", "99999999999999999999"])
def test_product_that_is_not_on_the_list_is_told_kindly(scene: Scene, place: str) -> None:
    stranger = a_product(scene, "别的")
    task = a_task(scene, picks=[a_product(scene).id], state=TaskState.SENT)

    answer = scene.browser().get(f"/m/picks/{task.token}/{place}")

    assert answer.status_code == 404
    assert "没有找到" in answer.text
    assert stranger.name not in answer.text


def test_list_past_its_time_shows_no_goods_and_says_so(scene: Scene) -> None:
    long_ago = scene.now - timedelta(days=31)
    task = a_task(
        scene,
        picks=[a_product(scene, "鲜牛奶").id],
        state=TaskState.SENT,
        deadline_at=long_ago,
        moved_at=long_ago,
    )

    for place in ("", "/1"):
        answer = scene.browser().get(f"/m/picks/{task.token}{place}")
        assert (answer.status_code, "过了时候" in answer.text) == (410, True)
        assert "鲜牛奶" not in answer.text
    assert (_opened(scene, task), _taps(scene)) == (False, 0)


def test_guide_reads_what_came_of_the_list(scene: Scene) -> None:
    member = a_member(scene, "李雨桐")
    milk, bread = a_product(scene, "鲜牛奶"), a_product(scene, "吐司")
    task = a_task(scene, member, picks=[milk.id, bread.id], state=TaskState.SENT)
    guide, phone = scene.guide(), scene.browser()
    places = (f"/guide/t/{task.token}", f"/guide/c/{member.card_no}")
    assert all("打开了好物单" not in guide.get(place).text for place in places)

    for place in (2, 1):
        phone.get(f"/m/picks/{task.token}/{place}")

    line = "今天 14:00 打开了好物单，点了 2 件：吐司、鲜牛奶"
    assert all(line in guide.get(place).text for place in places)


def test_guides_own_look_at_the_list_is_not_the_members(scene: Scene) -> None:
    task = a_task(scene, picks=[a_product(scene, "鲜牛奶").id], state=TaskState.SENT)
    guide = scene.guide()
    place = guide.get(f"/guide/t/{task.token}").text.split("看看顾客打开的页面")[0]

    page = guide.get(place.rsplit('href="', 1)[1].split('"')[0]).text

    assert "鲜牛奶" in page
    assert f"/m/picks/{task.token}" not in page
    assert not _opened(scene, task)


def test_results_count_lists_opened_and_tapped_and_open_to_their_tasks(scene: Scene) -> None:
    opened, tapped = (
        a_task(scene, a_member(scene, name), picks=[a_product(scene).id], state=TaskState.SENT)
        for name in ("李雨桐", "赵敏")
    )
    phone, guide = scene.browser(), scene.guide()
    phone.get(f"/m/picks/{opened.token}")
    phone.get(f"/m/picks/{tapped.token}/1")

    figures = dict(
        re.findall(
            r"<span>(打开清单|点了商品)</span>.*?<b>(\d+)</b>", guide.get("/guide/results").text
        )
    )

    assert figures == {"打开清单": "2", "点了商品": "1"}
    step = guide.get("/guide/results/steps/tapped").text
    assert ("李雨桐" in step, "赵敏" in step) == (False, True)


def test_sale_opens_to_the_look_at_the_list(scene: Scene) -> None:
    product = a_product(scene, "鲜牛奶")
    task = a_task(scene, picks=[product.id], state=TaskState.SENT)
    scene.browser().get(f"/m/picks/{task.token}/1")
    a_sale(scene, task)
    browser = scene.guide()
    place = browser.get("/guide/results").text.split('href="/guide/results/sale?')[1]

    page = browser.get(f"/guide/results/sale?{place.split(chr(34))[0]}").text

    assert "打开清单" in page
    assert "点了 鲜牛奶" in page


def test_product_tells_where_the_shop_is_and_what_else_is_on_the_list(scene: Scene) -> None:
    goods = [a_product(scene, name).id for name in ("鲜牛奶", "吐司", "苹果")]
    task = a_task(scene, picks=goods, state=TaskState.SENT)

    page = scene.browser().get(f"/m/picks/{task.token}/1").text

    assert '<span class="about">城西店<small>西路 1 号</small></span>' in page
    assert "看看清单里的另外 2 样好物" in page
    assert "在微信里回王芳一声" in page


def test_product_of_a_list_of_one_in_the_brands_name_promises_no_others(scene: Scene) -> None:
    task = a_task(scene, picks=[a_product(scene).id], state=TaskState.SENT)
    with scene.database.transaction() as session:
        session.get_one(CareTask, task.id).guide_id = None

    page = scene.browser().get(f"/m/picks/{task.token}/1").text

    assert "回到为您挑的清单" in page
    assert "在公众号里说一声" in page
