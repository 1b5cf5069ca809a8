"""Member pages at `/m`, opened from WeChat: the log-in, and the list of goods."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from bot.calls import ApiError
from bot.wechat.client import PageVisitor
from guide_tasks import looks
from store import members, silences
from store.accounts import Account, Platform
from store.members import IdentityChannel
from web import oauth
from web.deps import PartsDep
from web.entry import DoorRoute, first_account
from web.member import counter_routes, coupon_routes, onlookers, picks_page
from web.member.entry import VisitDep
from web.origin import OwnPostsOnly
from web.pages import page
from web.parts import Parts
from web.sessions import Door

router = APIRouter(prefix="/m", route_class=DoorRoute, dependencies=[OwnPostsOnly])
router.include_router(counter_routes.router)
router.include_router(coupon_routes.router)

# Used and expired codes (wechat-oa.md §9). Where the way back was loaded twice, the first time has
# opened the session; where not, the page asks WeChat for a fresh code.
_CODE_OVER = frozenset({40163, 42003})


@router.get("")
@router.get("/")
def show_front() -> Response:
    """The counter begins with the card."""
    return _to("/m/card")


@router.get("/login/back")
def come_back(request: Request, parts: PartsDep) -> Response:
    """WeChat sends the person back with a code that says who it is."""
    try:
        code, wanted = oauth.finish(parts, request, Door.MEMBER)
    except oauth.LoginBroken:
        return page(request, "member/no_login.html", status_code=403)
    with parts.database.transaction() as session:
        account = first_account(session, Platform.WECHAT)
    try:
        visitor = parts.wechat.of(account).visitor(code)
    except ApiError as error:
        if error.code in _CODE_OVER:
            return _to(wanted)
        return page(request, "member/no_login.html", status_code=403)
    if visitor.is_snapshot:
        return page(request, "member/snapshot.html", place=wanted)
    response = _to(wanted)
    parts.sessions.open(response, Door.MEMBER, _meet(parts, account, visitor))
    return response


def _meet(parts: Parts, account: Account, visitor: PageVisitor) -> int:
    """The identity of who logged in, made when it is a new face."""
    now = parts.clock()
    with parts.database.transaction() as session:
        identity = members.meet(
            session,
            channel=IdentityChannel.WECHAT,
            account=account.app_id,
            outside_id=visitor.openid,
            brand_id=account.brand_id,
            unionid=visitor.unionid,
            now=now,
        )
        if identity.created_at == now:
            key = parts.settings.secret
            silences.recall(session, identity.member_id, secret_key=key, now=now)
        return identity.id


@router.post("/again")
def begin_again(parts: PartsDep) -> Response:
    """Whoever was forgotten wants to be known again: the next page logs them in."""
    response = _to("/m/card")
    parts.sessions.close(response, Door.MEMBER)
    return response


@router.get("/picks/{token}")
def show_picks(token: str, visit: VisitDep) -> Response:
    """The goods that were chosen for the member of a care task."""
    try:
        task = looks.task_of_list(visit.session, token, now=visit.now)
    except looks.ListOver:
        return page(visit.request, "member/picks_over.html", status_code=410)
    if onlookers.is_the_member(visit, task):
        looks.open_list(visit.session, task, now=visit.now)
    view = picks_page.read(visit.session, task)
    return page(visit.request, "member/picks.html", picks=view, preview="")


@router.get("/picks/{token}/{place}")
def show_good(token: str, place: int, visit: VisitDep) -> Response:
    """One of the goods; the look at it is what the link is for, scripts or not."""
    try:
        task = looks.task_of_list(visit.session, token, now=visit.now)
    except looks.ListOver:
        return page(visit.request, "member/picks_over.html", status_code=410)
    product = looks.product_of(visit.session, task, place)
    if onlookers.is_the_member(visit, task):
        today = visit.now.astimezone(visit.zone).date()
        looks.tap(visit.session, task, product, on=today, now=visit.now)
    view = picks_page.read(visit.session, task)
    return page(visit.request, "member/good.html", picks=view, card=view.at(place))


def _to(place: str) -> Response:
    return RedirectResponse(place, status_code=303)
