"""Corp tags of a corp and marks on its customers (wecom.md §4.3)."""

import secrets
from datetime import datetime
from typing import Any

from sandbox.contacts import link_of
from sandbox.corp_state import CorpTag, TagGroup
from sandbox.gateway import Call, Endpoint
from sandbox.refusals import Answer, ApiError
from sandbox.state import WecomApp, World

_NAME = 30
_MOST_TAGS = 10_000


def list_all(world: World, _app: WecomApp, call: Call) -> Answer:
    """`POST get_corp_tag_list`: all, or those of `group_id`, else of `tag_id`."""
    groups, tags = call.body.get("group_id") or [], call.body.get("tag_id") or []
    told = []
    for group in world.wecom.corp.tag_groups.values():
        if groups and group.group_id not in groups:
            continue
        shown = {key: tag for key, tag in group.tags.items() if groups or not tags or key in tags}
        if shown:
            told.append(_as_told(group, shown))
    return {"tag_group": told}


def add(world: World, app: WecomApp, call: Call) -> Answer:
    """`POST add_corp_tag`: a known group name is that group, a known tag name that tag."""
    wanted = call.body.get("tag")
    if not isinstance(wanted, list) or not wanted:
        raise ApiError(40063, "tag")
    names = list(dict.fromkeys(str(one.get("name") or "") for one in wanted))
    if not all(1 <= len(name) <= _NAME for name in [*names, call.text("group_name") or "x"]):
        raise ApiError(40058, "a name has 1 to 30 characters")
    if len(world.wecom.corp.tags) + len(names) > _MOST_TAGS:
        raise ApiError(40126)
    group = _group(world, call)
    known = {tag.name for tag in group.tags.values()}
    for name in names:
        if name not in known:
            tag = CorpTag("et" + secrets.token_urlsafe(22), name, app.owner, call.now)
            group.tags[tag.tag_id] = tag
    return {"tag_group": _as_told(group, group.tags)}


def edit(world: World, app: WecomApp, call: Call) -> Answer:
    """`POST edit_corp_tag`: an app changes only what it has made."""
    tag = _own(world, app, call.text("id"))
    name = call.text("name")
    if not 1 <= len(name) <= _NAME:
        raise ApiError(40058, "a name has 1 to 30 characters")
    tag.name = name
    return {}


def remove(world: World, app: WecomApp, call: Call) -> Answer:
    """`POST del_corp_tag`: the last tag takes its group along."""
    for group_id in call.body.get("group_id") or []:
        if group_id not in world.wecom.corp.tag_groups:
            raise ApiError(40068)
        del world.wecom.corp.tag_groups[group_id]
    for tag_id in call.body.get("tag_id") or []:
        _own(world, app, str(tag_id))
        drop(world, str(tag_id))
    return {}


def drop(world: World, tag_id: str) -> None:
    """A tag is gone, and its group when it was the last."""
    group = world.wecom.corp.group_of(tag_id)
    if group is not None:
        del group.tags[tag_id]
        if not group.tags:
            del world.wecom.corp.tag_groups[group.group_id]


def mark(world: World, app: WecomApp, call: Call) -> Answer:
    """`POST mark_tag`: on one guide's customer, not on the customer."""
    link = link_of(world, app, call.text("userid"), call.text("external_userid"))
    more, less = call.body.get("add_tag") or [], call.body.get("remove_tag") or []
    if not more and not less:
        raise ApiError(40063, "add_tag and remove_tag")
    if any(tag_id not in world.wecom.corp.tags for tag_id in [*more, *less]):
        raise ApiError(40068)
    kept = [tag_id for tag_id in link.tags if tag_id not in less]
    link.tags = list(dict.fromkeys([*kept, *(str(tag_id) for tag_id in more)]))
    return {}


def make(world: World, group_name: str, name: str, *, now: datetime) -> str:
    """A tag made in the console; gives its id."""
    corp = world.wecom.corp
    group = next((one for one in corp.tag_groups.values() if one.name == group_name), None)
    if group is None:
        group = TagGroup("eg" + secrets.token_urlsafe(22), group_name, now)
        corp.tag_groups[group.group_id] = group
    tag = CorpTag("et" + secrets.token_urlsafe(22), name, "", now)
    group.tags[tag.tag_id] = tag
    return tag.tag_id


def _group(world: World, call: Call) -> TagGroup:
    groups = world.wecom.corp.tag_groups
    if call.text("group_id"):
        if call.text("group_id") not in groups:
            raise ApiError(40068)
        return groups[call.text("group_id")]
    name = call.text("group_name")
    if not name:
        raise ApiError(40063, "group_id and group_name")
    found = next((one for one in groups.values() if one.name == name), None)
    if found is None:
        found = TagGroup("eg" + secrets.token_urlsafe(22), name, call.now)
        groups[found.group_id] = found
    return found


def _own(world: World, app: WecomApp, tag_id: str) -> CorpTag:
    tag = world.wecom.corp.tags.get(tag_id)
    if tag is None:
        raise ApiError(40068)
    if tag.owner != app.owner:
        raise ApiError(60011)
    return tag


def _as_told(group: TagGroup, tags: dict[str, CorpTag]) -> dict[str, Any]:
    return {
        "group_id": group.group_id,
        "group_name": group.name,
        "create_time": int(group.made_at.timestamp()),
        "order": group.order,
        "tag": [
            {
                "id": tag.tag_id,
                "name": tag.name,
                "create_time": int(tag.made_at.timestamp()),
                "order": tag.order,
            }
            for tag in tags.values()
        ],
    }


ENDPOINTS: dict[str, Endpoint] = {
    "cgi-bin/externalcontact/get_corp_tag_list": Endpoint("POST", list_all),
    "cgi-bin/externalcontact/add_corp_tag": Endpoint("POST", add),
    "cgi-bin/externalcontact/edit_corp_tag": Endpoint("POST", edit),
    "cgi-bin/externalcontact/del_corp_tag": Endpoint("POST", remove),
    "cgi-bin/externalcontact/mark_tag": Endpoint("POST", mark),
}
