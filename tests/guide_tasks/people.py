"""Guides, members they can write to, and campaigns that are under way."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import Session, select

from guide_tasks import launch, replies
from store.campaigns import Campaign, CampaignState, CareTask, TaskState
from store.consents import Consent, Purpose
from store.db import Database
from store.grants import Grant
from store.members import Identity, IdentityChannel, Member
from store.organisation import Guide
from store.relations import Friendship, Ownership
from store.touches import Category, Channel, Evidence, Touch, TouchState
from tests.builders import a_brand, a_campaign, a_care_task, a_member, number

URL = "https://guide.example"
LONG_AGO = timedelta(days=400)
FALLBACKS = [Channel.WECHAT_SERVICE.value, Channel.WECHAT_NOTICE.value]
_TO_MEMBERS = (Channel.WECOM_BROADCAST, Channel.WECHAT_SERVICE, Channel.WECHAT_NOTICE)


def a_customer(
    session: Session,
    guide: Guide | None = None,
    *,
    now: datetime,
    agrees_to: Collection[Channel] = _TO_MEMBERS,
    **facts: Any,
) -> Member:
    """A member on WeChat who agreed to care; with a guide: the guide's own, and friend in WeCom."""
    member = a_member(session, now=now, **facts)
    for channel in agrees_to:
        agree(session, member, channel, now=now - LONG_AGO)
    identify(session, member, IdentityChannel.WECHAT, now=now)
    if guide is not None:
        identify(session, member, IdentityChannel.WECOM, now=now)
        befriend(session, member, guide, now=now - LONG_AGO)
        session.add(Ownership(member_id=member.id, guide_id=guide.id, since=now - LONG_AGO))
    session.flush()
    return member


def agree(session: Session, member: Member, channel: Channel, *, now: datetime) -> None:
    """The member agrees to care and marketing on a channel."""
    for purpose in Purpose:
        session.add(
            Consent(
                member_id=member.id,
                channel=channel,
                purpose=purpose,
                is_granted=True,
                text_version="1",
                source="test",
                stated_at=now,
            )
        )


def identify(session: Session, member: Member, channel: IdentityChannel, *, now: datetime) -> None:
    """The member has an id on a platform."""
    session.add(
        Identity(
            member_id=member.id,
            channel=channel,
            account="a",
            outside_id=f"{channel}-{number()}",
            created_at=now,
        )
    )


def befriend(session: Session, member: Member, guide: Guide, *, now: datetime) -> Friendship:
    """Member and guide are in contact in WeCom."""
    friendship = Friendship(
        guide_id=guide.id, external_userid=f"wm{number()}", member_id=member.id, since=now
    )
    session.add(friendship)
    session.flush()
    return friendship


def write_in(session: Session, member: Member, *, now: datetime) -> None:
    """The member wrote to the official account: it may answer five times in two days."""
    session.add(
        Grant(
            member_id=member.id,
            channel=Channel.WECHAT_SERVICE,
            account="a",
            allowance=5,
            opened_at=now,
            expires_at=now + timedelta(hours=48),
            source_id=f"grant-{number()}",
        )
    )
    session.flush()


def writes(session: Session, member: Member, *, now: datetime) -> None:
    """The same, and the tasks heard of it."""
    write_in(session, member, now=now)
    replies.member_wrote(session, member.id, now=now)


def a_task(session: Session, guide: Guide, *, now: datetime, **facts: Any) -> CareTask:
    """A task for a new customer of the guide, in a running campaign with both fallback channels."""
    member = facts.pop("member", None) or a_customer(session, guide, now=now)
    campaign = facts.pop("campaign", None) or running(session, now=now)
    return a_care_task(session, member, campaign=campaign, guide=guide, now=now, **facts)


def running(session: Session, *, now: datetime, **facts: Any) -> Campaign:
    """A campaign under way, two hours before its deadline."""
    usual: dict[str, Any] = {
        "state": CampaignState.RUNNING,
        "fallback_channels": FALLBACKS,
        "deadline_at": now + timedelta(hours=2),
        "launched_at": now,
        "commission_bp": 500,
        "coupon_plan_id": None,
    }
    return a_campaign(session, now=now, **(usual | facts))


def a_sent_touch(session: Session, task: CareTask, *, at: datetime, **facts: Any) -> Touch:
    """The guide's broadcast reached the member at this instant, as WeCom says."""
    usual: dict[str, Any] = {
        "key": f"sent-{number()}",
        "member_id": task.member_id,
        "channel": Channel.WECOM_BROADCAST,
        "category": Category.CARE,
        "brand_id": a_brand(session).id,
        "campaign_id": task.campaign_id,
        "care_task_id": task.id,
        "guide_id": task.guide_id,
        "state": TouchState.SENT,
        "evidence": Evidence.PLATFORM,
        "asked_at": at,
        "counted_at": at,
        "settled_at": at,
    }
    touch = Touch(**(usual | facts))
    session.add(touch)
    session.flush()
    return touch


def launched(database: Database, campaign_id: int, *, now: datetime) -> None:
    """Freeze and launch a draft, as console and worker would."""
    with database.transaction() as session:
        campaign = session.get_one(Campaign, campaign_id)
        launch.freeze(session, campaign, actor="test", now=now)
    launch.run(database, campaign_id, public_url=URL, now=now)


def tasks_of(session: Session, campaign_id: int) -> dict[int, CareTask]:
    """Tasks of a campaign by member."""
    query = select(CareTask).where(CareTask.campaign_id == campaign_id)
    fresh = query.execution_options(populate_existing=True)
    return {task.member_id: task for task in session.exec(fresh).all()}


def tokens_of(database: Database, campaign_id: int) -> dict[int, str]:
    """The token of each member's task."""
    with database.transaction() as session:
        return {member: task.token for member, task in tasks_of(session, campaign_id).items()}


def states_of(session: Session, campaign_id: int) -> dict[int, TaskState]:
    """States of the tasks of a campaign by member."""
    return {member_id: task.state for member_id, task in tasks_of(session, campaign_id).items()}
