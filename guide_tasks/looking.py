"""The first look at a chunk of members: who of the guides could speak to whom, and may anybody."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session

from fatigue import gate
from fatigue.rules import Outcome
from guide_tasks import asks, assign
from store.campaigns import Campaign, CampaignMode
from store.touches import Channel


@dataclass(frozen=True, slots=True)
class Prospect:
    """A member and who speaks to them: a guide, the guides of a shop, or neither.

    `wish` is what the gate was asked; it is kept where nobody may speak, to be written down.
    """

    member_id: int
    guide_id: int | None = None
    shop_id: int | None = None
    hopeless: gate.Ask | None = None


def look(
    session: Session, campaign: Campaign, member_ids: Sequence[int], *, now: datetime
) -> list[Prospect]:
    """Ask the gate who may speak to whom, without a trace; in the order of the ids."""
    choices = assign.choose(session, campaign.id, member_ids, now=now)
    wishes = first_looks(campaign, member_ids, choices, occasion="launch")
    is_shared = campaign.mode is CampaignMode.SHOPS
    return [
        _prospect(wish, forecast, choices.get(wish.member_id), is_shared=is_shared)
        for wish, forecast in zip(wishes, asked(session, wishes, now=now), strict=True)
    ]


def asked(session: Session, wishes: Sequence[gate.Ask], *, now: datetime) -> list[gate.Forecast]:
    """The one place where an audience is put to the gate."""
    return gate.dry_run(session, wishes, now=now)


def first_looks(
    campaign: Campaign,
    member_ids: Sequence[int],
    choices: Mapping[int, assign.Choice],
    *,
    occasion: str,
) -> list[gate.Ask]:
    """One ask a member, as launch makes it."""
    voices = ((member_id, _voice(campaign, choices.get(member_id))) for member_id in member_ids)
    return asks.first_looks(campaign, voices, occasion=occasion)


def _voice(campaign: Campaign, choice: assign.Choice | None) -> int | None:
    """The chosen guide, if WeCom lets that guide write to the member."""
    if choice is None or not choice.is_friend or campaign.mode is CampaignMode.DIRECT:
        return None
    return choice.guide_id


def _prospect(
    wish: gate.Ask, found: gate.Forecast, choice: assign.Choice | None, *, is_shared: bool
) -> Prospect:
    if found.outcome is Outcome.WITHHOLD:
        return Prospect(wish.member_id, wish.guide_id, hopeless=wish)
    if wish.guide_id is None or choice is None or _is_mute(found):
        return Prospect(wish.member_id)
    if is_shared:
        return Prospect(wish.member_id, shop_id=choice.shop_id)
    return Prospect(wish.member_id, guide_id=choice.guide_id, shop_id=choice.shop_id)


def _is_mute(found: gate.Forecast) -> bool:
    """Whether a guide would never be let through, but the brand would."""
    reasons = (*found.verdict.violations, *found.verdict.passed_over)
    return any(
        reason.channel is Channel.WECOM_BROADCAST and reason.retry_at is None for reason in reasons
    )
