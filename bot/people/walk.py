"""The walk through all customers of all guides, page by page: what callbacks have not brought.

Most of a page is as it was, and is only marked as seen, in one statement. Who is new or different
is written down and steps. Whom WeCom lists no more is no contact any more.
"""

import json
import logging
from collections.abc import Mapping, Sequence

from sqlalchemy import text
from sqlmodel import Session, col, select

from bot.calls import ApiError
from bot.people import matching
from bot.people.bits import Bit, Position, Trip
from bot.people.events import arrive
from bot.people.steps import NO_CONTACT
from bot.wecom import contacts as api
from bot.wecom.contacts import Contact as Told
from bot.wecom.contacts import Follow, Page
from bot.wecom.directory import UNSEEN
from store import contacts, corp_tags, members
from store.contacts import Contact, EndedBy
from store.corp_tags import CorpTag
from store.errors import Refusal, whereabouts
from store.members import Identity, IdentityChannel
from store.organisation import Guide, GuideStatus, Shop
from store.tags import MemberTag

_log = logging.getLogger(__name__)

# wecom.md §2.3: a cursor of another day, and guides who may have no customers.
_BAD_CURSOR = 40058
_NOT_ASKED = UNSEEN | {84074, 40098, 41054}
# A guide of whom WeCom shows nothing at once, where it had shown so many, is looked at by a person.
_DOUBTED = 5


def bit(trip: Trip, position: Position) -> Bit:
    """One page of one guide's customers."""
    with trip.database.transaction() as session:
        guide = _next(session, trip.account.brand_id, int(position.get("after", 0)))
    if guide is None:
        return Bit(None)
    # Whoever had the page before may have left since, and a cursor is one guide's own.
    cursor = str(position.get("cursor", "")) if position.get("of") == guide.id else ""
    try:
        page = _page(trip, guide, cursor)
    except ApiError as error:
        if error.code not in _NOT_ASKED:
            raise
        return Bit({"after": guide.id}, {"guides_unseen": 1})
    changed = _take(trip, guide, page)
    counts = {"customers": len(page.contacts), "changed": changed}
    if page.cursor:
        here = {"after": guide.id - 1, "of": guide.id, "cursor": page.cursor}
        return Bit(here, counts)
    is_empty = not page.contacts and not cursor
    return Bit(
        {"after": guide.id}, counts | {"guides": 1, "ended": _end_missed(trip, guide, is_empty)}
    )


def _page(trip: Trip, guide: Guide, cursor: str) -> Page:
    try:
        return api.page(trip.api, guide.userid, cursor)
    except ApiError as error:
        if error.code == _BAD_CURSOR and cursor:
            return api.page(trip.api, guide.userid, "")
        if error.code in NO_CONTACT:
            return Page((), "")
        raise


def _next(session: Session, brand_id: int, after: int) -> Guide | None:
    query = select(Guide).join(Shop, col(Shop.id) == Guide.shop_id)
    query = query.where(Shop.brand_id == brand_id, Guide.status == GuideStatus.ACTIVE)
    return session.exec(query.where(Guide.id > after).order_by(col(Guide.id)).limit(1)).first()


def _take(trip: Trip, guide: Guide, page: Page) -> int:
    """Mark those as seen who are as they were, and write the others down; gives how many."""
    with trip.database.transaction() as session:
        _adopt(session, trip, guide, page)
        known = _known(session, trip, guide, [one.external_userid for one in page.contacts])
        ours = {row.corp_tag_id for row, _ in corp_tags.living(session, trip.account.id)}
        fresh = [
            one
            for one in page.contacts
            if not _is_same(known.get(one.external_userid), one, guide, ours)
        ]
        other = {one.external_userid for one in fresh}
        same = [contact.id for key, (contact, _) in known.items() if key not in other]
        session.execute(_SEEN, {"ids": same, "now": trip.clock()})
    for one in fresh:
        _write(trip, guide, one)
    return len(fresh)


def _adopt(session: Session, trip: Trip, guide: Guide, page: Page) -> None:
    """Friends who came by an import have no contact yet: all of a page in one statement."""
    follows = [(one, one.of(guide.userid)) for one in page.contacts]
    rows = [
        {"customer": one.external_userid, "name": one.name, "remark": follow.remark}
        for one, follow in follows
        if follow is not None
    ]
    facts = {"guide": guide.id, "account": trip.account.app_id, "rows": json.dumps(rows)}
    session.execute(_ADOPT, facts | {"now": trip.clock()})


def _known(
    session: Session, trip: Trip, guide: Guide, outside_ids: Sequence[str]
) -> Mapping[str, tuple[Contact, Identity]]:
    query = (
        select(Contact, Identity)
        .join(Identity, col(Identity.id) == Contact.identity_id)
        .where(Contact.guide_id == guide.id, Identity.account == trip.account.app_id)
        .where(Identity.channel == IdentityChannel.WECOM)
        .where(col(Identity.outside_id).in_(outside_ids))
    )
    return {identity.outside_id: (contact, identity) for contact, identity in session.exec(query)}


