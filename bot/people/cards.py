"""Task cards that change in the guide's hands: a tap on the menu shows how far the tasks are.

The code of a tap is good for one change (wecom.md §3.3), so it is used up before the call: a card
that was not changed is tapped again, and shows no wrong figure meanwhile.
"""

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import func
from sqlmodel import Session, col, select

from bot.calls import ApiError
from bot.channels.base import Outgoing
from bot.channels.wecom_app import card_of
from bot.wecom import cards as api
from bot.wecom.client import WecomClients
from content.notices import task_card_now
from store import accounts, cards
from store.accounts import Account, Platform, SealBroken
from store.campaigns import WITH_GUIDE, Assignment, Campaign, CareTask
from store.cards import Card
from store.db import Database
from store.notices import Notice
from store.organisation import Brand, Guide, GuideStatus

_log = logging.getLogger(__name__)


def change(
    database: Database, clients: WecomClients, card_id: int, *, clock: Callable[[], datetime]
) -> None:
    """Show on a card how things stand; without a good code it stays as it is."""
    with database.transaction() as session:
        found = _due(session, session.get_one(Card, card_id), clock())
    if found is None:
        return
    account, userid, code, message, is_done = found
    out = Outgoing(str(card_id), str(message["text"]), message)
    try:
        api.change(clients.of(account), userid, code, card_of(out))
    except (ApiError, SealBroken) as error:
        _log.info("The card %s stays as it is: %s", card_id, error)
        return
    with database.transaction() as session:
        card = session.get_one(Card, card_id)
        card.shown = str(message["title"])
        card.closed_at = clock() if is_done else None


def _due(
    session: Session, card: Card, now: datetime
) -> tuple[Account, str, str, dict[str, Any], bool] | None:
    """The account and guide, the code, what to show, and whether that is the last word."""
    notice = session.exec(select(Notice).where(Notice.key == card.task_id)).one()
    guide = session.get_one(Guide, notice.guide_id)
    if notice.assignment_id is None or guide.status is not GuideStatus.ACTIVE:
        return None
    assignment = session.get_one(Assignment, notice.assignment_id)
    campaign = session.get_one(Campaign, assignment.campaign_id)
    tasks, left = _progress(session, assignment)
    code = cards.take_code(session, card.id, now=now)
    if not code:
        return None
    zone = ZoneInfo(session.get_one(Brand, campaign.brand_id).timezone)
    message = task_card_now(
        campaign=campaign.name,
        tasks=tasks,
        left=left,
        deadline_at=campaign.deadline_at,
        zone=zone,
        url=str(notice.message.get("url", "")),
    )
    account = accounts.of_brand(session, campaign.brand_id, Platform.WECOM)
    return account, guide.userid, code, message, left == 0


def _progress(session: Session, assignment: Assignment) -> tuple[int, int]:
    is_open = col(CareTask.state).in_(WITH_GUIDE)
    query = select(func.count(), func.count().filter(is_open)).where(
        CareTask.assignment_id == assignment.id
    )
    tasks, left = session.exec(query).one()
    return tasks, left
