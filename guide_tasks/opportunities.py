"""Opportunities: customers worth contacting today, each with a plain reason (design.md §4, §11).

Rules over the record, no model: what is about to be lost, a birthday, what is used up by now, and
newcomers who have not come back. A customer weighs what their reasons weigh together. Whoever has a
task already, or whom the gate would not let hear from this guide today, is left out.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import text
from sqlmodel import Session, col, select

from fatigue import gate
from fatigue.gate import Ask, Forecast, Outcome
from store import visibility
from store.bulk import among, id_array
from store.campaigns import WITH_GUIDE, CareTask, TaskState
from store.members import Member, MemberStatus
from store.orders import MemberFacts
from store.organisation import Guide
from store.touches import Category, Channel

MOST = 5
# The gate is asked for so many of the best at once; a guide with more of them than that is busy.
_ASKED = 40
_SOON = timedelta(days=7)
# A handful of points is no reason to write to somebody.
_WORTH_POINTS = 100
# When a second purchase is still likely (design.md §11).
_BACK_FROM, _BACK_UNTIL = timedelta(days=21), timedelta(days=120)
_HABIT_YEARS = timedelta(days=730)
_BUSY = WITH_GUIDE | {TaskState.PLANNED, TaskState.SENDING, TaskState.FELL_BACK}


class Reason(StrEnum):
    """Why now."""

    BIRTHDAY = "birthday"
    COUPON_ENDS = "coupon_ends"
    USED_UP = "used_up"
    POINTS_END = "points_end"
    NEVER_BACK = "never_back"


_WEIGHTS: Mapping[Reason, int] = {
    Reason.BIRTHDAY: 50,
    Reason.COUPON_ENDS: 40,
    Reason.USED_UP: 30,
    Reason.POINTS_END: 20,
    Reason.NEVER_BACK: 10,
}


@dataclass(frozen=True, slots=True)
class Why:
    """A reason with its facts: `days` ahead for what is to come, else days since the last time.

    `what` is a coupon or a category; `amount` points, or the usual days between two purchases.
    """

    reason: Reason
    days: int
    what: str = ""
    amount: int = 0


@dataclass(frozen=True, slots=True)
class Opportunity:
    """A customer, and why today; the reasons that weigh most come first."""

    card_no: str
    name: str
    mobile: str | None
    reasons: Sequence[Why]


def of_guide(
    session: Session, guide: Guide, *, brand_id: int, zone: ZoneInfo, now: datetime
) -> list[Opportunity]:
    """Up to five, the best first; as many queries however many customers there are."""
    free = _free_customers(session, guide.id)
    found: dict[int, list[Why]] = {}
    for member_id, why in _reasons(session, free, zone, now):
        found.setdefault(member_id, []).append(why)
    best = _best(found, _spent(session, found))
    wishes = [_wish(guide, member_id, brand_id) for member_id in best]
    open_to = {
        one.member_id for one in gate.dry_run(session, wishes, now=now) if _is_today(one, zone, now)
    }
    chosen = [member_id for member_id in best if member_id in open_to][:MOST]
    return _told(session, chosen, found)


def _is_today(forecast: Forecast, zone: ZoneInfo, now: datetime) -> bool:
    """Open now, or later today: before the shop opens a guide plans the day."""
    if forecast.outcome is Outcome.OPEN:
        return True
    later = forecast.retry_at
    return later is not None and later.astimezone(zone).date() == now.astimezone(zone).date()


def _free_customers(session: Session, guide_id: int) -> list[int]:
    """The guide's own customers whom nobody is about to contact."""
    ids = set(session.execute(visibility.own_customer_ids(guide_id)).scalars())
    busy = select(CareTask.member_id).where(
        among(CareTask.member_id, ids), col(CareTask.state).in_(_BUSY)
    )
    living = select(Member.id).where(among(Member.id, ids), Member.status == MemberStatus.ACTIVE)
    taken = set(session.exec(busy).all())
    return [member_id for member_id in session.exec(living).all() if member_id not in taken]


def _reasons(
    session: Session, member_ids: Collection[int], zone: ZoneInfo, now: datetime
) -> list[tuple[int, Why]]:
    today = now.astimezone(zone).date()
    facts = {"ids": id_array(member_ids), "now": now, "soon": now + _SOON, "least": _WORTH_POINTS}
    facts |= {"since": now - _HABIT_YEARS}
    facts |= {"back_from": now - _BACK_UNTIL, "back_until": now - _BACK_FROM}

    def rows(statement: Any, **more: object) -> Sequence[Any]:
        return session.execute(statement, facts | more).all()

    def days(instant: datetime) -> int:
        return abs((instant.astimezone(zone).date() - today).days)

    ahead = _birthdays(today)
    found = [
        (row.member_id, Why(Reason.BIRTHDAY, ahead[row.day]))
        for row in rows(_BIRTHDAYS, days=list(ahead))
    ]
    found += [
        (row.member_id, Why(Reason.COUPON_ENDS, days(row.at), what=row.name))
        for row in rows(_COUPONS)
    ]
    found += [
        (row.member_id, Why(Reason.USED_UP, days(row.at), row.category, round(row.usual)))
        for row in rows(_USED_UP)
    ]
    found += [
        (row.member_id, Why(Reason.POINTS_END, days(row.at), amount=row.points))
        for row in rows(_POINTS)
    ]
    found += [(row.member_id, Why(Reason.NEVER_BACK, days(row.at))) for row in rows(_NEVER_BACK)]
    return found


