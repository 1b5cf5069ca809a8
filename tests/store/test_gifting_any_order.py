"""Gifting in any order of acts: the record agrees with a model that shares no code with it.

No coupon is lost or doubled, each has one living code at most, states move only along their table,
what was issued is what is there, and every limit holds.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlmodel import Session, col, select

from store import coupons, gifts, merges, orders
from store.coupons import Coupon, CouponPlan, CouponState, Gift, GiftState
from store.errors import Refusal
from store.members import Member
from store.orders import Order, RefundForm
from store.products import Product
from tests.builders import (
    NOW,
    SOURCE,
    a_member,
    a_plan,
    a_product,
    a_shop,
    a_visitor,
    an_identity,
    an_order_form,
    number,
)
from tests.store import gifting_model as model

EXAMPLES, STEPS = 25, 40
PLANS = [
    model.Plan(hops=0),
    model.Plan(hops=2, limit=1),
    model.Plan(hops=2, limit=3, stock=6),
    model.Plan(hops=9, days=2),
]
PEOPLE = 6
# By the same WeChat two of them are one person.
SAME_PERSON = {4, 5}
ALLOWED = {
    ("available", "gifting"),
    ("available", "redeemed"),
    ("available", "expired"),
    ("gifting", "available"),
    ("gifting", "expired"),
    ("redeemed", "available"),
    ("redeemed", "expired"),
    # A gift that lapsed unseen: back, and used or over, in one act.
    ("gifting", "redeemed"),
}
# Columns, not rows: what the database holds, whatever the session remembers.
_COUPONS: Any = sa.select(
    *(getattr(Coupon, name) for name in ("id", "plan_id", "member_id", "code")),
    *(getattr(Coupon, name) for name in ("state", "hops", "expires_at")),
).order_by(col(Coupon.id))
_GIFTS: Any = sa.select(
    *(getattr(Gift, name) for name in ("id", "coupon_id", "giver_id")),
    *(getattr(Gift, name) for name in ("state", "claimed_by_id", "expires_at")),
).order_by(col(Gift.id))
people = st.integers(0, PEOPLE - 1)
which = st.integers(0, 999)
MOSTLY = st.sampled_from([True, True, True, False])


@dataclass(frozen=True)
class World:
    """How every story begins: members and visitors, plans, and some coupons in hand."""

    session: Session
    members: list[int]
    plans: list[int]
    product_id: int
    shop_code: str


def a_world(session: Session) -> World:
    members = [a_member(session) for _ in range(4)] + [a_visitor(session) for _ in range(2)]
    for place in SAME_PERSON:
        an_identity(session, members[place], unionid="one person")
    plans = [
        a_plan(
            session,
            gift_hops=plan.hops,
            per_member_limit=plan.limit,
            stock=plan.stock,
            valid_days=plan.days,
        ).id
        for plan in PLANS
    ]
    product_id, shop_code = a_product(session).id, a_shop(session).code
    return World(session, [member.id for member in members], plans, product_id, shop_code)


class Gifting(RuleBasedStateMachine):
    """A few members with a few plans, and a clock; every act is done twice: here and there."""

    world: World

    def __init__(self) -> None:
        super().__init__()
        self.session, self.now = self.world.session, NOW
        self.members, self.plans = self.world.members, self.world.plans
        self.outer = self.session.begin_nested()
        self.model = model.Model(PLANS, [set(SAME_PERSON)])
        self.coupons: list[int] = []
        self.gifts: list[tuple[int, str]] = []
        self.orders: list[Order] = []
        self.merges: list[int] = []
        self.dead_codes: set[str] = set()
        self.states: dict[int, str] = {}
        self.looked = 0

    @initialize(owners=st.lists(people, min_size=1, max_size=4))
    def hand_out(self, owners: list[int]) -> None:
        """Somebody has something to give."""
        for place, owner in enumerate(owners):
            self._issue(1 + place % 3, owner)

    def teardown(self) -> None:
        """The world is as it was."""
        self.outer.rollback()
        self.session.expunge_all()

    def _attempt(self, act: Callable[[], Any]) -> tuple[str, Any]:
        """What comes of an act; a refused one is undone, as every transaction is."""
        try:
            with self.session.begin_nested():
                return "ok", act()
        except Refusal as refusal:
            return type(refusal).__name__, None

    @rule(plan=st.sampled_from([0, 1, 1, 1, 2, 3]), who=people)
    def issue(self, plan: int, who: int) -> None:
        """Somebody gets a coupon."""
        self._issue(plan, who)

    def _issue(self, plan: int, who: int) -> None:
        said, coupon = self._attempt(
            lambda: coupons.issue(
                self.session,
                self.plans[plan],
                self.members[who],
                reason="any",
                source_id=str(number()),
                now=self.now,
            )
        )
        assert said == self.model.issue(plan, who, self.now)
        if coupon is not None:
            self.coupons.append(coupon.id)

    @precondition(lambda self: self.coupons)
    @rule(which=which, who=people, is_owner=MOSTLY)
    def offer(self, which: int, who: int, is_owner: bool) -> None:
        """Somebody gives a coupon away, mostly the own one."""
        no = which % len(self.coupons)
        self._offer(no, self.model.coupons[no].owner if is_owner else who)

    @precondition(lambda self: self.coupons)
    @rule(which=which, who=people)
    def hand_on(self, which: int, who: int) -> None:
        """A coupon is given to somebody who takes it at once."""
        no = which % len(self.coupons)
        if self._offer(no, self.model.coupons[no].owner):
            self._claim(len(self.gifts) - 1, who)

    def _offer(self, no: int, who: int) -> bool:
        said, given = self._attempt(
            lambda: gifts.offer(self.session, self.coupons[no], self.members[who], now=self.now)
        )
        assert said == self.model.offer(no, who, self.now)
        if given is not None:
            gift, token = given
            assert gift.token_hash != token
            self.gifts.append((gift.id, token))
        return given is not None

    @precondition(lambda self: self.gifts)
    @rule(which=which, who=people)
    def claim(self, which: int, who: int) -> None:
        """Somebody opens a link, perhaps an old one, and taps."""
        self._claim(which % len(self.gifts), who)

    @precondition(lambda self: self.gifts)
    @rule(who=people)
    def claim_the_newest(self, who: int) -> None:
        """Somebody is quick."""
        self._claim(len(self.gifts) - 1, who)

    def _claim(self, no: int, who: int) -> None:
        gift_id, token = self.gifts[no]
        before = self._code_of(gift_id)
        was_open = self.model.gifts[no].state == "open"
        said, claimed = self._attempt(
            lambda: gifts.claim(self.session, token, self.members[who], now=self.now)
        )
        assert said == self.model.claim(no, who, self.now)
        if claimed is not None and was_open:
            assert claimed.code != before
            self.dead_codes.add(before)

    @precondition(lambda self: self.gifts)
    @rule(which=which, who=people, is_giver=MOSTLY)
    def cancel(self, which: int, who: int, is_giver: bool) -> None:
        """Somebody wants a gift back."""
        no = which % len(self.gifts)
        who = self.model.gifts[no].giver if is_giver else who
        said, _ = self._attempt(
            lambda: gifts.cancel(self.session, self.gifts[no][0], self.members[who], now=self.now)
        )
        assert said == self.model.cancel(no, who, self.now)

    @rule()
    def expire_gifts(self) -> None:
        """The job for gifts comes by."""
        assert gifts.expire_due(self.session, self.now) == self.model.expire_gifts(self.now)

    @rule()
    def expire_coupons(self) -> None:
        """The job for coupons comes by."""
        assert coupons.expire_due(self.session, self.now) == self.model.expire_coupons(self.now)

    @precondition(lambda self: self.coupons)
    @rule(which=which, who=people, is_owner=MOSTLY)
    def buy(self, which: int, who: int, is_owner: bool) -> None:
        """Somebody pays with the living code of a coupon."""
        no = which % len(self.coupons)
        who = self.model.coupons[no].owner if is_owner else who
        code = self.session.get_one(Coupon, self.coupons[no]).code
        said, placed = self._pay(who, code)
        assert said == self.model.buy(no, who, len(self.orders), self.now)
        if placed is not None:
            self.orders.append(placed.order)

    @precondition(lambda self: self.dead_codes)
    @rule(which=which, who=people)
    def show_a_dead_code(self, which: int, who: int) -> None:
        """Somebody pays with a code from before a claim."""
        codes = sorted(self.dead_codes)
        assert self._pay(who, codes[which % len(codes)]) == ("CouponNotFound", None)

    def _pay(self, who: int, code: str) -> tuple[str, Any]:
        member = self.session.get_one(Member, self.members[who])
        form = an_order_form(
            self.session,
            member,
            product=self.session.get_one(Product, self.world.product_id),
            paid_at=self.now,
            shop_code=self.world.shop_code,
            coupon_code=code,
        )
        return self._attempt(lambda: orders.place(self.session, form, source=SOURCE, now=self.now))

    @precondition(lambda self: any(not order.refunded_fen for order in self.orders))
    @rule(which=which)
    def refund(self, which: int) -> None:
        """A whole order goes back."""
        left = [n for n, order in enumerate(self.orders) if not order.refunded_fen]
        no = left[which % len(left)]
        order = self.orders[no]
        form = RefundForm(
            external_id=f"r{order.id}",
            order_external_id=order.external_id,
            amount_fen=order.amount_fen,
            refunded_at=self.now,
        )
        orders.refund(self.session, form, source=SOURCE, now=self.now)
        self.model.refund(no, self.now)

    @precondition(lambda self: len(self.model.into) < 2)
    @rule(kept=people, gone=people)
    def merge(self, kept: int, gone: int) -> None:
        """Two rows turn out to be one person."""
        kept, gone = self.model.now_is(kept), self.model.now_is(gone)
        if kept == gone:
            return
        ids = self.members[kept], self.members[gone]
        self.merges.append(merges.merge(self.session, *ids, reason="any", now=self.now).id)
        self.model.merge(kept, gone)

    @precondition(lambda self: self._can_undo())
    @rule()
    def undo(self) -> None:
        """The last merge was a mistake."""
        merge = self.model.merges[-1]
        merges.undo(self.session, self.merges[-1], now=self.now)
        self.model.undo(merge)

    def _can_undo(self) -> bool:
        return bool(self.model.merges) and not self.model.merges[-1].is_undone

    @rule(hours=st.sampled_from([1, 23, 24, 25, 49]))
    def wait(self, hours: int) -> None:
        """Time goes by."""
        self.now += timedelta(hours=hours)

    @precondition(lambda self: self.gifts)
    @rule(which=which, is_over=st.booleans())
    def wait_for_an_end(self, which: int, is_over: bool) -> None:
        """The very instant when a gift lapses, or the one before."""
        ends = self.model.gifts[which % len(self.gifts)].ends
        self.now = max(self.now, ends if is_over else ends - timedelta(microseconds=1))

    def _code_of(self, gift_id: int) -> str:
        query = select(Coupon.code).join(Gift, col(Gift.coupon_id) == Coupon.id)
        return self.session.exec(query.where(Gift.id == gift_id)).one()

    @invariant()
    def record_and_model_agree(self) -> None:
        """Both hold the same coupons in the same hands and states, and the same gifts."""
        no = {member_id: place for place, member_id in enumerate(self.members)} | {None: None}
        held = self.session.exec(_COUPONS).all()
        assert [row.id for row in held] == self.coupons
        assert [(no[row.member_id], row.state.value, row.hops, row.expires_at) for row in held] == [
            (coupon.owner, coupon.state, coupon.hops, coupon.ends) for coupon in self.model.coupons
        ]
        given = self.session.exec(_GIFTS).all()
        assert [row.id for row in given] == [gift_id for gift_id, _ in self.gifts]
        assert [
            (no[row.giver_id], row.state.value, no[row.claimed_by_id], row.expires_at)
            for row in given
        ] == [(gift.giver, gift.state, gift.claimer, gift.ends) for gift in self.model.gifts]
        self._check_promises(held, given)

    def _check_promises(self, held: Sequence[Any], given: Sequence[Any]) -> None:
        """What holds whatever the model says."""
        counts = select(CouponPlan.id, CouponPlan.issued)
        counts = counts.where(col(CouponPlan.id).in_(self.plans), CouponPlan.issued > 0)
        assert dict(self.session.exec(counts).all()) == Counter(row.plan_id for row in held)
        living = [row.code for row in held]
        assert len(set(living)) == len(living)
        assert not self.dead_codes & set(living)
        waiting = Counter(gift.coupon_id for gift in given if gift.state is GiftState.OPEN)
        assert waiting == Counter(row.id for row in held if row.state is CouponState.GIFTING)
        for row in held:
            before, after = self.states.get(row.id, "available"), row.state.value
            assert before == after or (before, after) in ALLOWED
            self.states[row.id] = after

    @invariant()
    def usable_is_what_a_till_would_take(self) -> None:
        """The clock decides, whether or not the jobs have come by."""
        no = {coupon_id: place for place, coupon_id in enumerate(self.coupons)}
        self.looked += 1
        place = self.looked % PEOPLE
        found = coupons.usable(self.session, self.members[place], self.now)
        assert {no[row.id] for row, _ in found} == self.model.usable(place, self.now)


def test_gifting_keeps_its_promises_in_any_order(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gifts, "GIFTS_PER_DAY", model.GIFTS_A_DAY)
    monkeypatch.setattr(gifts, "CLAIMS_PER_DAY", model.CLAIMS_A_DAY)

    run_state_machine_as_test(
        type("Here", (Gifting,), {"world": a_world(session)}),
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            suppress_health_check=list(HealthCheck),
        ),
    )
