"""One step of a contact: ask WeCom how it has the pair, and make both sides say the same.

Read, decide and write in one transaction, call, write what both agree on now. Whatever crashes in
between is found again by the next step, for WeCom is asked anew each time. Callbacks only say that
a step is due; so do changes here, and the nightly walk (wecom.md §4, §4.3).
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlmodel import Session, select

from bot.calls import ApiError
from bot.people import matching
from bot.people.events import arrive
from bot.wecom import contacts as api_contacts
from bot.wecom import corp_tags as api_tags
from bot.wecom.client import WeComApi, WecomClients
from bot.wecom.contacts import Follow
from store import accounts, contacts, corp_tags, tags
from store.accounts import Account, Platform, SealBroken
from store.contacts import Contact, EndedBy
from store.corp_tags import Reunion
from store.db import Database
from store.errors import Refusal
from store.members import Identity
from store.organisation import Guide
from store.tags import MemberTag, TagSource

_log = logging.getLogger(__name__)

# wecom.md §2.3: the two are no contacts, or this app does not see the customer.
NO_CONTACT = frozenset({40096, 84061, 84084})
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(seconds=30), timedelta(hours=6)
_MOST_TRIES = 20
_SHOWN_REMARK = api_contacts.REMARK_CHARACTERS


@dataclass(frozen=True)
class _Pair:
    """Whom a step is about, and who may ask WeCom."""

    account: Account
    guide: Guide
    identity: Identity


@dataclass(frozen=True)
class Change:
    """What WeCom is to be told: corp tags on and off, a remark. `tag_ids` are those agreed on."""

    tag_ids: frozenset[str] = frozenset()
    add: frozenset[str] = frozenset()
    remove: frozenset[str] = frozenset()
    remark: str | None = None


@dataclass
class _Side:
    """The member's tags that are at both places, by the corp's id."""

    codes: Mapping[str, str] = field(default_factory=dict)
    worn: Mapping[str, TagSource] = field(default_factory=dict)


def step(
    database: Database, clients: WecomClients, contact_id: int, *, clock: Callable[[], datetime]
) -> None:
    """Bring one contact in step; a second worker with the same contact does nothing."""
    with database.transaction() as session:
        if contacts.claim(session, contact_id, now=clock()) is None:
            return
    try:
        with database.transaction() as session:
            pair = _pair(session, session.get_one(Contact, contact_id))
        api = clients.of(pair.account)
        _bring_in_step(database, api, pair, contact_id, clock)
    except (ApiError, Refusal) as error:
        with database.transaction() as session:
            _put_off(session, contact_id, error, clock())


def _bring_in_step(
    database: Database, api: WeComApi, pair: _Pair, contact_id: int, clock: Callable[[], datetime]
) -> None:
    asked_at = clock()
    found = _read(api, pair.identity.outside_id)
    follow = found.of(pair.guide.userid) if found is not None else None
    with database.transaction() as session:
        if found is None or follow is None:
            _lost(session, contact_id, asked_at)
            return
        if found.unionid:
            identity = session.get_one(Identity, pair.identity.id)
            matching.by_unionid(session, identity, found.unionid, now=clock())
    with database.transaction() as session:
        change = _take(session, contact_id, follow, found.name, clock())
    _tell(api, pair, change)
    with database.transaction() as session:
        contact = session.get_one(Contact, contact_id, with_for_update=True, populate_existing=True)
        contact.corp_tag_ids = sorted(change.tag_ids)
        if change.remark is not None:
            contact.remark = change.remark
            contact.wanted_remark = (
                None if contact.wanted_remark == change.remark else contact.wanted_remark
            )
        # What was wanted meanwhile is a step of its own.
        if contact.due_at is not None and contact.due_at <= asked_at:
            _close(contact)
        contact.leased_until = None


def _take(session: Session, contact_id: int, follow: Follow, name: str, now: datetime) -> Change:
    """Write down how WeCom has a contact; gives what WeCom is to be told in turn."""
    pair = _pair(session, session.get_one(Contact, contact_id))
    matching.by_mobile(session, pair.identity, pair.guide, follow.mobiles, now=now)
    contact = contacts.of_pair(session, pair.guide.id, pair.identity)
    contacts.seen(session, contact, pair.identity, since=follow.created_at, now=now)
    arrive(session, contact, pair.identity, follow.state, now=now)
    contact.nickname = name
    remark = _remark(contact, follow)
    both = _tags(session, pair, contact, follow, now)
    return Change(both.agreed, both.add_there, both.remove_there, remark)


def _remark(contact: Contact, follow: Follow) -> str | None:
    """The remark to write over there, if any; theirs is taken unless ours waits to be written."""
    wanted = contact.wanted_remark
    if wanted is not None and wanted[:_SHOWN_REMARK] != follow.remark:
        return wanted[:_SHOWN_REMARK]
    contact.remark, contact.wanted_remark = follow.remark, None
    return None


def _tags(
    session: Session, pair: _Pair, contact: Contact, follow: Follow, now: datetime
) -> Reunion:
    """Bring the member's tags and the guide's marks together; the member's are changed here."""
    member_id = pair.identity.member_id
    side = _side(session, pair.account, member_id, now)
    both = corp_tags.reunite(
        agreed=side.codes.keys() & set(contact.corp_tag_ids),
        ours=side.worn.keys(),
        theirs=side.codes.keys() & follow.tag_ids,
        # What HQ says or a rule finds is not a guide's to take away.
        ours_alone={one for one, by in side.worn.items() if by is not TagSource.OBSERVED},
    )
    for tag_id in sorted(both.add_here):
        source = TagSource.OBSERVED
        tags.put(session, member_id, side.codes[tag_id], source=source, now=now)
    for tag_id in sorted(both.remove_here):
        tags.take_off(session, member_id, side.codes[tag_id], now=now)
    return both


