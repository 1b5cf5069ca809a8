"""Broadcasts by guides (企业群发): made by the API, sent when the guide confirms, learnt about
by polling (wecom.md §5).

Rules of our own where the page is silent: `sender` together with `external_userid` goes to that
sender; without a sender each customer goes to the guide who chatted last.
"""

import calendar
import secrets
from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sandbox.contacts import cursor_of, guide_seen, words_to_customers
from sandbox.gateway import Call, Endpoint
from sandbox.inboxes import show
from sandbox.refusals import Answer, ApiError
from sandbox.state import Broadcast, BroadcastTask, Bubble, Customer, Outcome, WecomApp, World

UNSENT, SENT, NO_CONTACT, QUOTA_USED_UP = 0, 1, 2, 3
_TASK_UNSENT, _TASK_SENT = 0, 2
_MOST_CUSTOMERS = 10_000
_PAGE_MOST, _PAGE_USUAL = 1000, 500
_REMINDERS_PER_DAY = 3
_PER_WEEK = 7
_MONTH = 31 * 86400
_LISTED_MOST, _LISTED_USUAL = 100, 50
_EVERYBODYS = 2
_CHINA = ZoneInfo("Asia/Shanghai")
_NEEDED = {
    "image": ("media_id", "pic_url"),
    "link": ("url",),
    "miniprogram": ("appid",),
    "video": ("media_id",),
    "file": ("media_id",),
}


def create(world: World, app: WecomApp, call: Call) -> Answer:
    """`POST add_msg_template`: what can be sent becomes tasks of guides, what cannot is in
    `fail_list`.
    """
    if call.body.get("chat_type", "single") != "single":
        raise ApiError(40058, "chat_type: the sandbox has no customer groups")
    text = _checked_text(call)
    wanted = _wanted(world, app, call)
    assigned, failed = _assign(world, app, call, wanted)
    msgid = "msg" + secrets.token_urlsafe(24)
    world.wecom.broadcasts[msgid] = Broadcast(
        msgid,
        app.owner,
        call.now,
        text,
        call.body.get("attachments") or [],
        call.body.get("allow_select") is True,
        {userid: _task(userid, ids) for userid, ids in assigned.items()},
    )
    return {"fail_list": failed, "msgid": msgid}


def _task(userid: str, external_userids: list[str]) -> BroadcastTask:
    return BroadcastTask(userid, {one: Outcome() for one in external_userids})


def _checked_text(call: Call) -> str:
    text, attachments = words_to_customers(call)
    for attachment in attachments:
        kind = str(attachment.get("msgtype"))
        content = attachment.get(kind)
        if kind not in _NEEDED or not isinstance(content, dict):
            raise ApiError(41065, "msgtype and its object")
        if not any(content.get(name) for name in _NEEDED[kind]):
            raise ApiError(41065, f"{kind}.{_NEEDED[kind][0]}")
    return text


def _wanted(world: World, app: WecomApp, call: Call) -> list[str]:
    """The customers asked for; only a sender means all of that guide's."""
    sender = call.text("sender")
    ids = call.body.get("external_userid") or []
    if len(ids) > _MOST_CUSTOMERS:
        raise ApiError(40058, "external_userid has more than 10000 customers")
    if ids:
        return list(dict.fromkeys(str(one) for one in ids))
    if call.body.get("tag_filter"):
        raise ApiError(40058, "tag_filter: the sandbox has no customer tags")
    if not sender:
        raise ApiError(40063, "sender, external_userid and tag_filter")
    return list(world.wecom.contacts_of[guide_seen(world, app, sender)])


def _assign(
    world: World, app: WecomApp, call: Call, wanted: list[str]
) -> tuple[dict[str, list[str]], list[str]]:
    """Who sends to whom, and who cannot be sent to. Refuses when nobody is left, saying why."""
    sender = guide_seen(world, app, call.text("sender")) if call.text("sender") else ""
    known = [world.wecom.customers[one] for one in wanted if one in world.wecom.customers]
    if wanted and not known:
        raise ApiError(40096)
    linked = [
        customer
        for customer in known
        if customer.links and (not sender or sender in customer.links)
    ]
    if known and not linked:
        raise ApiError(84061)
    open_ones = [one for one in linked if not _is_used_up(world, one, now=call.now)]
    if not open_ones:
        raise ApiError(41048)
    assigned: dict[str, list[str]] = defaultdict(list)
    for customer in open_ones:
        assigned[sender or _last_chatter(customer)].append(customer.external_userid)
    reachable = {customer.external_userid for customer in open_ones}
    return dict(assigned), [one for one in wanted if one not in reachable]


