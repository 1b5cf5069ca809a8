"""Rows in bulk: many ids as one value, and COPY into a table in the transaction of a session."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from psycopg import Connection, sql
from sqlalchemy import ARRAY, BigInteger, ColumnElement, any_, cast, literal
from sqlalchemy.types import UserDefinedType
from sqlmodel import col

from store.db import Session


class _Untyped(UserDefinedType[str]):
    """A value whose type the server takes from where it stands.

    So the planner sees an array and how long it is; a text that is cast it would not look into.
    """

    cache_ok = True


def id_array(ids: Collection[int]) -> str:
    """Ids as PostgreSQL writes an array, for `CAST(:ids AS bigint[])`.

    The driver makes one of a list as well, ten times as slowly.
    """
    return f"{{{','.join(map(str, ids))}}}"


def among(column: Any, ids: Collection[int]) -> ColumnElement[bool]:
    """SQL: the column holds one of these ids; one value, however many they are."""
    array = cast(literal(id_array(ids), _Untyped()), ARRAY(BigInteger))
    found: ColumnElement[bool] = col(column) == any_(array)
    return found


def copy_rows(
    session: Session, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    """Write rows as COPY does: several times as fast as INSERT; constraints hold as ever."""
    session.flush()
    raw = session.connection().connection.driver_connection
    assert isinstance(raw, Connection)
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table), names)
    with raw.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)
