"""Who calls the API: the holder of a key in `Authorization: Bearer …`."""

from typing import Annotated

from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from store import api_keys
from store.errors import Refusal
from web.deps import SessionDep

_BEARER = HTTPBearer(auto_error=False, description="A key made with `zhiyin api-key SOURCE`.")


class KeyMissing(Refusal):
    """No key, or one that opens nothing."""

    def __init__(self) -> None:
        super().__init__("Send a valid key in the header `Authorization: Bearer …`.")


def get_source(
    session: SessionDep,
    shown: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)],
) -> str:
    """The outside system that calls: the `source` of its orders."""
    key = api_keys.holder(session, shown.credentials) if shown else None
    if key is None:
        raise KeyMissing
    return key.source


SourceDep = Annotated[str, Depends(get_source)]
