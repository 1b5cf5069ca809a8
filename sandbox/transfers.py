"""Customers on their way from one guide to another (wecom.md §4.5): a day later, unless refused.

What comes due by the clock is carried out before the next call is answered.
"""

from datetime import datetime, timedelta
from typing import Any

from sandbox import wecom_events
from sandbox.contacts import cursor_of, guide_seen
from sandbox.corp_state import Handing
from sandbox.gateway import Call, Endpoint
from sandbox.refusals import Answer, ApiError
from sandbox.state import Guide, Link, WecomApp, World

DONE, WAITING, REFUSED, FULL = 1, 2, 3, 4
_TAKES = timedelta(hours=24)
_MOST, _SPAN = 2, timedelta(days=90)
_MOST_CUSTOMERS, _WORDS = 100, 200
_YEAR = timedelta(days=365)
_PAGE_MOST = 1000


def begin(world: World, app: WecomApp, call: Call) -> Answer:
    """`POST transfer_customer`: begun for each customer, or a code of its own why not."""
    return _begin(world, app, call, has_left=False)


def begin_resigned(world: World, app: WecomApp, call: Call) -> Answer:
    """`POST resigned/transfer_customer`: the giver must have left, a year ago at most."""
    return _begin(world, app, call, has_left=True)


def results(world: World, app: WecomApp, call: Call) -> Answer:
    """`POST transfer_result`: every transfer of the pair on the job."""
    return _results(world, app, call, has_left=False)


def results_resigned(world: World, app: WecomApp, call: Call) -> Answer:
    """`POST resigned/transfer_result`."""
    return _results(world, app, call, has_left=True)


def unassigned(world: World, _app: WecomApp, call: Call) -> Answer:
    """`POST get_unassigned_list`: customers whose guide has left and who go to nobody yet."""
    moving = {(one.giver, one.external_userid) for one in _open(world)}
    left = [
        {
            "handover_userid": guide.userid,
            "external_userid": external_userid,
            "dimission_time": int(guide.left_at.timestamp()),
        }
        for guide in world.wecom.guides.values()
        if guide.left_at is not None
        for external_userid in world.wecom.contacts_of[guide.userid]
        if (guide.userid, external_userid) not in moving
    ]
    start, size = cursor_of(call.text("cursor")), _PAGE_MOST
    following = str(start + size) if start + size < len(left) else ""
    page = left[start : start + size]
    return {"info": page, "is_last": not following, "next_cursor": following}


def settle(world: World, now: datetime) -> None:
    """Carry out what has come due."""
    for handing in _open(world):
        if handing.takeover_at <= now:
            _carry_out(world, handing, now)


def refuse(world: World, external_userid: str, now: datetime) -> None:
    """The customer says no to the transfer under way: they stay with the giver."""
    for handing in _open(world):
        if handing.external_userid == external_userid:
            handing.status = REFUSED
            wecom_events.transfer_failed(world, handing, "customer_refused", now=now)


def _begin(world: World, app: WecomApp, call: Call, *, has_left: bool) -> Answer:
    giver, taker = _pair(world, app, call, has_left=has_left)
    wanted = call.body.get("external_userid")
    if not isinstance(wanted, list) or not wanted:
        raise ApiError(40063, "external_userid")
    if len(wanted) > _MOST_CUSTOMERS or len(call.text("transfer_success_msg")) > _WORDS:
        raise ApiError(40058, "too many customers, or too many words")
    told = []
    for external_userid in wanted:
        code = _obstacle(world, giver, taker, str(external_userid), call.now)
        if not code:
            due = call.now + _TAKES
            words = call.text("transfer_success_msg")
            world.wecom.corp.handings.append(
                Handing(
                    giver.userid,
                    taker.userid,
                    str(external_userid),
                    has_left,
                    call.now,
                    due,
                    WAITING,
                    words,
                )
            )
        told.append({"external_userid": external_userid, "errcode": code})
    return {"customer": told}


def _pair(world: World, app: WecomApp, call: Call, *, has_left: bool) -> tuple[Guide, Guide]:
    giver = world.wecom.guides.get(call.text("handover_userid"))
    if giver is None:
        raise ApiError(40003)
    if has_left and (giver.left_at is None or call.now - giver.left_at > _YEAR):
        raise ApiError(40097 if giver.left_at is None else 40098)
    if not has_left:
        guide_seen(world, app, giver.userid)
    taker = world.wecom.guides[guide_seen(world, app, call.text("takeover_userid"))]
    if not taker.has_customers:
        raise ApiError(84074)
    return giver, taker


def _obstacle(world: World, giver: Guide, taker: Guide, external_userid: str, now: datetime) -> int:
    if giver.userid == taker.userid:
        return 40130
    customer = world.wecom.customers.get(external_userid)
    if customer is None:
        return 40096
    if giver.userid not in customer.links:
        return 40131
    if any(one.external_userid == external_userid for one in _open(world)):
        return 40100
    recent = [
        one
        for one in world.wecom.corp.handings
        if one.external_userid == external_userid and now - one.asked_at < _SPAN
    ]
    return 40128 if len(recent) >= _MOST else 0


def _results(world: World, app: WecomApp, call: Call, *, has_left: bool) -> Answer:
    giver, taker = _pair(world, app, call, has_left=has_left)
    found: dict[str, dict[str, Any]] = {}
    for one in world.wecom.corp.handings:
        if (one.giver, one.taker, one.has_left) == (giver.userid, taker.userid, has_left):
            found[one.external_userid] = {
                "external_userid": one.external_userid,
                "status": one.status,
                "takeover_time": int(one.takeover_at.timestamp()),
            }
    everyone = list(found.values())
    start, size = cursor_of(call.text("cursor")), _PAGE_MOST
    following = str(start + size) if start + size < len(everyone) else ""
    return {"customer": everyone[start : start + size], "next_cursor": following}


def _open(world: World) -> list[Handing]:
    return [one for one in world.wecom.corp.handings if one.status == WAITING]


def _carry_out(world: World, handing: Handing, now: datetime) -> None:
    taker = world.wecom.guides[handing.taker]
    theirs = world.wecom.contacts_of[handing.taker]
    customer = world.wecom.customers[handing.external_userid]
    if taker.most_customers is not None and len(theirs) >= taker.most_customers:
        handing.status = FULL
        wecom_events.transfer_failed(world, handing, "customer_limit_exceed", now=now)
        return
    handing.status = DONE
    given = customer.links.pop(handing.giver, None)
    if given is not None:
        world.wecom.contacts_of[handing.giver].remove(handing.external_userid)
        wecom_events.deleted(
            world, handing.giver, handing.external_userid, source="DELETE_BY_TRANSFER", now=now
        )
    if handing.taker not in customer.links:
        theirs.append(handing.external_userid)
        customer.links[handing.taker] = Link(handing.takeover_at, handing.takeover_at)
        wecom_events.added(world, handing.taker, handing.external_userid, now=now)


ENDPOINTS: dict[str, Endpoint] = {
    "cgi-bin/externalcontact/transfer_customer": Endpoint("POST", begin),
    "cgi-bin/externalcontact/transfer_result": Endpoint("POST", results),
    "cgi-bin/externalcontact/resigned/transfer_customer": Endpoint("POST", begin_resigned),
    "cgi-bin/externalcontact/resigned/transfer_result": Endpoint("POST", results_resigned),
    "cgi-bin/externalcontact/get_unassigned_list": Endpoint("POST", unassigned),
}
