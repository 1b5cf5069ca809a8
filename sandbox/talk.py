"""What people do on their phones, and the callbacks that follow from it.

A follower writes, taps a menu, follows, scans, accepts a notice; a guide writes to the app or
taps a card. Each act opens the windows it opens (wechat-oa.md §5.1), is pushed to the door, and
shows what the person saw.
"""

import secrets
from datetime import datetime

import httpx

from sandbox import grants
from sandbox.corp_state import ResponseCode
from sandbox.grants import TRIGGER_OF_EVENT, Trigger
from sandbox.inboxes import show
from sandbox.markup import event_xml, leaf, node, wrap
from sandbox.mischief import Roads
from sandbox.push import Delivery, Rules, push
from sandbox.state import Bubble, Follower, Guide, Push, WecomApp, World
from store import clock

_MESSAGE_IDS = 10**18


class Pusher:
    """Carries pushes of one world over one HTTP client and writes them into the journal."""

    def __init__(self, world: World, client: httpx.AsyncClient, rules: Rules | None = None) -> None:
        self.world, self.client = world, client
        self._roads = Roads(rules or Rules())

    async def carry(self, task: Push, *, now: datetime) -> Delivery:
        """Push one callback and note what came of it."""

        async def once(rules: Rules) -> Delivery:
            return await push(self.client, task.door, sender=task.sender, xml=task.xml, rules=rules)

        switch = self.world.take_switch("callback", "*", task.door.owner)
        delivery = await self._roads.carry(task.door.url, once, switch)
        self.world.journal.note(
            "push",
            now=now,
            door=task.door.url,
            sender=task.sender,
            xml=task.xml,
            reply=delivery.reply.text if delivery.reply else None,
            problem=delivery.problem,
            fault=delivery.fault,
            tries=delivery.tries,
            millis=delivery.millis,
            misbehaved=switch.how if switch else None,
        )
        return delivery


async def say(
    pusher: Pusher,
    follower: Follower,
    text: str,
    *,
    msg_id: int | None = None,
    menu_id: str = "",
    now: datetime,
) -> Delivery:
    """A follower writes to the account; a tap on a `msgmenu` item counts as a menu tap."""
    trigger = Trigger.MENU if menu_id else Trigger.MESSAGE
    fields = [leaf("Content", text)]
    if menu_id:
        fields.append(leaf("bizmsgmenuid", menu_id))
    bubble = Bubble(now, "wechat", True, "text", text)
    return await send(pusher, follower, bubble, fields, trigger=trigger, msg_id=msg_id)


async def send(
    pusher: Pusher,
    follower: Follower,
    bubble: Bubble,
    fields: list[str],
    *,
    trigger: Trigger = Trigger.MESSAGE,
    msg_id: int | None = None,
) -> Delivery:
    """A follower sends what the bubble shows; its kind is the `MsgType` (wechat-oa.md §2.2)."""
    show(pusher.world, follower.openid, bubble)
    grants.open_window(follower, trigger, now=bubble.at)
    number = secrets.randbelow(_MESSAGE_IDS) + _MESSAGE_IDS if msg_id is None else msg_id
    body = leaf("MsgType", bubble.kind) + "".join(fields) + leaf("MsgId", number)
    return await _to_account(pusher, follower, body, now=bubble.at)


async def act(
    pusher: Pusher,
    follower: Follower,
    event: str,
    *,
    key: str = "",
    extra: str = "",
    now: datetime,
) -> Delivery:
    """A follower follows, leaves, scans or taps; `event` is spelt as WeChat spells it, `extra` is
    the XML of further fields.
    """
    _move(follower, event, key, now=now)
    facts = {"event": event, "key": key}
    bubble = Bubble(now, "wechat", True, "event", f"【{event}】{key}", facts)
    show(pusher.world, follower.openid, bubble)
    body = event_xml(event, leaf("EventKey", key), extra)
    return await _to_account(pusher, follower, body, now=now)


def _move(follower: Follower, event: str, key: str, *, now: datetime) -> None:
    if event == "subscribe":
        follower.is_subscribed, follower.subscribed_at = True, now
        follower.scene = key.removeprefix("qrscene_")
    if event == "unsubscribe":
        follower.is_subscribed = False
        grants.close_windows(follower)
    if event in TRIGGER_OF_EVENT:
        grants.open_window(follower, TRIGGER_OF_EVENT[event], now=now)


async def answer_notice(
    pusher: Pusher, follower: Follower, template_id: str, *, status: str = "accept", now: datetime
) -> Delivery:
    """A follower answers the question for a subscription notice; an acceptance is good for one
    message.
    """
    if status == "accept":
        follower.acceptances[template_id] += 1
    item = node(
        "List",
        leaf("TemplateId", template_id),
        leaf("SubscribeStatusString", status),
        leaf("PopupScene", 1),
    )
    body = event_xml("subscribe_msg_popup_event", node("SubscribeMsgPopupEvent", item))
    return await _to_account(pusher, follower, body, now=now)


async def _to_account(pusher: Pusher, follower: Follower, body: str, *, now: datetime) -> Delivery:
    follower.acted_at = now
    door = pusher.world.wechat.accounts[follower.appid].door
    xml = wrap(body, to=door.address, sender=follower.openid, at=now)
    delivery = await pusher.carry(Push(door, follower.openid, xml), now=now)
    _show_outcome(pusher.world, follower.openid, "wechat_reply", delivery)
    return delivery


async def guide_says(
    pusher: Pusher, app: WecomApp, guide: Guide, text: str, *, now: datetime
) -> Delivery:
    """A guide writes to the app in WeCom."""
    show(pusher.world, guide.userid, Bubble(now, "wecom", True, "text", text))
    number = secrets.randbelow(_MESSAGE_IDS) + _MESSAGE_IDS
    body = leaf("MsgType", "text") + leaf("Content", text) + leaf("MsgId", number)
    return await _to_app(pusher, app, guide, body, now=now)


async def guide_taps(
    pusher: Pusher, app: WecomApp, guide: Guide, *, task_id: str, key: str, now: datetime
) -> Delivery:
    """A guide taps a button of a card; the event carries a code for one later update (wecom.md
    §1.4).
    """
    code = secrets.token_urlsafe(48)
    pusher.world.wecom.corp.response_codes[code] = ResponseCode(
        app.owner, now, task_id, userid=guide.userid
    )
    body = event_xml(
        "template_card_event",
        leaf("EventKey", key),
        leaf("TaskId", task_id),
        leaf("CardType", "button_interaction"),
        leaf("ResponseCode", code),
    )
    return await _to_app(pusher, app, guide, body, now=now)


async def _to_app(
    pusher: Pusher, app: WecomApp, guide: Guide, body: str, *, now: datetime
) -> Delivery:
    xml = wrap(body + leaf("AgentID", app.agentid), to=app.corpid, sender=guide.userid, at=now)
    delivery = await pusher.carry(Push(app.door, guide.userid, xml), now=now)
    _show_outcome(pusher.world, guide.userid, "wecom_reply", delivery)
    return delivery


def _show_outcome(world: World, person: str, channel: str, delivery: Delivery) -> None:
    """Show what came back, when it has come: others may have been answered meanwhile."""
    now = clock.now()
    if delivery.notice:
        show(world, person, Bubble(now, "wechat_system", False, "system", delivery.notice))
    if delivery.reply:
        facts = {"items": delivery.reply.items} if delivery.reply.items else {}
        show(
            world,
            person,
            Bubble(now, channel, False, delivery.reply.kind, delivery.reply.text, facts),
        )
    if delivery.again:
        _show_outcome(world, person, channel, delivery.again)
