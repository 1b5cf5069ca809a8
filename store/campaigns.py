"""Campaigns, the frozen audience, assignments (one guide each) and care tasks (one member each)."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Index, UniqueConstraint
from sqlmodel import Field, SQLModel

from store.columns import big_key, json_column, link, one_of, status
from store.errors import WrongState
from store.tokens import new_token


class CampaignMode(StrEnum):
    """Who speaks: own guides, with a fallback; the brand at once; whoever in the shop takes it."""

    GUIDES = "guides"
    DIRECT = "direct"
    SHOPS = "shops"


class CommissionTo(StrEnum):
    """Who earns when another guide served at the till than the one who had cared."""

    CARER = "carer"
    SERVER = "server"
    SPLIT = "split"


class CampaignState(StrEnum):
    """Where a campaign stands."""

    DRAFT = "draft"
    SCHEDULED = "scheduled"
    LAUNCHING = "launching"
    RUNNING = "running"
    FINISHED = "finished"
    CANCELLED = "cancelled"


UNLAUNCHED = frozenset({CampaignState.DRAFT, CampaignState.SCHEDULED})


class Arm(StrEnum):
    """Treated members are contacted; held-out ones are left alone, to compare with."""

    TREATED = "treated"
    HOLDOUT = "holdout"


class TaskState(StrEnum):
    """The life of one care task (design.md §2, §11).

    `assigned` without a guide is a task of the shop, which anyone there may take. `snoozed` waits
    in its guide's hands; `reassigned` has come from another guide, who does not see it any more.
    """

    PLANNED = "planned"
    SUPPRESSED = "suppressed"
    ASSIGNED = "assigned"
    SEEN = "seen"
    EDITED = "edited"
    SNOOZED = "snoozed"
    REASSIGNED = "reassigned"
    SENDING = "sending"
    SENT = "sent"
    DELIVERED = "delivered"
    REPLIED = "replied"
    CONVERTED = "converted"
    SKIPPED = "skipped"
    EXPIRED = "expired"
    FELL_BACK = "fell_back"
    FAILED = "failed"


WITH_GUIDE = frozenset(
    {TaskState.ASSIGNED, TaskState.SEEN, TaskState.EDITED}
    | {TaskState.SNOOZED, TaskState.REASSIGNED}
)
REACHED = frozenset({TaskState.SENT, TaskState.DELIVERED, TaskState.REPLIED, TaskState.CONVERTED})
_AFTER_SENT = frozenset({TaskState.DELIVERED, TaskState.REPLIED, TaskState.CONVERTED})
# What ends or leaves the guide's hands; a message the guide reports as sent needs no sending.
_OUT_OF_HAND = frozenset(
    {TaskState.SENDING, TaskState.SENT, TaskState.SKIPPED, TaskState.EXPIRED}
    | {TaskState.FELL_BACK, TaskState.SUPPRESSED, TaskState.CONVERTED}
)
_IN_HAND = frozenset({TaskState.SEEN, TaskState.EDITED, TaskState.SNOOZED, TaskState.REASSIGNED})
# Whoever looks at a task or changes it has it before them again.
_AWAKE = frozenset({TaskState.SEEN, TaskState.EDITED})
_MOVES: dict[TaskState, frozenset[TaskState]] = {
    TaskState.PLANNED: frozenset({TaskState.ASSIGNED, TaskState.SUPPRESSED, TaskState.FELL_BACK}),
    TaskState.ASSIGNED: _IN_HAND | _OUT_OF_HAND | {TaskState.ASSIGNED},
    TaskState.SEEN: _IN_HAND | _OUT_OF_HAND | {TaskState.ASSIGNED},
    TaskState.EDITED: _IN_HAND | _OUT_OF_HAND | {TaskState.ASSIGNED},
    TaskState.SNOOZED: _IN_HAND | _OUT_OF_HAND | {TaskState.ASSIGNED},
    TaskState.REASSIGNED: _IN_HAND | _OUT_OF_HAND | {TaskState.ASSIGNED},
    # A refused or failed send gives the task back to the guide or ends it.
    TaskState.SENDING: frozenset(
        {TaskState.SENT, TaskState.FAILED, TaskState.ASSIGNED, TaskState.FELL_BACK}
        | {TaskState.SUPPRESSED, TaskState.EXPIRED, TaskState.CONVERTED}
    ),
    # One channel of the fallback after the other: falling back further is the same state again.
    TaskState.FELL_BACK: frozenset(
        {TaskState.SENT, TaskState.FAILED, TaskState.SUPPRESSED, TaskState.FELL_BACK}
        | {TaskState.EXPIRED, TaskState.CONVERTED}
    ),
    # The platform may say of what it took, even after an answer, that it did not arrive.
    TaskState.SENT: _AFTER_SENT | {TaskState.FAILED},
    TaskState.DELIVERED: frozenset({TaskState.REPLIED, TaskState.CONVERTED, TaskState.FAILED}),
    TaskState.REPLIED: frozenset({TaskState.CONVERTED, TaskState.FAILED}),
    TaskState.FAILED: frozenset({TaskState.FELL_BACK}),
    TaskState.SUPPRESSED: frozenset(),
    TaskState.SKIPPED: frozenset(),
    TaskState.EXPIRED: frozenset(),
    TaskState.CONVERTED: frozenset({TaskState.FAILED}),
}


class Campaign(SQLModel, table=True):
    """A campaign. `audience` is a condition tree; `commission_bp` basis points of sales.

    `commission_cap_fen` is the most that one order earns. `tasks_per_day` is how many tasks begin
    for one guide on one day; `fallback_hours` how long each step of the fallback may take.
    `tasks_made` of `tasks_planned` says how far a launch has come.
    """

    __tablename__ = "campaigns"
    __table_args__ = (
        one_of("mode", CampaignMode, "campaigns"),
        one_of("state", CampaignState, "campaigns"),
        CheckConstraint("holdout_percent BETWEEN 0 AND 50", name="ck_campaigns_holdout"),
        CheckConstraint("commission_bp BETWEEN 0 AND 10000", name="ck_campaigns_commission"),
        CheckConstraint("attribution_days BETWEEN 1 AND 90", name="ck_campaigns_attribution"),
        CheckConstraint("deadline_at > created_at", name="ck_campaigns_deadline"),
        CheckConstraint(
            "launch_at < deadline_at AND (state <> 'scheduled' OR launch_at IS NOT NULL)",
            name="ck_campaigns_launch",
        ),
        CheckConstraint("fallback_hours BETWEEN 1 AND 720", name="ck_campaigns_fallback"),
        CheckConstraint("tasks_per_day >= 1", name="ck_campaigns_load"),
        CheckConstraint("commission_cap_fen >= 0", name="ck_campaigns_commission_cap"),
        one_of("commission_to", CommissionTo, "campaigns"),
    )
    id: int = big_key()
    token: str = Field(unique=True, default_factory=new_token)
    brand_id: int = link("brands.id")
    name: str
    category: str
    mode: CampaignMode = status(CampaignMode, default=CampaignMode.GUIDES)
    state: CampaignState = status(CampaignState, default=CampaignState.DRAFT)
    audience: dict[str, Any] = json_column()
    audience_limit: int | None = None
    holdout_percent: int = 10
    piece_id: int = link("content_pieces.id")
    coupon_plan_id: int | None = link("coupon_plans.id", default=None, nullable=True)
    priority: int = 50
    fallback_channels: list[Any] = json_column(default_factory=list)
    deadline_at: datetime
    attribution_days: int = 14
    commission_bp: int = 0
    commission_cap_fen: int | None = Field(default=None, sa_type=BigInteger)
    commission_to: CommissionTo = status(CommissionTo, default=CommissionTo.CARER)
    fallback_hours: int = 72
    tasks_per_day: int | None = None
    created_at: datetime
    launched_at: datetime | None = None
    # A scheduled campaign holds for its audience in id order, and resumes after the cursor.
    launch_at: datetime | None = None
    hold_cursor: int = Field(default=0, sa_type=BigInteger)
    held_at: datetime | None = None
    tasks_planned: int = 0
    tasks_made: int = 0


class AudienceMember(SQLModel, table=True):
    """One member of a campaign's audience, frozen at launch with the arm that chance gave."""

    __tablename__ = "audience_members"
    __table_args__ = (one_of("arm", Arm, "audience_members"),)
    campaign_id: int = link("campaigns.id", index=False, primary_key=True)
    member_id: int = link("members.id", primary_key=True)
    arm: Arm = status(Arm)


