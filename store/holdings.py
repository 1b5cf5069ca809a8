"""What a member holds, as a merge must see it: which rows change hands, and how they come back.

The tables are named as plain SQL tables, not as models, so that every noun can lean on members
without a circle. A test holds this list against every foreign key to `members`.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Boolean,
    ColumnElement,
    TableClause,
    and_,
    column,
    literal_column,
    select,
    table,
    text,
    update,
)

from store.db import Session


@dataclass(frozen=True)
class Holding:
    """Rows of `table` that belong to the member in `column`.

    Where a member may have one row per `within`, gone keeps a row that kept has too. `live` names
    the column that is null while a row counts, for rows of which only those that count move.
    """

    table: str
    column: str = "member_id"
    key: str = "id"
    within: str | None = None
    live: str | None = None
    # The column with the other person of the row, who may not become the same one.
    other: str | None = None
    # SQL: rows that stay with gone.
    unless: str | None = None

    @property
    def name(self) -> str:
        """How `Merge.moved` calls these rows."""
        return f"{self.table}.{self.column}"


_UNSENT_OF_OWN_TASK = (
    "touches.state IN ('asked', 'reserved') AND EXISTS (SELECT FROM care_tasks"
    " WHERE care_tasks.id = touches.care_task_id AND care_tasks.member_id = touches.member_id)"
)
HOLDINGS = (
    Holding("orders"),
    Holding("points_entries"),
    Holding("points_lots"),
    Holding("coupons"),
    Holding("gifts", "giver_id", other="claimed_by_id"),
    Holding("gifts", "claimed_by_id", other="giver_id"),
    Holding("ownerships"),
    Holding("friendships"),
    Holding("identities"),
    Holding("grants"),
    Holding("holds", within="campaign_id"),
    Holding("inbound_messages"),
    Holding("bindings"),
    Holding("member_tags", key="tag_id", within="tag_id"),
    Holding("suppressions", within="channel", live="lifted_at"),
    Holding("wishes"),
    Holding("handovers"),
    Holding("feedbacks", within="given_on"),
    Holding("customer_notes"),
    Holding("care_tasks", within="campaign_id"),
    # After the tasks: what was not sent yet for a task that stays would reach kept a second time.
    Holding("touches", unless=_UNSENT_OF_OWN_TASK),
    Holding("audience_members", key="campaign_id", within="campaign_id"),
)
# Consents are copied, not moved: a statement stays with the row it was made for.
TABLES = frozenset(
    {holding.table for holding in HOLDINGS} | {"members", "consents", "member_facts"}
)
_ROWS, _CLOSED, _CONSENTS, _TIGHTENED, _FILLED = "rows", "closed", "consents", "tightened", "filled"


def hand_over(session: Session, kept_id: int, gone_id: int, *, now: datetime) -> dict[str, Any]:
    """Give what `gone` holds to `kept`, both locked; gives what must be known to undo it."""
    people = {"kept": kept_id, "gone": gone_id}
    closed = session.execute(_CLOSE_OWNERSHIP, people | {"now": now}).scalars().all()
    tightened = session.execute(_TIGHTEN_STOPS, people).all()
    consents = session.execute(_COPY_CONSENTS, people | {"now": now}).scalars().all()
    rows = {holding.name: _move(session, holding, kept_id, gone_id) for holding in HOLDINGS}
    session.execute(_MARK_MERGED, people)
    filled = [name for name, fill in _FILLS.items() if session.execute(fill, people).first()]
    return {
        _ROWS: {name: keys for name, keys in rows.items() if keys},
        _CLOSED: list(closed),
        _CONSENTS: list(consents),
        _TIGHTENED: [[stop.id, stop.was, stop.became] for stop in tightened],
        _FILLED: filled,
    }


def hand_back(session: Session, kept_id: int, gone_id: int, moved: dict[str, Any]) -> None:
    """Give back to `gone` each row that `kept` still has of those that `hand_over` wrote down."""
    people = {"kept": kept_id, "gone": gone_id}
    for name in moved[_FILLED]:
        session.execute(_EMPTIES[name], people)
    session.execute(_MARK_ACTIVE, {"gone": gone_id})
    for holding in HOLDINGS:
        _return(session, holding, kept_id, gone_id, moved[_ROWS].get(holding.name, []))
    session.execute(_GIFTS_FOLLOW, people)
    session.execute(_REOPEN_OWNERSHIP, {"ids": moved[_CLOSED]})
    session.execute(_DROP_CONSENTS, {"ids": moved[_CONSENTS]})
    for stop_id, was, became in moved[_TIGHTENED]:
        session.execute(_LOOSEN_STOP, {"id": stop_id, "was": was, "became": became})
    _part_points(session, people, moved[_ROWS].get("points_entries.member_id", []))


def has_filled(moved: dict[str, Any], blank: str) -> bool:
    """Whether the merge filled this blank of `kept`, and its undo will empty it."""
    return blank in moved[_FILLED]


def _move(session: Session, holding: Holding, kept_id: int, gone_id: int) -> list[int]:
    rows = _table(holding)
    mine = rows.c[holding.column] == gone_id
    query = (
        update(rows).where(mine, *_limits(holding, rows, kept_id)).values({holding.column: kept_id})
    )
    return list(session.execute(query.returning(rows.c[holding.key])).scalars())


def _limits(holding: Holding, rows: TableClause, kept_id: int) -> list[ColumnElement[bool]]:
    """Which of gone's rows may move."""
    limits: list[ColumnElement[bool]] = []
    if holding.live:
        limits.append(rows.c[holding.live].is_(None))
    if holding.other:
        limits.append(rows.c[holding.other].is_distinct_from(kept_id))
    if holding.unless:
        limits.append(literal_column(f"NOT ({holding.unless})", Boolean()))
    if holding.within:
        theirs = rows.alias("theirs")
        same = and_(
            theirs.c[holding.column] == kept_id,
            theirs.c[holding.within] == rows.c[holding.within],
            *([theirs.c[holding.live].is_(None)] if holding.live else []),
        )
        limits.append(~select(theirs).where(same).exists())
    return limits


