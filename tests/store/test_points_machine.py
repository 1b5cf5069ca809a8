"""Points in any order of acts and at any time, beside a model that knows nothing of the ledger.

Earn, spend, adjust, reverse, give back, expire; orders and refunds; the points shop; tills and
their undo; a merge; the clock. After each act every lot, balance and debt is what the model says.
"""

# ruff: noqa: D102 -- the name of a rule is its sentence
from copy import deepcopy
from datetime import timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    rule,
    run_state_machine_as_test,
)
from sqlmodel import Session, col, func, select

from store import ledger, merges, orders, points, points_reads, points_shop, redemptions
from store.coupons import Coupon
from store.errors import Refusal
from store.members import Member
from store.orders import RefundForm
from store.points import EntryDiffers, PointsEntry, PointsLot
from store.redemptions import PointsUse
from tests.builders import NOW, SOURCE, a_member, an_item, an_order_form, number
from tests.store.points_model import YEAR, Move, Purses, Refused

AMOUNTS = st.integers(1, 60)
DAYS = st.integers(1, 40)
PEOPLE = st.integers(0, 1)
COST, STOCK, LIMIT = 25, 4, 3


class Points(RuleBasedStateMachine):
    """Two people at one counter; moves of the model are named by their place in its list."""

    earned, spent, sales, bought = Bundle("earned"), Bundle("spent"), Bundle("sales"), Bundle("b")

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session, self.now = session, NOW
        self.trial = session.begin_nested()
        self.people = [a_member(session).id for _ in range(2)]
        self.item = an_item(session, cost=COST, stock=STOCK, per_member_limit=LIMIT)
        self.model, self.had, self.is_merged = Purses(), [0, 0], False

    def teardown(self) -> None:
        self.trial.rollback()
        self.session.expunge_all()

    @rule(days=st.integers(0, 30))
    def wait(self, days: int) -> None:
        self.now += timedelta(days=days)

    @rule()
    def expire(self) -> None:
        points.expire_due(self.session, self.now)
        self.model.expire(self.now)

    @rule(target=earned, who=PEOPLE, amount=AMOUNTS, days=DAYS, later=st.integers(0, 9))
    def earn(self, who: int, amount: int, days: int, later: int) -> tuple[int, int]:
        begins = self.now + timedelta(days=later)
        ends = begins + timedelta(days=days)
        facts: dict[str, Any] = {"available_at": begins, "expires_at": ends, **self.source()}
        entry = points.earn(self.session, self.people[who], amount, now=self.now, **facts)
        move = self.model.gain(self.owner(who), amount, self.now, begins=begins, ends=ends)
        return self.placed(move), entry.id

    @rule(target=spent, who=PEOPLE, amount=AMOUNTS)
    def spend(self, who: int, amount: int) -> tuple[int, int] | None:
        source = self.source()
        entry, move = self.both(
            lambda: points.spend(self.session, self.people[who], amount, now=self.now, **source),
            lambda: self.model.pay(self.owner(who), amount, self.now),
        )
        return (self.placed(move), entry.id) if entry else None

    @rule(who=PEOPLE, amount=AMOUNTS, is_up=st.booleans())
    def adjust(self, who: int, amount: int, *, is_up: bool) -> None:
        def expected() -> Move:
            if not is_up:
                return self.model.pay(self.owner(who), amount, self.now)
            ends = self.now + YEAR
            return self.model.gain(self.owner(who), amount, self.now, begins=self.now, ends=ends)

        signed, source = amount if is_up else -amount, self.source()
        self.both(
            lambda: points.adjust(self.session, self.people[who], signed, now=self.now, **source),
            expected,
        )

    @rule(which=earned, amount=AMOUNTS)
    def reverse(self, which: tuple[int, int], amount: int) -> None:
        place, entry_id = which
        source = self.source()
        self.both(
            lambda: points.reverse(self.session, entry_id, amount, now=self.now, **source),
            lambda: self.model.reverse(self.model.moves[place], amount, self.now),
        )

    @rule(which=spent, amount=AMOUNTS)
    def give_back(self, which: tuple[int, int] | None, amount: int) -> None:
        if which is None:
            return
        place, entry_id = which
        source = self.source()
        self.both(
            lambda: points.give_back(self.session, entry_id, amount, now=self.now, **source),
            lambda: self.model.give_back(self.model.moves[place], amount, self.now),
        )

    @rule(who=PEOPLE)
    def redeem_in_the_shop(self, who: int) -> None:
        def expected() -> Move:
            if self.had[self.owner(who)] >= LIMIT or sum(self.had) >= STOCK:
                raise Refused
            return self.model.pay(self.owner(who), COST, self.now)

        row, _ = self.both(lambda: self.redeem(who, f"form {number()}"), expected)
        if row is not None:
            self.had[self.owner(who)] += 1
            # The same form again changes nothing.
            assert self.redeem(who, row.token).id == row.id

    @rule(target=sales, who=PEOPLE, amount=AMOUNTS)
    def pay_at_the_till(self, who: int, amount: int) -> tuple[int, str, str] | None:
        reference = f"A{number()}"
        use = PointsUse(SOURCE, reference, reference, f"card {reference}", amount)
        row, move = self.both(
            lambda: redemptions.use_points(self.session, self.people[who], use, now=self.now),
            lambda: self.model.pay(self.owner(who), amount, self.now),
        )
        if row is None:
            return None
        assert redemptions.repeated(self.session, use, now=self.now) == row
        return self.placed(move), row.number, reference

    @rule(which=sales)
    def undo_at_the_till(self, which: tuple[int, str, str] | None) -> None:
        if which is None:
            return
        place, till_number, _ = which
        spent = self.model.moves[place]
        redemptions.undo(self.session, till_number, source=SOURCE, now=self.now)
        if left := -spent.points - spent.undone:
            self.model.give_back(spent, left, self.now)

    @rule(target=bought, who=PEOPLE, yuan=AMOUNTS, sale=st.none() | consumes(sales))
    def order(
        self, who: int, yuan: int, sale: tuple[int, str, str] | None
    ) -> tuple[int, int | None, str, int]:
        """An order that earns a point a yuan; perhaps that of a sale that points paid."""
        paid, reference = (sale[0], sale[2]) if sale else (None, f"A{number()}")
        member = self.session.get_one(
            Member, self.people[0] if self.is_merged else self.people[who]
        )
        form = an_order_form(
            self.session, member, external_id=reference, amount_fen=yuan * 100, paid_at=self.now
        )
        orders.place(self.session, form, source=SOURCE, now=self.now)
        ends = self.now + YEAR
        move = self.model.gain(self.owner(who), yuan, self.now, begins=self.now, ends=ends)
        return self.placed(move), paid, reference, 0

    @rule(target=bought, which=consumes(bought), share=st.integers(1, 100))
    def refund(
        self, which: tuple[int, int | None, str, int], share: int
    ) -> tuple[int, int | None, str, int]:
        place, paid, reference, before = which
        earned = self.model.moves[place]
        total = earned.points * 100
        back = min(total - before, max(1, total * share // 100))
        if back == 0:
            return which
        form = RefundForm(
            external_id=f"R{number()}",
            order_external_id=reference,
            amount_fen=back,
            refunded_at=self.now,
        )
        orders.refund(self.session, form, source=SOURCE, now=self.now)
        refunded = before + back
        if due := earned.points * refunded // total - earned.undone:
            self.model.reverse(earned, due, self.now)
        if paid is not None:
            spent = self.model.moves[paid]
            if due := max(0, -spent.points * refunded // total - spent.undone):
                self.model.give_back(spent, due, self.now)
        return place, paid, reference, refunded

    @rule()
    def merge(self) -> None:
        if self.is_merged:
            return
        merges.merge(self.session, *self.people, reason="test", now=self.now)
        self.model.merge(0, 1)
        self.had = [sum(self.had), 0]
        self.is_merged = True

    @rule(which=earned, amount=AMOUNTS)
    def say_something_again(self, which: tuple[int, int], amount: int) -> None:
        """The same source again is the same entry; with another number it is refused."""
        entry = self.session.get_one(PointsEntry, which[1])
        source: dict[str, Any] = {"reason": entry.reason, "source_id": entry.source_id}

        def act(amount: int) -> PointsEntry:
            return points.earn(self.session, entry.member_id, amount, now=self.now, **source)

        assert act(entry.points).id == entry.id
        try:
            with self.session.begin_nested():
                act(entry.points + amount)
        except EntryDiffers:
            return
        raise AssertionError("Another number was taken for the same source.")

    @invariant()
    def every_lot_is_what_the_model_says(self) -> None:
        query = select(PointsLot.remaining, PointsLot.points, PointsLot.member_id)
        rows = self.session.exec(
            query.where(col(PointsLot.member_id).in_(self.people)).order_by(col(PointsLot.id))
        ).all()
        ours = [(lot.left, lot.size, self.people[lot.owner]) for lot in self.model.lots]
        assert [tuple(row) for row in rows] == ours

    @invariant()
    def every_purse_adds_up(self) -> None:
        for owner in (0,) if self.is_merged else (0, 1):
            member_id = self.people[owner]
            stands = points_reads.standing(self.session, member_id, self.now)
            assert points.balance(self.session, member_id) == self.model.balance(owner)
            assert stands.debt == self.model.debt(owner) == ledger.debt(self.session, member_id)
            assert stands.spendable == self.model.spendable(owner, self.now)
            left = sum(lot.left for lot in self.model.lots if lot.owner == owner)
            assert self.model.balance(owner) == left - stands.debt

    @invariant()
    def the_shop_gave_what_it_counts(self) -> None:
        self.session.refresh(self.item)
        coupons = select(func.count(col(Coupon.id))).where(Coupon.plan_id == self.item.plan_id)
        assert self.item.sold == sum(self.had) == self.session.exec(coupons).one()

    def owner(self, who: int) -> int:
        return 0 if self.is_merged else who

    def placed(self, move: Move) -> int:
        return next(at for at, one in enumerate(self.model.moves) if one is move)

    def source(self) -> dict[str, Any]:
        return {"reason": "any", "source_id": str(number())}

    def redeem(self, who: int, token: str) -> points_shop.ShopRedemption:
        return points_shop.redeem(
            self.session, self.item.code, self.people[who], token=token, now=self.now
        )

    def both(self, act: Any, expected: Any) -> tuple[Any, Any]:
        """Do it in the record and in the model; both must agree whether it is refused."""
        before = deepcopy(self.model)
        try:
            move = expected()
        except Refused:
            self.model, move = before, None
            is_refused = True
        else:
            is_refused = False
        try:
            with self.session.begin_nested():
                row = act()
        except Refusal:
            assert is_refused, "The record refused what the model allows."
            return None, None
        assert not is_refused, "The record allowed what the model refuses."
        return row, move


def test_points_are_what_the_model_says_after_any_acts(session: Session) -> None:
    class Here(Points):
        def __init__(self) -> None:
            super().__init__(session)

    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=40,
            stateful_step_count=20,
        ),
    )
