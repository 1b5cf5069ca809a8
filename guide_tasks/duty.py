"""Who answers for a member now: the own guide, who last served, the shop's rota, a manager."""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from datetime import datetime

from sqlmodel import Session, col, select

from store import leaves
from store.members import Member
from store.orders import Order
from store.organisation import Guide, GuideRole, GuideStatus, Shop
from store.relations import Ownership

Load = Callable[[Collection[int]], Counter[int]]


def on_duty(
    session: Session,
    member_id: int,
    *,
    load: Load,
    besides: Collection[int] = (),
    now: datetime | None = None,
) -> Guide | None:
    """The one who answers, the least loaded where several could; `besides` are left out.

    So are those who are on leave `now`; without an instant leave is of no matter.
    Of the managers of the whole brand anybody answers for a member without shop and guide.
    """
    for candidates in (_own, _last_served, _of_shop, _managers):
        able = [guide for guide in candidates(session, member_id) if guide.id not in besides]
        if now is not None and able:
            away = leaves.away(session, [guide.id for guide in able], now=now)
            able = [guide for guide in able if guide.id not in away]
        if able:
            busy = load([guide.id for guide in able])
            return min(able, key=lambda guide: (busy[guide.id], guide.id))
    return None


def _own(session: Session, member_id: int) -> Sequence[Guide]:
    query = select(Guide).join(Ownership, col(Ownership.guide_id) == Guide.id)
    return session.exec(
        query.where(
            Ownership.member_id == member_id,
            col(Ownership.until).is_(None),
            Guide.status == GuideStatus.ACTIVE,
        )
    ).all()


def _last_served(session: Session, member_id: int) -> Sequence[Guide]:
    query = (
        select(Guide)
        .join(Order, col(Order.guide_id) == Guide.id)
        .where(Order.member_id == member_id, Guide.status == GuideStatus.ACTIVE)
        .order_by(col(Order.paid_at).desc(), col(Order.id).desc())
        .limit(1)
    )
    return session.exec(query).all()


def _of_shop(session: Session, member_id: int) -> Sequence[Guide]:
    query = select(Guide).join(Member, col(Member.shop_id) == Guide.shop_id)
    in_post = query.where(Member.id == member_id, Guide.status == GuideStatus.ACTIVE)
    return session.exec(in_post).all()


def _managers(session: Session, member_id: int) -> Sequence[Guide]:
    query = (
        select(Guide)
        .join(Shop, col(Shop.id) == Guide.shop_id)
        .join(Member, col(Member.brand_id) == Shop.brand_id)
        .where(Member.id == member_id, Guide.status == GuideStatus.ACTIVE)
        .where(Guide.role != GuideRole.GUIDE)
    )
    return session.exec(query).all()
