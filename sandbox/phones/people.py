"""Who the index offers to be: those who have something to do now first, with a word on what."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from sandbox import broadcasts
from sandbox.state import Bubble, World

_PEOPLE_SHOWN = 12
_COUPON = "券"


@dataclass(frozen=True)
class Person:
    """Somebody to be; `bubbles` counts what is on the phone, `waits` what waits for an act."""

    who: str
    name: str
    note: str
    bubbles: int
    waits: int = 0


def some(people: list[Person], q: str = "") -> list[Person]:
    """A few of the people that fit the search: who has to act first, then the busiest."""
    fitting = [one for one in people if q in one.name or q in one.who]
    fitting.sort(key=lambda one: (-one.waits, -one.bubbles, not one.note))
    return fitting[:_PEOPLE_SHOWN]


def guides(world: World) -> list[Person]:
    """Every guide, with the broadcasts that wait for them or the cards that they got."""
    found = []
    for guide in world.wecom.guides.values():
        waits = len(broadcasts.waiting(world, guide.userid))
        seen = [one for one in world.inboxes.get(guide.userid, []) if not one.is_own]
        note = f"{waits} 个群发等确认" if waits else (seen[-1].text[:12] if seen else "")
        found.append(Person(guide.userid, guide.name or guide.userid, note, len(seen), waits))
    return found


def members(world: World) -> list[Person]:
    """Every follower, with a word on what can be tried with them."""
    from_guides, busy = _from_guides(world), _guide_with_card(world)
    found = []
    for one in world.wechat.followers.values():
        bubbles = [*world.inboxes.get(one.openid, []), *from_guides.get(one.unionid, [])]
        seen = [bubble for bubble in bubbles if not bubble.is_own]
        note = f"{busy[one.unionid]}的顾客" if one.unionid in busy else ""
        if any(_COUPON in bubble.text for bubble in seen):
            note = "有券，可以试试送券"
        found.append(Person(one.openid, one.nickname or one.openid, note, len(seen)))
    return found


def strangers(world: World) -> list[Person]:
    """Customers of guides who do not follow the account."""
    known = {one.unionid for one in world.wechat.followers.values()} - {""}
    found = []
    for one in world.wecom.customers.values():
        if one.unionid not in known:
            bubbles = len(world.inboxes.get(one.external_userid, []))
            note = "只加了导购" if bubbles else ""
            name = one.name or one.external_userid
            found.append(Person(one.external_userid, name, note, bubbles))
    return found


def _from_guides(world: World) -> Mapping[str, list[Bubble]]:
    """What customers saw in their chats with guides, by unionid."""
    found: dict[str, list[Bubble]] = defaultdict(list)
    for customer in world.wecom.customers.values():
        if customer.unionid:
            found[customer.unionid] += world.inboxes.get(customer.external_userid, [])
    return found


def _guide_with_card(world: World) -> Mapping[str, str]:
    """The name of a guide who got a card, by the unionids of their customers."""
    return {
        customer.unionid: world.wecom.guides[userid].name
        for customer in world.wecom.customers.values()
        for userid in customer.links
        if customer.unionid and userid in world.wecom.guides and world.inboxes.get(userid)
    }
