"""The giver hears when a friend has claimed: one service message, if the window is open."""

from datetime import datetime, timedelta

from sqlmodel import Session

from content.messages import MessageKind, render
from content.phrases import initial
from fatigue import gate
from store.coupons import Coupon, CouponPlan, Gift
from store.jobs import Job, after_commit
from store.members import Member
from store.touches import Category, Channel, TouchState

# Later it is no news any more.
_WORTH = timedelta(minutes=15)


def tell_giver(session: Session, gift: Gift, *, now: datetime) -> None:
    """Ask the gate to tell the giver of a gift just claimed; giver and receiver are locked.

    The giver did not ask for this, so it is a touch: outside the platform's window it is withheld.
    """
    giver = session.get_one(Member, gift.giver_id)
    friend = session.get_one(Member, gift.claimed_by_id)
    plan = session.get_one(CouponPlan, session.get_one(Coupon, gift.coupon_id).plan_id)
    wish = gate.Ask(
        key=f"gift-{gift.id}-claimed",
        member_id=giver.id,
        channels=(Channel.WECHAT_SERVICE,),
        category=Category.SERVICE,
        brand_id=giver.brand_id,
        text=render(MessageKind.GIFT_CLAIMED, name=plan.name, friend=initial(friend.name)),
        deadline_at=now + _WORTH,
    )
    touch = gate.ask(session, wish, now=now)
    if touch.state is TouchState.RESERVED:
        after_commit(session, Job.DELIVER_TOUCH, touch.id)
