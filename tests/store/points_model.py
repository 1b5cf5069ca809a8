"""What points should do, in plain Python and without a ledger's tables: the tests' own opinion.

A purse is lots with an end and movements with what they still owe. Nothing here is read from the
product: where the two differ, one of them is wrong.
"""

# ruff: noqa: D102 -- the acts are those of `store.points`, where they are explained
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

YEAR = timedelta(days=365)


class Refused(Exception):  # noqa: N818 -- an answer, not a fault
    """The purse does not allow it."""


@dataclass
class Lot:
    """Points that came together: how many are left, from when until when, how many time took."""

    owner: int
    size: int
    left: int
    begins: datetime
    ends: datetime
    born: int
    lost: int = 0


@dataclass
class Move:
    """One movement: its points, what it still owes, and from which lots it took how many."""

    owner: int
    points: int
    lot: Lot | None = None
    owes: int = 0
    undone: int = 0
    took: dict[int, int] = field(default_factory=dict)


@dataclass
class Purses:
    """The purses of all people."""

    lots: list[Lot] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)

    def balance(self, owner: int) -> int:
        return sum(move.points for move in self.moves if move.owner == owner)

    def debt(self, owner: int) -> int:
        return sum(move.owes for move in self.moves if move.owner == owner)

    def spendable(self, owner: int, now: datetime) -> int:
        there = sum(lot.left for lot in self._fresh(owner, now) if lot.begins <= now)
        return max(0, there - self.debt(owner))

    def gain(
        self, owner: int, points: int, now: datetime, *, begins: datetime, ends: datetime
    ) -> Move:
        lot = Lot(owner, points, points, begins, ends, born=len(self.lots))
        self.lots.append(lot)
        move = self._move(owner, points, lot)
        self._repay(owner, now)
        return move

    def pay(self, owner: int, points: int, now: datetime) -> Move:
        self._repay(owner, now)
        if self.spendable(owner, now) < points:
            raise Refused
        move = self._move(owner, -points)
        begun = [lot for lot in self._fresh(owner, now) if lot.begins <= now]
        assert self._take(move, begun, points) == 0
        return move

    def reverse(self, earned: Move, points: int, now: datetime) -> None:
        lot = earned.lot
        if lot is None or points > earned.points - earned.undone:
            raise Refused
        earned.undone += points
        revived = min(points - lot.left, lot.lost)
        if revived > 0:
            lot.left, lot.lost = lot.left + revived, lot.lost - revived
            self._move(earned.owner, revived)
        move = self._move(earned.owner, -points)
        short = self._take(move, [lot], points)
        move.owes = self._take(move, self._payable(earned.owner, now), short)

    def give_back(self, spent: Move, points: int, now: datetime) -> None:
        if points > -spent.points - spent.undone:
            raise Refused
        spent.undone += points
        self._move(spent.owner, points)
        last_first = sorted((self.lots[born] for born in spent.took), key=_order, reverse=True)
        for lot in last_first:
            back = min(points, spent.took[lot.born])
            lot.left, points = lot.left + back, points - back
            spent.took[lot.born] -= back
        assert points == 0
        self._repay(spent.owner, now)

    def expire(self, now: datetime) -> None:
        for lot in self.lots:
            if lot.left and lot.ends <= now:
                self._move(lot.owner, -lot.left)
                lot.lost, lot.left = lot.lost + lot.left, 0

    def merge(self, kept: int, gone: int) -> None:
        for lot in self.lots:
            lot.owner = kept if lot.owner == gone else lot.owner
        for move in self.moves:
            move.owner = kept if move.owner == gone else move.owner

    def _move(self, owner: int, points: int, lot: Lot | None = None) -> Move:
        self.moves.append(Move(owner, points, lot))
        return self.moves[-1]

    def _fresh(self, owner: int, now: datetime) -> list[Lot]:
        mine = [lot for lot in self.lots if lot.owner == owner and lot.left and lot.ends > now]
        return sorted(mine, key=_order)

    def _payable(self, owner: int, now: datetime) -> list[Lot]:
        """What a debt takes: what has begun, soonest end first, and only then what comes later."""
        fresh = self._fresh(owner, now)
        return sorted(fresh, key=lambda lot: lot.begins > now)

    def _repay(self, owner: int, now: datetime) -> None:
        for move in self.moves:
            if move.owner == owner and move.owes:
                move.owes = self._take(move, self._payable(owner, now), move.owes)

    def _take(self, move: Move, lots: Iterable[Lot], points: int) -> int:
        for lot in lots:
            taken = min(points, lot.left)
            lot.left, points = lot.left - taken, points - taken
            move.took[lot.born] = move.took.get(lot.born, 0) + taken
        return points


def _order(lot: Lot) -> tuple[datetime, int]:
    return lot.ends, lot.born
