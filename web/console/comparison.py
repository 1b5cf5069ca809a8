"""The two arms of a campaign side by side, and how much of their difference may be chance."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import sqrt
from typing import Any

from sqlalchemy import func
from sqlmodel import Session, col, select

from guide_tasks import results
from guide_tasks.results import ArmSales
from store.campaigns import Arm, AudienceMember, Campaign
from store.orders import Order

# Below this an arm says nothing: one big basket would decide.
LEAST_MEMBERS = 30
# Two-sided 95 % of the normal distribution.
_Z = 1.96


@dataclass(frozen=True, slots=True)
class Comparison:
    """Sales a member in both arms, in fen; no `margin_fen` means that they are too small."""

    treated: ArmSales
    holdout: ArmSales
    margin_fen: float | None

    @property
    def difference_fen(self) -> float:
        """What a treated member bought more than a held-out one."""
        return self.treated.sales_fen_per_member - self.holdout.sales_fen_per_member

    @property
    def is_clear(self) -> bool:
        """Whether the difference is larger than chance explains in 19 of 20 cases."""
        return self.margin_fen is not None and abs(self.difference_fen) > self.margin_fen

    @property
    def extra_fen(self) -> float:
        """What the whole treated arm bought more, if the difference is real."""
        return self.difference_fen * self.treated.members


def compare(session: Session, campaign: Campaign, *, now: datetime) -> Comparison:
    """Both arms from launch to the end of the attribution window, or now."""
    arms = results.arms(session, campaign, now=now)
    treated, holdout = arms[Arm.TREATED], arms[Arm.HOLDOUT]
    if min(treated.members, holdout.members) < LEAST_MEMBERS:
        return Comparison(treated, holdout, None)
    spread = _variances(session, campaign, now)
    variance = sum(spread[arm] / arms[arm].members for arm in Arm)
    return Comparison(treated, holdout, _Z * sqrt(variance))


def _variances(session: Session, campaign: Campaign, now: datetime) -> dict[Arm, float]:
    """Variance of the sales a member, by arm; who bought nothing counts as zero."""
    launched = campaign.launched_at or now
    until = min(now, launched + timedelta(days=campaign.attribution_days))
    paid = func.coalesce(func.sum(Order.amount_fen - Order.refunded_fen), 0)
    in_window = (
        (col(Order.member_id) == AudienceMember.member_id)
        & (col(Order.paid_at) >= launched)
        & (col(Order.paid_at) < until)
    )
    members: Any = (
        select(AudienceMember.arm, paid.label("fen"))
        .join(Order, in_window, isouter=True)
        .where(AudienceMember.campaign_id == campaign.id)
        .group_by(AudienceMember.arm, col(AudienceMember.member_id))
        .subquery()
    )
    query: Any = select(members.c.arm, func.var_samp(members.c.fen)).group_by(members.c.arm)
    return {Arm(arm): float(variance or 0) for arm, variance in session.exec(query).all()}
