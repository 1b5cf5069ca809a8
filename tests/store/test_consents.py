"""Consents and stops: the newest word counts, and only the person makes a stop shorter."""

from datetime import datetime, timedelta

import pytest
from sqlmodel import Session

from store import consents
from store.consents import Purpose
from store.members import Member
from tests.builders import NOW, a_member

WEEK, MONTH = NOW + timedelta(days=7), NOW + timedelta(days=30)


def say(session: Session, member: Member, channel: str, *, yes: bool) -> None:
    consents.state(
        session,
        member.id,
        channel,
        Purpose.MARKETING,
        is_granted=yes,
        text_version="2",
        source="page",
        now=NOW,
    )


def test_nothing_is_granted_before_somebody_said_yes(session: Session) -> None:
    li = a_member(session)

    assert not consents.is_granted(session, li.id, "wecom_app", Purpose.MARKETING)


def test_the_newest_word_counts_per_channel_and_purpose(session: Session) -> None:
    li = a_member(session)
    say(session, li, "wecom_app", yes=True)
    say(session, li, "wechat_notice", yes=True)
    say(session, li, "wecom_app", yes=False)

    assert not consents.is_granted(session, li.id, "wecom_app", Purpose.MARKETING)
    assert consents.is_granted(session, li.id, "wechat_notice", Purpose.MARKETING)
    assert not consents.is_granted(session, li.id, "wechat_notice", Purpose.CARE)


@pytest.mark.parametrize(
    ("first", "then", "holds"),
    [(WEEK, MONTH, MONTH), (MONTH, WEEK, MONTH), (WEEK, None, None), (None, WEEK, None)],
)
def test_of_two_stops_the_longer_holds(
    session: Session, first: datetime | None, then: datetime | None, holds: datetime | None
) -> None:
    li = a_member(session)

    consents.stop(session, li.id, reason="chat", until=first, now=NOW)
    consents.stop(session, li.id, reason="chat", until=then, now=NOW)

    assert [stop.until for stop in consents.stops(session, li.id, NOW)] == [holds]


def test_a_pause_is_over_at_its_end_and_can_begin_again(session: Session) -> None:
    li = a_member(session)
    consents.stop(session, li.id, reason="chat", until=WEEK, now=NOW)

    over = consents.stops(session, li.id, WEEK)
    consents.stop(session, li.id, reason="chat", until=MONTH, now=WEEK)

    assert over == []
    assert [stop.until for stop in consents.stops(session, li.id, WEEK)] == [MONTH]


def test_lift_ends_the_stop_of_just_that_channel(session: Session) -> None:
    li = a_member(session)
    for channel in ("", "wecom_broadcast"):
        consents.stop(session, li.id, channel=channel, reason="chat", now=NOW)

    lifted = consents.lift(session, li.id, now=WEEK)

    assert lifted is not None
    assert lifted.lifted_at == WEEK
    assert [stop.channel for stop in consents.stops(session, li.id, WEEK)] == ["wecom_broadcast"]
    assert consents.lift(session, li.id, now=WEEK) is None
