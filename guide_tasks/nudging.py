"""Reminders of a card: few, by day, and never twice a day for one guide.

WeCom drops what is over thirty messages a minute for one person, and people stop reading long
before. So a guide is reminded of everything at once, only while a shop is open, and only when
something falls due within a day that has lain there for some hours.
"""

from collections.abc import Sequence
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import func
from sqlmodel import Session, col, select

from content import notices
from guide_tasks.assign import is_at_work
from store.campaigns import WITH_GUIDE, CareTask
from store.db import Database
from store.notices import NoticeForm, NoticeKind, post_all
from store.organisation import Brand, Guide, Shop

_DUE_WITHIN = timedelta(hours=24)
_LAIN_FOR = timedelta(hours=4)
_FROM, _UNTIL = time(10), time(20)


def remind_due(database: Database, *, public_url: str, now: datetime) -> int:
    """Remind every guide at work of what is due soon; gives how many were told."""
    with database.transaction() as session:
        return sum(
            _remind(session, brand, [], public_url, now)
            for brand in session.exec(select(Brand))
            if _FROM <= now.astimezone(ZoneInfo(brand.timezone)).time() < _UNTIL
        )


def nudge(session: Session, guide: Guide, *, public_url: str, now: datetime) -> bool:
    """A manager's nudge of one guide, at any hour; False when nothing is due or today was told."""
    shop = session.get_one(Shop, guide.shop_id)
    brand = session.get_one(Brand, shop.brand_id)
    return bool(_remind(session, brand, [guide.id], public_url, now))


def _remind(
    session: Session, brand: Brand, guide_ids: Sequence[int], public_url: str, now: datetime
) -> int:
    zone = ZoneInfo(brand.timezone)
    today = now.astimezone(zone).date()
    forms = [
        NoticeForm(
            # One a day for one guide: the key is unique.
            key=f"nudge-{guide_id}-{today:%Y%m%d}",
            guide_id=guide_id,
            kind=NoticeKind.CARD,
            message=notices.reminder(
                tasks=tasks, deadline_at=deadline_at, zone=zone, url=f"{public_url}/guide"
            ),
        )
        for guide_id, tasks, deadline_at in _due(session, brand.id, guide_ids, now)
    ]
    return post_all(session, forms, now=now)


def _due(
    session: Session, brand_id: int, guide_ids: Sequence[int], now: datetime
) -> Sequence[tuple[int, int, datetime]]:
    """Guides with the number of their open tasks and the first deadline."""
    waits = col(CareTask.waits_until)
    query = (
        select(Guide.id, func.count(), func.min(CareTask.deadline_at))
        .join(CareTask, col(CareTask.guide_id) == Guide.id)
        .join(Shop, col(Shop.id) == Guide.shop_id)
        .where(Shop.brand_id == brand_id, is_at_work(now))
        .where(col(CareTask.state).in_(WITH_GUIDE), waits.is_(None) | (waits <= now))
        .where(CareTask.deadline_at > now)
        .group_by(col(Guide.id))
        .order_by(col(Guide.id))
    )
    if guide_ids:
        return session.exec(query.where(col(Guide.id).in_(guide_ids))).all()
    lain = func.min(CareTask.created_at) <= now - _LAIN_FOR
    soon = func.min(CareTask.deadline_at) <= now + _DUE_WITHIN
    return session.exec(query.having(lain & soon)).all()