def _last_chatter(customer: Customer) -> str:
    return max(customer.links, key=lambda userid: customer.links[userid].last_chat_at)


def _is_used_up(world: World, customer: Customer, *, now: datetime) -> bool:
    """The customer has had all broadcasts of the day, week or month, whoever made them (§5.2)."""
    today = now.astimezone(_CHINA).date()
    days = [at.astimezone(_CHINA).date() for at in customer.broadcasts_at]
    if world.wecom.quota_mode == "day_1":
        return today in days
    if world.wecom.quota_mode == "week_7":
        monday = today - timedelta(days=today.weekday())
        return sum(monday <= day for day in days) >= _PER_WEEK
    in_month = sum((day.year, day.month) == (today.year, today.month) for day in days)
    return in_month >= calendar.monthrange(today.year, today.month)[1]


def list_broadcasts(world: World, app: WecomApp, call: Call) -> Answer:
    """`POST get_groupmsg_list_v2`: the corp's and the guides' own; no creator when an app made
    it.
    """
    del app
    start, end = call.body.get("start_time"), call.body.get("end_time")
    if not isinstance(start, int) or not isinstance(end, int) or not 0 <= end - start <= _MONTH:
        raise ApiError(40058, "start_time and end_time are a month apart at most")
    made = [
        _as_listed(one)
        for one in world.wecom.broadcasts.values()
        if start <= one.created_at.timestamp() <= end
        and call.body.get("filter_type", _EVERYBODYS) in {_EVERYBODYS, int(bool(one.creator))}
    ]
    first, limit = cursor_of(call.text("cursor")), call.body.get("limit")
    size = limit if isinstance(limit, int) and 1 <= limit <= _LISTED_MOST else _LISTED_USUAL
    following = str(first + size) if first + size < len(made) else ""
    return {"group_msg_list": made[first : first + size], "next_cursor": following}


def _as_listed(broadcast: Broadcast) -> dict[str, Any]:
    listed = {
        "msgid": broadcast.msgid,
        "create_time": str(int(broadcast.created_at.timestamp())),
        "create_type": int(bool(broadcast.creator)),
        "text": {"content": broadcast.text},
        "attachments": broadcast.attachments,
    }
    return {**listed, "creator": broadcast.creator} if broadcast.creator else listed


def by_hand(
    world: World, userid: str, external_userids: list[str], text: str, *, now: datetime
) -> Broadcast:
    """A guide makes a broadcast in the client, and sends it at once."""
    msgid = "msg" + secrets.token_urlsafe(24)
    broadcast = Broadcast(
        msgid, "", now, text, [], False, {userid: _task(userid, external_userids)}, creator=userid
    )
    world.wecom.broadcasts[msgid] = broadcast
    confirm(world, broadcast, userid, now=now)
    return broadcast


def list_tasks(world: World, app: WecomApp, call: Call) -> Answer:
    """`POST get_groupmsg_task`: which guides have confirmed (2) and which have not (0)."""
    broadcast = _readable(world, app, call)
    tasks = [
        {
            "userid": task.userid,
            "status": _TASK_SENT,
            "send_time": int(task.confirmed_at.timestamp()),
        }
        if task.confirmed_at
        else {"userid": task.userid, "status": _TASK_UNSENT}
        for task in broadcast.tasks.values()
    ]
    return _page(call, "task_list", tasks)


def list_results(world: World, app: WecomApp, call: Call) -> Answer:
    """`POST get_groupmsg_send_result`: what became of each customer of one guide; a time only
    with 1.
    """
    broadcast = _readable(world, app, call)
    if not call.text("userid"):
        raise ApiError(40063, "userid")
    task = broadcast.tasks.get(call.text("userid"))
    recipients = task.recipients if task else {}
    results: list[dict[str, Any]] = []
    for external_userid, outcome in recipients.items():
        result = {
            "external_userid": external_userid,
            "userid": call.text("userid"),
            "status": outcome.status,
        }
        if outcome.sent_at is not None:
            result["send_time"] = int(outcome.sent_at.timestamp())
        results.append(result)
    return _page(call, "send_list", results)


def cancel(world: World, app: WecomApp, call: Call) -> Answer:
    """`POST cancel_groupmsg_send`: guides who have not confirmed no longer can."""
    broadcast = _own(world, app, call)
    if broadcast.cancelled_at is not None:
        raise ApiError(41093)
    broadcast.cancelled_at = call.now
    return {}


