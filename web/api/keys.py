"""Who calls the API: the holder of a key in `Authorization: Bearer …`."""

from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from store import api_keys
from web.deps import SessionDep

_BEARER = HTTPBearer(auto_error=False, description="A key made with `zhiyin api-key SOURCE`.")


def get_source(
    session: SessionDep,
    shown: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)],
) -> str:
    """The outside system that calls: the `source` of its orders."""
    key = api_keys.holder(session, shown.credentials) if shown else None
    if key is None:
        raise HTTPException(
            HTTPStatus.UNAUTHORIZED,
            "Send a valid key in the header `Authorization: Bearer …`.",
            {"WWW-Authenticate": "Bearer"},
        )
    return key.source


SourceDep = Annotated[str, Depends(get_source)]
