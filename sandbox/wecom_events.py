"""What WeCom pushes to its apps about people (wecom.md §1.4); changes made by an app are silent."""

import secrets
from datetime import datetime

from sandbox.corp_state import Handing, WelcomeCode
from sandbox.markup import event_xml, leaf, wrap
from sandbox.state import Push, WecomApp, World

_SYSTEM = "sys"


def added(  # noqa: PLR0913 -- as many facts as the event has
    world: World,
    userid: str,
    external_userid: str,
    *,
    now: datetime,
    state: str = "",
    welcomes: bool = False,
    is_half: bool = False,
) -> str:
    """The two became contacts; gives the code of the welcome, empty where there is none."""
    code = _welcome_code(world, userid, external_userid, now) if welcomes else ""
    facts = [leaf("State", state)] if state else []
    facts += [leaf("WelcomeCode", code)] if code else []
    change = "add_half_external_contact" if is_half else "add_external_contact"
    _contact(world, change, userid, external_userid, facts, now)
    return code


def edited(world: World, userid: str, external_userid: str, *, now: datetime) -> None:
    """The guide changed remark, mobile or tags; which is not told."""
    _contact(world, "edit_external_contact", userid, external_userid, [], now)


def deleted(
    world: World, userid: str, external_userid: str, *, now: datetime, source: str = ""
) -> None:
    """The guide deleted the customer, or a transfer did."""
    facts = [leaf("Source", source)] if source else []
    _contact(world, "del_external_contact", userid, external_userid, facts, now)


def left(world: World, userid: str, external_userid: str, *, now: datetime) -> None:
    """The customer deleted the guide."""
    _contact(world, "del_follow_user", userid, external_userid, [], now)


def transfer_failed(world: World, handing: Handing, why: str, *, now: datetime) -> None:
    """A transfer did not come about; `UserID` is who was to take over."""
    facts = [leaf("FailReason", why)]
    _contact(world, "transfer_fail", handing.taker, handing.external_userid, facts, now)


def tag_changed(world: World, tag_id: str, change: str, *, now: datetime) -> None:
    """Somebody made, changed or deleted a tag in the console."""
    facts = (leaf("Id", tag_id), leaf("TagType", "tag"), leaf("ChangeType", change))
    _push(world, None, _SYSTEM, event_xml("change_external_tag", *facts), now)


def range_changed(world: World, userid: str, *, comes: bool, now: datetime) -> None:
    """A member came into an app's sight, or left it or the corp."""
    _push(world, userid, userid, event_xml("subscribe" if comes else "unsubscribe"), now)


def _contact(
    world: World,
    change: str,
    userid: str,
    external_userid: str,
    facts: list[str],
    now: datetime,
) -> None:
    who = [
        leaf("ChangeType", change),
        leaf("UserID", userid),
        leaf("ExternalUserID", external_userid),
    ]
    body = event_xml("change_external_contact", *who, *facts)
    _push(world, userid, _SYSTEM, body, now)


def _push(world: World, userid: str | None, sender: str, body: str, now: datetime) -> None:
    for app in world.wecom.apps.values():
        if app.door_url and app.has_contact_permission and _may_hear(app, userid):
            xml = wrap(body, to=app.corpid, sender=sender, at=now)
            world.wecom.pushes.append(Push(app.door, sender, xml))


def _may_hear(app: WecomApp, userid: str | None) -> bool:
    return userid is None or not app.visible_userids or userid in app.visible_userids


def _welcome_code(world: World, userid: str, external_userid: str, now: datetime) -> str:
    if world.wecom.guides[userid].has_console_welcome:
        return ""
    code = WelcomeCode(secrets.token_urlsafe(32), userid, external_userid, now)
    world.wecom.corp.welcome_codes[code.value] = code
    return code.value
