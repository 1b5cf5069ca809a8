"""The control API under `/sandbox/`: a demo driver or a test plays the world with it.

Guarded by nothing, so the sandbox listens on the loopback address only. It is no part of WeChat
or WeCom.
"""

from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from fastapi.responses import RedirectResponse

from sandbox import broadcasts, chatting, forms, moving_clock, register, talk
from sandbox.inboxes import ids_of_same_person
from sandbox.markup import leaf
from sandbox.oauth import PERSON_COOKIE, SNAPSHOT_COOKIE
from sandbox.push import Delivery, verify
from sandbox.state import Broadcast, Switch, World
from sandbox.talk import Pusher
from store import clock

router = APIRouter(prefix="/sandbox", tags=["sandbox control"])
Json = dict[str, Any]
_PRODUCT_COOKIES = {"zhiyin_m": "/m", "zhiyin_guide": "/guide"}


def the_world(request: Request) -> World:
    """The world of this app."""
    world: World = request.app.state.world
    return world


def the_pusher(request: Request) -> Pusher:
    """The pusher of this app."""
    pusher: Pusher = request.app.state.pusher
    return pusher


TheWorld = Annotated[World, Depends(the_world)]
ThePusher = Annotated[Pusher, Depends(the_pusher)]


@router.post("/register")
async def register_accounts(form: forms.RegisterForm, world: TheWorld) -> Json:
    """Set up official accounts and WeCom apps."""
    return dict(register.register(world, form))


@router.post("/people")
async def register_people(form: forms.PeopleForm, world: TheWorld) -> Json:
    """Set up followers, guides and customers in bulk."""
    return dict(register.add_people(world, form, now=clock.now()))


@router.post("/unlink")
async def unlink(form: forms.UnlinkForm, world: TheWorld) -> Json:
    """End the contact of a guide and a customer."""
    register.unlink(world, form.userid, form.external_userid)
    return {"ok": True}


@router.post("/doors/verify")
async def verify_door(form: forms.DoorForm, world: TheWorld, pusher: ThePusher) -> Json:
    """Knock at a door as the console does when its URL is saved."""
    is_app = form.agentid is not None
    door = (
        register.find_app(world, form.agentid)
        if is_app
        else register.find_account(world, form.appid)
    ).door
    return {"ok": await verify(pusher.client, door)}


@router.post("/say")
async def say(form: forms.SayForm, world: TheWorld, pusher: ThePusher) -> Json:
    """A follower writes; the answer is what they saw."""
    follower = register.find_follower(world, form.openid)
    return seen(
        await talk.say(
            pusher,
            follower,
            form.text,
            msg_id=form.msg_id,
            menu_id=form.menu_id,
            now=clock.now(),
        )
    )


@router.post("/event")
async def event(form: forms.EventForm, world: TheWorld, pusher: ThePusher) -> Json:
    """A follower does something."""
    follower = register.find_follower(world, form.openid)
    extra = leaf("Ticket", form.ticket) if form.ticket else ""
    return seen(
        await talk.act(
            pusher, follower, form.event, key=form.event_key, extra=extra, now=clock.now()
        )
    )


@router.post("/accept_notice")
async def accept_notice(form: forms.NoticeForm, world: TheWorld, pusher: ThePusher) -> Json:
    """A follower accepts or refuses a subscription notice."""
    follower = register.find_follower(world, form.openid)
    return seen(
        await talk.answer_notice(
            pusher, follower, form.template_id, status=form.status, now=clock.now()
        )
    )


@router.post("/guides/{userid}/say")
async def guide_says(
    userid: str, form: forms.GuideSayForm, world: TheWorld, pusher: ThePusher
) -> Json:
    """A guide writes to the app."""
    app, guide = register.find_app(world, form.agentid), register.find_guide(world, userid)
    return seen(await talk.guide_says(pusher, app, guide, form.text, now=clock.now()))


@router.post("/guides/{userid}/tap")
async def guide_taps(userid: str, form: forms.TapForm, world: TheWorld, pusher: ThePusher) -> Json:
    """A guide taps a button of a card."""
    app, guide = register.find_app(world, form.agentid), register.find_guide(world, userid)
    return seen(
        await talk.guide_taps(
            pusher, app, guide, task_id=form.task_id, key=form.key, now=clock.now()
        )
    )


def seen(delivery: Delivery) -> Json:
    """A delivery for the driver: what the person saw, how long it took, how many tries."""
    reply = delivery.reply
    return {
        "reply": reply.text if reply else None,
        "kind": reply.kind if reply else None,
        "items": reply.items if reply else [],
        "notice": delivery.notice,
        "problem": delivery.problem,
        "tries": delivery.tries,
        "millis": delivery.millis,
    }


@router.post("/guides/{userid}/confirm")
async def confirm(userid: str, form: forms.ConfirmForm, world: TheWorld) -> Json:
    """A guide confirms one broadcast, or all that wait for them; customers receive them now."""
    register.find_guide(world, userid)
    with world.wecom.lock:
        chosen = [
            one for one in broadcasts.waiting(world, userid) if form.all or one.msgid == form.msgid
        ]
        if not chosen and not form.all:
            raise register.Unknown("broadcast waiting for this guide", form.msgid or "")
        return {
            "confirmed": [_confirm(world, one, userid, form, now=clock.now()) for one in chosen]
        }


