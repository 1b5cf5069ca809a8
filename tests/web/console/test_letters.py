"""The page of lost messages: who may decide, what they read, and that a tap is done once."""

from datetime import timedelta
from http import HTTPStatus

import pytest
from sqlmodel import select

from store import circuits, letters
from store.campaigns import TaskState
from store.circuits import Way
from store.letters import Letter, LetterState
from store.members import Member
from store.organisation import OperatorRole, add_operator
from store.touches import Category, Channel, Touch, TouchState
from tests.builders import a_care_task, number
from tests.queries import counted
from tests.web.browser import Browser
from tests.web.scene import Scene
from web.sessions import Door


def a_letter(scene: Scene, state: TouchState, reason: str, text: str = "春茶到店") -> str:
    """A lost message to a member; gives the letter's token."""
    with scene.database.transaction() as session:
        member = Member(
            brand_id=scene.brand.id,
            name="李燕",
            mobile=f"139{number():08}",
            created_at=scene.now,
        )
        session.add(member)
        session.flush()
        touch = Touch(
            key=f"lost-{number()}",
            member_id=member.id,
            channel=Channel.WECHAT_SERVICE,
            channels=[Channel.WECHAT_SERVICE.value],
            category=Category.CARE,
            brand_id=scene.brand.id,
            state=state,
            text=text,
            asked_at=scene.now,
            counted_at=scene.now,
            fenced_at=scene.now - timedelta(hours=1),
        )
        session.add(touch)
        session.flush()
        letters.write(session, {touch.id: reason}, now=scene.now)
        return session.exec(select(Letter.token).where(Letter.touch_id == touch.id)).one()


def state_of(scene: Scene, token: str) -> tuple[LetterState, TouchState]:
    """How a letter and its touch stand."""
    with scene.database.transaction() as session:
        letter = letters.by_token(session, token)
        return letter.state, session.get_one(Touch, letter.touch_id).state


def test_page_says_what_is_lost_and_why_without_a_mobile(scene: Scene, song: Browser) -> None:
    a_letter(scene, TouchState.FAILED, "account_misconfigured")
    a_letter(scene, TouchState.UNKNOWN, "no_answer", "生日快乐")

    page = song.get("/hq/letters").text

    assert "账号设置有误" in page
    assert "可能已送到" in page
    assert "生日快乐" in page
    assert "139" not in page
    assert page.count("确认已送到") == 1


def test_paused_channel_is_told_with_the_time_of_its_next_try(scene: Scene, song: Browser) -> None:
    way = Way("wx1", Channel.WECHAT_SERVICE)
    with scene.database.transaction() as session:
        circuits.failed(session, way, reason="platform_busy", failures=5, now=scene.now)

    page = song.get("/hq/letters").text

    assert "公众号客服消息</b>（wx1）已暂停：平台一直繁忙" in page


@pytest.mark.parametrize(
    ("act", "state", "after"),
    [
        ("confirm", LetterState.CONFIRMED, TouchState.SENT),
        ("drop", LetterState.DROPPED, TouchState.FAILED),
        ("retry", LetterState.RETRIED, TouchState.FAILED),
    ],
)
def test_decision_is_done_once(
    scene: Scene, song: Browser, act: str, state: LetterState, after: TouchState
) -> None:
    token = a_letter(scene, TouchState.UNKNOWN, "no_answer")

    first = song.post(f"/hq/letters/{token}/{act}")
    second = song.post(f"/hq/letters/{token}/drop")

    assert first.status_code == HTTPStatus.SEE_OTHER
    assert state_of(scene, token) == (state, after)
    assert second.headers["location"] == "/hq/letters?did=closed&state="
    assert "已经有人处理过" in song.get(second.headers["location"]).text


def test_message_whose_task_goes_another_way_is_not_sent_again(scene: Scene, song: Browser) -> None:
    token = a_letter(scene, TouchState.FAILED, "bad_content")
    with scene.database.transaction() as session:
        touch = session.get_one(Touch, letters.by_token(session, token).touch_id)
        member = session.get_one(Member, touch.member_id)
        task = a_care_task(
            session,
            member,
            campaign=scene.campaign,
            guide=scene.wang,
            now=scene.now,
            state=TaskState.FELL_BACK,
        )
        touch.care_task_id = task.id

    answer = song.post(f"/hq/letters/{token}/retry")

    assert "再发就重复了" in song.get(answer.headers["location"]).text
    assert state_of(scene, token) == (LetterState.OPEN, TouchState.FAILED)


def test_message_that_may_not_go_now_is_told_so(scene: Scene, song: Browser) -> None:
    """Its member has agreed to nothing: the gate stands before a person's wish as well."""
    token = a_letter(scene, TouchState.FAILED, "bad_content")

    answer = song.post(f"/hq/letters/{token}/retry")

    assert "没有重新发送" in song.get(answer.headers["location"]).text


def test_viewer_reads_and_decides_nothing(scene: Scene) -> None:
    token = a_letter(scene, TouchState.FAILED, "bad_content")
    with scene.database.transaction() as session:
        add_operator(session, "song", "宋知远", "calm-and-kind")
        viewer = add_operator(session, "he", "何安", "calm-and-kind", role=OperatorRole.VIEWER)
    browser = scene.at_door(Door.CONSOLE, viewer.id)

    answer = browser.post(f"/hq/letters/{token}/drop")

    assert answer.status_code == HTTPStatus.FORBIDDEN
    assert state_of(scene, token) == (LetterState.OPEN, TouchState.FAILED)
    assert "重新发送</button>" not in browser.get("/hq/letters").text


def test_page_asks_as_much_for_three_letters_as_for_one(scene: Scene, song: Browser) -> None:
    counts = []
    for letters_more in (1, 2):
        for _ in range(letters_more):
            a_letter(scene, TouchState.FAILED, "bad_content")
        with counted(scene.database.engine) as statements:
            song.get("/hq/letters")
        counts.append(len(statements))

    assert counts[0] == counts[1]


def test_empty_page_says_so(song: Browser) -> None:
    assert "没有要处理的消息" in song.get("/hq/letters").text


@pytest.mark.parametrize("path", ["/hq/letters/nothing/drop", "/hq/letters/nothing/burn"])
def test_letter_that_is_not_there_is_not_found(song: Browser, path: str) -> None:
    assert song.post(path).status_code == HTTPStatus.NOT_FOUND
