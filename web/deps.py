"""What routes ask for: the parts, a session with its one transaction, the time."""

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Request

from store.db import Session
from web.parts import Parts


def get_parts(request: Request) -> Parts:
    """The parts of this app."""
    parts: Parts = request.app.state.parts
    return parts


def get_session(parts: Annotated[Parts, Depends(get_parts)]) -> Iterator[Session]:
    """One transaction for the request."""
    with parts.database.transaction() as session:
        yield session


def get_now(parts: Annotated[Parts, Depends(get_parts)]) -> datetime:
    """The instant of this request."""
    return parts.clock()


PartsDep = Annotated[Parts, Depends(get_parts)]
# Scope "function" ends the transaction before the answer leaves: a failed commit is then a 500.
SessionDep = Annotated[Session, Depends(get_session, scope="function")]
NowDep = Annotated[datetime, Depends(get_now)]
