"""Talks at the workbench: who sees them, an answer, and the bot's release."""

from datetime import timedelta

import pytest
from sqlmodel import col, select

from bot import handing_over
from bot.dialogue import HUMAN
from store import handovers, inbound
from store.grants import Trigger, open_window
from store.handovers import Ending, Handover, HandoverLine, Side
from store.inbound import Conversation
from store.members import Identity
from store.organisation import Guide, GuideRole
from store.touches import Touch
from tests.queries import counted
from tests.sandbox.builders import APPID
from tests.web.scene import Scene, a_member, an_identity


def a_talk(scene: Scene, *words: str, guide: Guide | None = None) -> Handover:
    """A member who asked for a person, and said so much."""
    identity = an_identity(scene, a_member(scene))
    with scene.database.transaction() as session:
        talk = handovers.begin(
            session,
            session.get_one(Identity, identity.id),
            brand_id=scene.brand.id,
            guide_id=(guide or scene.wang).id,
            expires_at=scene.now + handovers.PATIENCE,
            now=scene.now,
        )
        for said in words or ("盒子破了",):
            handovers.say(session, talk, Side.MEMBER, said, now=scene.now)
        handing_over.keep_going(session, talk, HUMAN, now=scene.now)
        open_window(
            session, talk.member_id, Trigger.MESSAGE, account=APPID, source_id="1", now=scene.now
        )
    return talk


def test_guide_sees_who_waits_and_what_was_said(scene: Scene) -> None:
    talk = a_talk(scene, "盒子破了", "<b>怎么办</b>")
    browser = scene.guide()

    listed, shown = browser.get("/guide/talks").text, browser.get(f"/guide/talks/{talk.token}").text

    assert "等您回复" in listed
    assert "盒子破了" in shown
    assert "&lt;b&gt;怎么办" in shown
    assert "交还机器人" in shown


def test_release_lets_the_bot_answer_and_tells_the_member(scene: Scene) -> None:
    talk = a_talk(scene)

    answer = scene.guide().post(f"/guide/talks/{talk.token}/release")

    with scene.database.transaction() as session:
        kept = session.exec(select(Handover)).one()
        assert session.exec(select(Conversation)).all() == []
        assert [touch.text[:6] for touch in session.exec(select(Touch))] == ["王芳已结束这"]
    assert answer.headers["location"] == "/guide/talks?released=true"
    assert kept.ended_by is Ending.GUIDE


def test_release_twice_is_once(scene: Scene) -> None:
    talk, browser = a_talk(scene), scene.guide()

    answers = [browser.post(f"/guide/talks/{talk.token}/release") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [303, 303]
    with scene.database.transaction() as session:
        assert len(session.exec(select(Touch)).all()) == 1


def test_answer_goes_to_the_member_and_keeps_the_talk_alive(scene: Scene) -> None:
    talk, browser = a_talk(scene), scene.guide()

    browser.post(f"/guide/talks/{talk.token}/answer", data={"text": "马上给您换\r\n新的"})

    with scene.database.transaction() as session:
        line = session.exec(select(HandoverLine).order_by(col(HandoverLine.id).desc())).first()
        touch = session.exec(select(Touch)).one()
    assert line is not None
    assert (line.side, line.touch_id, touch.text) == (Side.GUIDE, touch.id, "马上给您换\n新的")
    assert "正在发出" in browser.get(f"/guide/talks/{talk.token}").text


def test_answer_that_the_platform_does_not_allow_says_why(scene: Scene) -> None:
    talk, browser = a_talk(scene), scene.guide()
    for number in range(6):
        browser.post(f"/guide/talks/{talk.token}/answer", data={"text": f"第{number}句"})

    page = browser.get(f"/guide/talks/{talk.token}").text

    assert page.count("没有发出：") >= 1


@pytest.mark.parametrize("text", ["", "  ", "长" * 601])
def test_answer_of_no_or_too_many_words_is_refused(scene: Scene, text: str) -> None:
    talk = a_talk(scene)

    answer = scene.guide().post(f"/guide/talks/{talk.token}/answer", data={"text": text})

    assert answer.status_code == 422
    with scene.database.transaction() as session:
        assert session.exec(select(Touch)).all() == []


def test_talk_of_a_colleague_is_not_there(scene: Scene) -> None:
    talk, sun = a_talk(scene), scene.guide(scene.sun)

    answers = [
        sun.get(f"/guide/talks/{talk.token}"),
        sun.post(f"/guide/talks/{talk.token}/release"),
        sun.post(f"/guide/talks/{talk.token}/answer", data={"text": "您好"}),
    ]

    assert [answer.status_code for answer in answers] == [404, 404, 404]
    assert "盒子破了" not in sun.get("/guide/talks").text


def test_manager_sees_and_releases_the_talks_of_the_shop(scene: Scene) -> None:
    talk = a_talk(scene)
    with scene.database.transaction() as session:
        session.get_one(Guide, scene.sun.id).role = GuideRole.MANAGER
    manager = scene.guide(scene.sun)

    listed = manager.get("/guide/talks").text
    manager.post(f"/guide/talks/{talk.token}/release")

    assert "王芳负责" in listed
    with scene.database.transaction() as session:
        assert session.exec(select(Handover)).one().ended_by is Ending.GUIDE


def test_talk_that_is_over_takes_no_answer(scene: Scene) -> None:
    talk, browser = a_talk(scene), scene.guide()
    browser.post(f"/guide/talks/{talk.token}/release")

    answer = browser.post(f"/guide/talks/{talk.token}/answer", data={"text": "您好"})

    assert answer.status_code == 409
    assert "对话已经结束" in answer.text


def test_list_costs_the_same_for_one_talk_and_for_three(scene: Scene) -> None:
    a_talk(scene)
    browser = scene.guide()
    with counted(scene.database.engine) as one:
        browser.get("/guide/talks")
    for _ in range(2):
        a_talk(scene)

    with counted(scene.database.engine) as three:
        browser.get("/guide/talks")

    assert len(one) == len(three)


def test_answer_puts_off_the_end_of_the_talk(scene: Scene) -> None:
    talk = a_talk(scene)
    with scene.database.transaction() as session:
        held = session.get_one(Handover, talk.id)
        later = scene.now + timedelta(hours=3)
        handing_over.answer(session, held, "您好", step=HUMAN, now=later)

    with scene.database.transaction() as session:
        held = session.get_one(Handover, talk.id)
        silent = inbound.conversation(session, held.identity_id, later + timedelta(hours=3))
    assert held.expires_at == later + handovers.PATIENCE
    assert silent is not None
