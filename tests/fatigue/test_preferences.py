"""What a member asks of us takes effect at once, and can be taken back."""

from datetime import datetime, timedelta

from sqlmodel import Session

from fatigue import gate, preferences
from fatigue.gate import Forecast, Outcome
from store import consents
from store.consents import Purpose
from store.members import Member
from store.touches import Category, Channel
from tests.fatigue.people import TO_MEMBERS, a_grant, a_member, an_ask


def answers(session: Session, li: Member, now: datetime) -> dict[Category, Forecast]:
    """What the gate says to a broadcast of each category."""
    return {
        category: gate.dry_run(session, [an_ask(session, li, category=category)], now=now)[0]
        for category in Category
    }


def test_stop_silences_all_until_the_member_resumes(session: Session, now: datetime) -> None:
    li = a_member(session, now=now)

    preferences.stop(session, li.id, reason="chat", now=now)
    stopped = answers(session, li, now)
    preferences.resume(session, li.id, now=now)
    resumed = answers(session, li, now)

    assert {found.outcome for found in stopped.values()} == {Outcome.WITHHOLD}
    assert {found.outcome for found in resumed.values()} == {Outcome.OPEN}


def test_stop_on_one_channel_leaves_the_others(session: Session, now: datetime) -> None:
    li = a_member(session, now=now)
    a_grant(session, li.id, now=now)

    preferences.stop(session, li.id, reason="page", channel=Channel.WECOM_BROADCAST, now=now)

    channels = (Channel.WECOM_BROADCAST, Channel.WECHAT_SERVICE)
    found = gate.dry_run(session, [an_ask(session, li, channels=channels)], now=now)[0]
    assert (found.outcome, found.verdict.channel) == (Outcome.OPEN, Channel.WECHAT_SERVICE)


def test_pause_defers_to_its_end(session: Session, now: datetime) -> None:
    li = a_member(session, now=now)
    until = now + timedelta(days=30)

    preferences.pause(session, li.id, until=until, reason="page", now=now)

    found = answers(session, li, now)[Category.CARE]
    assert (found.outcome, found.retry_at) == (Outcome.DEFER, until)


def test_less_ends_marketing_only_and_resume_gives_back_no_more_than_it_took(
    session: Session, now: datetime
) -> None:
    li = a_member(session, now=now)
    consents.state(
        session,
        li.id,
        Channel.WECHAT_NOTICE,
        Purpose.MARKETING,
        is_granted=False,
        text_version="1",
        source="page",
        now=now,
    )

    preferences.less(session, li.id, now=now)
    quieter = answers(session, li, now)
    preferences.resume(session, li.id, now=now)

    assert {category: found.outcome for category, found in quieter.items()} == {
        Category.MARKETING: Outcome.WITHHOLD,
        Category.CARE: Outcome.OPEN,
        Category.SERVICE: Outcome.OPEN,
    }
    granted = {
        channel: consents.is_granted(session, li.id, channel, Purpose.MARKETING)
        for channel in TO_MEMBERS
    }
    assert granted == {
        Channel.WECOM_BROADCAST: True,
        Channel.WECHAT_SERVICE: True,
        Channel.WECHAT_NOTICE: False,
    }
