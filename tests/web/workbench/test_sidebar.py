"""The toolbar of a chat: what it shows of the friend, what it lets out, and what it keeps."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import httpx
import pytest
from redis import Redis
from sqlmodel import col, select

from sandbox.app import create_sandbox_app
from sandbox.state import World
from store.campaigns import Campaign, CareTask, TaskState
from store.db import Database
from store.members import Identity, IdentityChannel, Member
from store.settings import Settings
from store.touches import Category, Channel, Evidence, Touch, TouchState
from tests.queries import counted
from tests.sandbox.builders import CORPID, a_world
from tests.sandbox.serving import serving
from tests.web.browser import Browser
from tests.web.scene import HOST, Scene, a_member, a_product, a_task, leave, parts_of, set_up

PAGE = f"{HOST}/guide/sidebar"


def friend_of(scene: Scene, member_id: int) -> str:
    """What WeCom calls the member."""
    with scene.database.transaction() as session:
        query = select(Identity.outside_id).where(
            Identity.member_id == member_id, Identity.channel == IdentityChannel.WECOM
        )
        return session.exec(query).one()


def show(browser: Browser, friend: str) -> str:
    """The part about a friend."""
    answer = browser.get(f"/guide/sidebar/with/{friend}")
    assert answer.status_code == 200
    return answer.text


def tap(browser: Browser, task: CareTask, friend: str, **more: str) -> httpx.Response:
    """The guide taps 发送到聊天."""
    return browser.post(f"/guide/sidebar/{task.token}/send", data={"customer": friend, **more})


def tell(browser: Browser, task: CareTask, how: str, **more: str | int) -> httpx.Response:
    """The page says what WeCom has answered."""
    return browser.post(f"/guide/sidebar/{task.token}/told", data={"how": how, **more})


@pytest.fixture
def li(scene: Scene) -> Member:
    """Wang's friend Li."""
    return a_member(scene, "李雨桐")


@pytest.fixture
def friend(scene: Scene, li: Member) -> str:
    """What WeCom calls Li."""
    return friend_of(scene, li.id)


@pytest.fixture
def task(scene: Scene, li: Member) -> CareTask:
    """Wang's task for Li, with two products."""
    picks = [a_product(scene, "鲜牛奶").id, a_product(scene, "全麦面包").id]
    return a_task(scene, li, picks=picks)


def test_sidebar_shows_the_task_of_the_friend_without_the_full_mobile(
    scene: Scene, li: Member, friend: str, task: CareTask
) -> None:
    shown = show(scene.guide(), friend)

    for words in ("李雨桐", "金卡", "171****", task.reason, task.draft, "鲜牛奶", "全麦面包"):
        assert words in shown
    assert "发送到聊天" in shown
    assert "现在可以发" in shown
    assert str(li.mobile) not in shown
    assert scene.fresh(task).state is TaskState.SEEN


def test_sent_message_is_one_touch_on_the_guides_word(
    scene: Scene, friend: str, task: CareTask
) -> None:
    browser = scene.guide()

    first = tap(browser, task, friend, text="李姐好，\r\n牛奶到了").json()
    second = tap(browser, task, friend, text="李姐好，\r\n牛奶到了").json()
    done = tell(browser, task, "ok", customer=friend, turn=first["turn"]).json()
    tell(browser, task, "ok", customer=friend, turn=first["turn"])

    # Only one of two taps is given the words: the other asks whether they went.
    assert (first["words"], second["words"]) == ("李姐好，\n牛奶到了", None)
    assert "刚才那条发出去了吗" in second["part"]
    assert "已经发给李雨桐" in done["part"]
    [touch] = scene.touches(task)
    assert (touch.state, touch.channel) == (TouchState.SENT, Channel.WECOM_SIDEBAR)
    assert (touch.evidence, touch.text) == (Evidence.SELF_REPORTED, "李姐好，\n牛奶到了")
    assert scene.fresh(task).state is TaskState.SENT


