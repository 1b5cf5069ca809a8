"""Give a coupon to a friend: choose one, confirm, get a card to pass on; or take it back."""

from datetime import datetime

from sqlmodel import Session

from bot.dialogue import stay
from bot.messages import Answer, Card, Reply, Turn
from content.keywords import normal
from content.messages import MessageKind, render
from store import coupons, gifts, inbound
from store.coupons import Coupon, CouponPlan

CHOOSE = "gift_choose"
CONFIRM = "gift_confirm"

# A list that fits a phone's screen; two digits are the longest answer to it.
_MOST = 9
_LONGEST_NUMBER = 2


def start(turn: Turn, session: Session, now: datetime) -> Answer:
    """Ask which coupon; with only one, ask whether to send it."""
    choices = _choices(turn, session, now)
    if not choices:
        return Reply(render(MessageKind.GIFT_NONE))
    if len(choices) == 1:
        coupon, plan = choices[0]
        facts = {"coupon_id": coupon.id}
        inbound.begin_talk(session, turn.identity_id, CONFIRM, facts=facts, now=now)
        return _sure(plan)
    ids = {"coupon_ids": [coupon.id for coupon, _ in choices]}
    inbound.begin_talk(session, turn.identity_id, CHOOSE, facts=ids, now=now)
    return _which(turn, choices)


def choose(turn: Turn, session: Session, now: datetime) -> Answer:
    """A number was given: ask whether to send that coupon."""
    ids: list[int] = turn.facts["coupon_ids"]
    said = normal(turn.words)
    number = int(said) if len(said) <= _LONGEST_NUMBER else 0
    if not 1 <= number <= len(ids):
        return ask_again(turn, session, now)
    talk = inbound.conversation(session, turn.identity_id, now)
    if talk is None:
        return start(turn, session, now)
    facts = {"coupon_id": ids[number - 1]}
    inbound.move_talk(session, talk, CONFIRM, facts=facts, now=now)
    return _sure(_plan(session, ids[number - 1]))


def confirm(turn: Turn, session: Session, now: datetime) -> Answer:
    """Put the coupon on its way and hand over a card, whose link only its holder knows."""
    coupon_id: int = turn.facts["coupon_id"]
    gift, token = gifts.offer(session, coupon_id, turn.member_id, now=now)
    inbound.end_talk(session, turn.identity_id)
    return Card(
        render(MessageKind.GIFT_TITLE, name=_plan(session, coupon_id).name),
        render(MessageKind.GIFT_OFFERED, ends=turn.local(gift.expires_at)),
        turn.page(f"gift/{token}"),
        is_private=True,
    )


def take_back(turn: Turn, session: Session, now: datetime) -> Answer:
    """The one coupon that waits for a friend comes back; of several the page lets choose."""
    waiting = coupons.on_the_way(session, turn.member_id, now)
    name = ""
    if len(waiting) == 1:
        _, plan, gift = waiting[0]
        gifts.cancel(session, gift.id, turn.member_id, now=now)
        name = plan.name
    url = turn.page("coupons?show=on_the_way")
    return Reply(render(MessageKind.GIFT_TAKEN_BACK, name=name, waiting=len(waiting), url=url))


def cancel(turn: Turn, session: Session, _now: datetime) -> Answer:
    """Nothing is sent."""
    inbound.end_talk(session, turn.identity_id)
    return Reply(render(MessageKind.GIFT_CANCELLED))


def ask_again(turn: Turn, session: Session, now: datetime) -> Answer:
    """The answer fits no question: repeat the question."""
    stay(turn, session, now)
    if turn.step == CONFIRM:
        return _sure(_plan(session, turn.facts["coupon_id"]))
    wanted: list[int] = turn.facts["coupon_ids"]
    choices = {coupon.id: (coupon, plan) for coupon, plan in _choices(turn, session, now)}
    if any(coupon_id not in choices for coupon_id in wanted):
        # The list has changed under the question, so its numbers would mislead.
        return start(turn, session, now)
    return _which(turn, [choices[coupon_id] for coupon_id in wanted])


def _choices(turn: Turn, session: Session, now: datetime) -> list[tuple[Coupon, CouponPlan]]:
    usable = coupons.usable(session, turn.member_id, now)
    giftable = [(coupon, plan) for coupon, plan in usable if coupon.hops < plan.gift_hops]
    return giftable[:_MOST]


def _which(turn: Turn, choices: list[tuple[Coupon, CouponPlan]]) -> Reply:
    lines = [
        {"name": plan.name, "ends_on": turn.day(coupon.expires_at)} for coupon, plan in choices
    ]
    return Reply(render(MessageKind.GIFT_CHOOSE, coupons=lines))


def _sure(plan: CouponPlan) -> Reply:
    return Reply(render(MessageKind.GIFT_CONFIRM, name=plan.name, hours=gifts.GIFT_LIFE_HOURS))


def _plan(session: Session, coupon_id: int) -> CouponPlan:
    return session.get_one(CouponPlan, session.get_one(Coupon, coupon_id).plan_id)
