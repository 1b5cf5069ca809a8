"""A person, please: the member is handed to the own guide, and the bot keeps still meanwhile."""

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlmodel import Session, select

from bot import handing_over
from bot.dialogue import HUMAN
from bot.messages import Answer, Menu, Other, Place, Reply, Silence, Transfer, Turn
from content import talk_words
from content.messages import MessageKind, render
from content.phrases import INTENT_LABELS, Intent
from guide_tasks import duty
from store import handovers, inbound, shops
from store.accounts import Account, Platform
from store.handovers import Ending, Handover, Side
from store.members import Identity
from store.organisation import Brand, Guide, HumanDesk, Shop
from store.shops import Hours


@dataclass(frozen=True)
class _Duty:
    """Who answers, and how the door of their shop stands."""

    guide: Guide
    shop: Shop
    hours: Hours
    zone: ZoneInfo

    def reads_from(self, now: datetime) -> datetime:
        """When somebody can read it: now, or when the shop opens."""
        return now if self.hours.is_open or self.hours.until is None else self.hours.until


def start(turn: Turn, session: Session, now: datetime) -> Answer:
    """Find who answers, tell them what was said lately, and be still."""
    identity = session.get_one(Identity, turn.identity_id)
    account = _account(session, identity)
    if account.human_desk is HumanDesk.WECHAT:
        _begin(session, identity, account, None, now, since=now)
        return Transfer()
    found = _on_duty(session, turn.member_id, now)
    if found is None:
        return Reply(render(MessageKind.HANDOVER_NOBODY))
    since = found.reads_from(now)
    handover = _begin(session, identity, account, found.guide, now, since=since)
    for said in inbound.last_words(session, turn.member_id, now=now):
        handovers.say(session, handover, Side.MEMBER, said, now=now)
    handovers.say(session, handover, Side.MEMBER, _said(turn), now=now)
    handing_over.nudge(session, handover, public_url=turn.public_url, now=now)
    return Reply(_handed_over(found, now))


def forward(turn: Turn, session: Session, now: datetime) -> Answer:
    """Keep what was said for the guide, who hears of it now or with the next lines."""
    handover = session.get_one(Handover, turn.facts["handover_id"])
    handovers.lock(session, handover)
    handovers.say(session, handover, Side.MEMBER, _said(turn), now=now)
    handing_over.keep_going(session, handover, HUMAN, now=now)
    if handover.desk is HumanDesk.WECHAT:
        return Transfer()
    if handovers.may_nudge(handover, now):
        handing_over.nudge(session, handover, public_url=turn.public_url, now=now)
    return Silence()


def forward_doubtful(turn: Turn, session: Session, now: datetime) -> Answer:
    """What may be meant for the person or for the bot: the person hears it, and how to stop."""
    answer = forward(turn, session, now)
    return Reply(talk_words.PASSED_ON) if isinstance(answer, Silence) else answer


def remind(turn: Turn, session: Session, _now: datetime) -> Answer:
    """A tap is not for the person: say how to come back."""
    handover = session.get_one(Handover, turn.facts["handover_id"])
    guide = session.get(Guide, handover.guide_id) if handover.guide_id is not None else None
    return Reply(render(MessageKind.HANDOVER_MUTED, name=guide.name if guide else ""))


def leave(turn: Turn, session: Session, now: datetime) -> Answer:
    """The member comes back to the bot."""
    handover = session.get_one(Handover, turn.facts["handover_id"])
    handing_over.release(session, handover, Ending.MEMBER, now=now)
    return Reply(render(MessageKind.HANDOVER_ENDED, by=Ending.MEMBER, name=""))


def _begin(
    session: Session,
    identity: Identity,
    account: Account,
    guide: Guide | None,
    now: datetime,
    *,
    since: datetime,
) -> Handover:
    handover = handovers.begin(
        session,
        identity,
        brand_id=account.brand_id,
        guide_id=guide.id if guide is not None else None,
        expires_at=since + handovers.PATIENCE,
        now=now,
    )
    handing_over.keep_going(session, handover, HUMAN, now=now)
    return handover


def _on_duty(session: Session, member_id: int, now: datetime) -> _Duty | None:
    guide = duty.on_duty(
        session, member_id, load=lambda ids: handovers.open_load(session, ids), now=now
    )
    if guide is None:
        return None
    shop = session.get_one(Shop, guide.shop_id)
    zone = ZoneInfo(session.get_one(Brand, shop.brand_id).timezone)
    return _Duty(guide, shop, shops.hours(shop, zone, now), zone)


def _handed_over(found: _Duty, now: datetime) -> str:
    is_open = found.hours.is_open
    opens = "" if is_open else talk_words.opening(found.hours, now.astimezone(found.zone))
    return render(MessageKind.HANDED_OVER, name=found.guide.name, shop=found.shop.name, opens=opens)


def _said(turn: Turn) -> str:
    """What the guide reads: the words, or what was sent in their place."""
    match turn.message:
        case Place(label=label):
            return talk_words.attachment("place", label)
        case Other(kind=kind):
            return talk_words.attachment(kind)
        case Menu():
            return INTENT_LABELS[Intent.HUMAN]
        case _:
            return turn.words


def _account(session: Session, identity: Identity) -> Account:
    query = select(Account).where(
        Account.platform == Platform.WECHAT, Account.app_id == identity.account
    )
    return session.exec(query).one()
