"""Reminders: one a day for one guide, by day, of what is due soon and has lain there."""

from datetime import datetime, timedelta

import pytest
from sqlmodel import Session, select

from guide_tasks import nudging
from store import leaves
from store.campaigns import CareTask, TaskState
from store.db import Database
from store.notices import Notice
from store.organisation import Guide
from tests.builders import a_guide
from tests.guide_tasks.people import URL, a_task, running
from tests.times import at

_HOUR = timedelta(hours=1)


def remind(database: Database, now: datetime) -> int:
    return nudging.remind_due(database, public_url=URL, now=now)


def lying(session: Session, guide: Guide, *, now: datetime, hours: int = 5) -> CareTask:
    """A task that has lain with the guide for hours, and is due in a while."""
    campaign = running(session, now=now - hours * _HOUR, deadline_at=now + 3 * _HOUR)
    return a_task(session, guide, now=now - hours * _HOUR, campaign=campaign)


def test_a_guide_is_told_of_everything_at_once_and_once_a_day(
    database: Database, now: datetime
) -> None:
    with database.transaction() as session:
        wang = a_guide(session)
        for _ in range(3):
            lying(session, wang, now=now)

    found = [remind(database, now), remind(database, now + _HOUR)]

    assert found == [1, 0]
    with database.transaction() as session:
        (notice,) = session.exec(select(Notice)).all()
    assert notice.message["title"] == "还有 3 位顾客等您联系"
    assert notice.message["url"] == f"{URL}/guide"


@pytest.mark.parametrize("when", ["2026-03-01 09:59", "2026-03-01 20:00", "2026-03-01 23:30"])
def test_nobody_is_reminded_when_shops_are_closed(database: Database, when: str) -> None:
    with database.transaction() as session:
        lying(session, a_guide(session), now=at(when))

    assert remind(database, at(when)) == 0


def test_what_came_just_now_or_is_not_due_or_waits_is_not_reminded_of(
    database: Database, now: datetime
) -> None:
    with database.transaction() as session:
        lying(session, a_guide(session), now=now, hours=3)
        far = running(session, now=now - 9 * _HOUR, deadline_at=now + 25 * _HOUR)
        a_task(session, a_guide(session), now=now - 9 * _HOUR, campaign=far)
        lying(session, a_guide(session), now=now).waits_until = now + _HOUR
        lying(session, a_guide(session), now=now).state = TaskState.SENDING
        away = a_guide(session)
        lying(session, away, now=now)
        leaves.grant(session, away.id, since=now, until=now + _HOUR)

    assert remind(database, now) == 0


def test_a_managers_nudge_counts_as_the_one_of_the_day(database: Database, now: datetime) -> None:
    with database.transaction() as session:
        wang, sun = a_guide(session), a_guide(session)
        lying(session, wang, now=now, hours=1)

    with database.transaction() as session:
        told = [nudging.nudge(session, wang, public_url=URL, now=now) for _ in range(2)]
        told.append(nudging.nudge(session, sun, public_url=URL, now=now))

    assert told == [True, False, False]
