"""One care task at the workbench: what it shows, and what sending, editing and skipping do."""

from datetime import timedelta

import pytest

from store.campaigns import Campaign, CareTask, TaskState
from store.consents import Suppression
from store.touches import Category, Channel, Touch, TouchState
from tests.queries import counted
from tests.times import at
from tests.web.scene import (
    Scene,
    a_coupon,
    a_member,
    a_product,
    a_task,
    an_order,
)


def _touched(scene: Scene, task: CareTask, ago: timedelta) -> None:
    """The member of the task got another message `ago`."""
    scene.add(
        Touch(
            key="before",
            member_id=task.member_id,
            channel=Channel.WECOM_BROADCAST,
            category=Category.CARE,
            brand_id=scene.brand.id,
            state=TouchState.SENT,
            asked_at=scene.now - ago,
            counted_at=scene.now - ago,
        )
    )


def _stopped(scene: Scene, task: CareTask) -> None:
    """The member of the task has said stop."""
    scene.add(Suppression(member_id=task.member_id, reason="said so", stated_at=scene.now))


def test_task_is_not_there_for_another_guide(scene: Scene) -> None:
    task = a_task(scene, guide=scene.sun)
    browser = scene.guide()

    answers = [
        browser.get(f"/guide/t/{task.token}"),
        browser.post(f"/guide/t/{task.token}/send"),
        browser.post(f"/guide/t/{task.token}/edit", data={"text": "x"}),
        browser.post(f"/guide/t/{task.token}/skip", data={"why": "other"}),
    ]

    assert [answer.status_code for answer in answers] == [404] * 4
    assert scene.fresh(task).state is TaskState.ASSIGNED


def test_task_sends_a_stranger_to_log_in_and_changes_nothing(scene: Scene) -> None:
    task = a_task(scene)

    answer = scene.browser().post(f"/guide/t/{task.token}/send")

    assert answer.status_code == 303
    assert answer.headers["location"].startswith("https://open.weixin.qq.com/")
    assert scene.fresh(task).state is TaskState.ASSIGNED


def test_task_page_shows_the_member_without_the_full_mobile(scene: Scene) -> None:
    member = a_member(scene, "李雨桐")
    product = a_product(scene, "鲜牛奶")
    a_coupon(scene, member)
    an_order(scene, member, amount_fen=123_45)
    task = a_task(scene, member, picks=[product.id])

    page = scene.guide().get(f"/guide/t/{task.token}").text

    assert str(member.mobile) not in page
    for words in ("李雨桐", "金卡", "鲜牛奶", "满50减10", "¥123.45", "现在可以发", task.reason):
        assert words in page


def test_task_page_marks_the_task_as_seen(scene: Scene) -> None:
    task = a_task(scene)

    scene.guide().get(f"/guide/t/{task.token}")

    assert scene.fresh(task).state is TaskState.SEEN


def test_task_page_asks_as_many_queries_for_three_orders_as_for_one(scene: Scene) -> None:
    member = a_member(scene)
    task = a_task(scene, member, state=TaskState.SEEN)
    browser = scene.guide()
    an_order(scene, member)
    with counted(scene.database.engine) as one:
        browser.get(f"/guide/t/{task.token}")
    for _ in range(2):
        an_order(scene, member)
    with counted(scene.database.engine) as three:
        browser.get(f"/guide/t/{task.token}")

    assert len(three) == len(one)


def test_sending_hands_the_edited_words_to_the_gate(scene: Scene) -> None:
    task = a_task(scene)

    answer = scene.guide().post(
        f"/guide/t/{task.token}/send", data={"text": "李姐，\r\n牛奶给您留了一箱。"}
    )

    (touch,) = scene.touches(task)
    assert answer.headers["location"] == f"/guide?did={task.token}"
    assert (touch.state, touch.text) == (TouchState.RESERVED, "李姐，\n牛奶给您留了一箱。")
    assert scene.fresh(task).state is TaskState.SENDING


def test_sending_an_untouched_draft_leaves_it_unedited(scene: Scene) -> None:
    task = a_task(scene)

    scene.guide().post(
        f"/guide/t/{task.token}/send", data={"text": task.draft.replace("\n", "\r\n")}
    )

    assert scene.fresh(task).edited_text is None


def test_sending_twice_is_one_touch(scene: Scene) -> None:
    task = a_task(scene)
    browser = scene.guide()

    answers = [browser.post(f"/guide/t/{task.token}/send", data={"text": "您好"}) for _ in "ab"]

    assert [answer.status_code for answer in answers] == [303, 303]
    assert len(scene.touches(task)) == 1


def test_sending_goes_on_to_the_next_open_task_and_says_what_happened(scene: Scene) -> None:
    task = a_task(scene, a_member(scene, "赵敏"))
    following = a_task(scene, a_member(scene, "周周"))
    browser = scene.guide()

    answer = browser.post(f"/guide/t/{task.token}/send")
    page = browser.follow(answer).text

    assert answer.headers["location"] == f"/guide/t/{following.token}?did={task.token}"
    assert "请到企业微信点「确认发送」，赵敏就会收到" in page