def _birthdays(today: date) -> dict[str, int]:
    """The coming days as month and day, with how far they are; who was born on 29 February
    celebrates on the 28th where there is none.
    """
    coming = {today + timedelta(days=n): n for n in range(_SOON.days + 1)}
    days = {f"{day:%m-%d}": n for day, n in coming.items()}
    if "02-28" in days:
        days.setdefault("02-29", days["02-28"])
    return days


def _spent(session: Session, member_ids: Collection[int]) -> dict[int, int]:
    query = select(MemberFacts.member_id, MemberFacts.spent_365_fen)
    return dict(session.exec(query.where(among(MemberFacts.member_id, member_ids))).all())


def _best(found: Mapping[int, Sequence[Why]], spent: Mapping[int, int]) -> list[int]:
    """Who weighs most first; of equals, who spent more."""

    def place(member_id: int) -> tuple[int, int, int]:
        weight = sum(_WEIGHTS[why.reason] for why in found[member_id])
        return (-weight, -spent.get(member_id, 0), member_id)

    return sorted(found, key=place)[:_ASKED]


def _wish(guide: Guide, member_id: int, brand_id: int) -> Ask:
    return Ask(
        key=f"opportunity-{guide.id}-{member_id}",
        member_id=member_id,
        channels=(Channel.WECOM_BROADCAST,),
        category=Category.CARE,
        brand_id=brand_id,
        guide_id=guide.id,
    )


def _told(
    session: Session, chosen: Sequence[int], found: Mapping[int, Sequence[Why]]
) -> list[Opportunity]:
    query = select(Member).where(among(Member.id, chosen))
    members = {member.id: member for member in session.exec(query)}
    return [
        Opportunity(
            members[member_id].card_no,
            members[member_id].name,
            members[member_id].mobile,
            sorted(found[member_id], key=lambda why: -_WEIGHTS[why.reason]),
        )
        for member_id in chosen
    ]


_BIRTHDAYS = text("""
    SELECT id AS member_id, to_char(birthday_on, 'MM-DD') AS day FROM members
    WHERE id = ANY(CAST(:ids AS bigint[])) AND to_char(birthday_on, 'MM-DD') = ANY(:days)
""")
# Of several coupons the one that ends first.
_COUPONS = text("""
    SELECT DISTINCT ON (c.member_id) c.member_id, p.name, c.expires_at AS at
    FROM coupons c JOIN coupon_plans p ON p.id = c.plan_id
    WHERE c.member_id = ANY(CAST(:ids AS bigint[])) AND c.state = 'available'
        AND c.expires_at > :now AND c.expires_at < :soon
    ORDER BY c.member_id, c.expires_at, c.id
""")
_POINTS = text("""
    SELECT member_id, sum(remaining) AS points, min(expires_at) AS at FROM points_lots
    WHERE member_id = ANY(CAST(:ids AS bigint[])) AND remaining > 0 AND available_at <= :now
        AND expires_at > :now AND expires_at < :soon
    GROUP BY member_id HAVING sum(remaining) >= :least
""")
# The median of the member's own gaps, two of them at least; who let twice that go by buys it
# elsewhere. Of several categories the one that is most overdue.
_USED_UP = text("""
    WITH bought AS (
        SELECT DISTINCT o.member_id, p.category, o.id, o.paid_at
        FROM orders o JOIN order_lines l ON l.order_id = o.id JOIN products p ON p.id = l.product_id
        WHERE o.member_id = ANY(CAST(:ids AS bigint[])) AND o.paid_at >= :since
            AND p.category <> '' AND (o.refunded_fen < o.amount_fen OR o.amount_fen = 0)
    ), gaps AS (
        SELECT member_id, category, paid_at, extract(epoch FROM paid_at - lag(paid_at) OVER (
            PARTITION BY member_id, category ORDER BY paid_at, id
        )) / 86400 AS gap
        FROM bought
    ), habits AS (
        SELECT member_id, category, max(paid_at) AS at,
            percentile_cont(0.5) WITHIN GROUP (ORDER BY gap) AS usual,
            extract(epoch FROM :now - max(paid_at)) / 86400 AS passed
        FROM gaps GROUP BY member_id, category HAVING count(gap) >= 2
    )
    SELECT DISTINCT ON (member_id) member_id, category, at, usual FROM habits
    WHERE usual >= 3 AND passed >= usual AND passed < 2 * usual
    ORDER BY member_id, passed / usual DESC, category
""")
_NEVER_BACK = text("""
    SELECT member_id, last_order_at AS at FROM member_facts
    WHERE member_id = ANY(CAST(:ids AS bigint[])) AND orders_count = 1
        AND last_order_at > :back_from AND last_order_at <= :back_until
""")
