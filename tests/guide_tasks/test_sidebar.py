"""Sending from the toolbar of a chat: what the page is told, and what it tells."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from sqlmodel import Session, col, select

from fatigue import gate
from guide_tasks import attribution, deadlines, looks, progress, proofs, sidebar
from guide_tasks.progress import TooLate
from guide_tasks.sidebar import Begun, Report, Told
from store import letters
from store.attributions import Commission
from store.campaigns import CareTask, TaskState
from store.errors import WrongState
from store.letters import Letter, LetterState
from store.members import Member
from store.touches import Channel, Evidence, Touch, TouchState
from tests.builders import a_guide, a_product, a_touch, an_order
from tests.guide_tasks.people import URL, a_customer, a_sent_touch, a_task, writes

ACTOR = "guide:wang"


def begin(session: Session, task: CareTask, *, now: datetime) -> Begun:
    return sidebar.begin(session, task, actor=ACTOR, now=now)


def tell(session: Session, task: CareTask, told: Told, *, now: datetime, turn: int = 0) -> None:
    sidebar.tell(session, task, Report(told, turn, "why"), actor=ACTOR, now=now)


def touches(session: Session, task: CareTask) -> list[tuple[TouchState, Evidence | None]]:
    """The touches of a task, in order."""
    query = select(Touch).where(Touch.care_task_id == task.id).order_by(col(Touch.id))
    return [(touch.state, touch.evidence) for touch in session.exec(query).all()]


@pytest.fixture
def task(session: Session, now: datetime) -> CareTask:
    """An open task of Wang's."""
    return a_task(session, a_guide(session), now=now)


def test_what_went_is_one_touch_sent_on_the_guides_word(
    session: Session, task: CareTask, now: datetime
) -> None:
    begun = begin(session, task, now=now)
    again = begin(session, task, now=now)
    on_its_way = touches(session, task)
    for _ in range(2):
        tell(session, task, Told.OK, now=now + timedelta(seconds=5))

    assert (begun, again) == (Begun(0, words=task.text), Begun(0))
    assert on_its_way == [(TouchState.SENDING, None)]
    assert touches(session, task) == [(TouchState.SENT, Evidence.SELF_REPORTED)]
    assert (task.state, task.sent_at) == (TaskState.SENT, now + timedelta(seconds=5))


@pytest.mark.parametrize("told", [Told.CANCEL, Told.ERROR])
def test_what_did_not_go_gives_the_task_back_and_counts_for_nothing(
    session: Session, task: CareTask, now: datetime, told: Told
) -> None:
    begin(session, task, now=now)
    tell(session, task, told, now=now)
    # The first attempt is settled: a late word about it is not heard by the second.
    second = begin(session, task, now=now)
    tell(session, task, Told.OK, now=now, turn=0)
    unheard = task.state
    tell(session, task, Told.OK, now=now, turn=1)

    assert (second, unheard) == (Begun(1, words=task.text), TaskState.SENDING)
    failed, sent = touches(session, task)
    assert (failed[0], sent) == (TouchState.FAILED, (TouchState.SENT, Evidence.SELF_REPORTED))


@pytest.mark.parametrize("way", [progress.send, progress.report])
def test_guide_who_changed_their_mind_can_send_another_way(
    session: Session, task: CareTask, now: datetime, way: object
) -> None:
    begin(session, task, now=now)
    tell(session, task, Told.CANCEL, now=now)

    assert callable(way)
    touch = way(session, task, actor=ACTOR, now=now)

    assert touch.state is (TouchState.RESERVED if way is progress.send else TouchState.SENT)


def test_closed_gate_writes_nothing_and_says_when_to_come_back(
    session: Session, task: CareTask, now: datetime
) -> None:
    member = session.get_one(Member, task.member_id)
    a_touch(session, member, now=now, state=TouchState.SENT, counted_at=now - timedelta(hours=1))

    begun = begin(session, task, now=now)

    assert begun.words is None
    assert begun.forecast is not None
    assert begun.forecast.violations
    assert (touches(session, task), task.state) == ([], TaskState.ASSIGNED)


def test_task_past_its_deadline_or_on_another_way_is_refused(
    session: Session, task: CareTask, now: datetime
) -> None:
    with pytest.raises(TooLate):
        begin(session, task, now=task.deadline_at)
    progress.send(session, task, actor=ACTOR, now=now)

    with pytest.raises(WrongState):
        begin(session, task, now=now)


