"""For whoever runs it: is it alive, is it ready."""

from fastapi import APIRouter, Response
from sqlalchemy import text

from web.deps import PartsDep

router = APIRouter()


@router.get("/healthz")
def healthz() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@router.get("/readyz")
def readyz(parts: PartsDep, response: Response) -> dict[str, str]:
    """The servers behind it answer too."""
    found = {"database": _works(lambda: _ask_database(parts)), "redis": _works(parts.redis.ping)}
    if "down" in found.values():
        response.status_code = 503
    return found


def _ask_database(parts: PartsDep) -> None:
    with parts.database.transaction() as session:
        session.connection().execute(text("SELECT 1"))


def _works(ask: object) -> str:
    assert callable(ask)
    try:
        ask()
    except Exception:  # noqa: BLE001 -- any failure means not ready
        return "down"
    return "up"
