"""`/docs`: the control API as one page of our own, so that it reads without the internet."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from sandbox.phones.rendering import page
from web.reference import operations_of

router = APIRouter(tags=["phones"], include_in_schema=False)


@router.get("/docs")
async def show_reference(request: Request) -> Response:
    """Every operation with its fields."""
    return page("reference.html", operations=operations_of(request.app.openapi()))
