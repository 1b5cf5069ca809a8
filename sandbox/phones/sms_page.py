"""The SMS that arrived on anybody's phone: where a code is read that the brand has sent."""

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query, Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

from sandbox.sms_server import texts

router = APIRouter(tags=["phones"], include_in_schema=False)

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
)
_MOST = 50


@router.get("/phone/sms")
async def inbox(request: Request, to: Annotated[str, Query(max_length=11)] = "") -> Response:
    """The newest messages on top; to one mobile, or to all."""
    newest = [
        {"to": who, "text": one.text, "time": f"{one.at.astimezone():%H:%M:%S}"}
        for who, one in reversed(texts(request.app.state.world, to)[-_MOST:])
    ]
    return HTMLResponse(_TEMPLATES.get_template("sms.html").render(texts=newest, to=to))
