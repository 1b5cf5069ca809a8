"""Batches: up to 500 items, each in a savepoint of its own and answered on its own."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from sqlmodel import Session

from store.errors import Refusal
from web.errors import code_of, field_of, first_problem

MAX_ITEMS = 500
Form = TypeVar("Form", bound=BaseModel)


class ItemAnswer(BaseModel):
    """What became of one item; `field` and `detail` say what to mend in a refused one."""

    index: int
    external_id: str
    status: str
    code: str | None = None
    field: str | None = None
    detail: str | None = None


class BatchAnswer(BaseModel):
    """Answers in the order of the items."""

    items: list[ItemAnswer]


def read(items: Sequence[dict[str, Any]], form: type[Form]) -> list[Form | ItemAnswer]:
    """Each item as a form, or the answer that refuses it."""
    return [_read_one(index, item, form) for index, item in enumerate(items)]


def each(
    session: Session, items: Sequence[Form | ItemAnswer], act: Callable[[Form], str]
) -> BatchAnswer:
    """Do every form by itself: a refused one leaves no trace and does not stop the others."""
    return BatchAnswer(
        items=[
            item if isinstance(item, ItemAnswer) else _do_one(session, index, item, act)
            for index, item in enumerate(items)
        ]
    )


def _read_one(index: int, item: dict[str, Any], form: type[Form]) -> Form | ItemAnswer:
    try:
        return form.model_validate(item)
    except ValidationError as error:
        field, sentence = first_problem(error)
        name = str(item.get("external_id", ""))
        return ItemAnswer(
            index=index,
            external_id=name,
            status="refused",
            code="invalid_input",
            field=field or None,
            detail=sentence,
        )


def _do_one(session: Session, index: int, form: Form, act: Callable[[Form], str]) -> ItemAnswer:
    name = str(getattr(form, "external_id", ""))
    try:
        with session.begin_nested():
            return ItemAnswer(index=index, external_id=name, status=act(form))
    except Refusal as refusal:
        return ItemAnswer(
            index=index,
            external_id=name,
            status="refused",
            code=code_of(refusal),
            field=field_of(refusal),
            detail=str(refusal),
        )
