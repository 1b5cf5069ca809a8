"""Why a member heard nothing: one cause for each way of silence, by campaign and by day."""

from datetime import date, datetime, timedelta
from typing import Any

import pytest
from sqlmodel import Session

from fatigue import gate
from fatigue.gate import Cause
from store.campaigns import Arm, AudienceMember, Campaign, CampaignState, TaskState
from store.errors import NotFound
from store.members import Member
from store.touches import Channel, TouchState
from tests.builders import a_care_task
from tests.fatigue.people import a_campaign, a_member, an_ask
from tests.times import at

MORNING = at("2026-03-02 10:00")
_DAY = timedelta(days=1)


def a_running(session: Session, **facts: Any) -> Campaign:
    campaign = a_campaign(session, now=MORNING)
    campaign.state = CampaignState.RUNNING
    for name, value in facts.items():
        setattr(campaign, name, value)
    session.flush()
    return campaign


def choose(session: Session, campaign: Campaign, member: Member, arm: Arm = Arm.TREATED) -> None:
    session.add(AudienceMember(campaign_id=campaign.id, member_id=member.id, arm=arm))
    session.flush()


def asked(session: Session, member: Member, campaign: Campaign, **facts: Any) -> Any:
    ask = an_ask(session, member, campaign_id=campaign.id, **facts)
    return gate.ask(session, ask, now=MORNING)


def cause(session: Session, member: Member, campaign: Campaign) -> Cause:
    return gate.why_silent_in(session, member.id, campaign.id).cause


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (CampaignState.DRAFT, Cause.NOT_LAUNCHED),
        (CampaignState.LAUNCHING, Cause.NOT_LAUNCHED),
        (CampaignState.RUNNING, Cause.NOT_CHOSEN),
        (CampaignState.FINISHED, Cause.NOT_CHOSEN),
    ],
)
def test_member_outside_the_audience_was_not_chosen(
    session: Session, state: CampaignState, expected: Cause
) -> None:
    li = a_member(session, now=MORNING)

    assert cause(session, li, a_running(session, state=state)) is expected


@pytest.mark.parametrize(
    ("arm", "expected"), [(Arm.HOLDOUT, Cause.HELD_OUT), (Arm.TREATED, Cause.NOT_ASKED)]
)
def test_chosen_member_whom_nobody_asked_for_was_held_out_or_forgotten(
    session: Session, arm: Arm, expected: Cause
) -> None:
    li, campaign = a_member(session, now=MORNING), a_running(session)
    choose(session, campaign, li, arm)

    assert cause(session, li, campaign) is expected


def test_task_in_the_hands_of_its_guide_says_so_and_one_that_ended_says_why(
    session: Session,
) -> None:
    li, zhao, campaign = (
        a_member(session, now=MORNING),
        a_member(session, now=MORNING),
        a_running(session),
    )
    a_care_task(session, li, campaign=campaign, state=TaskState.SEEN, now=MORNING)
    a_care_task(
        session,
        zhao,
        campaign=campaign,
        state=TaskState.SKIPPED,
        state_reason="on holiday",
        now=MORNING,
    )

    seen = gate.why_silent_in(session, li.id, campaign.id)
    ended = gate.why_silent_in(session, zhao.id, campaign.id)

    assert (seen.cause, seen.reason) == (Cause.WITH_GUIDE, TaskState.SEEN)
    assert (ended.cause, ended.reason) == (Cause.TASK_ENDED, "on holiday")


def test_touches_of_a_campaign_say_what_became_of_them(session: Session) -> None:
    campaign = a_running(session)
    people = [a_member(session, now=MORNING, consents=number != 1) for number in range(5)]
    touches = [asked(session, one, campaign) for one in people]
    gate.release(session, touches[2].id, reason="guide_was_first", now=MORNING)
    for number in (3, 4):
        gate.fence(session, touches[number].id, now=MORNING)
    gate.settle(session, touches[3].id, TouchState.FAILED, failure="84061", now=MORNING)
    gate.settle(session, touches[4].id, TouchState.SENT, now=MORNING)

    found = [gate.why_silent_in(session, one.id, campaign.id) for one in people]

    assert [one.cause for one in found] == [
        Cause.WAITING,
        Cause.WITHHELD,
        Cause.CALLED_OFF,
        Cause.FAILED,
        Cause.REACHED,
    ]
    assert [v.rule for v in found[1].stories[0].verdict.violations] == ["no_consent"]


def test_day_of_silence_names_all_that_was_asked_or_still_waited_on_it(session: Session) -> None:
    li = a_member(session, now=MORNING)
    sent = gate.record(
        session,
        an_ask(session, li),
        channel=Channel.WECOM_BROADCAST,
        sent_at=MORNING,
        now=MORNING,
    )
    late = gate.ask(session, an_ask(session, li), now=MORNING + timedelta(hours=1))

    def told(day: str) -> tuple[Cause, list[int]]:
        found = gate.why_silent_on(session, li.id, date.fromisoformat(day))
        return found.cause, [story.touch_id for story in found.stories]

    assert late.state is TouchState.ASKED
    assert told("2026-03-01") == (Cause.NOT_ASKED, [])
    assert told("2026-03-02") == (Cause.REACHED, [sent.id, late.id])
    assert told("2026-03-03") == (Cause.WAITING, [late.id])


def test_nobody_and_no_campaign_are_refused(session: Session, now: datetime) -> None:
    li = a_member(session, now=now)

    with pytest.raises(NotFound):
        gate.why_silent_in(session, li.id, 404)
    with pytest.raises(NotFound):
        gate.why_silent_on(session, li.id + 1000, date(2026, 3, 1))