def test_silent_page_leaves_it_unknown_until_the_guide_says(
    session: Session, task: CareTask, now: datetime
) -> None:
    begin(session, task, now=now)
    later = now + timedelta(minutes=10)
    [touch_id] = gate.mark_unknown(session, older_than=timedelta(minutes=5), now=later)
    letters.write(session, {touch_id: "silent"}, now=later)
    in_doubt, second = touches(session, task), begin(session, task, now=later)

    tell(session, task, Told.OK, now=later)

    assert (in_doubt, second) == ([(TouchState.UNKNOWN, None)], Begun(0))
    assert touches(session, task) == [(TouchState.SENT, Evidence.SELF_REPORTED)]
    # Nobody need look for it any more.
    assert session.exec(select(Letter.state)).one() is LetterState.SETTLED


def test_brand_stays_silent_while_nobody_knows(
    session: Session, task: CareTask, now: datetime
) -> None:
    begin(session, task, now=now)

    found = deadlines._due(session, task.deadline_at + timedelta(days=1))

    assert task.id not in {task_id for task_id, _ in found}


def _on_a_word(session: Session, now: datetime, **facts: object) -> tuple[CareTask, Touch]:
    """A message that a guide says was sent."""
    wang = a_guide(session)
    member = a_customer(session, wang, now=now)
    sent = {"state": TaskState.SENT, "sent_at": now - timedelta(hours=2)}
    task = a_task(session, wang, now=now, member=member, **sent, **facts)
    word = {"evidence": Evidence.SELF_REPORTED, "channel": Channel.WECOM_SIDEBAR}
    return task, a_sent_touch(session, task, at=now - timedelta(hours=2), **word)


@pytest.mark.parametrize(
    ("is_before", "evidence", "earned"),
    # What follows the purchase proves nothing about what led to it.
    [(True, Evidence.EVENT, [500]), (False, Evidence.SELF_REPORTED, [])],
)
def test_answer_proves_the_guides_word_and_earns_the_commission(
    session: Session, now: datetime, is_before: bool, evidence: Evidence, earned: list[int]
) -> None:
    task, touch = _on_a_word(session, now)
    member = session.get_one(Member, task.member_id)
    order = an_order(session, member, now=now).order

    acts: list[Callable[[], object]] = [
        lambda: writes(session, member, now=now),
        lambda: attribution.attribute(session, order.id, public_url=URL, now=now),
    ]
    for act in acts if is_before else reversed(acts):
        act()

    assert touch.evidence is evidence
    assert session.exec(select(Commission.amount_fen)).all() == earned


@pytest.mark.parametrize("is_unknown", [False, True])
def test_opened_list_says_that_the_message_went_out(
    session: Session, task: CareTask, now: datetime, is_unknown: bool
) -> None:
    begin(session, task, now=now)
    later = now + timedelta(minutes=20 if is_unknown else 1)
    gate.mark_unknown(session, older_than=timedelta(minutes=5), now=later)

    looks.open_list(session, task, now=later)

    assert touches(session, task) == [(TouchState.SENT, Evidence.EVENT)]
    assert task.state is TaskState.DELIVERED
    # The page's own word comes late, and changes nothing.
    tell(session, task, Told.CANCEL, now=later)
    assert touches(session, task) == [(TouchState.SENT, Evidence.EVENT)]


@pytest.mark.parametrize("is_of_list", [True, False])
def test_purchase_proves_the_guides_word_when_it_is_of_the_list(
    session: Session, now: datetime, is_of_list: bool
) -> None:
    product, other = a_product(session), a_product(session)
    task, touch = _on_a_word(session, now, picks=[product.id])
    bought = product if is_of_list else other
    order = an_order(session, session.get_one(Member, task.member_id), now=now, product=bought)

    credit = attribution.attribute(session, order.order.id, public_url=URL, now=now)

    assert credit is not None
    expected = Evidence.EVENT if is_of_list else Evidence.SELF_REPORTED
    assert (touch.evidence, credit.evidence) == (expected, expected)


def test_what_the_platform_has_confirmed_is_not_made_less(session: Session, now: datetime) -> None:
    task, touch = _on_a_word(session, now)
    touch.evidence = Evidence.PLATFORM
    session.flush()

    proofs.by_answer(session, task, now=now)

    assert touch.evidence is Evidence.PLATFORM
