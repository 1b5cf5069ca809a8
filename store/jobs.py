"""The names of all jobs. The row is the work, the job is the nudge (design.md §5)."""

from enum import StrEnum
from typing import Protocol

from store.db import Session, on_commit


class Job(StrEnum):
    """What a worker can be nudged to do; `web.worker` maps each name to its act."""

    DELIVER_TOUCH = "deliver_touch"
    # The row is a lane: several of these empty one heap side by side.
    DELIVER_WAITING = "deliver_waiting"
    LAUNCH_CAMPAIGN = "launch_campaign"
    HOLD_CAMPAIGN = "hold_campaign"
    LAUNCH_DUE = "launch_due"
    REPLAY_POLICY = "replay_policy"
    SEND_NOTICE = "send_notice"
    SEND_ANSWER = "send_answer"
    MAKE_SCENE = "make_scene"
    ATTRIBUTE_ORDER = "attribute_order"
    SWEEP = "sweep"
    PASS_DEADLINES = "pass_deadlines"  # noqa: S105 -- to let pass, not a password
    REMIND_GUIDES = "remind_guides"
    POLL_BROADCASTS = "poll_broadcasts"
    CHECK_INVARIANTS = "check_invariants"
    EXPIRE = "expire"
    TEND_HANDOVERS = "tend_handovers"
    HEAR_WECOM = "hear_wecom"
    CHANGE_CARD = "change_card"
    STEP_CONTACT = "step_contact"
    SYNC = "sync"
    HAND_OVER = "hand_over"
    BEGIN_SYNCS = "begin_syncs"
    MOVE_CONTACTS = "move_contacts"


class Nudge(Protocol):
    """Hands a job to the queue; the same job for the same row is queued once."""

    def __call__(self, job: Job, row_id: int) -> None:
        """Queue `job` for the row `row_id`."""
        ...


def after_commit(session: Session, job: Job, row_id: int) -> None:
    """Collect a nudge; the outer commit hands it over, a rollback drops it."""
    on_commit(session, (job, row_id))
