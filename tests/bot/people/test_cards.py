"""A task card in the guide's hands: sent once, refreshed by a tap, closed when all is done."""

from datetime import timedelta

import pytest
from sqlmodel import Session, select

from bot.channels.wecom_app import WecomApp
from bot.notifying import send_notice
from content.notices import task_card
from sandbox.corp_state import ResponseCode
from sandbox.markup import event_xml, leaf, wrap
from sandbox.state import Push
from store import cards, notices
from store.campaigns import Assignment, CareTask, TaskState
from store.cards import Card
from store.notices import Notice, NoticeForm, NoticeKind
from store.organisation import GuideStatus
from store.touches import Channel
from tests.bot.people.corp import House
from tests.builders import a_campaign, a_care_task, a_member
from tests.sandbox.builders import AGENT, CORPID

_URL = "https://x.example/guide/a/token"


@pytest.fixture
def tasks(house: House) -> list[int]:
    """Wang has a card over two tasks, sent to her WeCom."""
    with house.record() as session:
        campaign = a_campaign(session, now=house.now())
        wang = house.guide()
        share = Assignment(campaign_id=campaign.id, guide_id=wang.id, created_at=house.now())
        session.add(share)
        session.flush()
        made = [
            a_care_task(
                session,
                a_member(session),
                campaign=campaign,
                guide=wang,
                assignment_id=share.id,
                now=house.now(),
            ).id
            for _ in range(2)
        ]
        card = task_card(
            campaign="春日回访",
            tasks=2,
            deadline_at=campaign.deadline_at,
            zone=house.desk.zone,
            url=_URL,
        )
        form = NoticeForm("card-1", wang.id, NoticeKind.CARD, card, share.id)
        notices.post(session, form, now=house.now())
        notice_id = session.exec(select(Notice.id)).one()
    house.jobs.clear()
    channels = {Channel.WECOM_APP: WecomApp(house.clients)}
    send_notice(house.database, channels, notice_id, clock=house.now)
    return made


def _tap(house: House) -> None:
    """Wang taps the card's menu, as WeCom tells it."""
    code = f"code-{house.world.journal.entries[-1]['n']}"
    owner = f"{CORPID}:{AGENT}"
    known = house.world.wecom.corp.response_codes
    known[code] = ResponseCode(owner, house.now(), "card-1", userid="WangFang")
    facts = (leaf("EventKey", "refresh"), leaf("TaskId", "card-1"), leaf("ResponseCode", code))
    xml = wrap(
        event_xml("template_card_menu_event", *facts), to=CORPID, sender="WangFang", at=house.now()
    )
    door = house.world.wecom.apps[owner].door
    house.world.wecom.pushes.append(Push(door, "WangFang", xml))
    house.push_all()
    house.work()


def _shown(house: House) -> list[str]:
    return [bubble.text for bubble in house.world.inboxes["WangFang"]]


def _finish(session: Session, task_id: int) -> None:
    session.get_one(CareTask, task_id).state = TaskState.SKIPPED


def test_tap_shows_how_far_the_tasks_are(house: House, tasks: list[int]) -> None:
    sent = _shown(house)
    with house.record() as session:
        _finish(session, tasks[0])

    _tap(house)

    assert sent == ["今天请照顾 2 位顾客"]
    assert _shown(house) == ["还有 1 位顾客等您照顾"]


def test_card_of_finished_tasks_is_closed(house: House, tasks: list[int]) -> None:
    with house.record() as session:
        for task_id in tasks:
            _finish(session, task_id)

    _tap(house)
    with house.record() as session:
        is_closed = session.exec(select(Card.closed_at)).one() is not None
    calls = len(house.world.journal.entries)
    _tap(house)

    assert is_closed
    assert _shown(house) == ["这批顾客都照顾到了，辛苦了"]
    assert len(house.world.journal.entries) == calls


def test_code_is_used_up_by_one_change(house: House, tasks: list[int]) -> None:
    assert len(tasks) == 2
    with house.record() as session:
        card_id = session.exec(select(Card.id)).one()
        first = cards.take_code(session, card_id, now=house.now())
        second = cards.take_code(session, card_id, now=house.now())

    assert len(first) > 20
    assert second == ""


def test_code_is_not_tried_after_seventy_two_hours(house: House, tasks: list[int]) -> None:
    """wecom.md §3.3."""
    assert len(tasks) == 2
    with house.record() as session:
        card_id = session.exec(select(Card.id)).one()
        later = house.now() + timedelta(hours=72, seconds=1)

        assert cards.take_code(session, card_id, now=later) == ""


def test_card_of_who_has_left_stays_as_it_is(house: House, tasks: list[int]) -> None:
    with house.record() as session:
        session.merge(house.guide()).status = GuideStatus.LEFT
        _finish(session, tasks[0])

    _tap(house)

    assert _shown(house) == ["今天请照顾 2 位顾客"]


def test_app_without_a_callback_sends_the_card_without_its_menu(house: House) -> None:
    """wecom.md §3.2: 43012."""
    house.world.wecom.apps[f"{CORPID}:{AGENT}"].door_url = ""
    with house.record() as session:
        card = task_card(
            campaign="春日回访",
            tasks=2,
            deadline_at=house.now(),
            zone=house.desk.zone,
            url=_URL,
        )
        form = NoticeForm("card-2", house.guide().id, NoticeKind.SALE, card)
        notices.post(session, form, now=house.now())
        notice_id = session.exec(select(Notice.id)).one()

    channels = {Channel.WECOM_APP: WecomApp(house.clients)}
    send_notice(house.database, channels, notice_id, clock=house.now)

    assert _shown(house) == ["今天请照顾 2 位顾客"]
    with house.record() as session:
        assert session.exec(select(Card)).all() == []