def _confirm(
    world: World, broadcast: Broadcast, userid: str, form: forms.ConfirmForm, *, now: datetime
) -> Json:
    task = broadcasts.confirm(world, broadcast, userid, only=form.only, now=now)
    statuses = [outcome.status for outcome in task.recipients.values()]
    names = ("unsent", "sent", "no_contact", "quota_used_up")
    return {
        "msgid": broadcast.msgid,
        **{name: statuses.count(number) for number, name in enumerate(names)},
    }


@router.post("/guides/{userid}/chat")
async def chat(userid: str, form: forms.ChatForm, world: TheWorld) -> Json:
    """A guide writes to a customer by hand; the product hears nothing of it."""
    now, customer = clock.now(), form.external_userid
    chatting.guide_writes(world, userid, customer, form.text, now=now)
    return {"ok": True}


@router.get("/guides/{userid}/inbox")
async def guide_inbox(userid: str, world: TheWorld) -> Json:
    """What a guide saw, and the broadcasts waiting for them."""
    register.find_guide(world, userid)
    waiting = [
        {
            "msgid": one.msgid,
            "created_at": one.created_at.isoformat(),
            "text": one.text,
            "attachments": one.attachments,
            "customers": list(one.tasks[userid].recipients),
        }
        for one in broadcasts.waiting(world, userid)
    ]
    messages = [bubble.as_dict() for bubble in world.inboxes.get(userid, [])]
    return {"messages": messages, "broadcasts": waiting}


@router.get("/people/{person}/inbox")
async def person_inbox(person: str, world: TheWorld) -> Json:
    """What a member saw on all channels, by openid, external_userid or unionid, oldest first."""
    ids = ids_of_same_person(world, person)
    bubbles = [bubble for one in ids for bubble in world.inboxes.get(one, [])]
    bubbles.sort(key=lambda bubble: bubble.at)
    return {"ids": ids, "messages": [bubble.as_dict() for bubble in bubbles]}


@router.post("/misbehave")
async def misbehave(form: forms.MisbehaveForm, world: TheWorld) -> Json:
    """Make the next calls of a path go wrong."""
    path = form.path.strip("/")
    switch = Switch(form.server, path, form.how, form.times, form.code, form.seconds, form.account)
    world.switches.append(switch)
    return {"ok": True}


@router.post("/clock/move")
async def move_clock(form: forms.ClockForm) -> Json:
    """Move the clock of the sandbox and the product ahead."""
    try:
        return {"now": moving_clock.move(timedelta(seconds=form.seconds)).isoformat()}
    except moving_clock.ClockStands as stands:
        raise HTTPException(409, "This sandbox has no clock that can be moved.") from stands


@router.post("/behave")
async def behave(world: TheWorld) -> Json:
    """End all misbehaviour."""
    world.switches.clear()
    return {"ok": True}


@router.post("/settings")
async def change_settings(form: forms.SettingsForm, world: TheWorld) -> Json:
    """Change the rules that differ between corps or are not documented."""
    if form.broadcast_quota is not None:
        world.wecom.quota_mode = form.broadcast_quota
    if form.dispatch_seconds is not None:
        world.wecom.dispatch_seconds = form.dispatch_seconds
    if form.welcome_seconds is not None:
        world.wecom.corp.welcome_seconds = form.welcome_seconds
    if form.most_at_once is not None:
        world.wecom.corp.most_at_once = form.most_at_once
    return {
        "broadcast_quota": world.wecom.quota_mode,
        "dispatch_seconds": world.wecom.dispatch_seconds,
    }


@router.get("/journal.json")
async def read_journal(world: TheWorld, since: int = 0, kind: Annotated[str, Query()] = "") -> Json:
    """The journal after entry `since`, of one kind or of all; the receipts once more by
    themselves.
    """
    entries = [one for one in world.journal.entries[since:] if kind in ("", one["kind"])]
    receipts = [one for one in entries if one["kind"] == "receipt"]
    return {"last": len(world.journal.entries), "entries": entries, "receipts": receipts}


@router.get("/be")
async def be(
    request: Request,
    who: str,
    next: str = "/",  # noqa: A002 -- the name in the address
    *,
    snapshot: bool = False,
) -> Response:
    """Become a person on this browser, then go on to an address."""
    answer = RedirectResponse(next, status_code=303)
    was_snapshot = SNAPSHOT_COOKIE in request.cookies
    if (request.cookies.get(PERSON_COOKIE), was_snapshot) != (who, snapshot):
        # Another phone: what the product knows this browser by belongs to the one before. Cookies
        # know no port, so the product's can be taken away from here.
        for name, path in _PRODUCT_COOKIES.items():
            answer.delete_cookie(name, path=path)
    answer.set_cookie(PERSON_COOKIE, who, httponly=True, samesite="lax")
    if snapshot:
        answer.set_cookie(SNAPSHOT_COOKIE, "1", httponly=True, samesite="lax")
    else:
        answer.delete_cookie(SNAPSHOT_COOKIE)
    return answer
