"""A colleague who was to take over a customer has too many: the next in line is asked, each once.

What is to be done for the customer goes along, for a guide can write to nobody but a contact. When
nobody is left the customer stays without a guide in WeCom, and who leads the shop is told.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlmodel import Session, col, select

from content import notices as words
from guide_tasks import departures, duty, tasks
from store import members, notices, relations, transfers
from store.contacts import Contact
from store.db import Database
from store.departures import of_guide
from store.members import Identity
from store.notices import NoticeForm, NoticeKind
from store.organisation import Brand, Guide, GuideRole, GuideStatus, Shop
from store.relations import Friendship, Ownership
from store.transfers import Transfer

_AT_ONCE = 200
# Why a task lies with another guide now.
_WHY = "taker_full"


def plan_again(database: Database, *, public_url: str, now: datetime) -> int:
    """Plan every transfer anew whose taker was full; gives how many are on their way again."""
    with database.transaction() as session:
        full = transfers.full(session, limit=_AT_ONCE)
    stranded: Counter[int] = Counter()
    for transfer_id in full:
        with database.transaction() as session:
            giver_id = _pass_on(session, transfer_id, now)
        if giver_id is not None:
            stranded[giver_id] += 1
    with database.transaction() as session:
        _tell(session, stranded, public_url, now)
    return len(full) - stranded.total()


def _pass_on(session: Session, transfer_id: int, now: datetime) -> int | None:
    """Give the customer to the next; or the guide of whom a customer is left with nobody."""
    contact = session.get_one(Contact, session.get_one(Transfer, transfer_id).contact_id)
    identity = session.get_one(Identity, contact.identity_id)
    member = members.lock(session, identity.member_id)
    # Of two workers with the same, the first has planned it anew, or has told.
    transfer = transfers.lock_full(session, transfer_id)
    if transfer is None:
        return None
    heir = _heir(session, transfer, contact, member.id)
    if heir is None:
        transfer.failure = transfers.NOBODY
        return contact.guide_id
    if _came_by_it(session, transfer, member.id):
        relations.own(session, member.id, heir.id, now=now)
    if not _is_contact(session, transfer.taker_id, member.id):
        tasks.follow(session, member.id, transfer.taker_id, to=heir, why=_WHY, now=now)
    transfers.plan(session, contact, heir.id, has_left=transfer.has_left, now=now)
    return None


def _heir(session: Session, transfer: Transfer, contact: Contact, member_id: int) -> Guide | None:
    """Who would answer for the member, besides those who were asked already."""
    if transfer.failure == transfers.TOO_OFTEN:
        return None
    return duty.on_duty(
        session,
        member_id,
        load=lambda ids: departures.owned_by(session, ids),
        besides=transfers.takers(session, contact.id) | {contact.guide_id},
    )


def _is_contact(session: Session, guide_id: int, member_id: int) -> bool:
    query = select(Friendship.id).where(
        Friendship.guide_id == guide_id,
        Friendship.member_id == member_id,
        col(Friendship.until).is_(None),
    )
    return session.exec(query.limit(1)).first() is not None


def _came_by_it(session: Session, transfer: Transfer, member_id: int) -> bool:
    """Whether who cannot write to the member is their own guide by the same departure."""
    departure = of_guide(session, transfer.giver_id)
    query = select(Ownership).where(
        Ownership.member_id == member_id, col(Ownership.until).is_(None)
    )
    own = session.exec(query.where(Ownership.guide_id == transfer.taker_id)).first()
    return own is not None and departure is not None and own.since >= departure.began_at


def _tell(session: Session, stranded: Mapping[int, int], public_url: str, now: datetime) -> None:
    """One message about each who left, to everybody who leads the shop; or the brand."""
    for giver_id, customers in sorted(stranded.items()):
        giver = session.get_one(Guide, giver_id)
        shop = session.get_one(Shop, giver.shop_id)
        zone = ZoneInfo(session.get_one(Brand, shop.brand_id).timezone)
        message = words.stranded(
            guide=giver.name, customers=customers, url=f"{public_url}/guide/team"
        )
        for leader in _leaders(session, shop):
            key = f"stranded-{giver_id}-{leader.id}-{now.astimezone(zone):%Y%m%d}"
            form = NoticeForm(key, leader.id, NoticeKind.CARD, message)
            notices.post(session, form, now=now)


def _leaders(session: Session, shop: Shop) -> Sequence[Guide]:
    """Managers in post of the shop; where it has none, everybody who leads more than a shop."""
    query = select(Guide).join(Shop, col(Shop.id) == Guide.shop_id)
    query = query.where(Guide.status == GuideStatus.ACTIVE).order_by(col(Guide.id))
    own = query.where(Guide.shop_id == shop.id, Guide.role == GuideRole.MANAGER)
    wide = query.where(Shop.brand_id == shop.brand_id).where(
        col(Guide.role).in_((GuideRole.REGION, GuideRole.HQ))
    )
    return session.exec(own).all() or session.exec(wide).all()
