"""Who used up the patience of members, and who went without: counts over the touches themselves.

One scan a question, however many campaigns there are. The first violation of a verdict is the
reason that counts; the touches that it names are those that had used the cap up.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from sqlalchemy import Row, text
from sqlmodel import Session

from store.touches import Channel

_ASKED = """
    SELECT CAST(date_trunc('week', asked_at AT TIME ZONE :zone) AS date) AS week, brand_id,
        campaign_id, channel, category, verdict,
        CASE WHEN state IN ('reserved', 'sending', 'sent', 'unknown') THEN 'went'
            WHEN state = 'asked' THEN 'waits' WHEN state = 'withheld' THEN 'withheld'
            ELSE 'failed' END AS fate
    FROM touches WHERE asked_at >= :since AND asked_at < :until
"""
_SPENT_BY = """
    WITH asked AS ({asked}), counted AS (
        SELECT *, CASE WHEN fate IN ('waits', 'withheld')
            THEN coalesce(verdict -> 'violations' -> 0 ->> 'rule', '') END AS rule FROM asked)
    SELECT GROUPING(week, brand_id, campaign_id, channel, rule) AS kind,
        week, brand_id, campaign_id, channel, rule,
        count(*) FILTER (WHERE fate = 'went') AS went,
        count(*) FILTER (WHERE fate = 'waits') AS waits,
        count(*) FILTER (WHERE fate = 'withheld') AS withheld,
        count(*) FILTER (WHERE fate = 'failed') AS failed,
        count(*) FILTER (WHERE fate = 'went' AND category = 'service') AS service
    FROM counted
    GROUP BY GROUPING SETS ((week), (brand_id), (campaign_id), (channel), (rule), ())
"""
_SPENT = text(_SPENT_BY.format(asked=_ASKED))
# The bits of GROUPING are 0 where a column is grouped by, the last column lowest.
_BY_WEEK, _BY_BRAND, _BY_CAMPAIGN, _BY_CHANNEL, _BY_RULE, _ALL = 15, 23, 27, 29, 30, 31
_IN_THE_WAY = text("""
    SELECT other.campaign_id, count(*)
    FROM touches t
    CROSS JOIN LATERAL
        jsonb_array_elements_text(t.verdict -> 'violations' -> 0 -> 'touches') AS used(id)
    JOIN touches other ON other.id = CAST(used.id AS bigint)
    WHERE t.state IN ('asked', 'withheld') AND t.asked_at >= :since AND t.asked_at < :until
        AND other.campaign_id IS DISTINCT FROM t.campaign_id
    GROUP BY 1
""")
# The best that became of each member: a touch that went, else the last word of the gate.
_LAST = """
    SELECT DISTINCT ON (member_id) member_id, state, verdict FROM touches
    WHERE campaign_id = :campaign_id
    ORDER BY member_id, (state IN ('reserved', 'sending', 'sent', 'unknown')) DESC, id DESC
"""
_LOST_BY = """
    WITH last AS ({last})
    SELECT coalesce(verdict -> 'violations' -> 0 ->> 'rule', '') AS rule,
        count(*) FILTER (WHERE state = 'withheld') AS withheld,
        count(*) FILTER (WHERE state = 'asked') AS waits
    FROM last WHERE state IN ('asked', 'withheld') GROUP BY 1 ORDER BY count(*) DESC, 1
"""
_TAKEN_BY = """
    WITH last AS ({last})
    SELECT last.verdict -> 'violations' -> 0 ->> 'rule' AS rule, other.campaign_id,
        count(DISTINCT last.member_id) AS members
    FROM last
    CROSS JOIN LATERAL
        jsonb_array_elements_text(last.verdict -> 'violations' -> 0 -> 'touches') AS used(id)
    JOIN touches other ON other.id = CAST(used.id AS bigint)
    WHERE last.state IN ('asked', 'withheld')
    GROUP BY 1, 2 ORDER BY members DESC, 2 NULLS LAST
"""
_LOST, _TAKERS = (text(query.format(last=_LAST)) for query in (_LOST_BY, _TAKEN_BY))


@dataclass(frozen=True, slots=True)
class Spent:
    """Touches of one kind by what became of them; `service` is how many of `went` are service."""

    went: int = 0
    waits: int = 0
    withheld: int = 0
    failed: int = 0
    service: int = 0

    @property
    def asked(self) -> int:
        """All of them."""
        return self.went + self.waits + self.withheld + self.failed


@dataclass(frozen=True, slots=True)
class Spending:
    """The touches asked in a span, cut five ways; `in_the_way` counts what touches of a campaign
    kept from others.
    """

    all: Spent
    weeks: Mapping[date, Spent]
    brands: Mapping[int, Spent]
    campaigns: Mapping[int | None, Spent]
    channels: Mapping[Channel, Spent]
    rules: Mapping[str, Spent]
    in_the_way: Mapping[int | None, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Loss:
    """Members whom a campaign did not reach because of a rule, and whose touches had used it up.

    `takers` are (campaign id, members); a campaign may stand in its own way.
    """

    rule: str
    withheld: int
    waits: int
    takers: Sequence[tuple[int | None, int]]


def spending(session: Session, *, since: datetime, until: datetime, zone: str) -> Spending:
    """Count the touches asked in `[since, until)`; weeks begin on Monday in `zone`."""
    span: dict[str, Any] = {"since": since, "until": until}
    rows = session.connection().execute(_SPENT, span | {"zone": zone}).all()

    def by(kind: int, column: str) -> dict[Any, Spent]:
        return {getattr(row, column): _spent(row) for row in rows if row.kind == kind}

    rules = by(_BY_RULE, "rule")
    rules.pop(None, None)
    return Spending(
        all=next((_spent(row) for row in rows if row.kind == _ALL), Spent()),
        weeks=dict(sorted(by(_BY_WEEK, "week").items())),
        brands=by(_BY_BRAND, "brand_id"),
        campaigns=by(_BY_CAMPAIGN, "campaign_id"),
        channels={Channel(name): spent for name, spent in by(_BY_CHANNEL, "channel").items()},
        rules=rules,
        in_the_way={row[0]: row[1] for row in session.connection().execute(_IN_THE_WAY, span)},
    )


def losses(session: Session, campaign_id: int) -> list[Loss]:
    """Why members of a campaign were not reached, the most frequent rule first."""
    wanted = {"campaign_id": campaign_id}
    takers: dict[str, list[tuple[int | None, int]]] = {}
    for rule, taker, members in session.connection().execute(_TAKERS, wanted):
        takers.setdefault(rule, []).append((taker, members))
    found = session.connection().execute(_LOST, wanted)
    return [Loss(rule, withheld, waits, takers.get(rule, ())) for rule, withheld, waits in found]


def _spent(row: Row[Any]) -> Spent:
    return Spent(row.went, row.waits, row.withheld, row.failed, row.service)
