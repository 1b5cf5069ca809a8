"""Column helpers: states as checked text, money in fen, links with an index."""

from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Identity
from sqlalchemy import Enum as SaEnum
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

__all__ = ["big_key", "json_column", "link", "one_of", "status"]


def big_key() -> Any:
    """A big-integer primary key given by the database."""
    return Field(
        default=None,
        primary_key=True,
        sa_type=BigInteger,
        sa_column_kwargs={"server_default": Identity()},
    )


def link(target: str, *, index: bool = True, **options: Any) -> Any:
    """A foreign key to `table.column`, indexed unless the caller knows a better index."""
    return Field(foreign_key=target, index=index, sa_type=BigInteger, **options)


def status(states: type[StrEnum], **options: Any) -> Any:
    """A state kept as text holding the value of the enum; pair it with `one_of` in the table."""
    kind = SaEnum(
        states,
        native_enum=False,
        create_constraint=False,
        length=32,
        values_callable=lambda members: [member.value for member in members],
    )
    return Field(sa_type=kind, **options)


def one_of(column: str, states: type[StrEnum], table: str) -> CheckConstraint:
    """The CHECK that keeps a text column to the values of an enum."""
    values = ", ".join(f"'{state.value}'" for state in states)
    return CheckConstraint(f"{column} IN ({values})", name=f"ck_{table}_{column}")


def json_column(**options: Any) -> Any:
    """A JSONB column."""
    return Field(sa_type=JSONB, **options)
