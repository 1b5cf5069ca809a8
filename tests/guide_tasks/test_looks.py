"""The list of a task: opened, tapped, bought from; and what that proves."""

from datetime import datetime, timedelta

import pytest
from sqlmodel import Session, select

from guide_tasks import attribution, looks, progress
from store.attributions import Attribution
from store.campaigns import CareTask, TaskState
from store.members import Member
from store.orders import Order
from store.pick_taps import PickTap
from store.touches import Evidence, Touch
from tests.builders import a_guide, a_product, an_order
from tests.guide_tasks.people import URL, a_sent_touch, a_task
from tests.times import SHANGHAI

_HOUR = timedelta(hours=1)


@pytest.fixture
def told(session: Session, now: datetime) -> CareTask:
    """Wang said an hour ago that she has told Li."""
    task = a_task(session, a_guide(session), now=now - _HOUR)
    progress.report(session, task, actor="guide:wang", now=now - _HOUR)
    session.flush()
    return task


def _touch(session: Session, task: CareTask) -> Touch:
    return session.exec(select(Touch).where(Touch.care_task_id == task.id)).one()


def _taps(session: Session, task: CareTask) -> int:
    return len(session.exec(select(PickTap).where(PickTap.care_task_id == task.id)).all())


def _tap(session: Session, task: CareTask, place: int, at: datetime) -> None:
    product = looks.product_of(session, task, place)
    looks.tap(session, task, product, on=at.astimezone(SHANGHAI).date(), now=at)


def test_the_first_look_at_the_goods_is_kept(session: Session, now: datetime) -> None:
    task = a_task(session, a_guide(session), now=now, state=TaskState.DELIVERED)

    looks.open_list(session, task, now=now)
    looks.open_list(session, task, now=now + _HOUR)

    assert task.picks_opened_at == now


@pytest.mark.parametrize("state", [TaskState.ASSIGNED, TaskState.SKIPPED, TaskState.SUPPRESSED])
def test_a_look_at_goods_that_were_never_sent_does_not_count(
    session: Session, now: datetime, state: TaskState
) -> None:
    product = a_product(session)
    task = a_task(session, a_guide(session), now=now, state=state, picks=[product.id])

    _tap(session, task, 1, now)

    assert (task.picks_opened_at, task.state, _taps(session, task)) == (None, state, 0)


def test_look_before_the_platform_has_told_us_is_kept(session: Session, now: datetime) -> None:
    task = a_task(session, a_guide(session), now=now, state=TaskState.SENDING)

    looks.open_list(session, task, now=now)

    assert (task.picks_opened_at, task.state) == (now, TaskState.SENDING)


def test_look_proves_what_was_known_by_a_word_alone(
    session: Session, now: datetime, told: CareTask
) -> None:
    assert _touch(session, told).evidence is Evidence.SELF_REPORTED

    looks.open_list(session, told, now=now)

    assert _touch(session, told).evidence is Evidence.EVENT
    assert told.state is TaskState.DELIVERED


def test_look_takes_nothing_from_a_platforms_word(session: Session, now: datetime) -> None:
    task = a_task(session, a_guide(session), now=now, state=TaskState.DELIVERED)
    touch = a_sent_touch(session, task, at=now - _HOUR)

    looks.open_list(session, task, now=now)

    assert touch.evidence is Evidence.PLATFORM


def test_purchase_after_a_look_is_credited_with_proof(
    session: Session, now: datetime, told: CareTask
) -> None:
    looks.open_list(session, told, now=now - _HOUR / 2)
    order = an_order(session, a_member_of(session, told), now=now).order

    found = attribution.attribute(session, order.id, public_url=URL, now=now)

    assert found is not None
    assert (found.evidence, told.state) == (Evidence.EVENT, TaskState.CONVERTED)


def test_look_after_the_purchase_proves_nothing_about_it(
    session: Session, now: datetime, told: CareTask
) -> None:
    order = an_order(session, a_member_of(session, told), now=now).order
    attribution.attribute(session, order.id, public_url=URL, now=now)

    looks.open_list(session, told, now=now + _HOUR)

    assert told.picks_opened_at == now + _HOUR
    assert _touch(session, told).evidence is Evidence.SELF_REPORTED
    assert session.exec(select(Attribution.evidence)).all() == [Evidence.SELF_REPORTED]


def test_order_on_a_word_is_looked_at_again_when_the_platform_proves_it(
    session: Session, now: datetime, told: CareTask
) -> None:
    order = an_order(session, a_member_of(session, told), now=now).order
    attribution.attribute(session, order.id, public_url=URL, now=now)
    touch = _touch(session, told)
    touch.evidence = Evidence.PLATFORM

    progress.touch_settled(session, touch, now=now)

    assert session.exec(select(Order.is_attribution_due)).all() == [True]


def test_taps_of_a_day_are_one_and_of_the_next_day_another(session: Session, now: datetime) -> None:
    product = a_product(session)
    task = a_task(session, a_guide(session), now=now, state=TaskState.DELIVERED, picks=[product.id])
    for at in (now, now + _HOUR, now + timedelta(days=1)):
        _tap(session, task, 1, at)

    assert (_taps(session, task), task.picks_opened_at) == (2, now)


def test_look_names_what_was_tapped_and_what_was_bought_of_the_list(
    session: Session, now: datetime
) -> None:
    milk, bread, other = (a_product(session, name=name) for name in ("牛奶", "吐司", "鸡蛋"))
    task = a_task(
        session, a_guide(session), now=now, state=TaskState.DELIVERED, picks=[milk.id, bread.id]
    )
    member = a_member_of(session, task)
    an_order(session, member, product=milk, now=now - _HOUR)
    _tap(session, task, 2, now)
    for product in (bread, other):
        an_order(session, member, product=product, now=now + _HOUR)
    session.flush()

    expected = looks.Look(now, ["吐司"], ["吐司"])
    assert (looks.of_task(session, task), looks.of_member(session, member.id)) == (
        expected,
        expected,
    )


def test_no_look_is_none(session: Session, now: datetime) -> None:
    task = a_task(session, a_guide(session), now=now, state=TaskState.DELIVERED)

    assert looks.of_task(session, task) is None
    assert looks.of_member(session, task.member_id) is None


@pytest.mark.parametrize("place", [0, 2, -1])
def test_place_that_the_list_has_not_is_not_found(
    session: Session, now: datetime, place: int
) -> None:
    task = a_task(session, a_guide(session), now=now, picks=[a_product(session).id])

    with pytest.raises(looks.ListNotFound):
        looks.product_of(session, task, place)


def test_list_is_over_a_month_after_its_task_came_to_rest(session: Session, now: datetime) -> None:
    task = a_task(session, a_guide(session), now=now)
    over = task.deadline_at + timedelta(days=30)

    assert looks.task_of_list(session, task.token, now=over - _HOUR) is task
    with pytest.raises(looks.ListOver):
        looks.task_of_list(session, task.token, now=over)
    with pytest.raises(looks.ListNotFound):
        looks.task_of_list(session, "unknown", now=now)


def a_member_of(session: Session, task: CareTask) -> Member:
    return session.get_one(Member, task.member_id)