@pytest.mark.parametrize(
    ("how", "words"), [("cancel", "没有发出去，话术还在"), ("error", "企业微信没有让发出去")]
)
def test_message_that_did_not_go_stays_to_be_sent(
    scene: Scene, friend: str, task: CareTask, how: str, words: str
) -> None:
    browser = scene.guide()
    tap(browser, task, friend)

    part = tell(browser, task, how, customer=friend, why="no permission").json()["part"]
    again = tap(browser, task, friend).json()

    assert words in part
    assert "发送到聊天" in part
    assert (again["turn"], again["words"]) == (1, task.draft)
    assert [one.state for one in scene.touches(task)] == [TouchState.FAILED, TouchState.SENDING]


@pytest.mark.parametrize(("days", "words"), [(3, "再联系"), (0, "这次不能发")])
def test_closed_gate_says_in_plain_words_when_to_come_back(
    scene: Scene, li: Member, friend: str, task: CareTask, days: int, words: str
) -> None:
    with scene.database.transaction() as session:
        session.get_one(Campaign, task.campaign_id).deadline_at += timedelta(days=days)
    before = scene.now - timedelta(hours=2)
    scene.add(
        Touch(
            key="before",
            member_id=li.id,
            channel=Channel.WECOM_BROADCAST,
            category=Category.CARE,
            brand_id=scene.brand.id,
            state=TouchState.SENT,
            asked_at=before,
            counted_at=before,
        )
    )
    browser = scene.guide()

    answer = tap(browser, task, friend, text="改过的话").json()

    assert answer["words"] is None
    assert words in answer["part"]
    assert "1 天内已联系 1 次" in answer["part"]
    assert "发送到聊天" not in answer["part"]
    # Nothing is reserved, and what the guide wrote is kept for then.
    assert (scene.touches(task), scene.fresh(task).text) == ([], "改过的话")


def test_words_for_one_friend_never_go_into_the_chat_with_another(
    scene: Scene, task: CareTask
) -> None:
    other = friend_of(scene, a_member(scene, "周明").id)
    browser = scene.guide()

    for chat in (other, "wmstranger", ""):
        answer = tap(browser, task, chat).json()
        assert answer["words"] is None

    assert "不是写给现在这个聊天的" in tap(browser, task, other).json()["part"]
    assert scene.touches(task) == []


def test_task_of_a_colleague_is_neither_shown_nor_sent(
    scene: Scene, friend: str, task: CareTask
) -> None:
    sun = scene.guide(scene.sun)

    assert tap(sun, task, friend).status_code == 404
    assert tell(sun, task, "ok").status_code == 404
    assert task.draft not in show(sun, friend)
    assert scene.touches(task) == []


@pytest.mark.usefixtures("task")
def test_friend_out_of_sight_is_unknown_and_says_how_to_match(scene: Scene, friend: str) -> None:
    sun = scene.guide(scene.sun)

    for one in (friend, "wmnobody"):
        shown = show(sun, one)
        assert "还不认识这位朋友" in shown
        assert "设置备注和描述" in shown
        assert "李雨桐" not in shown


def test_friend_without_a_task_is_looked_at_freely_with_advice(scene: Scene, friend: str) -> None:
    shown = show(scene.guide(), friend)

    assert "现在可以聊聊" in shown
    assert "今天没有给 TA 的任务" in shown
    assert "发送到聊天" not in shown


def test_task_on_its_way_elsewhere_is_told_of(scene: Scene, friend: str, task: CareTask) -> None:
    browser = scene.guide()
    browser.post(f"/guide/t/{task.token}/send")

    shown = show(browser, friend)

    assert "请到企业微信点「确认发送」" in shown
    assert tap(browser, task, friend).json()["words"] is None


def test_task_page_sends_the_guide_back_to_the_chat_for_the_result(
    scene: Scene, friend: str, task: CareTask
) -> None:
    browser = scene.guide()
    tap(browser, task, friend)

    shown = browser.get(f"/guide/t/{task.token}").text

    assert "手机没有告诉我们有没有发给李雨桐" in shown
    assert "确认发送" not in shown