def _side(session: Session, account: Account, member_id: int, now: datetime) -> _Side:
    known = {
        row.tag_id: (row.corp_tag_id, tag) for row, tag in corp_tags.living(session, account.id)
    }
    worn = session.exec(select(MemberTag).where(MemberTag.member_id == member_id)).all()
    return _Side(
        codes={corp_tag_id: tag.code for corp_tag_id, tag in known.values()},
        worn={
            known[one.tag_id][0]: one.source
            for one in worn
            if one.tag_id in known and (one.expires_at is None or one.expires_at > now)
        },
    )


def _tell(api: WeComApi, pair: _Pair, change: Change) -> None:
    who = (pair.guide.userid, pair.identity.outside_id)
    if change.add or change.remove:
        api_tags.mark(api, *who, add_tags=change.add, remove_tags=change.remove)
    if change.remark is not None:
        api_contacts.write_remark(api, *who, remark=change.remark)


def _read(api: WeComApi, external_userid: str) -> api_contacts.Contact | None:
    try:
        return api_contacts.read(api, external_userid)
    except ApiError as error:
        if error.code in NO_CONTACT:
            return None
        raise


def _pair(session: Session, contact: Contact) -> _Pair:
    identity = session.get_one(Identity, contact.identity_id)
    account = accounts.of_app(session, identity.account, Platform.WECOM)
    return _Pair(account, session.get_one(Guide, contact.guide_id), identity)


def _lost(session: Session, contact_id: int, asked_at: datetime) -> None:
    """WeCom shows the two as contacts no more."""
    known = session.get_one(Contact, contact_id)
    identity = session.get_one(Identity, known.identity_id)
    contact = contacts.of_pair(session, known.guide_id, identity)
    if contact.ended_by is None and contact.changed_at is not None:
        contacts.ended(session, contact, identity, by=EndedBy.PLATFORM, at=asked_at)
    _close(contact)


def _close(contact: Contact) -> None:
    contact.due_at, contact.leased_until, contact.attempts, contact.failure = None, None, 0, ""


def _put_off(session: Session, contact_id: int, error: ApiError | Refusal, now: datetime) -> None:
    """It did not work: again in a while, each time later, and in the end by the nightly walk."""
    contact = session.get_one(Contact, contact_id, with_for_update=True, populate_existing=True)
    code = error.code if isinstance(error, ApiError) else None
    contact.failure = f"errcode {code}" if code is not None else type(error).__name__
    contact.leased_until = None
    if contact.attempts >= _MOST_TRIES or isinstance(error, SealBroken):
        _log.error("The contact %s is left out of step: %s.", contact_id, contact.failure)
        contact.due_at = None
        return
    contact.due_at = now + min(_FIRST_PAUSE * 2 ** min(contact.attempts, 10), _LONGEST_PAUSE)
