"""Server-rendered pages: one Jinja environment, with the few filters that pages need."""

from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from fastapi import Request
from fastapi.responses import HTMLResponse
from fastapi.templating import Jinja2Templates
from jinja2 import Environment, FileSystemLoader, StrictUndefined

_HERE = Path(__file__).parent
STATIC = _HERE / "static"


def make_templates(zone: ZoneInfo) -> Jinja2Templates:
    """Templates that fail on an unknown name, with amounts in yuan and times in the local zone."""
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"), undefined=StrictUndefined, autoescape=True
    )
    environment.filters["yuan"] = yuan
    environment.filters["local"] = lambda instant, form="%m-%d %H:%M": local(instant, zone, form)
    return Jinja2Templates(env=environment)


def yuan(fen: float | None) -> str:
    """Fen as yuan with two decimals and thousands separators."""
    return f"{(fen or 0) / 100:,.2f}"


def local(instant: datetime | None, zone: ZoneInfo, form: str) -> str:
    """An instant as the people of `zone` write it; empty for none."""
    return instant.astimezone(zone).strftime(form) if instant else ""


def page(request: Request, name: str, *, status_code: int = 200, **context: Any) -> HTMLResponse:
    """Render `templates/<name>`; `request.app.state.templates` is made by `create_app`."""
    templates: Jinja2Templates = request.app.state.templates
    return templates.TemplateResponse(request, name, context, status_code=status_code)


def rendered(request: Request, name: str, **context: Any) -> str:
    """The same as text, for what is no answer of its own."""
    templates: Jinja2Templates = request.app.state.templates
    return templates.get_template(name).render(context)
