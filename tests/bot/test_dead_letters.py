"""Letters: what nobody could deliver waits for a person, and what they decide is done once."""

from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import Session, col, select

from bot import dead_letters, delivery_reports, settling
from bot.channels import base
from bot.channels.base import Receipt
from bot.messages import Report
from bot.sending import Outcome
from fatigue import gate
from store import consents
from store import letters as store_letters
from store.audit import AuditEntry
from store.errors import NotFound, WrongState
from store.letters import Letter, LetterState
from store.touches import Category, Evidence, Touch, TouchState
from store.touches import Channel as ChannelName
from tests.bot.builders import APP_ID, LI
from tests.bot.delivering import House, failing

_TEMPLATE = ChannelName.WECHAT_TEMPLATE


def letters(house: House) -> list[Letter]:
    """All letters, the oldest first."""
    with house.database.transaction() as session:
        return list(session.exec(select(Letter).order_by(col(Letter.id))).all())


def touches(house: House) -> list[Touch]:
    """All touches, the oldest first."""
    with house.database.transaction() as session:
        return list(session.exec(select(Touch).order_by(col(Touch.id))).all())


def act(house: House, name: str, token: str) -> Touch:
    """A person decides."""
    with house.database.transaction() as session:
        decide = getattr(dead_letters, name)
        found: Touch = decide(session, token, actor="operator:song", now=house.now)
        return found


def a_failed(house: House) -> Letter:
    """A touch that the platform would not take."""
    touch_id = house.ask()
    house.service.react = failing(base.BAD_CONTENT)
    house.deliver(touch_id)
    house.service.react = lambda _out: Receipt(evidence=Evidence.PLATFORM)
    return letters(house)[0]


def an_unknown(house: House) -> Letter:
    """A touch of which nobody knows, half an hour later."""
    touch_id = house.ask()
    house.service.react = failing(base.LOST, is_unsure=True)
    house.deliver(touch_id)
    house.service.react = lambda _out: Receipt(evidence=Evidence.PLATFORM)
    house.now += timedelta(minutes=29)
    house.sweep()
    assert letters(house) == []
    house.now += timedelta(minutes=1)
    house.sweep()
    house.sweep()
    return letters(house)[0]


@pytest.mark.parametrize("cause", [base.GONE, base.Cause("no_window")])
def test_what_no_person_can_mend_opens_no_letter(house: House, cause: base.Cause) -> None:
    touch_id = house.ask()
    house.service.react = failing(cause)

    house.deliver(touch_id)

    assert house.touch(touch_id).state is TouchState.FAILED
    assert letters(house) == []


def test_letter_is_sent_again_as_another_touch_through_the_gate(house: House) -> None:
    letter = a_failed(house)
    house.nudged.clear()
    house.service.sent.clear()

    again = act(house, "retry", letter.token)
    house.deliver(again.id)

    assert [(one.key, one.state) for one in touches(house)] == [
        ("touch-1", TouchState.FAILED),
        ("touch-1~again", TouchState.SENT),
    ]
    assert len(house.service.sent) == 1
    assert letters(house)[0].state is LetterState.RETRIED
    with house.database.transaction() as session:
        entries = session.exec(select(AuditEntry)).all()
    assert [(one.actor, one.act) for one in entries] == [("operator:song", "letter.retry")]


def test_letter_is_not_sent_again_to_who_said_stop(house: House) -> None:
    letter = a_failed(house)
    house.service.sent.clear()
    with house.database.transaction() as session:
        consents.stop(session, house.li, reason="chat", now=house.now)

    again = act(house, "retry", letter.token)

    assert again.state is TouchState.WITHHELD
    assert house.service.sent == []


@pytest.mark.parametrize("second", ["retry", "drop", "confirm"])
def test_second_decision_about_a_letter_is_refused(house: House, second: str) -> None:
    letter = a_failed(house)
    act(house, "retry", letter.token)

    with pytest.raises(WrongState):
        act(house, second, letter.token)

    assert len(touches(house)) == 2


def test_unknown_touch_waits_for_a_person_who_may_know(house: House) -> None:
    letter = an_unknown(house)

    confirmed = act(house, "confirm", letter.token)

    assert (confirmed.state, confirmed.evidence) == (TouchState.SENT, Evidence.SELF_REPORTED)
    assert [one.state for one in letters(house)] == [LetterState.CONFIRMED]


def test_unknown_touch_that_is_dropped_never_arrived(house: House) -> None:
    letter = an_unknown(house)

    assert act(house, "drop", letter.token).state is TouchState.FAILED
    assert len(house.service.sent) == 1


def test_message_that_has_arrived_meanwhile_is_not_sent_again(house: House) -> None:
    letter = an_unknown(house)
    with house.database.transaction() as session:
        gate.settle(session, letter.touch_id, TouchState.SENT, now=house.now)

    with pytest.raises(WrongState):
        act(house, "retry", letter.token)

    assert len(touches(house)) == 1


