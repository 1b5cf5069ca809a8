"""The phones' inboxes: what a person saw and wrote, and the receipts that follow from it."""

from typing import Any

from sandbox.state import Bubble, World

# What friends send each other goes past the brand, so it is no receipt.
FRIEND = "friend"


def show(world: World, person: str, bubble: Bubble) -> None:
    """Put a bubble on a person's phone; what a customer receives is also a receipt in the
    journal.
    """
    world.inboxes[person].append(bubble)
    if bubble.is_own or bubble.channel == FRIEND or person in world.wecom.guides:
        return
    world.journal.note("receipt", now=bubble.at, to=person, **_receipt(bubble))


def _receipt(bubble: Bubble) -> dict[str, Any]:
    return {
        "channel": bubble.channel,
        "message": bubble.kind,
        "text": bubble.text,
        "facts": bubble.facts,
    }


def ids_of_same_person(world: World, person: str) -> list[str]:
    """All outside ids of the human behind an openid, an external_userid or a unionid."""
    followers, customers = world.wechat.followers, world.wecom.customers
    known = followers.get(person) or customers.get(person)
    unionid = known.unionid if known else person
    same = [openid for openid, one in followers.items() if unionid and one.unionid == unionid]
    same += [external for external, one in customers.items() if unionid and one.unionid == unionid]
    return same or [person]
