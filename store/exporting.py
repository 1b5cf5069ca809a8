"""The export: everything the record says about a person, in rows that a person can read.

Inside keys mean nothing outside, so they are left out; what they point to is named instead. What is
shown of each table is said in `store.personal`.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, Column, text

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
    for name in reversed(dict.fromkeys(part.table for part in PARTS)):
        parts = [part for part in PARTS if part.table == name]
        rows = [_opened(row, secret_key) for row in _rows(session, parts, ids)]
        if rows:
            found[name] = rows
    return found


def _rows(session: Session, parts: Sequence[Part], ids: Sequence[int]) -> list[Row]:
    """The rows of one table; one that is the person's in two ways comes once."""
    table = metadata.tables[parts[0].table]
    hidden = frozenset[str]().union(*(part.hidden for part in parts))
    columns = [column for column in table.columns if column.name not in hidden]
    shown = ", ".join(filter(None, map(_shown, columns)))
    where = " OR ".join(part.condition for part in parts)
    order = ", ".join(column.name for column in table.primary_key)
    query = text(f"SELECT {shown} FROM {table.name} WHERE {where} ORDER BY {order}")  # noqa: S608 -- our own names
    return [dict(row) for row in session.execute(query, {"ids": list(ids)}).mappings()]


def _shown(column: Column[Any]) -> str:
    """The SQL of a column: as it is, the name of what it points to, or nothing for a bare key."""
    target = next((key.column.table.name for key in column.foreign_keys), None)
    if target is None:
        return "" if column.primary_key and isinstance(column.type, BigInteger) else column.name
    if target not in _NAMES:
        return ""
    alias = column.name.removesuffix("_id")
    return (
        f"(SELECT named.{_NAMES[target]} FROM {target} AS named"  # noqa: S608 -- our own names
        f" WHERE named.id = {column.table.name}.{column.name}) AS {alias}"
    )


def _opened(row: Row, secret_key: str) -> Row:
    reply = row.get("reply")
    if not isinstance(reply, dict) or "sealed" not in reply:
        return row
    try:
        return row | {"reply": {"text": unseal(secret_key, reply["sealed"])}}
    except SealBroken:
        return row | {"reply": None}
