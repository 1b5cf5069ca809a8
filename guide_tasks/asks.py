"""What the engine asks of the gate: for a first look, for a guide, and for the fallback."""

import re
from typing import Any

from fatigue.gate import Ask
from store.campaigns import Campaign, CareTask
from store.touches import Category, Channel

# Only these reach a member without a person's hand.
FALLBACKS = frozenset({Channel.WECHAT_SERVICE, Channel.WECHAT_NOTICE})


def first_look(campaign: Campaign, member_id: int, *, guide_id: int | None, occasion: str) -> Ask:
    """May anybody reach this member at all: a guide who can write to them, or a fallback channel.

    `guide_id` is a guide who is in contact with the member. Without one and without any fallback
    the gate is asked about the guide's channel, so that it can say why nobody speaks.
    """
    fallback = tuple(Channel(name) for name in campaign.fallback_channels)
    own = () if guide_id is None and fallback else (Channel.WECOM_BROADCAST,)
    return Ask(
        key=f"{occasion}-{campaign.id}-{member_id}",
        member_id=member_id,
        channels=own + fallback,
        guide_id=guide_id,
        deadline_at=campaign.deadline_at,
        **_of_campaign(campaign),
    )


def by_guide(campaign: Campaign, task: CareTask) -> Ask:
    """The guide of a task speaks, before the deadline."""
    return Ask(
        key=f"task-{task.id}-guide",
        member_id=task.member_id,
        channels=(Channel.WECOM_BROADCAST,),
        care_task_id=task.id,
        guide_id=task.guide_id,
        text=task.text,
        deadline_at=campaign.deadline_at,
        **_of_campaign(campaign),
    )


def by_brand(campaign: Campaign, task: CareTask) -> Ask:
    """The brand speaks instead of the guide, on the fallback channels of the campaign.

    In the words of the draft: what a guide wrote and did not send is not the brand's to say.
    """
    return Ask(
        key=f"task-{task.id}-fallback",
        member_id=task.member_id,
        channels=tuple(Channel(name) for name in campaign.fallback_channels),
        care_task_id=task.id,
        text=task.draft,
        payload={"title": campaign.name} | _page(task),
        **_of_campaign(campaign),
    )


def _of_campaign(campaign: Campaign) -> dict[str, Any]:
    return {
        "category": Category(campaign.category),
        "brand_id": campaign.brand_id,
        "campaign_id": campaign.id,
        "priority": campaign.priority,
    }


def _page(task: CareTask) -> dict[str, str]:
    """What a tap on a notice opens: the product list, whose link the draft holds since launch."""
    link = re.search(rf"https?://\S+/m/picks/{re.escape(task.token)}", task.draft)
    return {"url": link[0]} if link else {}
