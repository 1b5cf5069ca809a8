"""Results: the funnel of a campaign against its hold-out, and what a guide's care earned."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, func, text
from sqlmodel import Session, col, select

from store.attributions import Attribution, Commission, CommissionState
from store.campaigns import REACHED, Arm, AudienceMember, Campaign, CareTask, TaskState
from store.orders import Order
from store.pick_taps import PickTap
from store.touches import Touch, TouchState


@dataclass(frozen=True, slots=True)
class Funnel:
    """How far the treated members of a campaign came; amounts in fen.

    A sale that was refunded wholly, or whose message did not arrive, is none.
    """

    audience: int
    holdout: int
    tasks: dict[TaskState, int]
    reached: int
    opened: int
    tapped: int
    replied: int
    bought: int
    orders: int
    sales_fen: int
    commission_fen: int


@dataclass(frozen=True, slots=True)
class ArmSales:
    """What one arm bought from launch until the end of the attribution window (or now)."""

    members: int
    buyers: int
    sales_fen: int

    @property
    def sales_fen_per_member(self) -> float:
        """Sales a member, whoever was really reached: the arms stay comparable."""
        return self.sales_fen / self.members if self.members else 0.0


@dataclass(frozen=True, slots=True)
class Silence:
    """Why touches of a campaign did not go out: a rule and how often it was the first to say no."""

    rule: str
    touches: int


@dataclass(frozen=True, slots=True)
class GuideResult:
    """What one guide's care came to."""

    tasks: int
    sent: int
    opened: int
    tapped: int
    replied: int
    bought: int
    sales_fen: int
    unconfirmed_fen: int
    confirmed_fen: int


def funnel(session: Session, campaign_id: int) -> Funnel:
    """The funnel of one campaign, each figure a query."""
    arms = dict(
        session.exec(
            select(AudienceMember.arm, func.count())
            .where(AudienceMember.campaign_id == campaign_id)
            .group_by(AudienceMember.arm)
        ).all()
    )
    states = task_states(session, campaign_id)
    opened, tapped, replied = _echo(session, col(CareTask.campaign_id) == campaign_id)
    orders, buyers, sales = session.exec(
        select(
            func.count(),
            func.count(func.distinct(Attribution.care_task_id)),
            func.coalesce(func.sum(Attribution.amount_fen), 0),
        ).where(Attribution.campaign_id == campaign_id, Attribution.amount_fen > 0)
    ).one()
    return Funnel(
        audience=sum(arms.values()),
        holdout=arms.get(Arm.HOLDOUT, 0),
        tasks=states,
        reached=sum(n for state, n in states.items() if state in REACHED),
        opened=opened,
        tapped=tapped,
        replied=replied,
        bought=buyers,
        orders=orders,
        sales_fen=int(sales),
        commission_fen=_commission(session, campaign_id),
    )


def _echo(session: Session, whose: ColumnElement[bool]) -> tuple[int, int, int]:
    """Of so many tasks the list was opened, a product of it tapped, the message answered."""
    opened, replied = session.exec(
        select(
            func.count(col(CareTask.picks_opened_at)),
            func.count(col(CareTask.replied_at)),
        ).where(whose)
    ).one()
    tapped = session.exec(
        select(func.count(func.distinct(PickTap.care_task_id)))
        .join(CareTask, col(CareTask.id) == PickTap.care_task_id)
        .where(whose)
    ).one()
    return opened, tapped, replied


def task_states(session: Session, campaign_id: int) -> dict[TaskState, int]:
    """Tasks of a campaign by state."""
    query = (
        select(CareTask.state, func.count())
        .where(CareTask.campaign_id == campaign_id)
        .group_by(CareTask.state)
    )
    return {TaskState(state): tasks for state, tasks in session.exec(query).all()}


def _commission(session: Session, campaign_id: int) -> int:
    query = (
        select(func.coalesce(func.sum(Commission.amount_fen), 0))
        .join(Attribution, col(Attribution.id) == Commission.attribution_id)
        .where(Attribution.campaign_id == campaign_id)
    )
    return int(session.exec(query).one())


def arms(session: Session, campaign: Campaign, *, now: datetime) -> dict[Arm, ArmSales]:
    """Sales of the treated and of the held-out members since launch, refunds taken off."""
    launched = campaign.launched_at or now
    until = min(now, launched + timedelta(days=campaign.attribution_days))
    query = (
        select(
            AudienceMember.arm,
            func.count(func.distinct(AudienceMember.member_id)),
            func.count(func.distinct(Order.member_id)),
            func.coalesce(func.sum(Order.amount_fen - Order.refunded_fen), 0),
        )
        .join(
            Order,
            (col(Order.member_id) == AudienceMember.member_id)
            & (col(Order.paid_at) >= launched)
            & (col(Order.paid_at) < until),
            isouter=True,
        )
        .where(AudienceMember.campaign_id == campaign.id)
        .group_by(AudienceMember.arm)
    )
    found = {
        arm: ArmSales(n, buyers, int(fen)) for arm, n, buyers, fen in session.exec(query).all()
    }
    return {arm: found.get(arm, ArmSales(0, 0, 0)) for arm in Arm}


def silences(session: Session, campaign_id: int) -> list[Silence]:
    """The rules that withheld touches of a campaign, most frequent first."""
    rule: Any = col(Touch.verdict)[text("'violations'")][0]["rule"].astext
    query = (
        select(rule, func.count())
        .where(Touch.campaign_id == campaign_id, Touch.state == TouchState.WITHHELD)
        .group_by(rule)
        .order_by(func.count().desc(), rule.nulls_first())
    )
    return [Silence(name or "", touches) for name, touches in session.exec(query).all()]


def of_guide(session: Session, guide_id: int) -> GuideResult:
    """What a guide did and earned."""
    own = col(CareTask.guide_id) == guide_id
    states = dict(
        session.exec(select(CareTask.state, func.count()).where(own).group_by(CareTask.state)).all()
    )
    opened, tapped, replied = _echo(session, own)
    sales = session.exec(
        select(func.coalesce(func.sum(Attribution.amount_fen), 0)).where(
            Attribution.guide_id == guide_id
        )
    ).one()
    earned = dict(
        session.exec(
            select(Commission.state, func.sum(Commission.amount_fen))
            .where(Commission.guide_id == guide_id)
            .group_by(Commission.state)
        ).all()
    )
    return GuideResult(
        tasks=sum(states.values()),
        sent=sum(n for state, n in states.items() if state in REACHED),
        opened=opened,
        tapped=tapped,
        replied=replied,
        bought=states.get(TaskState.CONVERTED, 0),
        sales_fen=int(sales),
        unconfirmed_fen=int(earned.get(CommissionState.UNCONFIRMED, 0)),
        confirmed_fen=int(earned.get(CommissionState.CONFIRMED, 0)),
    )
