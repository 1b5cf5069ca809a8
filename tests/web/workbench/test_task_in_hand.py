"""What a guide can do besides sending: other tones, by hand, later, and tasks of the shop."""

from datetime import timedelta

from store.campaigns import CareTask, TaskState
from store.organisation import Shop
from store.touches import Channel, Evidence, TouchState
from tests.web.scene import Scene, a_member, a_task

_LINK = "http://shop.test:8000/m/picks/0123456789abcdef"


def test_words_are_kept_while_the_guide_writes(scene: Scene) -> None:
    task = a_task(scene)

    answer = scene.guide().post(f"/guide/t/{task.token}/keep", data={"text": "写到一半"})

    assert answer.status_code == 204
    assert scene.fresh(task).edited_text == "写到一半"


def test_words_are_not_said_to_be_kept_when_the_task_is_over(scene: Scene) -> None:
    task = a_task(scene, state=TaskState.SENT)

    answer = scene.guide().post(f"/guide/t/{task.token}/keep", data={"text": "写到一半"})

    assert answer.status_code == 409
    assert scene.fresh(task).edited_text is None


def test_other_tone_keeps_the_link_and_the_name(scene: Scene) -> None:
    task = a_task(scene, a_member(scene, "李雨桐"), draft=f"您好：\n{_LINK}\n等您")
    browser = scene.guide()

    words = set()
    for tone in ("brief", "warm", "formal"):
        browser.post(f"/guide/t/{task.token}/tone", data={"tone": tone})
        words.add(scene.fresh(task).text)

    assert len(words) == 3
    assert all("李雨桐" in said and _LINK in said and "王芳" in said for said in words)


def test_told_by_hand_counts_once_on_the_guides_word(scene: Scene) -> None:
    task = a_task(scene)
    browser = scene.guide()

    for _ in range(2):
        browser.post(f"/guide/t/{task.token}/told", data={"text": "当面说的"})

    [touch] = scene.touches(task)
    assert (touch.state, touch.channel) == (TouchState.SENT, Channel.WECOM_SIDEBAR)
    assert (touch.evidence, touch.text) == (Evidence.SELF_REPORTED, "当面说的")


def test_put_off_task_leaves_today_and_stands_among_those_for_later(scene: Scene) -> None:
    task = a_task(scene, a_member(scene, "李雨桐"))
    browser = scene.guide()

    answer = browser.post(f"/guide/t/{task.token}/snooze", data={"pause": "two_hours"})

    assert "再提醒您联系李雨桐" in browser.follow(answer).text
    assert task.token not in browser.get("/guide").text
    assert task.token in browser.get("/guide?later=true").text
    assert scene.fresh(task).waits_until == scene.now + timedelta(hours=2)


def test_pause_past_the_deadline_is_not_offered(scene: Scene) -> None:
    task = a_task(scene, deadline_at=scene.now + timedelta(hours=1))
    later = a_task(scene, deadline_at=scene.now + timedelta(days=2))
    browser = scene.guide()

    assert 'value="two_hours"' not in browser.get(f"/guide/t/{task.token}").text
    assert 'value="tomorrow"' in browser.get(f"/guide/t/{later.token}").text


def test_task_of_the_shop_is_taken_by_the_first_who_taps(scene: Scene) -> None:
    task = a_task(scene, a_member(scene, "李雨桐"))
    _give_to_shop(scene, task.id, scene.shop.id)
    wang, sun = scene.guide(), scene.guide(scene.sun)
    assert "李雨桐" in wang.get("/guide/shop").text

    first = wang.post(f"/guide/t/{task.token}/take")
    second = sun.post(f"/guide/t/{task.token}/take")

    assert first.headers["location"] == f"/guide/t/{task.token}"
    assert "慢了一步" in sun.follow(second).text
    assert scene.fresh(task).guide_id == scene.wang.id


def test_task_of_another_shop_is_neither_seen_nor_taken(scene: Scene) -> None:
    other = scene.add(Shop(brand_id=scene.brand.id, code="s2", name="城东店"))
    task = a_task(scene, a_member(scene, "李雨桐"))
    _give_to_shop(scene, task.id, other.id)
    browser = scene.guide()

    assert "李雨桐" not in browser.get("/guide/shop").text
    assert browser.post(f"/guide/t/{task.token}/take").status_code == 404


def _give_to_shop(scene: Scene, task_id: int, shop_id: int) -> None:
    with scene.database.transaction() as session:
        task = session.get_one(CareTask, task_id)
        task.guide_id, task.shop_id = None, shop_id
