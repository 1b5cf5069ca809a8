"""Campaigns before launch: what a draft refuses, the preview, and the forecast of the gate."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import Connection, func
from sqlmodel import Session, select

from fatigue import gate
from guide_tasks import assign, campaigns, looking
from guide_tasks.audience import BadAudience
from guide_tasks.campaigns import CampaignForm, DeadlinePassed
from store.audit import AuditEntry
from store.campaigns import Campaign, CampaignState
from store.errors import NotFound
from store.orders import MemberFacts
from store.organisation import GuideStatus
from store.relations import Ownership
from store.touches import Channel, Touch
from tests.builders import (
    a_brand,
    a_campaign,
    a_guide,
    a_member,
    a_piece,
    a_plan,
    a_shop,
    a_touch,
)
from tests.guide_tasks.people import FALLBACKS, a_customer, write_in
from tests.queries import counted
from tests.times import at

EVERYBODY: dict[str, Any] = {"all": []}


def a_form(session: Session, *, now: datetime, **facts: Any) -> CampaignForm:
    usual: dict[str, Any] = {
        "name": "春日回访",
        "audience": EVERYBODY,
        "piece_code": a_piece(session).code,
        "deadline_at": now + timedelta(days=1),
    }
    return CampaignForm(**(usual | facts))


def write(session: Session, form: CampaignForm, *, now: datetime) -> Campaign:
    brand = a_brand(session)
    return campaigns.write(session, form, brand_id=brand.id, actor="hq:chen", now=now)


def test_a_draft_is_written_with_its_author(session: Session, now: datetime) -> None:
    plan = a_plan(session)

    campaign = write(session, a_form(session, now=now, coupon_plan_id=plan.id), now=now)

    assert campaign.state is CampaignState.DRAFT
    assert campaign.fallback_channels == FALLBACKS
    entry = session.exec(select(AuditEntry)).one()
    assert (entry.actor, entry.subject) == ("hq:chen", f"campaign:{campaign.id}")


def test_a_draft_after_its_own_deadline_is_refused(session: Session, now: datetime) -> None:
    form = a_form(session, now=now, deadline_at=now)

    with pytest.raises(DeadlinePassed):
        write(session, form, now=now)


@pytest.mark.parametrize(
    ("facts", "refusal"),
    [
        ({"audience": {"fact": "age"}}, BadAudience),
        ({"piece_code": "unknown"}, NotFound),
        ({"coupon_plan_id": 404}, NotFound),
    ],
)
def test_a_draft_that_cannot_be_launched_is_refused(
    session: Session, now: datetime, facts: dict[str, Any], refusal: type[Exception]
) -> None:
    form = a_form(session, now=now, **facts)

    with pytest.raises(refusal):
        write(session, form, now=now)
    assert session.exec(select(func.count()).select_from(Campaign)).one() == 0


@pytest.mark.parametrize("channel", [Channel.WECOM_APP, Channel.SMS])
def test_a_fallback_channel_must_be_one_that_the_brand_can_begin(
    session: Session, now: datetime, channel: Channel
) -> None:
    with pytest.raises(ValidationError, match="wechat_notice, wechat_service, wecom_broadcast"):
        a_form(session, now=now, fallback_channels=(channel,))


def test_preview_counts_exactly(session: Session, now: datetime) -> None:
    shop = a_shop(session)
    wang, gone = a_guide(session, shop=shop), a_guide(session, status=GuideStatus.LEFT)
    li, zhao = (a_member(session, shop_id=shop.id) for _ in range(2))
    sun = a_member(session, shop_id=a_shop(session).id)
    for member, guide in ((li, wang), (zhao, gone)):
        session.add(Ownership(member_id=member.id, guide_id=guide.id, since=now))
    for member, fen in ((li, 700), (sun, 50)):
        session.add(MemberFacts(member_id=member.id, spent_365_fen=fen, updated_at=now))
    session.flush()

    everybody = campaigns.preview(session, EVERYBODY, limit=None, now=now)
    best = campaigns.preview(session, EVERYBODY, limit=1, now=now)

    assert everybody == campaigns.Preview(members=3, with_guide=1, spent_365_fen=750, shops=2)
    assert best == campaigns.Preview(members=1, with_guide=1, spent_365_fen=700, shops=1)


def test_forecast_says_for_everybody_what_asking_would_do(session: Session, now: datetime) -> None:
    campaign = _mixed_house(session, now)

    forecast = campaigns.forecast(session, campaign, now=now)

    ids = sorted(session.exec(campaigns.audience_ids(campaign, now=now)).all())
    asked = gate.ask_many(session, _first_looks(session, campaign, ids, now), now=now)
    states = [touch.state.value for touch in asked]
    assert (forecast.reached, forecast.deferred, forecast.withheld) == (
        states.count("reserved"),
        states.count("asked"),
        states.count("withheld"),
    )
    assert forecast == campaigns.Forecast(2, 1, 2, {"daily_cap": 1, "no_consent": 2})


def _first_looks(
    session: Session, campaign: Campaign, ids: list[int], now: datetime
) -> list[gate.Ask]:
    choices = assign.choose(session, campaign.id, ids, now=now)
    return looking.first_looks(campaign, ids, choices, occasion="forecast")


def _mixed_house(session: Session, now: datetime) -> Campaign:
    """One member for each: the guide, the fallback, later, nothing known, no consent."""
    wang = a_guide(session)
    a_customer(session, wang, now=now)
    write_in(session, a_customer(session, now=now), now=now)
    a_touch(session, a_customer(session, wang, now=now), now=now - timedelta(hours=5))
    a_member(session)
    a_customer(session, wang, now=now, agrees_to=())
    return a_campaign(
        session,
        audience=EVERYBODY,
        fallback_channels=[Channel.WECHAT_SERVICE.value],
        now=now,
    )


def test_forecast_writes_nothing(session: Session, connection: Connection, now: datetime) -> None:
    campaign = _mixed_house(session, now)

    with counted(connection) as seen:
        campaigns.forecast(session, campaign, now=now)

    assert [one for one in seen if one.split()[0].upper() not in {"SELECT", "WITH"}] == []
    assert session.exec(select(Touch).where(Touch.campaign_id == campaign.id)).all() == []


def test_forecast_looks_at_the_guide_whom_launch_would_choose(
    session: Session, now: datetime
) -> None:
    """No own guide, but one of the shop's two guides is a friend: that one can write."""
    shop = a_shop(session)
    a_guide(session, shop=shop)
    wang = a_guide(session, shop=shop)
    li = a_customer(session, wang, now=now, shop_id=shop.id)
    session.exec(select(Ownership).where(Ownership.member_id == li.id)).one().until = now
    campaign = a_campaign(session, audience=EVERYBODY, now=now)

    forecast = campaigns.forecast(session, campaign, now=now)

    assert forecast == campaigns.Forecast(1, 0, 0, {})


def test_forecast_at_night_defers_to_the_morning(session: Session) -> None:
    night = at("2026-03-01 23:00")
    a_customer(session, a_guide(session), now=night)
    campaign = a_campaign(session, audience=EVERYBODY, now=night)

    forecast = campaigns.forecast(session, campaign, now=night)

    assert forecast == campaigns.Forecast(0, 1, 0, {"quiet_hours": 1})


def test_forecast_of_a_launched_campaign_looks_at_the_frozen_audience(
    session: Session, now: datetime
) -> None:
    campaign = a_campaign(session, audience=EVERYBODY, state=CampaignState.RUNNING, now=now)
    a_customer(session, a_guide(session), now=now)

    assert campaigns.forecast(session, campaign, now=now) == campaigns.Forecast(0, 0, 0, {})


def test_a_campaign_is_known_by_its_token_only(session: Session, now: datetime) -> None:
    campaign = a_campaign(session, now=now)

    assert campaigns.by_token(session, campaign.token) is campaign
    with pytest.raises(NotFound):
        campaigns.by_token(session, str(campaign.id))
