"""The way of a file into the database: COPY as text, one checking pass, one list of refused rows.

All tables are temporary and go with the transaction: `<name>_raw` (text), `<name>` (checked),
`bad` (refused).
"""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import CursorResult, text

from store.db import Session
from store.imports.checking import Column, checked_sql
from store.imports.reading import BadRow, Sheet, batches

Progress = Callable[[str, int, int], None]

# Sorts and hashes of a million lines stay in memory; only this transaction asks for so much.
_WORK_MEMORY = "128MB"
# `key` is set on rows without a shape only: the key cell, to find what belongs to them.
_BAD = (
    "CREATE TEMP TABLE bad (row_no int PRIMARY KEY, reason text NOT NULL, key text) ON COMMIT DROP"
)


def run(session: Session, sql: str, **values: Any) -> int:
    """Run one statement and give back how many rows it touched."""
    result = session.execute(text(sql), values)
    assert isinstance(result, CursorResult)
    return int(result.rowcount)


def number(session: Session, sql: str, **values: Any) -> int:
    """The one number that a query gives."""
    return int(session.execute(text(sql), values).scalar_one() or 0)


def prepare(session: Session, kind: str) -> None:
    """One import of a kind at a time; memory for its sorts; the empty list of refused rows."""
    run(session, "SELECT pg_advisory_xact_lock(hashtext(:lock))", lock=f"import:{kind}")
    run(session, f"SET LOCAL work_mem = '{_WORK_MEMORY}'")
    run(session, f"SET LOCAL temp_buffers = '{_WORK_MEMORY}'")
    run(session, _BAD)


def copy_in(
    session: Session, sheet: Sheet, columns: tuple[Column, ...], table: str, progress: Progress
) -> int:
    """Stream the file into `<table>_raw`; rows without a shape go to `bad`. Gives the rows read.

    The first column is the key (or the first part of it).
    """
    cells = ", ".join(f"{column.name} text" for column in columns)
    run(session, f"CREATE TEMP TABLE {table}_raw (row_no int, {cells}) ON COMMIT DROP")
    required = [column.name for column in columns if column.is_required]
    names = ", ".join(("row_no", *sheet.names))
    statement = f"COPY {table}_raw ({names}) FROM STDIN (FORMAT text, NULL '')"
    rows = 0
    bad: list[BadRow] = []
    with _cursor(session) as cursor, cursor.copy(statement) as copy:
        for batch in batches(sheet, required, columns[0].name):
            copy.write(batch.text)
            rows += batch.rows
            bad += batch.bad
            progress("read", min(batch.bytes_read, sheet.size), sheet.size)
    _refuse_all(session, bad)
    run(session, f"ANALYZE {table}_raw")
    return rows


def check(
    session: Session, columns: tuple[Column, ...], source: str, target: str, *, zone: str
) -> None:
    """Make the checked table and refuse the rows that have a reason."""
    run(session, checked_sql(columns, source, target), zone=zone)
    run(
        session,
        f"INSERT INTO bad SELECT row_no, reason FROM {target} WHERE reason IS NOT NULL"
        " ON CONFLICT DO NOTHING",
    )


def refuse_repeats(session: Session, table: str, *keys: str) -> None:
    """Of several rows with the same key the first stands; the others are refused and name it."""
    listed = ", ".join(keys)
    refuse(
        session,
        f"SELECT t.row_no, 'The same {' and '.join(keys)} as row ' || d.first || '.'"
        f" FROM (SELECT {listed}, min(row_no) AS first FROM {table} WHERE reason IS NULL"
        f" GROUP BY {listed} HAVING count(*) > 1) d"
        f" JOIN {table} t USING ({listed}) WHERE t.row_no > d.first",
    )


def refuse(session: Session, select: str, **values: Any) -> int:
    """Refuse the rows of a select of (row_no, reason); a row keeps its first reason."""
    return run(session, f"INSERT INTO bad {select} ON CONFLICT DO NOTHING", **values)


def drop_bad(session: Session, table: str) -> None:
    """Take the refused rows out of a checked table, so that what follows sees good rows only."""
    run(session, f"DELETE FROM {table} USING bad WHERE bad.row_no = {table}.row_no")
    run(session, f"ANALYZE {table}")


def refused(session: Session) -> Mapping[int, str]:
    """Row number → reason of every refused row, in row order."""
    rows = session.execute(text("SELECT row_no, reason FROM bad ORDER BY row_no"))
    return {int(row.row_no): str(row.reason) for row in rows}


def _refuse_all(session: Session, bad: list[BadRow]) -> None:
    with _cursor(session) as cursor, cursor.copy("COPY bad FROM STDIN") as copy:
        for row in bad:
            copy.write_row((row.row_no, row.reason, row.key))


def _cursor(session: Session) -> Any:
    driver = session.connection().connection.driver_connection
    assert driver is not None, "the session has a live connection"
    return driver.cursor()