def test_sending_too_soon_says_when_it_will_go(scene: Scene) -> None:
    task = a_task(scene, a_member(scene, "赵敏"))
    with scene.database.transaction() as session:
        session.get_one(Campaign, scene.campaign.id).deadline_at = at("2026-03-09 20:00")
    _touched(scene, task, timedelta(hours=1))
    browser = scene.guide()

    before = browser.get(f"/guide/t/{task.token}").text
    after = browser.follow(browser.post(f"/guide/t/{task.token}/send")).text

    assert "1 天内已联系 1 次，建议周一再联系" in before
    assert "今天的次数已用完" in before
    assert "系统会在3月2日 08:00替您发给赵敏" in after
    assert scene.fresh(task).state is TaskState.SENDING


def test_sending_to_a_member_who_said_stop_ends_the_task_and_says_why(scene: Scene) -> None:
    task = a_task(scene, a_member(scene, "赵敏"))
    _stopped(scene, task)
    browser = scene.guide()

    before = browser.get(f"/guide/t/{task.token}").text
    after = browser.follow(browser.post(f"/guide/t/{task.token}/send")).text

    assert "这次不能发" in before
    assert "没有发给赵敏：顾客说过不要再打扰。" in after
    assert scene.fresh(task).state is TaskState.SUPPRESSED


@pytest.mark.parametrize(
    ("channels", "sentence"),
    [
        ([], "点发送会结束这个任务。"),
        (["wecom_broadcast"], "点发送会结束这个任务。"),
        (["wechat_service"], "点发送，就改由公众号来联系"),
    ],
)
def test_page_says_whether_the_account_is_next_where_the_guide_may_not(
    scene: Scene, channels: list[str], sentence: str
) -> None:
    task = a_task(scene, a_member(scene, "赵敏"))
    _stopped(scene, task)
    with scene.database.transaction() as session:
        session.get_one(Campaign, scene.campaign.id).fallback_channels = channels

    page = scene.guide().get(f"/guide/t/{task.token}").text

    assert sentence in page


def test_sending_an_endless_text_is_refused_and_sends_nothing(scene: Scene) -> None:
    task = a_task(scene)

    answer = scene.guide().post(f"/guide/t/{task.token}/send", data={"text": "很" * 700})

    assert answer.status_code == 422
    assert scene.touches(task) == []


def test_editing_keeps_the_words_and_stays_on_the_task(scene: Scene) -> None:
    task = a_task(scene)
    browser = scene.guide()

    answer = browser.post(f"/guide/t/{task.token}/edit", data={"text": "李姐您好"})
    page = browser.follow(answer).text

    assert scene.fresh(task).edited_text == "李姐您好"
    assert "话术已保存" in page
    assert ">李姐您好</textarea>" in page


def test_skipping_keeps_the_reason_and_goes_back_to_the_list(scene: Scene) -> None:
    task = a_task(scene, a_member(scene, "赵敏"))
    browser = scene.guide()

    answer = browser.post(f"/guide/t/{task.token}/skip", data={"why": "just_bought"})
    page = browser.follow(answer).text

    kept = scene.fresh(task)
    assert (kept.state, kept.state_reason) == (TaskState.SKIPPED, "just_bought")
    assert "已跳过赵敏" in page


def test_skipping_without_a_known_reason_is_refused(scene: Scene) -> None:
    task = a_task(scene)

    answer = scene.guide().post(f"/guide/t/{task.token}/skip", data={"why": "lazy"})

    assert answer.status_code == 422
    assert scene.fresh(task).state is TaskState.ASSIGNED


def test_post_from_another_site_is_refused(scene: Scene) -> None:
    task = a_task(scene)

    answer = scene.guide().post(
        f"/guide/t/{task.token}/send", headers={"origin": "https://evil.example"}
    )

    assert answer.status_code == 403
    assert scene.touches(task) == []


@pytest.mark.parametrize("act", ["send", "edit", "skip"])
def test_act_that_comes_back_from_log_in_shows_the_task(scene: Scene, act: str) -> None:
    task = a_task(scene)

    answer = scene.guide().get(f"/guide/t/{task.token}/{act}")

    assert answer.headers["location"] == f"/guide/t/{task.token}"


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (TaskState.SENT, "已经发给"),
        (TaskState.REPLIED, "已经发给"),
        (TaskState.FAILED, "没能发给"),
        (TaskState.FELL_BACK, "由品牌公众号联系"),
        (TaskState.EXPIRED, "已经结束"),
    ],
)
def test_closed_task_says_how_it_ended(scene: Scene, state: TaskState, words: str) -> None:
    task = a_task(scene, state=state)

    page = scene.guide().get(f"/guide/t/{task.token}").text

    assert words in page
    assert "<textarea" not in page


@pytest.mark.parametrize("act", ["edit", "send"])
@pytest.mark.parametrize(
    ("typed", "said"), [("很" * 700 + "👋", "这段话太长了"), ("  ", "写上几句再保存")]
)
def test_words_that_cannot_be_sent_stay_on_the_page_with_one_sentence(
    scene: Scene, act: str, typed: str, said: str
) -> None:
    task = a_task(scene)

    answer = scene.guide().post(f"/guide/t/{task.token}/{act}", data={"text": typed})

    assert answer.status_code == 422
    assert f">{typed}</textarea>" in answer.text
    assert said in answer.text
    assert (scene.fresh(task).state, scene.touches(task)) == (TaskState.ASSIGNED, [])