class Assignment(SQLModel, table=True):
    """One guide's share of a campaign; it gets one WeCom card."""

    __tablename__ = "assignments"
    __table_args__ = (UniqueConstraint("campaign_id", "guide_id", name="uq_assignments_guide"),)
    id: int = big_key()
    token: str = Field(unique=True, default_factory=new_token)
    campaign_id: int = link("campaigns.id", index=False)
    guide_id: int = link("guides.id")
    created_at: datetime
    opened_at: datetime | None = None


class CareTask(SQLModel, table=True):
    """One member in one campaign: the draft, the goods, the guide, the deadline and how it went.

    `picks` holds product ids, best first. `reason` says in one line why this member, for the guide.
    `shop_id` is set while nobody in the shop has taken it. Lists leave a task out until
    `waits_until`; `fallback_until` ends the step of a fallback.
    """

    __tablename__ = "care_tasks"
    __table_args__ = (
        UniqueConstraint("campaign_id", "member_id", name="uq_care_tasks_member"),
        one_of("state", TaskState, "care_tasks"),
        Index("ix_care_tasks_guide", "guide_id", "state"),
        Index(
            "ix_care_tasks_due",
            "deadline_at",
            postgresql_where="state IN"
            " ('planned', 'assigned', 'seen', 'edited', 'snoozed', 'reassigned')",
        ),
        Index(
            "ix_care_tasks_fallback",
            "fallback_until",
            postgresql_where="state = 'fell_back' AND fallback_until IS NOT NULL",
        ),
        Index(
            "ix_care_tasks_shop",
            "shop_id",
            postgresql_where="guide_id IS NULL AND shop_id IS NOT NULL",
        ),
    )
    id: int = big_key()
    token: str = Field(unique=True, default_factory=new_token)
    campaign_id: int = link("campaigns.id", index=False)
    assignment_id: int | None = link("assignments.id", default=None, nullable=True)
    guide_id: int | None = link("guides.id", index=False, default=None, nullable=True)
    shop_id: int | None = link("shops.id", index=False, default=None, nullable=True)
    member_id: int = link("members.id")
    state: TaskState = status(TaskState, default=TaskState.PLANNED)
    state_reason: str = ""
    reason: str = ""
    draft: str = ""
    edited_text: str | None = None
    picks: list[Any] = json_column(default_factory=list)
    deadline_at: datetime
    waits_until: datetime | None = None
    fallback_until: datetime | None = None
    created_at: datetime
    moved_at: datetime
    sent_at: datetime | None = None
    replied_at: datetime | None = None
    picks_opened_at: datetime | None = None

    @property
    def text(self) -> str:
        """What the member will read: the guide's words when edited, else the draft."""
        return self.edited_text or self.draft


def move_task(task: CareTask, state: TaskState, *, reason: str = "", now: datetime) -> None:
    """Move a locked care task to `state`; refuses a move that its life does not know."""
    if state not in _MOVES[task.state]:
        raise WrongState("care task", task.state, state)
    task.state = state
    task.state_reason = reason
    task.moved_at = now
    if state in _AWAKE:
        task.waits_until = None
    if state is TaskState.SENT:
        task.sent_at = now
    elif state is TaskState.REPLIED:
        task.replied_at = now
    elif state is TaskState.FAILED:
        # What did not arrive was not answered either.
        task.sent_at = task.replied_at = None
