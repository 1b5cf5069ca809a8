"""What the toolbar of a chat shows: who this is, what is to be said today, and whether it may be.

A customer whom the guide may not see is shown as an unknown friend: nothing of them leaves.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from sqlmodel import Session, col, select

from fatigue import gate
from fatigue.gate import Ask
from guide_tasks import asks, progress, sidebar
from store.accounts import Account
from store.campaigns import WITH_GUIDE, Campaign, CareTask, TaskState
from store.members import Identity, IdentityChannel, Member, MemberStatus
from store.organisation import Guide
from store.touches import Category, Channel
from web.workbench import customer, standing, task_page
from web.workbench.customer import OwnCoupon, PastTouch, Person, Purchase
from web.workbench.customer_list import sees
from web.workbench.standing import Advice, Standing
from web.workbench.task_page import Good

_CHANNEL = Channel.WECOM_SIDEBAR
_UNDER_WAY = WITH_GUIDE | {TaskState.SENDING}


class Said(StrEnum):
    """What the page says about the tap that has just been; the words stand in the template."""

    SENT = "sent"
    CANCELLED = "cancelled"
    REFUSED = "refused"
    OVER = "over"
    OTHER_CHAT = "other_chat"
    TOO_LONG = "too_long"
    EMPTY = "empty"


@dataclass(frozen=True, slots=True)
class TaskPart:
    """The task to be sent here; `is_in_doubt` when nobody knows whether its message went out."""

    token: str
    turn: int
    campaign: str
    reason: str
    text: str
    goods: Sequence[Good]
    is_in_doubt: bool


@dataclass(frozen=True, slots=True)
class SidebarView:
    """The friend of the chat; without `person` one whom the guide cannot know.

    `elsewhere` tells of a task that is being sent another way.
    """

    external_userid: str
    person: Person | None = None
    purchases: Sequence[Purchase] = ()
    coupons: Sequence[OwnCoupon] = ()
    touches: Sequence[PastTouch] = ()
    task: TaskPart | None = None
    elsewhere: Standing | None = None
    advice: Advice | None = None


def member_of(session: Session, guide: Guide, app: Account, external_userid: str) -> Member | None:
    """The member behind a friend in WeCom, if the guide may see them."""
    query = (
        select(Member)
        .join(Identity, col(Identity.member_id) == Member.id)
        .where(Identity.channel == IdentityChannel.WECOM, Identity.account == app.app_id)
        .where(Identity.outside_id == external_userid)
        .where(Member.status == MemberStatus.ACTIVE, sees(guide))
    )
    return session.exec(query).first()


def read(
    session: Session, guide: Guide, app: Account, external_userid: str, *, now: datetime
) -> SidebarView:
    """Everything about the friend of the chat that is open."""
    member = member_of(session, guide, app, external_userid)
    if member is None:
        return SidebarView(external_userid)
    view = SidebarView(
        external_userid,
        person=customer.person(session, member.id, now),
        purchases=customer.purchases(session, member.id),
        coupons=customer.usable_coupons(session, member.id, now),
        touches=customer.touches(session, member.id),
    )
    return _with_task(session, view, guide, member, now)


def _with_task(
    session: Session, view: SidebarView, guide: Guide, member: Member, now: datetime
) -> SidebarView:
    under_way = _tasks(session, guide, member, now)
    doubtful = [one for one in under_way if sidebar.in_doubt(session, one) is not None]
    if doubtful:
        return replace(view, task=_part(session, doubtful[0], is_in_doubt=True))
    task = next((one for one in under_way if one.state in WITH_GUIDE), None)
    if task is not None:
        progress.see(session, task, now=now)
        forecast = progress.advise(session, task, channel=_CHANNEL, now=now)
        advice = standing.advice_of(session, forecast, now=now)
        return replace(view, task=_part(session, task, is_in_doubt=False), advice=advice)
    elsewhere = standing.of_task(session, under_way[0]) if under_way else None
    return replace(view, elsewhere=elsewhere, advice=_free_advice(session, guide, member, now))


def _tasks(session: Session, guide: Guide, member: Member, now: datetime) -> Sequence[CareTask]:
    """The guide's tasks for this member, the first due on top; SENDING ones outlive a deadline."""
    is_alive = (col(CareTask.deadline_at) > now) | (col(CareTask.state) == TaskState.SENDING)
    query = (
        select(CareTask)
        .where(CareTask.guide_id == guide.id, CareTask.member_id == member.id)
        .where(col(CareTask.state).in_(_UNDER_WAY), is_alive)
        .order_by(col(CareTask.deadline_at), col(CareTask.id))
    )
    return session.exec(query).all()


def _part(session: Session, task: CareTask, *, is_in_doubt: bool) -> TaskPart:
    return TaskPart(
        token=task.token,
        turn=asks.attempts(session, task),
        campaign=session.get_one(Campaign, task.campaign_id).name,
        reason=task.reason,
        text=task.text,
        goods=task_page.goods_of(session, task),
        is_in_doubt=is_in_doubt,
    )


def _free_advice(session: Session, guide: Guide, member: Member, now: datetime) -> Advice:
    """What the gate would say to a word of care that no task asks for."""
    wish = Ask(
        key=f"look-{guide.id}-{member.id}",
        member_id=member.id,
        channels=(_CHANNEL,),
        category=Category.CARE,
        brand_id=member.brand_id,
        guide_id=guide.id,
    )
    return standing.advice_of(session, gate.dry_run(session, [wish], now=now)[0], now=now)
