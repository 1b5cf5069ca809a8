"""One set-based write for the kinds whose file row is one row of one table."""

from collections.abc import Mapping

from sqlmodel import SQLModel

from store.db import Session
from store.imports.filling import default_sql, insert_sql
from store.imports.kinds import Landed
from store.imports.staging import number, run


def upsert(
    session: Session,
    model: type[SQLModel],
    *,
    key: str,
    cells: Mapping[str, str],
    fixed: Mapping[str, str] | None = None,
) -> Landed:
    """Insert the checked rows, or update what differs. `key` names the key column and its cell.

    `cells` maps a column to a checked cell: an empty cell takes the model's default on a new row
    and leaves what is recorded on an old one. `fixed` (SQL) is set on new rows only.
    """
    rows = number(session, "SELECT count(*) FROM checked")
    wanted = {name: f"coalesce(c.{cell}, t.{name})" for name, cell in cells.items()}
    differs = " OR ".join(f"t.{name} IS DISTINCT FROM {sql}" for name, sql in wanted.items())
    sets = ", ".join(f"{name} = {sql}" for name, sql in wanted.items())
    updated = run(
        session,
        f"UPDATE {model.__tablename__} t SET {sets} FROM checked c"
        f" WHERE t.{key} = c.{key} AND ({differs})",
    )
    fresh = {name: default_sql(model, name, f"c.{cell}") for name, cell in cells.items()}
    added = run(
        session,
        insert_sql(
            model,
            {key: f"c.{key}", **fresh, **(fixed or {})},
            f"FROM checked c ORDER BY row_no ON CONFLICT ({key}) DO NOTHING",
        ),
    )
    return Landed(added=added, updated=updated, unchanged=rows - added - updated)
