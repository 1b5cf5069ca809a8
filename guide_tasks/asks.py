"""What the engine asks of the gate: for a first look, for a guide, and for the fallback."""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import func
from sqlmodel import Session, select

from fatigue.gate import Ask
from store.campaigns import Campaign, CareTask
from store.touches import Category, Channel, Touch, TouchState

# Only these reach a member without a person's hand.
BY_ITSELF = frozenset({Channel.WECHAT_SERVICE, Channel.WECHAT_NOTICE})
FALLBACKS = BY_ITSELF | {Channel.WECOM_BROADCAST}


def first_looks(
    campaign: Campaign, voices: Iterable[tuple[int, int | None]], *, occasion: str
) -> list[Ask]:
    """May anybody reach these members at all: a guide who can write to them, or the account.

    `voices` are pairs of a member and a guide who is in contact with them. Without one and without
    the account the gate is asked about the guide's channel, so that it can say why nobody speaks.
    """
    account = _by_itself(campaign)
    with_guide = (Channel.WECOM_BROADCAST, *account)
    without = account or with_guide
    key, facts = f"{occasion}-{campaign.id}-", _of_campaign(campaign)
    return [
        Ask(
            key=f"{key}{member_id}",
            member_id=member_id,
            channels=without if guide_id is None else with_guide,
            guide_id=guide_id,
            deadline_at=campaign.deadline_at,
            **facts,
        )
        for member_id, guide_id in voices
    ]


def guide_key(task: CareTask, turn: int = 0) -> str:
    """The key of the touch that the guide of a task asks for: twice is one touch.

    Another guide's is another: the words are, too. So is another attempt in the chat.
    """
    key = f"task-{task.id}-guide-{task.guide_id}"
    return f"{key}-{turn}" if turn else key


def broadcast_key(task: CareTask) -> str:
    """The key of the broadcast that the brand lays before a guide."""
    return f"task-{task.id}-broadcast"


def attempts(session: Session, task: CareTask) -> int:
    """How often the guide of a task began to send in the chat, and then nothing went out."""
    query = select(func.count()).select_from(Touch)
    return session.exec(
        query.where(
            Touch.care_task_id == task.id,
            Touch.guide_id == task.guide_id,
            Touch.channel == Channel.WECOM_SIDEBAR,
            Touch.state == TouchState.FAILED,
        )
    ).one()


def of_guide(session: Session, task: CareTask, channel: Channel = Channel.WECOM_BROADCAST) -> Ask:
    """The next ask of a task's guide, before the deadline: attempts that failed are over."""
    campaign = session.get_one(Campaign, task.campaign_id)
    return by_guide(campaign, task, channel, turn=attempts(session, task))


def by_guide(
    campaign: Campaign,
    task: CareTask,
    channel: Channel = Channel.WECOM_BROADCAST,
    *,
    turn: int = 0,
) -> Ask:
    """The guide of a task speaks, before the deadline."""
    return Ask(
        key=guide_key(task, turn),
        member_id=task.member_id,
        channels=(channel,),
        care_task_id=task.id,
        guide_id=task.guide_id,
        text=task.text,
        deadline_at=campaign.deadline_at,
        **_of_campaign(campaign),
    )


def by_broadcast(campaign: Campaign, task: CareTask, guide_id: int, until: datetime) -> Ask | None:
    """First step of a fallback: the brand lays a broadcast before a guide, who need only confirm.

    None where the campaign does not want it.
    """
    if Channel.WECOM_BROADCAST.value not in campaign.fallback_channels:
        return None
    return Ask(
        key=broadcast_key(task),
        member_id=task.member_id,
        channels=(Channel.WECOM_BROADCAST,),
        care_task_id=task.id,
        guide_id=guide_id,
        text=task.draft,
        deadline_at=until,
        **_of_campaign(campaign),
    )


def by_brand(campaign: Campaign, task: CareTask, until: datetime) -> Ask | None:
    """Last step: the brand speaks itself, on the account's channels that the campaign allows.

    In the words of the draft: what a guide wrote and did not send is not the brand's to say.
    """
    channels = _by_itself(campaign)
    if not channels:
        return None
    return Ask(
        key=f"task-{task.id}-fallback",
        member_id=task.member_id,
        channels=channels,
        care_task_id=task.id,
        text=task.draft,
        deadline_at=until,
        payload={"title": campaign.name} | _page(task),
        **_of_campaign(campaign),
    )


def _by_itself(campaign: Campaign) -> tuple[Channel, ...]:
    named = [Channel(name) for name in campaign.fallback_channels]
    return tuple(channel for channel in named if channel in BY_ITSELF)


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
