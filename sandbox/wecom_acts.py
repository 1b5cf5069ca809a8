"""What customers and guides do with each other in WeCom, and what the apps are told of it."""

from dataclasses import dataclass
from datetime import datetime

from sandbox import corp_tags, wecom_events
from sandbox.register import find_customer, find_guide
from sandbox.state import Customer, Link, World


class NoWay(Exception):  # noqa: N818 -- an everyday answer, not a fault
    """A code that leads to nobody."""


def scan(world: World, config_id: str, external_userid: str, *, now: datetime) -> str:
    """A customer scans a code and becomes a contact of who stands behind it; gives the guide."""
    way = world.wecom.corp.ways.get(config_id)
    here = [one for one in way.userids if world.wecom.guides[one].is_active] if way else []
    if way is None or not here:
        raise NoWay(config_id)
    userid = here[way.turn % len(here)]
    way.turn += 1
    add(world, userid, external_userid, state=way.state, now=now)
    return userid


def add(
    world: World,
    userid: str,
    external_userid: str,
    *,
    now: datetime,
    state: str = "",
    is_half: bool = False,
) -> str:
    """The two become contacts, or half so; gives the welcome code that the apps were told."""
    find_guide(world, userid)
    known = world.wecom.customers
    customer = known.setdefault(external_userid, Customer(external_userid))
    was = customer.links.get(userid)
    if was is None:
        world.wecom.contacts_of[userid].append(external_userid)
    customer.links[userid] = Link(now, now, state=state, is_half=is_half)
    return wecom_events.added(
        world, userid, external_userid, now=now, state=state, welcomes=True, is_half=is_half
    )


@dataclass(frozen=True)
class Noted:
    """What a guide notes of a customer; what is none stays as it was."""

    remark: str | None = None
    mobiles: list[str] | None = None
    tags: list[str] | None = None


def edit(world: World, userid: str, external_userid: str, noted: Noted, *, now: datetime) -> None:
    """A guide changes what they noted of a customer."""
    link = find_customer(world, external_userid).links[userid]
    link.remark = link.remark if noted.remark is None else noted.remark
    link.mobiles = link.mobiles if noted.mobiles is None else noted.mobiles
    link.tags = link.tags if noted.tags is None else noted.tags
    wecom_events.edited(world, userid, external_userid, now=now)


def delete(world: World, userid: str, external_userid: str, *, now: datetime) -> None:
    """The guide deletes the customer: the contact is gone on both sides."""
    customer = find_customer(world, external_userid)
    if customer.links.pop(userid, None) is not None:
        world.wecom.contacts_of[userid].remove(external_userid)
        wecom_events.deleted(world, userid, external_userid, now=now)


def leave(world: World, userid: str, external_userid: str, *, now: datetime) -> None:
    """The customer deletes the guide, who still has the customer on the list."""
    find_customer(world, external_userid).links[userid].is_left = True
    wecom_events.left(world, userid, external_userid, now=now)


def resign(world: World, userid: str, *, now: datetime) -> None:
    """A guide leaves the corp: no app sees them any more, and their customers have nobody."""
    guide = find_guide(world, userid)
    guide.is_active, guide.left_at = False, now
    wecom_events.range_changed(world, userid, comes=False, now=now)


def make_tag(world: World, group: str, name: str, *, now: datetime) -> str:
    """Somebody makes a tag in the console."""
    tag_id = corp_tags.make(world, group, name, now=now)
    wecom_events.tag_changed(world, tag_id, "create", now=now)
    return tag_id


def drop_tag(world: World, tag_id: str, *, now: datetime) -> None:
    """Somebody deletes a tag in the console."""
    corp_tags.drop(world, tag_id)
    wecom_events.tag_changed(world, tag_id, "delete", now=now)
