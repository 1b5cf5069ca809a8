"""What gifting promises, as plain values and a clock: no database, nothing of the product's code.

Members, plans, coupons and gifts are numbers. An act gives "ok" or the name of the refusal that is
due; a refused act changes nothing.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

DAY = timedelta(hours=24)
GIFTS_A_DAY = CLAIMS_A_DAY = 2


@dataclass(frozen=True)
class Plan:
    """What a plan allows."""

    hops: int = 1
    limit: int | None = None
    stock: int | None = None
    days: int = 30


@dataclass
class Coupon:
    """One coupon, in the hands of its owner or on its way from there."""

    plan: int
    owner: int
    ends: datetime
    state: str = "available"
    hops: int = 0
    order: int | None = None


@dataclass
class Gift:
    """A coupon that was put on its way."""

    coupon: int
    giver: int
    opened: datetime
    ends: datetime
    state: str = "open"
    claimer: int | None = None
    closed: datetime | None = None


@dataclass
class Merge:
    """Who became whom, and what moved: coupons, gifts given, gifts claimed."""

    kept: int
    gone: int
    moved: tuple[list[int], list[int], list[int]]
    is_undone: bool = False


@dataclass
class Model:
    """The small world. `persons` are the members who are one person by their WeChat."""

    plans: list[Plan]
    persons: list[set[int]]
    into: dict[int, int] = field(default_factory=dict)
    coupons: list[Coupon] = field(default_factory=list)
    gifts: list[Gift] = field(default_factory=list)
    merges: list[Merge] = field(default_factory=list)

    def now_is(self, member: int) -> int:
        """Who a member is after merges."""
        while member in self.into:
            member = self.into[member]
        return member

    def issue(self, plan: int, member: int, now: datetime) -> str:
        """A new coupon in a member's hands."""
        member = self.now_is(member)
        if self._is_full(plan, member):
            return "LimitReached"
        issued = sum(coupon.plan == plan for coupon in self.coupons)
        stock = self.plans[plan].stock
        if stock is not None and issued >= stock:
            return "StockUsedUp"
        ends = now + timedelta(days=self.plans[plan].days)
        self.coupons.append(Coupon(plan, member, ends))
        return "ok"

    def offer(self, coupon_no: int, member: int, now: datetime) -> str:
        """A member puts a coupon on its way."""
        member, coupon = self.now_is(member), self.coupons[coupon_no]
        lapsed = self._lapsed(coupon_no, now)
        state = self._back(coupon, now) if lapsed else coupon.state
        if coupon.owner != member:
            return "CouponNotFound"
        if state != "available":
            return "CouponNotGiftable"
        if coupon.ends <= now:
            return "CouponExpired"
        if coupon.hops >= self.plans[coupon.plan].hops:
            return "HopsUsedUp"
        if sum(g.giver == member and g.opened > now - DAY for g in self.gifts) >= GIFTS_A_DAY:
            return "TooManyGifts"
        self._end(lapsed, now)
        coupon.state = "gifting"
        self.gifts.append(Gift(coupon_no, member, now, min(now + DAY, coupon.ends)))
        return "ok"

    def claim(self, gift_no: int, member: int, now: datetime) -> str:
        """A member opens the link and takes the coupon."""
        member, gift = self.now_is(member), self.gifts[gift_no]
        coupon = self.coupons[gift.coupon]
        if gift.state == "claimed":
            return "ok" if coupon.owner == member else "GiftTaken"
        if gift.state != "open" or gift.ends <= now:
            return "GiftCancelled" if gift.state == "cancelled" else "GiftLapsed"
        if any({member, self.now_is(gift.giver)} <= person for person in self._persons()):
            return "GiftToSelf"
        if self._claims(member, now) >= CLAIMS_A_DAY:
            return "TooManyClaims"
        if self._is_full(coupon.plan, member):
            return "LimitReached"
        coupon.owner, coupon.hops, coupon.state = member, coupon.hops + 1, "available"
        gift.state, gift.claimer, gift.closed = "claimed", member, now
        return "ok"

    def cancel(self, gift_no: int, member: int, now: datetime) -> str:
        """A member wants a gift back."""
        gift = self.gifts[gift_no]
        if gift.giver != self.now_is(member):
            return "GiftNotFound"
        if gift.state == "claimed":
            return "GiftTaken"
        if gift.state == "open":
            self.coupons[gift.coupon].state = self._back(self.coupons[gift.coupon], now)
            gift.state, gift.closed = ("expired" if gift.ends <= now else "cancelled"), now
        return "ok"

    def expire_gifts(self, now: datetime) -> int:
        """The job for gifts: how many came back."""
        due = [n for n, gift in enumerate(self.gifts) if gift.state == "open" and gift.ends <= now]
        self._end(due, now)
        return len(due)

    def expire_coupons(self, now: datetime) -> int:
        """The job for coupons: how many ended."""
        due = [c for c in self.coupons if c.state == "available" and c.ends <= now]
        for coupon in due:
            coupon.state = "expired"
        return len(due)

    def buy(self, coupon_no: int, member: int, order: int, now: datetime) -> str:
        """A member shows the living code of a coupon at the till."""
        coupon = self.coupons[coupon_no]
        if coupon.owner != self.now_is(member):
            return "CouponOfAnother"
        lapsed = self._lapsed(coupon_no, now)
        state = self._back(coupon, now) if lapsed else coupon.state
        if state == "available" and coupon.ends <= now:
            return "CouponExpired"
        if state != "available":
            return "WrongState"
        self._end(lapsed, now)
        coupon.state, coupon.order = "redeemed", order
        return "ok"

    def refund(self, order: int, now: datetime) -> None:
        """The whole of an order goes back, with its coupon."""
        for coupon in self.coupons:
            if coupon.order == order:
                coupon.state, coupon.order = self._back(coupon, now), None

    def merge(self, kept: int, gone: int) -> None:
        """Two rows are one person; a gift between the two stays a gift between two rows."""
        coupons = [n for n, coupon in enumerate(self.coupons) if coupon.owner == gone]
        given = [n for n, g in enumerate(self.gifts) if g.giver == gone and g.claimer != kept]
        self._hand(coupons, given, [], kept)
        claimed = [n for n, g in enumerate(self.gifts) if g.claimer == gone and g.giver != kept]
        self._hand([], [], claimed, kept)
        self.into[gone] = kept
        self.merges.append(Merge(kept, gone, (coupons, given, claimed)))

    def undo(self, merge: Merge) -> None:
        """What kept still has of what came from gone goes back, and on its way where it is."""
        coupons, given, claimed = merge.moved
        del self.into[merge.gone]
        back = [n for n in coupons if self.coupons[n].owner == merge.kept]
        on_the_way = {
            n for n, gift in enumerate(self.gifts) if gift.state == "open" and gift.coupon in back
        }
        self._hand(
            back,
            [n for n in sorted({*given, *on_the_way}) if self.gifts[n].giver == merge.kept],
            [n for n in claimed if self.gifts[n].claimer == merge.kept],
            merge.gone,
        )
        merge.is_undone = True

    def usable(self, member: int, now: datetime) -> set[int]:
        """What a till would take from this member."""
        return {
            n
            for n, coupon in enumerate(self.coupons)
            if coupon.owner == member
            and coupon.ends > now
            and (coupon.state == "available" or bool(self._lapsed(n, now)))
        }

    def _persons(self) -> list[set[int]]:
        """Who is one person: by WeChat, which moves along with merges, or simply the same row."""
        by_wechat = [{self.now_is(member) for member in person} for person in self.persons]
        rows = {self.now_is(gift.giver) for gift in self.gifts}
        return by_wechat + [{row} for row in rows]

    def _is_full(self, plan: int, member: int) -> bool:
        limit = self.plans[plan].limit
        given = {g.coupon for g in self.gifts if g.giver == member and g.state == "claimed"}
        had = [
            n
            for n, coupon in enumerate(self.coupons)
            if coupon.plan == plan and (coupon.owner == member or n in given)
        ]
        return limit is not None and len(had) >= limit

    def _claims(self, member: int, now: datetime) -> int:
        closed = [g.closed for g in self.gifts if g.claimer == member and g.closed is not None]
        return sum(moment > now - DAY for moment in closed)

    def _lapsed(self, coupon_no: int, now: datetime) -> list[int]:
        return [
            n
            for n, gift in enumerate(self.gifts)
            if gift.coupon == coupon_no and gift.state == "open" and gift.ends <= now
        ]

    def _end(self, gift_nos: list[int], now: datetime) -> None:
        for gift in (self.gifts[n] for n in gift_nos):
            coupon = self.coupons[gift.coupon]
            coupon.state = self._back(coupon, now)
            gift.state, gift.closed = "expired", now

    def _back(self, coupon: Coupon, now: datetime) -> str:
        return "expired" if coupon.ends <= now else "available"

    def _hand(self, coupons: list[int], given: list[int], claimed: list[int], to: int) -> None:
        for n in coupons:
            self.coupons[n].owner = to
        for n in given:
            self.gifts[n].giver = to
        for n in claimed:
            self.gifts[n].claimer = to
