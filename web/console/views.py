"""What the console shows, as plain values: a fixed number of queries a page, whatever the rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Select, and_, cast, func
from sqlalchemy import select as select_columns
from sqlmodel import Session, col, select

from content.rule_phrases import rule_phrase
from guide_tasks import campaigns, results
from guide_tasks.campaigns import Forecast, Preview
from guide_tasks.results import Funnel
from store.attributions import Attribution
from store.campaigns import (
    REACHED,
    Assignment,
    AudienceMember,
    Campaign,
    CampaignState,
    CareTask,
    TaskState,
)
from store.organisation import Guide, Shop
from store.touches import HUMAN_PATIENCE, Touch, TouchState

PAGE = 50


@dataclass(frozen=True, slots=True)
class CampaignRow:
    """One line of the list; `audience` counts once launched."""

    token: str
    name: str
    state: CampaignState
    deadline_at: datetime
    launch_at: datetime | None
    launched_at: datetime | None
    audience: int
    reached: int
    orders: int
    sales_fen: int


@dataclass(frozen=True, slots=True)
class Reason:
    """A rule in plain words and how many members it keeps from a message."""

    words: str
    members: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A draft: whom it holds and what the gate says to it today."""

    preview: Preview
    forecast: Forecast
    reasons: list[Reason]


@dataclass(frozen=True, slots=True)
class Launching:
    """How far the making of care tasks has come."""

    done: int
    total: int


@dataclass(frozen=True, slots=True)
class GuideRow:
    """What one guide did with a campaign; `sent` are tasks that the guide's own message reached."""

    name: str
    shop: str
    opened_at: datetime | None
    tasks: int
    sent: int
    bought: int
    sales_fen: int


@dataclass(frozen=True, slots=True)
class Report:
    """How a launched campaign goes."""

    funnel: Funnel
    steps: list[tuple[str, int]]
    states: list[tuple[TaskState, int]]
    guides: list[GuideRow]
    guides_total: int


def campaign_page(session: Session, *, before: str | None) -> tuple[list[CampaignRow], str | None]:
    """The newest campaigns older than the one behind the token `before`, and where to go on."""
    audience = _per_campaign(AudienceMember.campaign_id, func.count())
    reached = _per_campaign(CareTask.campaign_id, func.count()).where(
        col(CareTask.state).in_(REACHED)
    )
    sales = _per_campaign(Attribution.campaign_id, func.sum(Attribution.amount_fen), func.count())
    counts, touched, sold = audience.subquery(), reached.subquery(), sales.subquery()
    query: Any = (
        select_columns(Campaign, counts.c.a, touched.c.a, sold.c.b, sold.c.a)
        .join(counts, counts.c.campaign_id == Campaign.id, isouter=True)
        .join(touched, touched.c.campaign_id == Campaign.id, isouter=True)
        .join(sold, sold.c.campaign_id == Campaign.id, isouter=True)
        .order_by(col(Campaign.id).desc())
        .limit(PAGE + 1)
    )
    if before is not None:
        older = select(Campaign.id).where(Campaign.token == before).scalar_subquery()
        query = query.where(col(Campaign.id) < older)
    found = session.exec(query).all()
    rows = [_row(*values) for values in found[:PAGE]]
    return rows, rows[-1].token if len(found) > PAGE else None


def _per_campaign(key: Any, a: Any, b: Any = None) -> Select[Any]:
    columns = [a.label("a")] if b is None else [a.label("a"), b.label("b")]
    return select_columns(key, *columns).group_by(key)


def _row(
    campaign: Campaign, audience: int | None, reached: int | None, orders: int | None, fen: Any
) -> CampaignRow:
    return CampaignRow(
        token=campaign.token,
        name=campaign.name,
        state=campaign.state,
        deadline_at=campaign.deadline_at,
        launch_at=campaign.launch_at,
        launched_at=campaign.launched_at,
        audience=audience or 0,
        reached=reached or 0,
        orders=orders or 0,
        sales_fen=int(fen or 0),
    )


def plan(session: Session, campaign: Campaign, *, now: datetime) -> Plan:
    """What a draft would do if it were launched and sent now."""
    seen = campaigns.preview(session, campaign.audience, limit=campaign.audience_limit, now=now)
    forecast = campaigns.forecast(session, campaign, now=now)
    return Plan(seen, forecast, _reasons(forecast.by_rule))


def _reasons(by_rule: Mapping[str, int]) -> list[Reason]:
    ordered = sorted(by_rule.items(), key=lambda item: (-item[1], item[0]))
    return [Reason(rule_phrase(rule), members) for rule, members in ordered]


def launching(campaign: Campaign) -> Launching:
    """Tasks made so far, of all members who will get one."""
    return Launching(campaign.tasks_made, campaign.tasks_planned)


def report(session: Session, campaign_id: int, *, skip: int = 0) -> Report:
    """Funnel, task states and a page of guides of a launched campaign."""
    funnel = results.funnel(session, campaign_id)
    steps = [
        ("treated", funnel.audience - funnel.holdout),
        ("reached", funnel.reached),
        ("opened", funnel.opened),
        ("tapped", funnel.tapped),
        ("replied", funnel.replied),
        ("bought", funnel.bought),
    ]
    assigned = select(func.count()).where(Assignment.campaign_id == campaign_id)
    return Report(
        funnel=funnel,
        steps=steps,
        states=[(state, funnel.tasks[state]) for state in TaskState if state in funnel.tasks],
        guides=_guides(session, campaign_id, skip),
        guides_total=session.exec(assigned).one(),
    )


def _guides(session: Session, campaign_id: int, skip: int) -> list[GuideRow]:
    """A page of the guides of a campaign, who sold most first."""
    tasks = _per_guide(CareTask, campaign_id, func.count()).subquery()
    sent = (
        _per_guide(Touch, campaign_id, func.count(func.distinct(Touch.care_task_id)))
        .where(col(Touch.channel).in_(HUMAN_PATIENCE))
        .where(col(Touch.state) == TouchState.SENT)
        .subquery()
    )
    buyers = func.count(func.distinct(Attribution.care_task_id))
    sales = cast(func.sum(Attribution.amount_fen), BigInteger)
    sold = (
        _per_guide(Attribution, campaign_id, buyers, sales)
        .where(col(Attribution.amount_fen) > 0)
        .subquery()
    )
    query: Any = (
        select(Guide.name, Shop.name, Assignment.opened_at)
        .add_columns(*(func.coalesce(c, 0) for c in (tasks.c.a, sent.c.a, sold.c.a, sold.c.b)))
        .select_from(Assignment)
        .join(Guide, col(Guide.id) == Assignment.guide_id)
        .join(Shop, col(Shop.id) == Guide.shop_id)
        .where(col(Assignment.campaign_id) == campaign_id)
        .order_by(sold.c.b.desc().nulls_last(), sent.c.a.desc().nulls_last(), col(Guide.id))
        .offset(skip)
        .limit(PAGE)
    )
    for counted in (tasks, sent, sold):
        query = query.join(counted, counted.c.guide_id == Assignment.guide_id, isouter=True)
    return [GuideRow(*values) for values in session.exec(query).all()]


def _per_guide(table: Any, campaign_id: int, a: Any, b: Any = None) -> Select[Any]:
    mine = and_(table.campaign_id == campaign_id, table.guide_id.is_not(None))
    return _per_campaign(table.guide_id, a, b).where(mine)
