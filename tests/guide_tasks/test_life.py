"""A care task's whole life, in any order of acts, beside rules that know nothing of the engine.

Guides open, edit, put off, skip, send, report; managers give tasks to others; guides fall ill and
leave; deadlines pass; platforms take, refuse and lose messages; members answer, buy and say no.
After every act nobody was told twice, nothing speaks for a task that is over, and each task has
gone one of the ways written below. In the end no task is left lying.
"""

# ruff: noqa: D102 -- the name of a rule is its sentence
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlmodel import Session, col, select

from fatigue import gate
from guide_tasks import attribution, deadlines, progress, stopping, tasks
from guide_tasks.tasks import hand_over
from store import consents, leaves
from store.attributions import Attribution, Commission
from store.campaigns import CareTask, TaskState
from store.errors import Refusal
from store.members import Member
from store.orders import Order
from store.organisation import Guide, GuideStatus
from store.touches import Channel, Evidence, Touch, TouchState
from tests.builders import NOW, a_guide, a_shop, an_order
from tests.guide_tasks.people import URL, a_customer, a_task, befriend, running, write_in, writes

# Every way from one act to the next, written by hand from the design and not from the code. One act
# may take several steps: a failed message falls back at once, a sent one may be delivered at once.
_HAND = {"assigned", "seen", "edited", "snoozed", "reassigned"}
_AFTER = {"sent", "delivered", "replied", "converted"}
_WAYS: dict[str, set[str]] = {
    **dict.fromkeys(
        _HAND,
        _HAND | {"sending", "sent", "skipped", "expired", "fell_back", "suppressed", "failed"},
    ),
    # A member may have answered before it is known that a message went out.
    "sending": {"sent", "delivered", "replied", "failed", "fell_back", "suppressed", "expired"},
    "fell_back": {"fell_back", "sent", "delivered", "replied", "failed", "suppressed", "expired"},
    # What the platform took did not arrive after all: the brand speaks, or it has failed.
    "sent": {"replied", "converted", "failed", "fell_back"},
    "delivered": {"replied", "converted", "failed", "fell_back"},
    "replied": {"converted", "failed"},
    "converted": {"failed"},
    **{end: set() for end in ("skipped", "expired", "suppressed", "failed")},
}
_OVER = {"skipped", "expired", "suppressed", "failed"}
_SPEAKING = (TouchState.RESERVED, TouchState.SENDING, TouchState.SENT, TouchState.UNKNOWN)
_TASKS, _GUIDES = 3, 3
WHICH, WHO = st.integers(0, _TASKS - 1), st.integers(0, _GUIDES - 1)
_CHANNELS = ["wecom_broadcast", "wechat_service"]


