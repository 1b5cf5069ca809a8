"""Batches: up to 500 items, each in a savepoint of its own and answered on its own."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from sqlmodel import Session

from store.errors import Refusal
from web.errors import code_of, first_problem

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


def each(
    session: Session,
    items: Sequence[dict[str, Any]],
    form: type[Form],
    act: Callable[[Form], str],
) -> BatchAnswer:
    """Do every item by itself: a refused one leaves no trace and does not stop the others."""
    return BatchAnswer(items=[_one(session, i, item, form, act) for i, item in enumerate(items)])


def _one(
    session: Session,
    index: int,
    item: dict[str, Any],
    form: type[Form],
    act: Callable[[Form], str],
) -> ItemAnswer:
    name = str(item.get("external_id", ""))
    try:
        with session.begin_nested():
            return ItemAnswer(index=index, external_id=name, status=act(form.model_validate(item)))
    except ValidationError as error:
        field, sentence = first_problem(error)
        return _refused(index, name, "invalid_input", sentence, field)
    except Refusal as refusal:
        return _refused(index, name, code_of(refusal), str(refusal), None)


def _refused(index: int, name: str, code: str, detail: str, field: str | None) -> ItemAnswer:
    return ItemAnswer(
        index=index, external_id=name, status="refused", code=code, field=field, detail=detail
    )
