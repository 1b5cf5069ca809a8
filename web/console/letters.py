"""`/hq/letters`: messages that did not get through, or may not have; a person decides."""

from http import HTTPStatus
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from bot import dead_letters
from content.letter_words import reason_words
from content.touch_words import CHANNEL_NAMES
from guide_tasks.again import AnotherWay
from store import circuits
from store.errors import WrongState
from store.touches import TouchState
from web.console.access import HOME, ActorDep, OperatorDep, may_act
from web.deps import NowDep, SessionDep
from web.origin import OwnPostsOnly
from web.pages import page

router = APIRouter(prefix=f"{HOME}/letters", dependencies=[OwnPostsOnly])
_PAGE = 50
_ACTS = {
    "retry": dead_letters.retry,
    "confirm": dead_letters.confirm,
    "drop": dead_letters.drop,
}


@router.get("")
def letters_page(
    request: Request,
    operator: OperatorDep,
    session: SessionDep,
    after: int = 0,
    did: str = "",
    state: str = "",
) -> Response:
    """The open letters, the oldest first, and the ways that are paused now."""
    found = dead_letters.waiting(session, after=after, limit=_PAGE + 1)
    return page(
        request,
        "console/letters.html",
        operator=operator,
        letters=found[:_PAGE],
        more=found[_PAGE - 1].letter.id if len(found) > _PAGE else 0,
        circuits=circuits.troubled(session),
        channels=CHANNEL_NAMES,
        reason=reason_words,
        may_act=may_act(operator),
        did=did,
        state=state,
    )


@router.post("/{token}/{act}")
def decide(operator: ActorDep, session: SessionDep, now: NowDep, token: str, act: str) -> Response:
    """Send again, say that it arrived, or drop; a letter that somebody has closed stays closed."""
    if act not in _ACTS:
        return Response(status_code=HTTPStatus.NOT_FOUND)
    try:
        touch = _ACTS[act](session, token, actor=f"operator:{operator.login}", now=now)
    except AnotherWay:
        session.rollback()
        return _back("gone_on", "")
    except WrongState:
        session.rollback()
        return _back("closed", "")
    return _back(act, touch.state)


def _back(did: str, state: TouchState | str) -> Response:
    query = urlencode({"did": did, "state": str(state)})
    return RedirectResponse(f"{HOME}/letters?{query}", HTTPStatus.SEE_OTHER)
