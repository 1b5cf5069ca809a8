"""The export: everything the record says about a person, in rows that a person can read.

Inside keys mean nothing outside, so they are left out; what they point to is named instead. What is
shown of each table is said in `store.personal`.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, Table, text

from store.accounts import SealBroken, unseal
from store.db import Session
from store.erasure import everybody_within
from store.members import Member
from store.personal import PARTS, Part
from store.tables import metadata

Row = dict[str, Any]
# What tells a person which row of another table is meant.
_NAMES = {
    "brands": "name",
    "shops": "name",
    "guides": "name",
    "levels": "name",
    "tags": "name",
    "products": "name",
    "campaigns": "name",
    "coupon_plans": "name",
    "orders": "external_id",
    "coupons": "code",
    "accounts": "name",
}


def export(session: Session, member_id: int, *, secret_key: str) -> dict[str, list[Row]]:
    """Table by table, the rows about this member and everybody merged into them, oldest first.

    Tables without a row are left out. Sealed answers are opened with the deployment's secret.
    """
    ids = everybody_within(session, session.get_one(Member, member_id))
    found: dict[str, list[Row]] = {}
    for part in reversed(PARTS):
        rows = [_opened(row, secret_key) for row in _rows(session, part, ids)]
        if rows:
            found.setdefault(part.table, []).extend(rows)
    return found


def _rows(session: Session, part: Part, ids: Sequence[int]) -> list[Row]:
    table = metadata.tables[part.table]
    shown = ", ".join(filter(None, (_shown(part, column) for column in table.columns)))
    order = ", ".join(column.name for column in table.primary_key)
    query = text(f"SELECT {shown} FROM {part.table} WHERE {part.condition} ORDER BY {order}")  # noqa: S608 -- our own names
    return [dict(row) for row in session.execute(query, {"ids": list(ids)}).mappings()]


def _shown(part: Part, column: Column[Any]) -> str:
    """The SQL of a column, or nothing for what is a key or is hidden."""
    if column.name in part.hidden or (column.primary_key and not column.foreign_keys):
        return ""
    target = next((key.column.table for key in column.foreign_keys), None)
    if target is None:
        return column.name
    return _named(part, column, target)


def _named(part: Part, column: Column[Any], target: Table) -> str:
    if target.name not in _NAMES:
        return ""
    name, alias = _NAMES[target.name], column.name.removesuffix("_id")
    return (
        f"(SELECT named.{name} FROM {target.name} AS named"  # noqa: S608 -- our own names
        f" WHERE named.id = {part.table}.{column.name}) AS {alias}"
    )


def _opened(row: Row, secret_key: str) -> Row:
    reply = row.get("reply")
    if not isinstance(reply, dict) or "sealed" not in reply:
        return row
    try:
        return row | {"reply": {"text": unseal(secret_key, reply["sealed"])}}
    except SealBroken:
        return row | {"reply": None}
