"""Following the account, scanning its codes, and events that need no answer."""

from datetime import datetime

from sqlmodel import Session

from bot import scenes
from bot.messages import Answer, Follow, Reply, Scan, Silence, Turn
from bot.scenes import Came
from content.messages import MessageKind, render
from store.members import Identity
from store.scenes import VisitKind


def greet(turn: Turn, session: Session, now: datetime) -> Answer:
    """Welcome a new or returning follower by the code they came by; messages reach them again."""
    assert isinstance(turn.message, Follow)
    identity = session.get_one(Identity, turn.identity_id)
    occasion = "new" if identity.is_reachable else "back"
    identity.is_reachable = True
    came = scenes.arrive(
        session, turn.message.scene, identity=identity, kind=VisitKind.FOLLOW, now=now
    )
    return _welcome(came, occasion)


def scan(turn: Turn, session: Session, now: datetime) -> Answer:
    """A follower scanned a code: say whose it is."""
    assert isinstance(turn.message, Scan)
    identity = session.get_one(Identity, turn.identity_id)
    came = scenes.arrive(
        session, turn.message.scene, identity=identity, kind=VisitKind.SCAN, now=now
    )
    return _welcome(came, "scan")


def stay_silent(_turn: Turn, _session: Session, _now: datetime) -> Answer:
    """An event that the person did not mean as a question."""
    return Silence()


def _welcome(came: Came, occasion: str) -> Reply:
    match came:
        case Came(shop=shop, guide=guide) if shop and guide:
            facts = {"shop": shop.name, "guide": guide.name, "is_own": came.is_own}
            return Reply(render(MessageKind.WELCOME_GUIDE, occasion=occasion, **facts))
        case Came(shop=shop) if shop:
            facts = {"shop": shop.name, "address": shop.address}
            return Reply(render(MessageKind.WELCOME_SHOP, occasion=occasion, **facts))
        case Came(campaign=campaign) if campaign:
            facts = {"campaign": campaign, "offer": came.offer}
            return Reply(render(MessageKind.WELCOME_CAMPAIGN, occasion=occasion, **facts))
        case _:
            return Reply(render(MessageKind.WELCOME, occasion=occasion))