def remind(world: World, app: WecomApp, call: Call) -> Answer:
    """`POST remind_groupmsg_send`: nudge the guides who have not confirmed, three times in 24
    hours.
    """
    broadcast = _own(world, app, call)
    recent = [at for at in broadcast.reminded_at if call.now - at < timedelta(hours=24)]
    if len(recent) >= _REMINDERS_PER_DAY:
        raise ApiError(41094)
    broadcast.reminded_at.append(call.now)
    for task in broadcast.tasks.values():
        if task.confirmed_at is None:
            bubble = Bubble(
                call.now,
                "wecom",
                False,
                "reminder",
                "请尽快确认企业群发",
                {"msgid": broadcast.msgid},
            )
            show(world, task.userid, bubble)
    return {}


def confirm(
    world: World, broadcast: Broadcast, userid: str, *, only: list[str] | None = None, now: datetime
) -> BroadcastTask:
    """The guide confirms in the client: customers receive it now, or their outcome says why not."""
    task = broadcast.tasks[userid]
    task.confirmed_at = now
    for external_userid, outcome in task.recipients.items():
        if only is None or not broadcast.may_select or external_userid in only:
            _send(world, broadcast, userid, external_userid, outcome, now=now)
    return task


def _send(
    world: World,
    broadcast: Broadcast,
    userid: str,
    external_userid: str,
    outcome: Outcome,
    *,
    now: datetime,
) -> None:
    customer = world.wecom.customers[external_userid]
    link = customer.links.get(userid)
    if link is None or link.is_left or link.is_half:
        outcome.status = NO_CONTACT
        return
    if _is_used_up(world, customer, now=now):
        outcome.status = QUOTA_USED_UP
        return
    outcome.status, outcome.sent_at = SENT, now
    customer.broadcasts_at.append(now)
    facts = {"userid": userid, "msgid": broadcast.msgid, "attachments": broadcast.attachments}
    show(
        world, external_userid, Bubble(now, "wecom_broadcast", False, "text", broadcast.text, facts)
    )


def waiting(world: World, userid: str) -> list[Broadcast]:
    """The broadcasts this guide still has to confirm, oldest first."""
    return [
        broadcast
        for broadcast in world.wecom.broadcasts.values()
        if broadcast.cancelled_at is None
        and userid in broadcast.tasks
        and broadcast.tasks[userid].confirmed_at is None
    ]


def _own(world: World, app: WecomApp, call: Call) -> Broadcast:
    if not call.text("msgid"):
        raise ApiError(41046)
    broadcast = world.wecom.broadcasts.get(call.text("msgid"))
    if broadcast is None or broadcast.owner != app.owner:
        raise ApiError(41047)
    return broadcast


def _readable(world: World, app: WecomApp, call: Call) -> Broadcast:
    if not call.text("msgid"):
        raise ApiError(41046)
    broadcast = world.wecom.broadcasts.get(call.text("msgid"))
    # What guides make by hand every app of the corp may read.
    if broadcast is None or broadcast.owner not in {"", app.owner}:
        raise ApiError(41047)
    if call.now - broadcast.created_at < timedelta(seconds=world.wecom.dispatch_seconds):
        raise ApiError(41063)
    return broadcast


def _page(call: Call, name: str, items: list[dict[str, Any]]) -> Answer:
    start = cursor_of(call.text("cursor"))
    limit = call.body.get("limit")
    size = limit if isinstance(limit, int) and 1 <= limit <= _PAGE_MOST else _PAGE_USUAL
    following = str(start + size) if start + size < len(items) else ""
    return {name: items[start : start + size], "next_cursor": following}


ENDPOINTS: dict[str, Endpoint] = {
    "cgi-bin/externalcontact/add_msg_template": Endpoint("POST", create),
    "cgi-bin/externalcontact/get_groupmsg_list_v2": Endpoint("POST", list_broadcasts),
    "cgi-bin/externalcontact/get_groupmsg_task": Endpoint("POST", list_tasks),
    "cgi-bin/externalcontact/get_groupmsg_send_result": Endpoint("POST", list_results),
    "cgi-bin/externalcontact/cancel_groupmsg_send": Endpoint("POST", cancel),
    "cgi-bin/externalcontact/remind_groupmsg_send": Endpoint("POST", remind),
}
