"""A report that a message did not arrive, beside the order that is credited to that message."""

from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Barrier
from typing import Any

import pytest
from sqlmodel import Session, col, select

from bot import delivery_reports
from fatigue import facts
from guide_tasks import attribution, progress
from store.attributions import Attribution
from store.campaigns import CareTask, TaskState
from store.db import Database
from store.members import Member
from store.orders import Order
from store.touches import Channel, Evidence, Touch, TouchState
from tests.builders import a_guide, an_order
from tests.guide_tasks.people import URL, a_sent_touch, a_task
from tests.races.racing import SECONDS, race

pytestmark = pytest.mark.race


class Sale:
    """Li was told by a notice that the platform took, and has bought since."""

    def __init__(self, database: Database, now: datetime) -> None:
        self.database, self.now = database, now
        with database.transaction() as session:
            task = a_task(session, a_guide(session), now=now, state=TaskState.SENT)
            touch = a_sent_touch(
                session,
                task,
                at=now - timedelta(hours=1),
                channel=Channel.WECHAT_NOTICE,
                guide_id=None,
                evidence=Evidence.EVENT,
            )
            member = session.get_one(Member, task.member_id)
            self.order_id = an_order(session, member, now=now).order.id
            self.task_id, self.touch_id = task.id, touch.id

    def reported(self, session: Session) -> None:
        """The platform says that the notice did not arrive."""
        touch = session.get_one(Touch, self.touch_id)
        delivery_reports.tell(
            session, touch, provider_id="m-1", failure="platform_failed", now=self.now
        )

    def credited(self, session: Session) -> None:
        """The job that the order nudged."""
        attribution.attribute(session, self.order_id, public_url=URL, now=self.now)

    def end(self) -> tuple[TouchState, TaskState, int]:
        """How touch and task stand, and how many credits, once all that is due was looked at."""
        with self.database.transaction() as session:
            due = select(Order.id).where(col(Order.is_attribution_due))
            for order_id in session.exec(due).all():
                attribution.attribute(session, order_id, public_url=URL, now=self.now)
        with self.database.transaction() as session:
            touch = session.get_one(Touch, self.touch_id)
            task = session.get_one(CareTask, self.task_id)
            return touch.state, task.state, len(session.exec(select(Attribution)).all())


@pytest.mark.parametrize("round_number", range(4))
def test_report_and_order_at_once_leave_no_credit_to_what_did_not_arrive(
    fresh_database: Database, now: datetime, round_number: int
) -> None:
    del round_number
    sale = Sale(fresh_database, now)

    race(fresh_database, [sale.reported, sale.credited, sale.reported])

    assert sale.end() == (TouchState.FAILED, TaskState.FAILED, 0)


def test_without_the_members_lock_the_credit_stays(
    fresh_database: Database, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order reads that the notice went; the report reads that nothing was credited yet."""
    sale = Sale(fresh_database, now)
    monkeypatch.setattr(facts, "locking", lambda *_: ("SELECT 1", {}))
    both_have_read = Barrier(2)
    for module, name in ((attribution, "_last_touch"), (progress, "touch_settled")):
        step = before_the_barrier(getattr(module, name), both_have_read)
        monkeypatch.setattr(module, name, step)

    race(fresh_database, [sale.reported, sale.credited])

    touch, _, credited = sale.end()
    assert (touch, credited) == (TouchState.FAILED, 1)


def before_the_barrier(step: Callable[..., Any], barrier: Barrier) -> Callable[..., Any]:
    """The same step; who has taken it waits for the other racer."""

    def taken(*args: Any, **facts: Any) -> Any:
        found = step(*args, **facts)
        barrier.wait(SECONDS)
        return found

    return taken
