"""App messages after they were sent: cards put in others' places, messages taken back (wecom.md
§3.3, §3.4).
"""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from sandbox.cards import check_card
from sandbox.contacts import sees
from sandbox.corp_state import ResponseCode
from sandbox.gateway import Call, Endpoint
from sandbox.refusals import Answer, ApiError
from sandbox.state import Bubble, WecomApp, World

_CODE_LIFE, _RECALL_LIFE = timedelta(hours=72), timedelta(hours=24)
_MOST_USERS = 1000


def update(world: World, app: WecomApp, call: Call) -> Answer:
    """`POST update_template_card`: by a code that is good for one call within 72 hours."""
    if call.body.get("agentid") != app.agentid:
        raise ApiError(301002)
    userids = [str(userid) for userid in call.body.get("userids") or []]
    if len(userids) > _MOST_USERS:
        raise ApiError(40058, "userids has more than 1000 users")
    code = _code(world, app, call)
    change = _change(call)
    # A tap's code changes the tapper's card alone.
    good = [one for one in userids if sees(world, app, one) and code.userid in {"", one}]
    if not good:
        raise ApiError(81013)
    code.is_used = True
    for userid in good:
        _put(world, app, userid, code.task_id, change, call)
    return {"invaliduser": [one.lower() for one in userids if one not in good]}


def recall(world: World, app: WecomApp, call: Call) -> Answer:
    """`POST recall`: the own app's messages of the last 24 hours."""
    message = world.wecom.corp.messages.get(call.text("msgid"))
    if message is None or message.owner != app.owner:
        raise ApiError(40058, "msgid")
    if call.now - message.at > _RECALL_LIFE:
        raise ApiError(42052)
    for userid in message.userids:
        world.inboxes[userid] = [
            replace(one, kind="recalled", text="", facts={"msgid": message.msgid})
            if one.facts.get("msgid") == message.msgid
            else one
            for one in world.inboxes[userid]
        ]
    return {}


def _code(world: World, app: WecomApp, call: Call) -> ResponseCode:
    code = world.wecom.corp.response_codes.get(call.text("response_code"))
    if code is None or code.is_used or call.now - code.at > _CODE_LIFE:
        raise ApiError(60140)
    if code.owner != app.owner:
        raise ApiError(42015)
    return code


def _change(call: Call) -> dict[str, Any]:
    button, card = call.part("button"), call.part("template_card")
    if bool(button) == bool(card):
        raise ApiError(40058, "either button or template_card")
    if button and not button.get("replace_name"):
        raise ApiError(42020)
    if card:
        check_card(card, is_change=True)
    return {"replaced": button["replace_name"]} if button else {"card": card}


def _put(
    world: World, app: WecomApp, userid: str, task_id: str, change: dict[str, Any], call: Call
) -> None:
    def changed(one: Bubble) -> Bubble:
        if one.facts.get("task_id") != task_id or one.facts.get("agentid") != app.agentid:
            return one
        card = change.get("card")
        if card is None:
            return replace(one, facts=one.facts | change)
        title = card.get("main_title", {}).get("title") or card.get("sub_title_text", "")
        return replace(one, text=title, facts=one.facts | change)

    world.inboxes[userid] = [changed(one) for one in world.inboxes[userid]]
    facts = {"to": userid, "task_id": task_id}
    world.journal.note("card_changed", now=call.now, **facts, **change)


ENDPOINTS: dict[str, Endpoint] = {
    "cgi-bin/message/update_template_card": Endpoint("POST", update),
    "cgi-bin/message/recall": Endpoint("POST", recall),
}