class Life(RuleBasedStateMachine):
    """Three tasks, three guides of one shop; all members are friends of all, and wrote in."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session, self.now = session, NOW
        self.trial = session.begin_nested()
        shop = a_shop(session)
        self.guides = [a_guide(session, shop=shop) for _ in range(_GUIDES)]
        campaign = running(
            session, now=NOW, fallback_channels=_CHANNELS, deadline_at=NOW + timedelta(hours=6)
        )
        self.tasks = [
            a_task(session, self.guides[0], now=NOW, campaign=campaign, member=self.a_friend())
            for _ in range(_TASKS)
        ]
        self.tasks[0].guide_id, self.tasks[0].shop_id = None, shop.id
        session.flush()
        self.before = self.states()

    def a_friend(self) -> Member:
        member = a_customer(self.session, self.guides[0], now=NOW)
        for guide in self.guides[1:]:
            befriend(self.session, member, guide, now=NOW)
        write_in(self.session, member, now=NOW)
        return member

    def teardown(self) -> None:
        try:
            self.everything_comes_to_an_end()
        finally:
            self.trial.rollback()
            self.session.expunge_all()

    @rule(hours=st.integers(1, 5))
    def wait(self, hours: int) -> None:
        self.now += timedelta(hours=hours)

    @rule(which=WHICH, who=WHO)
    def see(self, which: int, who: int) -> None:
        self.by_guide(which, who, lambda task: progress.see(self.session, task, now=self.now))

    @rule(which=WHICH, who=WHO, words=st.sampled_from(["a", "b"]))
    def edit(self, which: int, who: int, words: str) -> None:
        self.by_guide(
            which, who, lambda task: progress.edit(self.session, task, words, now=self.now)
        )

    @rule(which=WHICH, who=WHO)
    def skip(self, which: int, who: int) -> None:
        self.by_guide(
            which, who, lambda task: progress.skip(self.session, task, "other", now=self.now)
        )

    @rule(which=WHICH, who=WHO, hours=st.integers(-1, 9))
    def snooze(self, which: int, who: int, hours: int) -> None:
        until = self.now + timedelta(hours=hours)
        self.by_guide(
            which, who, lambda task: progress.snooze(self.session, task, until, now=self.now)
        )

    @rule(which=WHICH, who=WHO)
    def send(self, which: int, who: int) -> None:
        self.by_guide(
            which,
            who,
            lambda task: progress.send(self.session, task, actor="guide", now=self.now),
        )

    @rule(which=WHICH, who=WHO)
    def report(self, which: int, who: int) -> None:
        self.by_guide(
            which,
            who,
            lambda task: progress.report(self.session, task, actor="guide", now=self.now),
        )

    @rule(which=WHICH, who=WHO)
    def take(self, which: int, who: int) -> None:
        guide, task = self.guides[who], self.tasks[which]
        holder = task.guide_id
        taken = self.tried(lambda: tasks.take(self.session, task.token, guide, now=self.now))
        self.session.refresh(task)
        if taken:
            assert task.guide_id == guide.id
            assert holder in {None, guide.id}

    @rule(which=WHICH, who=WHO)
    def reassign(self, which: int, who: int) -> None:
        task, guide = self.tasks[which], self.guides[who]
        done = self.tried(
            lambda: tasks.reassign(self.session, task, guide, actor="manager", now=self.now)
        )
        assert not done or task.guide_id == guide.id

    @rule(who=WHO)
    def fall_ill(self, who: int) -> None:
        guide = self.guides[who]
        until = self.now + timedelta(days=3)
        leaves.grant(self.session, guide.id, since=self.now, until=until)
        hand_over(self.session, guide.id, due_before=until, why="on_leave", now=self.now)
        assert guide.id not in self.holders()

    @rule(who=WHO)
    def leave_for_good(self, who: int) -> None:
        guide = self.guides[who]
        guide.status = GuideStatus.LEFT
        hand_over(self.session, guide.id, why="left", now=self.now)
        assert guide.id not in self.holders()

    @rule()
    def deadlines_pass(self) -> None:
        deadlines._pass_chunk(self.session, self.now)
        deadlines._pass_step(self.session, self.now)

    @rule(which=WHICH, end=st.sampled_from(["sent", "failed", "unknown", "waits"]))
    def deliver(self, which: int, end: str) -> None:
        for touch in self.touches(which, TouchState.RESERVED):
            fenced = gate.fence(self.session, touch.id, now=self.now)
            if fenced.refusal is not None:
                progress.touch_settled(self.session, fenced.touch, now=self.now)
            else:
                self.settle(fenced.touch, end)

    @rule(which=WHICH, end=st.sampled_from(["sent", "failed", "unknown"]))
    def hear_of_it_later(self, which: int, end: str) -> None:
        for touch in self.touches(which, TouchState.SENDING, TouchState.UNKNOWN):
            self.settle(touch, end)

    @rule(which=WHICH)
    def hear_that_it_did_not_arrive(self, which: int) -> None:
        for touch in self.touches(which, TouchState.SENT):
            self.settle(touch, "failed")
            # A report may come twice.
            progress.touch_settled(self.session, touch, now=self.now)
        due = select(Order.id).where(col(Order.is_attribution_due))
        for order_id in self.session.exec(due).all():
            attribution.attribute(self.session, order_id, public_url=URL, now=self.now)

    @rule()
    def sweep(self) -> None:
        gate.free_leases(self.session, self.now)
        for touch in gate.ask_again(self.session, gate.due(self.session, self.now), now=self.now):
            progress.touch_settled(self.session, touch, now=self.now)

    @rule()
    def stop_what_nobody_confirms(self) -> None:
        for touch in stopping.overdue(self.session, now=self.now):
            stopping.give_up(self.session, touch.id, now=self.now)

    @rule(which=WHICH)
    def member_answers(self, which: int) -> None:
        member = self.session.get_one(Member, self.tasks[which].member_id)
        writes(self.session, member, now=self.now)

    @rule(which=WHICH)
    def member_buys(self, which: int) -> None:
        member = self.session.get_one(Member, self.tasks[which].member_id)
        order = an_order(self.session, member, now=self.now).order
        attribution.attribute(self.session, order.id, public_url=URL, now=self.now)

    @rule(which=WHICH)
    def member_says_no(self, which: int) -> None:
        consents.stop(self.session, self.tasks[which].member_id, reason="chat", now=self.now)

    @invariant()
    def every_task_goes_a_known_way(self) -> None:
        now = self.states()
        for was, state in zip(self.before, now, strict=True):
            # A sent message may be answered or paid for only by an act of its own.
            assert state == was or state in _WAYS[was], (was, state)
        self.before = now

    @invariant()
    def nobody_is_told_twice(self) -> None:
        for which in range(_TASKS):
            assert len(self.touches(which, *_SPEAKING)) <= 1

    @invariant()
    def a_task_is_sent_exactly_when_a_message_was(self) -> None:
        for which, task in enumerate(self.tasks):
            was_sent = bool(self.touches(which, TouchState.SENT))
            assert (task.state.value in _AFTER) == was_sent

    @invariant()
    def nothing_speaks_for_a_task_that_is_over(self) -> None:
        for which, task in enumerate(self.tasks):
            if task.state.value in _OVER:
                waiting = self.touches(which, TouchState.ASKED, *_SPEAKING)
                assert [touch.state for touch in waiting] == []

    @invariant()
    def only_what_was_sent_is_paid_for(self) -> None:
        for credit in self.session.exec(select(Attribution)):
            touch = self.session.get_one(Touch, credit.touch_id)
            assert touch.state is TouchState.SENT or self.is_taken_back(credit)

    def everything_comes_to_an_end(self) -> None:
        """Time goes by, platforms answer: no task is left between two states."""
        for _ in range(12):
            self.now += timedelta(hours=12)
            self.deadlines_pass()
            self.sweep()
            for which in range(_TASKS):
                self.deliver(which, "waits")
                for touch in self.touches(which, TouchState.SENDING, TouchState.UNKNOWN):
                    if touch.channel is Channel.WECHAT_SERVICE:
                        self.settle(touch, "sent")
            self.stop_what_nobody_confirms()
            self.nobody_is_told_twice()
        left = {task.state.value for task in self.tasks}
        assert left <= _OVER | _AFTER, left

    def by_guide(self, which: int, who: int, act: Callable[[CareTask], Any]) -> None:
        """A guide's own hand on a task; on another's there is no task to lay hands on."""
        guide, token = self.guides[who], self.tasks[which].token
        is_theirs = self.tasks[which].guide_id == guide.id
        state = self.tasks[which].state

        def tap() -> None:
            act(progress.task_of_guide(self.session, token, guide.id))

        done = self.tried(tap)
        assert is_theirs or not done
        if not done:
            assert self.tasks[which].state is state

    def tried(self, act: Callable[[], Any]) -> bool:
        try:
            with self.session.begin_nested():
                act()
        except Refusal:
            self.session.expire_all()
            return False
        return True

    def settle(self, touch: Touch, end: str) -> None:
        if end == "waits":
            gate.settle(
                self.session, touch.id, TouchState.SENDING, provider_id=f"m{touch.id}", now=self.now
            )
            return
        state = TouchState(end)
        proof = Evidence.PLATFORM if state is TouchState.SENT else None
        settled = gate.settle(
            self.session, touch.id, state, provider_id="m", evidence=proof, now=self.now
        )
        progress.touch_settled(self.session, settled, now=self.now)

    def states(self) -> list[str]:
        self.session.flush()
        return [task.state.value for task in self.tasks]

    def is_taken_back(self, credit: Attribution) -> bool:
        """A guide had earned on it, so that an entry takes back what another one gave."""
        earned = self.session.exec(
            select(Commission).where(Commission.attribution_id == credit.id)
        ).all()
        return credit.amount_fen == 0 and [one.amount_fen for one in earned] == [0]

    def holders(self) -> set[int | None]:
        """Who has an open task that cannot wait for them."""
        return {task.guide_id for task in self.tasks if task.state.value in _HAND}

    def touches(self, which: int, *states: TouchState) -> list[Touch]:
        query = select(Touch).where(
            Touch.care_task_id == self.tasks[which].id, col(Touch.state).in_(states)
        )
        fresh = query.order_by(col(Touch.id)).execution_options(populate_existing=True)
        return list(self.session.exec(fresh).all())

    def guide(self, who: int) -> Guide:
        return self.guides[who]


def test_a_care_task_lives_as_designed_in_any_order_of_acts(session: Session) -> None:
    class Here(Life):
        def __init__(self) -> None:
            super().__init__(session)

    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=30,
            stateful_step_count=25,
        ),
    )


def test_every_state_has_a_way_written_for_it() -> None:
    in_hands = {state.value for state in TaskState} - {"planned"}

    assert _WAYS.keys() == in_hands
