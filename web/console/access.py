"""Who may see the console: an active operator with a session; everybody else goes to the log-in.

What changes something asks for `ActorDep`; the gate's rules and whole mobiles for `AdminDep`.
"""

from http import HTTPStatus
from typing import Annotated
from urllib.parse import quote

from fastapi import Depends, HTTPException, Request

from store.organisation import Operator, OperatorRole, RoleTooLow, operator_with
from web.deps import PartsDep, SessionDep
from web.sessions import Door

HOME = "/hq"
LOGIN = "/hq/login"


def get_operator(request: Request, parts: PartsDep, session: SessionDep) -> Operator:
    """The operator who is looking; without one, the way leads to the log-in and back here."""
    shown = parts.sessions.marked(request, Door.CONSOLE)
    operator = operator_with(session, *shown) if shown is not None else None
    if operator is None:
        wanted = request.url.path if request.method == "GET" else HOME
        raise HTTPException(
            HTTPStatus.SEE_OTHER, headers={"Location": f"{LOGIN}?next={quote(wanted)}"}
        )
    return operator


def own_page(wanted: str) -> str:
    """A page of the console to go on to; any other address becomes the first page."""
    is_own = wanted == HOME or wanted.startswith((f"{HOME}/", f"{HOME}?"))
    return wanted if is_own and wanted.isascii() and wanted.isprintable() else HOME


OperatorDep = Annotated[Operator, Depends(get_operator)]


def get_actor(operator: OperatorDep) -> Operator:
    """The operator, if they may change things; a viewer only looks."""
    return _at_least(operator, OperatorRole.OPERATOR)


def get_admin(operator: OperatorDep) -> Operator:
    """The operator, if they rule the gate and may see whole mobiles."""
    return _at_least(operator, OperatorRole.ADMIN)


def may_act(operator: Operator) -> bool:
    """Whether this operator may change things."""
    return operator.role is not OperatorRole.VIEWER


def may_rule(operator: Operator) -> bool:
    """Whether this operator rules the gate and may see whole mobiles."""
    return operator.role is OperatorRole.ADMIN


def _at_least(operator: Operator, needed: OperatorRole) -> Operator:
    ranks = list(OperatorRole)
    if ranks.index(operator.role) < ranks.index(needed):
        raise RoleTooLow(needed)
    return operator


ActorDep = Annotated[Operator, Depends(get_actor)]
AdminDep = Annotated[Operator, Depends(get_admin)]