@pytest.mark.parametrize(("typed", "said"), [("很" * 700 + "👋", "太长了"), ("  ", "还是空的")])
def test_words_that_cannot_be_sent_stay_on_the_page(
    scene: Scene, friend: str, task: CareTask, typed: str, said: str
) -> None:
    answer = tap(scene.guide(), task, friend, text=typed).json()

    assert (answer["words"], f">{typed}</textarea>" in answer["part"]) == (None, True)
    assert said in answer["part"]


def test_past_its_deadline_nothing_is_sent_here(scene: Scene, friend: str, li: Member) -> None:
    task = a_task(scene, li, deadline_at=scene.now - timedelta(minutes=1))

    answer = tap(scene.guide(), task, friend).json()

    assert (answer["words"], "现在不用发了" in answer["part"]) == (None, True)


def test_sidebar_asks_as_often_for_one_product_as_for_three(scene: Scene) -> None:
    counts = []
    for number in (1, 3):
        member = a_member(scene)
        a_task(scene, member, picks=[a_product(scene).id for _ in range(number)])
        browser, friend = scene.guide(), friend_of(scene, member.id)
        show(browser, friend)
        with counted(scene.database.engine) as queries:
            show(browser, friend)
        counts.append(len(queries))

    assert counts[0] == counts[1]


def test_whoever_has_left_gets_neither_page_nor_signature(scene: Scene, friend: str) -> None:
    browser = scene.guide()
    leave(scene, scene.wang)

    asked = ["", f"/with/{friend}", f"/sign?kind=corp&url={PAGE}"]

    assert [browser.get(f"/guide/sidebar{one}").status_code for one in asked] == [303] * 3


def test_frame_names_the_app_and_helps_whoever_is_outside(scene: Scene) -> None:
    shown = scene.guide().get("/guide/sidebar").text

    assert f'data-corp="{CORPID}"' in shown
    assert scene.parts.settings.wecom_sdk_url in shown
    assert "请从聊天里打开" in shown
    assert "需要打开脚本" in shown


@pytest.mark.parametrize(
    "url", ["https://evil.example/guide/sidebar", f"{HOST}/guide/sidebar.evil", f"{HOST}/hq"]
)
def test_no_other_page_is_signed(scene: Scene, url: str) -> None:
    answer = scene.guide().get("/guide/sidebar/sign", params={"kind": "agent", "url": url})

    assert answer.status_code == 403


@pytest.fixture
def corp(
    settings: Settings, database: Database, redis: Redis, now: datetime
) -> Iterator[tuple[Scene, World]]:
    """The shop with WeCom's stand-in at the other end."""
    world = a_world()
    with serving(create_sandbox_app(world)) as url:
        urls = {"public_url": HOST, "wecom_api_url": f"{url}/wecom"}
        yield set_up(parts_of(settings.model_copy(update=urls), database, redis, now), now), world


def test_signatures_are_had_from_wecom(corp: tuple[Scene, World]) -> None:
    scene, world = corp
    found = [
        scene.guide().get("/guide/sidebar/sign", params={"kind": kind, "url": f"{PAGE}#top"})
        for kind in ("corp", "agent")
    ]

    assert [answer.status_code for answer in found] == [200, 200]
    assert all(answer.json()["timestamp"] == scene.now.timestamp() for answer in found)
    assert len(world.wecom.corp.tickets) == 2


def test_without_a_ticket_the_page_is_told_so(corp: tuple[Scene, World]) -> None:
    scene, world = corp
    world.wecom.apps.clear()

    answer = scene.guide().get("/guide/sidebar/sign", params={"kind": "corp", "url": PAGE})

    assert answer.status_code == 503


def test_no_touch_is_left_reserved(scene: Scene, friend: str, task: CareTask) -> None:
    """A reserved one would be handed to a worker, who has no page."""
    tap(scene.guide(), task, friend)

    with scene.database.transaction() as session:
        states = session.exec(select(Touch.state).order_by(col(Touch.id))).all()
    assert states == [TouchState.SENDING]
