"""Feedback: one to five, a few words if the member likes, and somebody to make amends if poor."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

from sqlmodel import Session

from bot.dialogue import number_of
from bot.messages import Answer, Choices, Reply, Turn
from content import talk_words
from content.keywords import normal
from content.messages import MessageKind, render
from guide_tasks import amends
from store import feedback, inbound
from store.feedback import Feedback
from store.members import Member
from store.organisation import Brand, Shop

SCORE, WORDS = "feedback_score", "feedback_words"
TAP = "feedback:"
_SOURCE = "chat"


def start(turn: Turn, session: Session, now: datetime) -> Answer:
    """Ask how it was: the last purchase, or all in all."""
    order = feedback.unrated_order(session, turn.member_id, now)
    facts = {"order_id": order.id if order else None}
    inbound.begin_talk(session, turn.identity_id, SCORE, facts=facts, now=now)
    shop = session.get(Shop, order.shop_id) if order and order.shop_id is not None else None
    head = render(
        MessageKind.FEEDBACK_ASK,
        bought_on=turn.day(order.paid_at) if order else None,
        shop=shop.name if shop else "",
    )
    items = tuple((f"{TAP}{score}", label) for score, label in talk_words.SCORE_LABELS.items())
    return Choices(head, items)


def score(turn: Turn, session: Session, now: datetime) -> Answer:
    """A score was tapped or typed: keep it at once, then ask for words."""
    given_score = talk_words.SCORE_WORDS.get(normal(turn.words)) or number_of(turn, TAP)
    if not feedback.WORST <= given_score <= feedback.BEST:
        return start(turn, session, now)
    given = feedback.give(
        session,
        turn.member_id,
        given_score,
        order_id=_order_id(turn, session, now),
        source=_SOURCE,
        today=_today(session, turn.member_id, now),
        now=now,
    )
    guide = None
    if given.is_poor:
        guide = amends.raise_task(session, given, public_url=turn.public_url, now=now)
    facts = {"feedback_id": given.id}
    inbound.begin_talk(session, turn.identity_id, WORDS, facts=facts, now=now)
    name = guide.name if guide else ""
    facts_said = {"is_poor": given.is_poor, "score": given_score, "guide": name}
    return Reply(render(MessageKind.FEEDBACK_GIVEN, **facts_said))


def words(turn: Turn, session: Session, _now: datetime) -> Answer:
    """What the member says about it."""
    given = session.get_one(Feedback, turn.facts["feedback_id"])
    feedback.add_words(session, given, turn.words.strip())
    guide = amends.add_words(session, given, turn.words.strip()) if given.is_poor else None
    inbound.end_talk(session, turn.identity_id)
    name = guide.name if guide else ""
    return Reply(render(MessageKind.FEEDBACK_KEPT, is_poor=given.is_poor, guide=name))


def _order_id(turn: Turn, session: Session, now: datetime) -> int | None:
    """The order that was asked about, or what would be asked about now if that is long ago."""
    if turn.step == SCORE:
        order_id: int | None = turn.facts["order_id"]
        return order_id
    order = feedback.unrated_order(session, turn.member_id, now)
    return order.id if order else None


def _today(session: Session, member_id: int, now: datetime) -> date:
    brand_id = session.get_one(Member, member_id).brand_id
    return now.astimezone(ZoneInfo(session.get_one(Brand, brand_id).timezone)).date()