def test_late_word_settles_the_touch_and_its_letter_together(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    letter = an_unknown(house)
    ready = house.ready(house.touch(letter.touch_id))
    late = [Outcome(ready, Receipt(evidence=Evidence.PLATFORM))]
    states = []
    settle = store_letters.settle

    def looked_at(session: Session, touch_ids: list[int], **facts: Any) -> None:
        # Another connection still sees both as they were.
        states.append((house.touch(letter.touch_id).state, letters(house)[0].state))
        settle(session, touch_ids, **facts)

    monkeypatch.setattr(store_letters, "settle", looked_at)
    settling.write_down(house.database, late, clock=house.clock, is_late=True)

    assert states == [(TouchState.UNKNOWN, LetterState.OPEN)]
    assert house.touch(letter.touch_id).state is TouchState.SENT
    assert letters(house)[0].state is LetterState.SETTLED


def test_unknown_touch_that_is_sent_again_frees_its_place_first(house: House) -> None:
    letter = an_unknown(house)

    again = act(house, "retry", letter.token)

    assert [one.state for one in touches(house)] == [TouchState.FAILED, TouchState.RESERVED]
    assert again.key == "touch-1~again"


def test_failed_touch_cannot_be_said_to_have_arrived(house: House) -> None:
    letter = a_failed(house)

    with pytest.raises(WrongState):
        act(house, "confirm", letter.token)

    assert letters(house)[0].state is LetterState.OPEN


def test_letter_that_is_not_there_is_refused(house: House) -> None:
    with pytest.raises(NotFound):
        act(house, "drop", "nothing")


def _template(house: House) -> int:
    """A template message that the platform took."""
    touch_id = house.ask(_TEMPLATE, category=Category.SERVICE)
    house.service.react = lambda _out: Receipt("200", Evidence.EVENT)
    house.deliver(touch_id, {_TEMPLATE: house.service})
    assert house.touch(touch_id).evidence is Evidence.EVENT
    return touch_id


def _report(house: House, status: str, *, msgid: str = "200", openid: str = LI) -> None:
    said = Report("templatesendjobfinish", {"MsgID": msgid, "Status": status})
    with house.database.transaction() as session:
        delivery_reports.heard(session, APP_ID, openid, said, now=house.now)


def test_report_of_the_platform_confirms_a_message(house: House) -> None:
    touch_id = _template(house)

    _report(house, "success")
    _report(house, "success")

    touch = house.touch(touch_id)
    assert (touch.state, touch.evidence) == (TouchState.SENT, Evidence.PLATFORM)


@pytest.mark.parametrize(
    ("status", "reason"),
    [("failed:userblock", "blocked_by_member"), ("failed:systemfailed", "platform_failed")],
)
def test_report_of_a_failure_takes_the_message_back(house: House, status: str, reason: str) -> None:
    touch_id = _template(house)

    _report(house, status)
    _report(house, "success")

    touch = house.touch(touch_id)
    assert (touch.state, touch.failure) == (TouchState.FAILED, reason)


@pytest.mark.parametrize("facts", [{"msgid": "201"}, {"openid": "oSomebodyElse"}])
def test_report_about_another_message_changes_nothing(house: House, facts: dict[str, str]) -> None:
    touch_id = _template(house)

    _report(house, "failed:userblock", **facts)

    assert house.touch(touch_id).state is TouchState.SENT


@pytest.mark.parametrize(
    ("status", "second"),
    [("success", Evidence.PLATFORM), ("failed:systemfailed", Evidence.EVENT)],
)
def test_report_that_may_be_about_several_says_nothing_of_what_nobody_knows(
    house: House, status: str, second: Evidence
) -> None:
    lost = house.ask(_TEMPLATE, category=Category.SERVICE)
    house.service.react = failing(base.LOST, is_unsure=True)
    house.deliver(lost, {_TEMPLATE: house.service})
    house.now += timedelta(minutes=5)
    taken = house.ask(_TEMPLATE, category=Category.SERVICE)
    house.service.react = lambda _out: Receipt(evidence=Evidence.EVENT)
    house.deliver(taken, {_TEMPLATE: house.service})

    _report(house, status)

    assert house.touch(lost).state is TouchState.UNKNOWN
    assert (house.touch(taken).state, house.touch(taken).evidence) == (TouchState.SENT, second)


def test_report_that_overtakes_the_answer_is_about_the_message_that_is_out(house: House) -> None:
    """The call still waits for its answer when the event comes."""
    touch_id = house.ask(_TEMPLATE, category=Category.SERVICE)

    def react(_out: object) -> Receipt:
        _report(house, "success")
        return Receipt("200", Evidence.EVENT)

    house.service.react = react
    house.deliver(touch_id, {_TEMPLATE: house.service})

    touch = house.touch(touch_id)
    assert (touch.state, touch.evidence, touch.provider_id) == (
        TouchState.SENT,
        Evidence.PLATFORM,
        "200",
    )


def test_report_settles_an_unknown_message_and_its_letter(house: House) -> None:
    touch_id = house.ask(_TEMPLATE, category=Category.SERVICE)
    house.service.react = failing(base.LOST, is_unsure=True)
    house.deliver(touch_id, {_TEMPLATE: house.service})
    house.now += timedelta(hours=1)
    house.sweep()
    assert letters(house)[0].state is LetterState.OPEN

    _report(house, "success")

    assert house.touch(touch_id).state is TouchState.SENT
    assert letters(house)[0].state is LetterState.SETTLED
