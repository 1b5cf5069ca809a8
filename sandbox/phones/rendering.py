"""Templates of the phones."""

from pathlib import Path
from typing import Any

from fastapi import Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse

from sandbox.state import World

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
)


def page(template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """A page of the sandbox."""
    return HTMLResponse(render(template, **values), status)


def render(template: str, **values: Any) -> str:
    """A template filled in."""
    return _TEMPLATES.get_template(template).render(**values)


def world_of(request: Request) -> World:
    """The world of this app."""
    world: World = request.app.state.world
    return world
