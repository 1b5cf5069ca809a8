"""Results: every figure equals what somebody would count by hand in SQL."""

from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest
from sqlalchemy import text
from sqlmodel import Session

from guide_tasks import attribution, looks, results
from guide_tasks.results import ArmSales, Silence
from store import orders
from store.campaigns import Arm, AudienceMember, Campaign, TaskState
from store.orders import RefundForm
from store.organisation import Guide
from store.touches import TouchState
from tests.builders import SOURCE, a_guide, a_member, a_product, an_order, number
from tests.guide_tasks.people import URL, a_customer, a_sent_touch, a_task, running, writes

_LATER = timedelta(hours=2)
_FUNNEL = """
    SELECT
      (SELECT count(*) FROM audience_members WHERE campaign_id = :c) AS audience,
      (SELECT count(*) FROM audience_members WHERE campaign_id = :c AND arm = 'holdout') AS holdout,
      (SELECT count(*) FROM care_tasks WHERE campaign_id = :c
          AND state IN ('sent', 'delivered', 'replied', 'converted')) AS reached,
      (SELECT count(*) FROM care_tasks WHERE campaign_id = :c AND picks_opened_at IS NOT NULL)
          AS opened,
      (SELECT count(*) FROM care_tasks t WHERE campaign_id = :c
          AND EXISTS (SELECT FROM pick_taps WHERE care_task_id = t.id)) AS tapped,
      (SELECT count(*) FROM care_tasks WHERE campaign_id = :c AND replied_at IS NOT NULL)
          AS replied,
      (SELECT count(DISTINCT t.id) FROM care_tasks t JOIN attributions a ON a.care_task_id = t.id
          WHERE t.campaign_id = :c AND a.amount_fen > 0) AS bought,
      (SELECT count(*) FROM attributions WHERE campaign_id = :c AND amount_fen > 0) AS orders,
      (SELECT sum(o.amount_fen - o.refunded_fen) FROM orders o JOIN attributions a
          ON a.order_id = o.id WHERE a.campaign_id = :c) AS sales_fen,
      (SELECT sum(m.amount_fen) FROM commissions m JOIN attributions a
          ON a.id = m.attribution_id WHERE a.campaign_id = :c) AS commission_fen
"""
_ARMS = """
    SELECT a.arm, count(DISTINCT a.member_id),
           count(DISTINCT o.member_id), coalesce(sum(o.amount_fen - o.refunded_fen), 0)
    FROM audience_members a LEFT JOIN orders o ON o.member_id = a.member_id
         AND o.paid_at >= :since AND o.paid_at < :until
    WHERE a.campaign_id = :c GROUP BY a.arm
"""
_GUIDE = """
    SELECT
      (SELECT count(*) FROM care_tasks WHERE guide_id = :g) AS tasks,
      (SELECT count(*) FROM care_tasks WHERE guide_id = :g
          AND state IN ('sent', 'delivered', 'replied', 'converted')) AS sent,
      (SELECT count(*) FROM care_tasks WHERE guide_id = :g AND picks_opened_at IS NOT NULL)
          AS opened,
      (SELECT count(*) FROM care_tasks t WHERE guide_id = :g
          AND t.id IN (SELECT care_task_id FROM pick_taps)) AS tapped,
      (SELECT count(*) FROM care_tasks WHERE guide_id = :g AND replied_at IS NOT NULL) AS replied,
      (SELECT count(*) FROM care_tasks WHERE guide_id = :g AND state = 'converted') AS bought,
      (SELECT sum(amount_fen) FROM attributions WHERE guide_id = :g) AS sales_fen,
      (SELECT sum(amount_fen) FROM commissions
          WHERE guide_id = :g AND state = 'unconfirmed') AS unconfirmed_fen,
      (SELECT coalesce(sum(amount_fen), 0) FROM commissions
          WHERE guide_id = :g AND state = 'confirmed') AS confirmed_fen
"""


@pytest.fixture
def campaign(session: Session, now: datetime) -> Campaign:
    """A campaign whose members did all kinds of things, and another one that must not count."""
    dice = Random(3)  # noqa: S311 -- test data, no secret
    found, other = running(session, now=now), running(session, now=now)
    wang, sun = a_guide(session), a_guide(session)
    for _ in range(30):
        _a_story(session, found, dice.choice([wang, sun]), dice, now)
    for _ in range(5):
        _a_story(session, other, wang, dice, now)
    session.flush()
    return found


def _a_story(
    session: Session, campaign: Campaign, guide: Guide, dice: Random, now: datetime
) -> None:
    """One member: held out, never reached, or reached; then perhaps some orders and a refund."""
    member = a_customer(session, guide, now=now)
    arm = Arm.HOLDOUT if dice.random() < 0.3 else Arm.TREATED
    session.add(AudienceMember(campaign_id=campaign.id, member_id=member.id, arm=arm))
    if arm is Arm.TREATED:
        _a_try(session, campaign, guide, member, dice, now)
    for _ in range(dice.randrange(3)):
        amount = dice.randrange(1, 50_000)
        order = an_order(
            session, member, amount_fen=amount, paid_at=now + timedelta(hours=1), now=now + _LATER
        ).order
        attribution.attribute(session, order.id, public_url=URL, now=now + _LATER)
        if dice.random() < 0.4:
            form = RefundForm(
                external_id=f"R{number()}",
                order_external_id=order.external_id,
                amount_fen=dice.randrange(1, amount + 1),
                refunded_at=now + _LATER,
            )
            orders.refund(session, form, source=SOURCE, now=now + _LATER)
            attribution.attribute(session, order.id, public_url=URL, now=now + _LATER)


