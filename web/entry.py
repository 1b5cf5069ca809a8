"""Doors of pages: a route asks for a person, and whoever is not known is sent to log in first."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from sqlmodel import Session, col, select

from store.accounts import Account, Platform, UnknownAccount
from web import oauth
from web.sessions import Door


class LogInFirst(Exception):  # noqa: N818 -- an everyday turn of the way, not a fault
    """Nobody is known at `door`; the platform of `account` can say who it is."""

    def __init__(self, door: Door, account: Account) -> None:
        self.door, self.app_id, self.agent_id = door, account.app_id, account.agent_id
        super().__init__(f"Nobody has logged in at /{door}.")


class DoorRoute(APIRoute):
    """A route that answers `LogInFirst` by sending the browser to the platform."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler of FastAPI with the log-in around it."""
        inner = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            try:
                return await inner(request)
            except LogInFirst as missing:
                return oauth.begin(
                    request.app.state.parts,
                    request,
                    missing.door,
                    app_id=missing.app_id,
                    agent_id=missing.agent_id,
                )

        return guarded


def first_account(session: Session, platform: Platform) -> Account:
    """The account whose log-in the pages use: the first of the deployment on `platform`."""
    query = select(Account).where(Account.platform == platform).order_by(col(Account.id)).limit(1)
    account = session.exec(query).first()
    if account is None:
        raise UnknownAccount(platform)
    return account
