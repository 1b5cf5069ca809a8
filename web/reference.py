"""`/api/docs`: the OpenAPI document as one page of our own, so that it reads without the internet;
and `/`, which leads to the console.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from web.pages import page

router = APIRouter(include_in_schema=False)
_METHODS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True, slots=True)
class Field:
    """One line of a table: a parameter, or a property of a body."""

    name: str
    kind: str
    is_required: bool
    note: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path."""

    method: str
    path: str
    summary: str
    description: str
    parameters: list[Field]
    body: list[Field]
    example: str
    answer: list[Field]


@router.get("/")
def enter() -> Response:
    """Whoever opens the bare address most likely looks for the console."""
    return RedirectResponse("/hq", status_code=307)


@router.get("/api/docs")
def show_reference(request: Request) -> Response:
    """Every operation with its fields and an example."""
    return page(request, "reference.html", operations=operations_of(request.app.openapi()))


def operations_of(document: Mapping[str, Any]) -> list[Operation]:
    """Every operation of an OpenAPI document, in its order."""
    schemas = document.get("components", {}).get("schemas", {})
    return [
        _operation(method, path, found[method], schemas)
        for path, found in document["paths"].items()
        for method in _METHODS
        if method in found
    ]


def _operation(
    method: str, path: str, found: Mapping[str, Any], schemas: Mapping[str, Any]
) -> Operation:
    body = _schema(found.get("requestBody", {}), schemas)
    answers = [answer for code, answer in found["responses"].items() if code.startswith("2")]
    return Operation(
        method=method.upper(),
        path=path,
        summary=found.get("summary", ""),
        description=found.get("description", ""),
        parameters=[_parameter(one) for one in found.get("parameters", [])],
        body=_fields(body, schemas),
        example=_example(body),
        answer=_fields(_schema(answers[0], schemas), schemas) if answers else [],
    )


def _parameter(found: Mapping[str, Any]) -> Field:
    return Field(
        f"{found['name']} ({found['in']})",
        _kind(found.get("schema", {})),
        bool(found.get("required")),
        found.get("description", ""),
    )


def _schema(holder: Mapping[str, Any], schemas: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema of a JSON body, its reference followed."""
    found = holder.get("content", {}).get("application/json", {}).get("schema", {})
    return _followed(found, schemas)


def _followed(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Mapping[str, Any]:
    name = schema.get("$ref", "").rsplit("/", 1)[-1]
    found: Mapping[str, Any] = schemas.get(name, {}) if name else schema
    return found


def _fields(schema: Mapping[str, Any], schemas: Mapping[str, Any], within: str = "") -> list[Field]:
    """The properties of a schema; those of objects in a list follow as `list[].name`."""
    found = []
    for name, inner in schema.get("properties", {}).items():
        is_required = name in schema.get("required", [])
        kind, note = _kind(inner), inner.get("description", "")
        found.append(Field(f"{within}{name}", kind, is_required, note))
        items = _followed(inner.get("items", {}), schemas)
        found += _fields(items, schemas, f"{within}{name}[].")
    return found


def _kind(schema: Mapping[str, Any]) -> str:
    """A type in words: `string`, `integer or null`, `list of object, 1 to 500`."""
    if "anyOf" in schema:
        return " or ".join(_kind(one) for one in schema["anyOf"])
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[-1]
    if "enum" in schema:
        return " or ".join(str(one) for one in schema["enum"])
    kind = str(schema.get("format") or schema.get("type") or "anything")
    if kind == "array":
        kind = f"list of {_kind(schema.get('items', {}))}"
    if "maxItems" in schema:
        kind += f", {schema.get('minItems', 0)} to {schema['maxItems']}"
    return kind


def _example(schema: Mapping[str, Any]) -> str:
    """A body made of the examples that the fields give; empty when none does."""
    found = {
        name: inner["examples"][0]
        for name, inner in schema.get("properties", {}).items()
        if inner.get("examples")
    }
    return json.dumps(found, ensure_ascii=False, indent=2) if found else ""
