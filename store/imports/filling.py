"""Set-based INSERTs that know a model's own defaults, which live in Python, not in the database."""

from collections.abc import Mapping
from enum import Enum
from typing import Any

from pydantic_core import PydanticUndefined
from sqlmodel import SQLModel


def insert_sql(model: type[SQLModel], values: Mapping[str, str], source: str) -> str:
    """`INSERT … SELECT` of SQL expressions; a column not named gets the model's default, if any."""
    filled = {**_defaults(model), **values}
    columns, expressions = ", ".join(filled), ", ".join(filled.values())
    return f"INSERT INTO {model.__tablename__} ({columns}) SELECT {expressions} {source}"


def default_sql(model: type[SQLModel], column: str, cell: str) -> str:
    """A cell, or the column's default where the cell is empty."""
    default = _defaults(model).get(column)
    return cell if default is None else f"coalesce({cell}, {default})"


def _defaults(model: type[SQLModel]) -> dict[str, str]:
    return {
        name: _literal(field.default)
        for name, field in model.model_fields.items()
        if field.default is not None and field.default is not PydanticUndefined
    }


def _literal(default: Any) -> str:
    """A default as SQL; times of day and states are quoted as text."""
    value = default.value if isinstance(default, Enum) else default
    if isinstance(value, bool | int | float):
        return str(value).lower()
    return "'" + str(value).replace("'", "''") + "'"