def _is_same(
    known: tuple[Contact, Identity] | None, told: Told, guide: Guide, ours: set[str]
) -> bool:
    follow = told.of(guide.userid)
    if known is None or follow is None:
        return False
    contact, identity = known
    is_open = contact.ended_by is None and contact.changed_at is not None
    return (
        is_open
        and told.unionid in {None, identity.unionid}
        and (contact.nickname, contact.remark) == (told.name, follow.remark)
        and set(contact.corp_tag_ids) & ours == follow.tag_ids & ours
    )


def _write(trip: Trip, guide: Guide, told: Told) -> None:
    """One customer who is new or different, in a transaction of their own; one fault is one."""
    follow = told.of(guide.userid)
    if follow is None:
        return
    try:
        with trip.database.transaction() as session:
            _meet(session, trip, guide, told, follow)
    except Refusal as refusal:
        _log.warning("A customer is left out of the walk: %s.", whereabouts(refusal))


def _meet(session: Session, trip: Trip, guide: Guide, told: Told, follow: Follow) -> None:
    now = trip.clock()
    identity = members.meet(
        session,
        channel=IdentityChannel.WECOM,
        account=trip.account.app_id,
        outside_id=told.external_userid,
        brand_id=trip.account.brand_id,
        now=now,
    )
    if told.unionid:
        matching.by_unionid(session, identity, told.unionid, now=now)
    contact = contacts.of_pair(session, guide.id, identity)
    contacts.seen(session, contact, identity, since=follow.created_at, now=now)
    arrive(session, contact, identity, follow.state, now=now)
    contact.nickname = told.name
    if contact.wanted_remark is None:
        contact.remark = follow.remark
    if contact.ended_by is None and _needs_a_step(session, contact, identity, follow):
        contacts.want(session, contact, now=now)


def _needs_a_step(session: Session, contact: Contact, identity: Identity, follow: Follow) -> bool:
    """Whether the page does not say it all: tags at either place, a mobile that may tell who."""
    if follow.tag_ids or contact.corp_tag_ids or contact.wanted_remark is not None:
        return True
    if follow.mobiles and identity.unionid is None:
        return True
    worn = select(MemberTag.tag_id).join(CorpTag, col(CorpTag.tag_id) == MemberTag.tag_id)
    query = worn.where(MemberTag.member_id == identity.member_id, col(CorpTag.gone_at).is_(None))
    return session.exec(query.limit(1)).first() is not None


def _end_missed(trip: Trip, guide: Guide, is_empty: bool) -> int:
    """End what the walk has not seen; contacts that began since are none of its business."""
    with trip.database.transaction() as session:
        facts = {"guide": guide.id, "account": trip.account.app_id, "began": trip.began_at}
        missed = session.execute(_MISSED, facts).all()
        if is_empty and len(missed) >= _DOUBTED:
            _log.error("WeCom shows no customer of guide %s any more: doubted.", guide.id)
            return 0
    for identity_id in sorted(row.identity_id for row in missed):
        with trip.database.transaction() as session:
            identity = session.get(Identity, identity_id)
            if identity is not None:
                contact = contacts.of_pair(session, guide.id, identity)
                by = EndedBy.PLATFORM
                contacts.ended(session, contact, identity, by=by, at=trip.began_at)
    return len(missed)


_ADOPT = text("""
INSERT INTO contacts (guide_id, identity_id, changed_at, is_attributed, nickname, remark,
                      corp_tag_ids, seen_at, attempts, failure)
SELECT f.guide_id, i.id, f.since, true, told.name, told.remark, '[]', :now, 0, ''
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS told(customer text, name text, remark text)
JOIN identities i ON i.channel = 'wecom' AND i.account = :account AND i.outside_id = told.customer
JOIN friendships f ON f.guide_id = :guide AND f.external_userid = told.customer AND f.until IS NULL
ON CONFLICT DO NOTHING
""")
_SEEN = text("UPDATE contacts SET seen_at = :now WHERE id = ANY(:ids)")
_MISSED = text("""
SELECT i.id AS identity_id FROM friendships f
JOIN identities i ON i.channel = 'wecom' AND i.account = :account
    AND i.outside_id = f.external_userid
LEFT JOIN contacts c ON c.guide_id = f.guide_id AND c.identity_id = i.id
WHERE f.guide_id = :guide AND f.until IS NULL AND f.since < :began
AND (c.id IS NULL OR ((c.seen_at IS NULL OR c.seen_at < :began)
    AND (c.changed_at IS NULL OR c.changed_at < :began)))
ORDER BY i.id
""")