def _return(
    session: Session, holding: Holding, kept_id: int, gone_id: int, keys: list[int]
) -> None:
    rows = _table(holding)
    query = update(rows).where(rows.c[holding.column] == kept_id, rows.c[holding.key].in_(keys))
    session.execute(query.values({holding.column: gone_id}))


def _table(holding: Holding) -> TableClause:
    names = {holding.column, holding.key, holding.within, holding.live, holding.other}
    return table(holding.table, *(column(name) for name in sorted(filter(None, names))))


def _part_points(session: Session, people: dict[str, int], entry_ids: list[int]) -> None:
    """Part the ledgers again, so that no entry of one takes from a lot of the other.

    A take across the two is taken back: the lot is whole again, and whoever spent it owes it.
    """
    session.execute(_RETURN_ANSWERS, people | {"ids": entry_ids})
    session.execute(_LOTS_FOLLOW, people)
    session.execute(_REFILL_LOTS, people)
    session.execute(_TAKE_BACK, people)


_MARK_MERGED = text("UPDATE members SET status = 'merged', merged_into_id = :kept WHERE id = :gone")
_MARK_ACTIVE = text("UPDATE members SET status = 'active', merged_into_id = NULL WHERE id = :gone")
_CLOSE_OWNERSHIP = text("""
UPDATE ownerships SET until = :now
WHERE member_id = :gone AND until IS NULL
AND EXISTS (SELECT FROM ownerships AS own WHERE own.member_id = :kept AND own.until IS NULL)
RETURNING id
""")
# A coupon of gone that kept offered to a friend: only its giver can take it back.
_GIFTS_FOLLOW = text("""
UPDATE gifts SET giver_id = :gone FROM coupons
WHERE coupons.id = gifts.coupon_id AND coupons.member_id = :gone
AND gifts.giver_id = :kept AND gifts.state = 'open'
""")
_REOPEN_OWNERSHIP = text("UPDATE ownerships SET until = NULL WHERE id = ANY(:ids)")
# Infinity stands for a stop without an end; the old end is kept as text for undo.
_TIGHTEN_STOPS = text("""
UPDATE suppressions AS own SET until = theirs.until
FROM suppressions AS theirs, suppressions AS before
WHERE before.id = own.id AND own.member_id = :kept AND theirs.member_id = :gone
AND own.channel = theirs.channel AND own.lifted_at IS NULL AND theirs.lifted_at IS NULL
AND coalesce(theirs.until, 'infinity') > coalesce(own.until, 'infinity')
RETURNING own.id, before.until::text AS was, own.until::text AS became
""")
_LOOSEN_STOP = text("""
UPDATE suppressions SET until = CAST(:was AS timestamptz)
WHERE id = :id AND lifted_at IS NULL
AND until IS NOT DISTINCT FROM CAST(:became AS timestamptz)
""")
_COPY_CONSENTS = text("""
WITH newest AS (
    SELECT DISTINCT ON (member_id, channel, purpose) * FROM consents
    WHERE member_id IN (:kept, :gone)
    ORDER BY member_id, channel, purpose, stated_at DESC, id DESC
)
INSERT INTO consents
    (member_id, channel, purpose, is_granted, text_version, source, stated_at)
SELECT :kept, theirs.channel, theirs.purpose, theirs.is_granted, theirs.text_version, 'merge',
       CASE WHEN own.id IS NULL THEN theirs.stated_at ELSE :now END
FROM newest AS theirs LEFT JOIN newest AS own
    ON own.member_id = :kept AND own.channel = theirs.channel AND own.purpose = theirs.purpose
WHERE theirs.member_id = :gone
AND (own.id IS NULL OR (own.is_granted AND NOT theirs.is_granted))
RETURNING id
""")
_DROP_CONSENTS = text("DELETE FROM consents WHERE id = ANY(:ids)")
# Blanks of kept are filled from gone; undo empties those that still hold gone's value.
_FILLS = {
    "name": text("""
        UPDATE members AS kept SET name = gone.name FROM members AS gone
        WHERE kept.id = :kept AND gone.id = :gone AND kept.name = '' AND gone.name <> ''
        RETURNING kept.id"""),
    "birthday_on": text("""
        UPDATE members AS kept
        SET birthday_on = gone.birthday_on, birthday_set_at = gone.birthday_set_at
        FROM members AS gone
        WHERE kept.id = :kept AND gone.id = :gone
        AND kept.birthday_on IS NULL AND gone.birthday_on IS NOT NULL RETURNING kept.id"""),
    "shop_id": text("""
        UPDATE members AS kept SET shop_id = gone.shop_id FROM members AS gone
        WHERE kept.id = :kept AND gone.id = :gone
        AND kept.shop_id IS NULL AND gone.shop_id IS NOT NULL RETURNING kept.id"""),
    "mobile": text("""
        UPDATE members AS kept SET mobile = gone.mobile FROM members AS gone
        WHERE kept.id = :kept AND gone.id = :gone
        AND kept.mobile IS NULL AND gone.mobile IS NOT NULL RETURNING kept.id"""),
    "joined_at": text("""
        UPDATE members AS kept SET joined_at = gone.joined_at FROM members AS gone
        WHERE kept.id = :kept AND gone.id = :gone
        AND kept.joined_at IS NULL AND gone.joined_at IS NOT NULL RETURNING kept.id"""),
}
_EMPTIES = {
    "name": text("""
        UPDATE members AS kept SET name = '' FROM members AS gone
        WHERE kept.id = :kept AND gone.id = :gone AND kept.name = gone.name"""),
    "birthday_on": text("""
        UPDATE members AS kept SET birthday_on = NULL, birthday_set_at = NULL
        FROM members AS gone
        WHERE kept.id = :kept AND gone.id = :gone AND kept.birthday_on = gone.birthday_on"""),
    "shop_id": text("""
        UPDATE members AS kept SET shop_id = NULL FROM members AS gone
        WHERE kept.id = :kept AND gone.id = :gone AND kept.shop_id = gone.shop_id"""),
    "mobile": text("""
        UPDATE members AS kept SET mobile = NULL FROM members AS gone
        WHERE kept.id = :kept AND gone.id = :gone AND kept.mobile = gone.mobile"""),
    "joined_at": text("""
        UPDATE members AS kept SET joined_at = NULL FROM members AS gone
        WHERE kept.id = :kept AND gone.id = :gone AND kept.joined_at = gone.joined_at"""),
}
_RETURN_ANSWERS = text("""
WITH RECURSIVE answers AS (
    SELECT unnest(CAST(:ids AS bigint[])) AS id
    UNION
    SELECT entries.id FROM points_entries AS entries JOIN answers
    ON entries.reverses_id = answers.id
)
UPDATE points_entries SET member_id = :gone
WHERE member_id = :kept AND id IN (SELECT id FROM answers)
""")
_LOTS_FOLLOW = text("""
UPDATE points_lots SET member_id = entries.member_id FROM points_entries AS entries
WHERE entries.id = points_lots.entry_id AND entries.member_id <> points_lots.member_id
AND entries.member_id IN (:kept, :gone)
""")
_CROSSING = """
WITH crossing AS (
    SELECT takes.entry_id, takes.lot_id, sum(takes.points) AS points
    FROM points_takes AS takes
    JOIN points_entries AS entries ON entries.id = takes.entry_id
    JOIN points_lots AS lots ON lots.id = takes.lot_id
    WHERE (entries.member_id = :kept AND lots.member_id = :gone)
    OR (entries.member_id = :gone AND lots.member_id = :kept)
    GROUP BY takes.entry_id, takes.lot_id HAVING sum(takes.points) <> 0
)
"""
_REFILL = """
UPDATE points_lots SET remaining = remaining + refill.points
FROM (SELECT lot_id, sum(points) AS points FROM crossing GROUP BY lot_id) AS refill
WHERE points_lots.id = refill.lot_id
"""
_COUNTER = """
INSERT INTO points_takes (entry_id, lot_id, points) SELECT entry_id, lot_id, -points FROM crossing
"""
_REFILL_LOTS = text(_CROSSING + _REFILL)
_TAKE_BACK = text(_CROSSING + _COUNTER)
