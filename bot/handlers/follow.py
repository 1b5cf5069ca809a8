"""Following the account, scanning its codes, and events that need no answer."""

from datetime import datetime

from sqlmodel import Session

from bot import scenes
from bot.messages import Answer, Follow, Reply, Scan, Silence, Turn
from bot.scenes import Came
from content.messages import MessageKind, render
from content.phrases import joining_gift
from store import binding
from store.members import Identity, Member
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
    return _welcome(session, identity, came, occasion)


def scan(turn: Turn, session: Session, now: datetime) -> Answer:
    """A follower scanned a code: say whose it is."""
    assert isinstance(turn.message, Scan)
    identity = session.get_one(Identity, turn.identity_id)
    came = scenes.arrive(
        session, turn.message.scene, identity=identity, kind=VisitKind.SCAN, now=now
    )
    return _welcome(session, identity, came, "scan")


def stay_silent(_turn: Turn, _session: Session, _now: datetime) -> Answer:
    """An event that the person did not mean as a question."""
    return Silence()


def _welcome(session: Session, identity: Identity, came: Came, occasion: str) -> Reply:
    usual = {"occasion": occasion, "gift": _gift(session, identity)}
    match came:
        case Came(shop=shop, guide=guide) if shop and guide:
            facts = {"shop": shop.name, "guide": guide.name, "is_own": came.is_own}
            return Reply(render(MessageKind.WELCOME_GUIDE, **usual, **facts))
        case Came(shop=shop) if shop:
            facts = {"shop": shop.name, "address": shop.address}
            return Reply(render(MessageKind.WELCOME_SHOP, **usual, **facts))
        case Came(campaign=campaign) if campaign:
            facts = {"campaign": campaign, "offer": came.offer}
            return Reply(render(MessageKind.WELCOME_CAMPAIGN, **usual, **facts))
        case _:
            return Reply(render(MessageKind.WELCOME, **usual))


def _gift(session: Session, identity: Identity) -> str:
    """What joining would bring; nothing to who is a member already."""
    member = session.get_one(Member, identity.member_id)
    if member.joined_at is not None or member.mobile is not None:
        return ""
    gift = binding.offered(session, member.brand_id)
    return joining_gift(gift.coupon, gift.points) if gift else ""
