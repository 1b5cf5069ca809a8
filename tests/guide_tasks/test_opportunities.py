"""Opportunities: the right customers for the right reasons, and nobody who should be left alone."""

from datetime import date, datetime, timedelta

import pytest
from sqlmodel import Session

from guide_tasks import opportunities
from guide_tasks.opportunities import Opportunity, Reason, Why
from store import consents, points
from store.campaigns import TaskState
from store.members import Member
from store.organisation import Guide
from store.relations import Ownership
from tests.builders import a_brand, a_coupon, a_guide, a_plan, a_product, an_order
from tests.guide_tasks.people import a_customer, a_task
from tests.times import SHANGHAI

_DAY = timedelta(days=1)


@pytest.fixture
def wang(session: Session) -> Guide:
    """The guide whose page it is."""
    return a_guide(session)


def of(session: Session, guide: Guide, now: datetime) -> list[Opportunity]:
    session.flush()
    brand_id = a_brand(session).id
    return opportunities.of_guide(session, guide, brand_id=brand_id, zone=SHANGHAI, now=now)


def _bought(session: Session, member: Member, now: datetime, *days_ago: float) -> None:
    tea = a_product(session, category="茶叶")
    for days in days_ago:
        at = now - days * _DAY
        an_order(session, member, product=tea, paid_at=at, now=at)


def _born(session: Session, guide: Guide, now: datetime, born_on: date) -> Member:
    member = a_customer(session, guide, now=now)
    member.birthday_on = born_on
    return member


def test_customer_without_a_reason_is_no_opportunity(
    session: Session, wang: Guide, now: datetime
) -> None:
    a_customer(session, wang, now=now)

    assert of(session, wang, now) == []


@pytest.mark.parametrize(
    ("born_on", "days"),
    [
        (date(1990, 3, 1), 0),
        (date(1990, 3, 8), 7),
        (date(1990, 3, 9), None),
        (date(1990, 2, 28), None),
    ],
)
def test_birthday_counts_today_and_a_week_ahead(
    session: Session, wang: Guide, now: datetime, born_on: date, days: int | None
) -> None:
    _born(session, wang, now, born_on)

    found = [why for one in of(session, wang, now) for why in one.reasons]

    assert found == ([] if days is None else [Why(Reason.BIRTHDAY, days)])


def test_who_was_born_on_the_29th_celebrates_on_the_28th_in_a_common_year() -> None:
    assert opportunities._birthdays(date(2026, 2, 26))["02-29"] == 2
    assert opportunities._birthdays(date(2028, 2, 26))["02-29"] == 3


def test_coupon_that_ends_first_is_the_reason(session: Session, wang: Guide, now: datetime) -> None:
    li = a_customer(session, wang, now=now)
    for name, days in (("满减", 3), ("新人", 6)):
        a_coupon(session, li, plan=a_plan(session, name=name)).expires_at = now + days * _DAY
    a_coupon(session, a_customer(session, wang, now=now)).expires_at = now + 8 * _DAY

    [one] = of(session, wang, now)

    assert (one.card_no, one.reasons) == (li.card_no, [Why(Reason.COUPON_ENDS, 3, "满减")])


@pytest.mark.parametrize(("amount", "is_found"), [(100, True), (99, False)])
def test_points_about_to_end_are_a_reason_if_they_are_worth_it(
    session: Session, wang: Guide, now: datetime, amount: int, *, is_found: bool
) -> None:
    li = a_customer(session, wang, now=now)
    for source_id, ends in (("1", now + 5 * _DAY), ("2", now + 30 * _DAY)):
        points.earn(
            session, li.id, amount, reason="t", source_id=source_id, now=now, expires_at=ends
        )

    found = [why for one in of(session, wang, now) for why in one.reasons]

    assert found == ([Why(Reason.POINTS_END, 5, amount=amount)] if is_found else [])


@pytest.mark.parametrize(
    ("days_ago", "usual"),
    [
        ((52, 31, 20, 10.5), None),
        # By the mean of the gaps it would not be due yet.
        ((90, 80, 35, 25, 15), 10),
        ((40, 30, 20.5), None),
        ((30, 20), None),
    ],
    ids=["just bought", "due", "gone elsewhere", "no habit yet"],
)
def test_what_is_used_up_follows_the_members_own_median(
    session: Session, wang: Guide, now: datetime, days_ago: tuple[float, ...], usual: int | None
) -> None:
    _bought(session, a_customer(session, wang, now=now), now, *days_ago)

    found = [why for one in of(session, wang, now) for why in one.reasons]

    last = round(days_ago[-1])
    assert found == ([] if usual is None else [Why(Reason.USED_UP, last, "茶叶", usual)])


@pytest.mark.parametrize(("days_ago", "is_found"), [(20, False), (30, True), (121, False)])
def test_newcomer_who_has_not_come_back_is_found_in_time(
    session: Session, wang: Guide, now: datetime, days_ago: int, *, is_found: bool
) -> None:
    _bought(session, a_customer(session, wang, now=now), now, days_ago)

    found = [why for one in of(session, wang, now) for why in one.reasons]

    assert found == ([Why(Reason.NEVER_BACK, days_ago)] if is_found else [])


def test_five_with_the_weightiest_reasons_are_told(
    session: Session, wang: Guide, now: datetime
) -> None:
    newcomers = [a_customer(session, wang, now=now) for _ in range(5)]
    for member in newcomers:
        _bought(session, member, now, 30)
    li = _born(session, wang, now, date(1990, 3, 1))
    _bought(session, li, now, 30)
    zhao = _born(session, wang, now, date(1990, 3, 1))

    found = of(session, wang, now)

    assert [one.card_no for one in found[:2]] == [li.card_no, zhao.card_no]
    assert [why.reason for why in found[0].reasons] == [Reason.BIRTHDAY, Reason.NEVER_BACK]
    assert len(found) == 5


@pytest.mark.parametrize("state", [TaskState.ASSIGNED, TaskState.SNOOZED, TaskState.FELL_BACK])
def test_customer_with_a_task_is_left_to_it(
    session: Session, wang: Guide, now: datetime, state: TaskState
) -> None:
    li = _born(session, wang, now, date(1990, 3, 1))
    a_task(session, wang, now=now, member=li, state=state)

    assert of(session, wang, now) == []


def test_customer_whom_the_gate_protects_is_left_alone(
    session: Session, wang: Guide, now: datetime
) -> None:
    li, zhao = (_born(session, wang, now, date(1990, 3, 1)) for _ in range(2))
    consents.stop(session, li.id, reason="chat", now=now)

    assert [one.card_no for one in of(session, wang, now)] == [zhao.card_no]


def test_colleagues_customers_are_not_told(session: Session, wang: Guide, now: datetime) -> None:
    sun = a_guide(session)
    _born(session, sun, now, date(1990, 3, 1))

    assert of(session, wang, now) == []
    assert len(of(session, sun, now)) == 1


def test_customer_handed_on_is_the_next_guides_alone(
    session: Session, wang: Guide, now: datetime
) -> None:
    li = _born(session, wang, now, date(1990, 3, 1))
    li_owned = Ownership(member_id=li.id, guide_id=a_guide(session).id, since=now)
    li_owned.until = now
    session.add(li_owned)
    session.flush()

    assert of(session, session.get_one(Guide, li_owned.guide_id), now) == []
    assert len(of(session, wang, now)) == 1