def _a_try(
    session: Session, campaign: Campaign, guide: Guide, member: Any, dice: Random, now: datetime
) -> None:
    state = dice.choice([TaskState.DELIVERED, TaskState.DELIVERED, TaskState.SKIPPED])
    good = a_product(session)
    facts = {"state": state, "sent_at": now, "picks": [good.id]}
    task = a_task(session, guide, now=now, member=member, campaign=campaign, **facts)
    if state is TaskState.DELIVERED:
        a_sent_touch(session, task, at=now)
        if dice.random() < 0.5:
            looks.open_list(session, task, now=now)
            for day in range(dice.randrange(3)):
                on = now.date() + timedelta(days=day)
                looks.tap(session, task, good, on=on, now=now)
        if dice.random() < 0.5:
            writes(session, member, now=now + timedelta(minutes=1))


def test_the_funnel_is_what_a_hand_counts(session: Session, campaign: Campaign) -> None:
    funnel = results.funnel(session, campaign.id)

    by_hand = session.connection().execute(text(_FUNNEL), {"c": campaign.id}).mappings().one()
    assert {name: getattr(funnel, name) for name in by_hand} == dict(by_hand)
    assert min(funnel.holdout, funnel.tapped, funnel.replied, funnel.bought) > 0
    assert funnel.opened > funnel.tapped
    assert funnel.sales_fen > funnel.commission_fen > 0


def test_the_states_of_all_tasks_add_up(session: Session, campaign: Campaign) -> None:
    funnel = results.funnel(session, campaign.id)

    assert sum(funnel.tasks.values()) == funnel.audience - funnel.holdout
    assert all(isinstance(state, TaskState) for state in funnel.tasks)


def test_the_arms_are_what_a_hand_counts(
    session: Session, campaign: Campaign, now: datetime
) -> None:
    arms = results.arms(session, campaign, now=now + timedelta(days=1))

    window = {"c": campaign.id, "since": now, "until": now + timedelta(days=1)}
    by_hand = session.connection().execute(text(_ARMS), window).all()
    assert arms == {Arm(arm): ArmSales(n, buyers, int(fen)) for arm, n, buyers, fen in by_hand}
    assert all(arm.sales_fen > 0 for arm in arms.values())


@pytest.mark.parametrize(
    ("paid_after", "counts"),
    [
        (timedelta(seconds=-1), False),
        (timedelta(0), True),
        (timedelta(days=14, seconds=-1), True),
        (timedelta(days=14), False),
    ],
)
def test_arms_count_from_launch_to_the_end_of_the_window(
    session: Session, now: datetime, paid_after: timedelta, counts: bool
) -> None:
    campaign, li = running(session, now=now), a_member(session)
    session.add(AudienceMember(campaign_id=campaign.id, member_id=li.id, arm=Arm.HOLDOUT))
    paid_at = now + paid_after
    an_order(session, li, amount_fen=700, paid_at=paid_at, now=paid_at)

    arms = results.arms(session, campaign, now=now + timedelta(days=60))

    assert arms[Arm.HOLDOUT] == (ArmSales(1, 1, 700) if counts else ArmSales(1, 0, 0))
    assert arms[Arm.TREATED].sales_fen_per_member == 0


def test_silences_name_the_first_rule_of_each_withheld_touch(
    session: Session, now: datetime
) -> None:
    campaign, wang = running(session, now=now), a_guide(session)
    for rules in (["weekly_cap", "min_gap"], ["weekly_cap"], ["opted_out"], []):
        task = a_task(session, wang, now=now, campaign=campaign)
        verdict = {"violations": [{"rule": rule} for rule in rules]}
        a_sent_touch(session, task, at=now, state=TouchState.WITHHELD, verdict=verdict)
    a_sent_touch(session, a_task(session, wang, now=now), at=now, state=TouchState.WITHHELD)

    silences = results.silences(session, campaign.id)

    assert silences == [Silence("weekly_cap", 2), Silence("", 1), Silence("opted_out", 1)]


def test_a_guides_result_is_what_a_hand_counts(session: Session, campaign: Campaign) -> None:
    guide_id = (
        session.connection()
        .execute(text("SELECT guide_id FROM commissions GROUP BY 1 ORDER BY count(*) DESC LIMIT 1"))
        .scalar_one()
    )

    found = results.of_guide(session, guide_id)

    by_hand = session.connection().execute(text(_GUIDE), {"g": guide_id}).mappings().one()
    assert {name: getattr(found, name) for name in by_hand} == dict(by_hand)
    assert found.sales_fen > 0
    assert found.opened > found.tapped > 0
    del campaign


def test_a_guide_without_tasks_has_nothing(session: Session) -> None:
    assert results.of_guide(session, a_guide(session).id) == results.GuideResult(
        0, 0, 0, 0, 0, 0, 0, 0, 0
    )
