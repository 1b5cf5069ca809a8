"""Contacts: how WeCom has each pair of a guide and a customer, for ever one row a pair.

A friendship is one spell of a contact. Callbacks come late, twice and in any order, so a contact
keeps the moment of the newest word about it, and an older word changes nothing. Of two words of
the same second the one that ends it stands: better a silence than a message to who has left.
"""

from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import Index, UniqueConstraint, or_, text
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import SQLModel, col, select
from sqlmodel.sql.expression import SelectOfScalar

from store import members, relations
from store.columns import big_key, json_column, link, one_of, status
from store.db import Session
from store.jobs import Job, after_commit
from store.members import Identity

# Longer than the calls of one step.
LEASE = timedelta(minutes=2)


class EndedBy(StrEnum):
    """Who ended a contact; the platform did when it shows the contact no more, whoever it was."""

    GUIDE = "guide"
    CUSTOMER = "customer"
    TRANSFER = "transfer"
    PLATFORM = "platform"


class Contact(SQLModel, table=True):
    """A guide and a customer. `corp_tag_ids` are those that both sides agreed on last.

    `due_at` is set while something is to be brought in step; `wanted_remark` is to go there.
    """

    __tablename__ = "contacts"
    __table_args__ = (
        UniqueConstraint("guide_id", "identity_id", name="uq_contacts_pair"),
        one_of("ended_by", EndedBy, "contacts"),
        Index("ix_contacts_due", "due_at", postgresql_where="due_at IS NOT NULL"),
    )
    id: int = big_key()
    guide_id: int = link("guides.id", index=False)
    identity_id: int = link("identities.id", ondelete="CASCADE")
    changed_at: datetime | None = None
    ended_by: EndedBy | None = status(EndedBy, default=None, nullable=True)
    is_attributed: bool = False
    nickname: str = ""
    remark: str = ""
    wanted_remark: str | None = None
    corp_tag_ids: list[str] = json_column(default_factory=list)
    seen_at: datetime | None = None
    due_at: datetime | None = None
    leased_until: datetime | None = None
    attempts: int = 0
    failure: str = ""

    def changed_since(self, at: datetime) -> bool:
        """Whether a newer word than one of `at` is known."""
        return self.changed_at is not None and at < self.changed_at


def of_pair(session: Session, guide_id: int, identity: Identity) -> Contact:
    """The contact of a pair, locked after its member, and made when it is new."""
    members.lock(session, identity.member_id)
    fresh = Contact(guide_id=guide_id, identity_id=identity.id).model_dump(exclude={"id"})
    session.execute(insert(Contact).values(**fresh).on_conflict_do_nothing())
    query = select(Contact).where(Contact.guide_id == guide_id, Contact.identity_id == identity.id)
    query = query.with_for_update().execution_options(populate_existing=True)
    return session.exec(query).one()


def met(session: Session, contact: Contact, identity: Identity, *, at: datetime) -> bool:
    """WeCom says that the two became contacts at `at`; gives whether that is news."""
    is_over = contact.ended_by is not None
    if contact.changed_since(at) or (is_over and contact.changed_at == at):
        return False
    is_news = contact.changed_at is None or is_over
    _open(session, contact, identity, at)
    return is_news


def ended(
    session: Session, contact: Contact, identity: Identity, *, by: EndedBy, at: datetime
) -> bool:
    """WeCom says that one of the two ended it at `at`; gives whether that is news."""
    if contact.changed_since(at):
        return False
    is_news = contact.ended_by is None
    if contact.ended_by is not None and contact.changed_at == at:
        # Of two ends in one second the same one stands, whichever was heard first.
        by = min(by, contact.ended_by)
    contact.changed_at, contact.ended_by = at, by
    relations.unfriend(session, contact.guide_id, identity.outside_id, now=at)
    session.flush()
    return is_news


def seen(
    session: Session, contact: Contact, identity: Identity, *, since: datetime, now: datetime
) -> None:
    """The platform lists the contact, as one since `since`.

    It lists also those whom the customer has left, for a contact is one-way (wecom.md §2.3): such
    an end stands until the two met anew. What only the platform had not shown is there again.
    """
    contact.seen_at = now
    is_kept_over = contact.ended_by not in {None, EndedBy.PLATFORM}
    if is_kept_over and (contact.changed_since(since) or contact.changed_at == since):
        return
    known = contact.changed_at
    _open(session, contact, identity, since if known is None else max(since, known))


def hide(session: Session, guide_id: int, external_userid: str, *, now: datetime) -> None:
    """The platform refused to let the two speak, so its list is asked again before it counts."""
    who = {"guide": guide_id, "customer": external_userid, "now": now}
    for contact_id in session.execute(_HIDE, who).scalars():
        after_commit(session, Job.STEP_CONTACT, contact_id)


def want(
    session: Session, contact: Contact, *, now: datetime, due_at: datetime | None = None
) -> None:
    """Have a contact brought in step soon, or not before an instant."""
    contact.due_at, contact.attempts, contact.failure = max(now, due_at or now), 0, ""
    session.flush()
    if contact.due_at <= now:
        after_commit(session, Job.STEP_CONTACT, contact.id)


def want_all_of(session: Session, member_id: int, *, now: datetime) -> None:
    """Have every living contact of a member brought in step: something was changed here."""
    found = session.execute(_WANT_ALL, {"member": member_id, "now": now})
    for contact_id in found.scalars():
        after_commit(session, Job.STEP_CONTACT, contact_id)


def rename(session: Session, contact: Contact, remark: str, *, now: datetime) -> None:
    """Have a guide's customer called otherwise in WeCom, too."""
    contact.wanted_remark = remark
    want(session, contact, now=now)


def claim(session: Session, contact_id: int, *, now: datetime) -> Contact | None:
    """Take up a contact that is due; none when there is nothing to do, or somebody does it."""
    query = select(Contact).where(Contact.id == contact_id, col(Contact.due_at) <= now)
    query = query.with_for_update(skip_locked=True).execution_options(populate_existing=True)
    contact = session.exec(query).one_or_none()
    if contact is None or (contact.leased_until is not None and contact.leased_until > now):
        return None
    contact.leased_until = now + LEASE
    contact.attempts += 1
    session.flush()
    return contact


def waiting(now: datetime) -> SelectOfScalar[int]:
    """Contacts that a job should bring in step."""
    is_free = or_(col(Contact.leased_until).is_(None), col(Contact.leased_until) <= now)
    query = select(Contact.id).where(col(Contact.due_at) <= now, is_free)
    return query.order_by(col(Contact.due_at))


def _open(session: Session, contact: Contact, identity: Identity, at: datetime) -> None:
    contact.changed_at, contact.ended_by = at, None
    relations.befriend(
        session, contact.guide_id, identity.outside_id, member_id=identity.member_id, now=at
    )


_HIDE = text("""
UPDATE contacts SET ended_by = 'platform', changed_at = :now, due_at = :now, attempts = 0
FROM identities
WHERE identities.id = contacts.identity_id AND contacts.guide_id = :guide
AND identities.channel = 'wecom' AND identities.outside_id = :customer
AND contacts.ended_by IS NULL
RETURNING contacts.id
""")
_WANT_ALL = text("""
UPDATE contacts SET due_at = :now, attempts = 0 FROM identities
WHERE identities.id = contacts.identity_id AND identities.member_id = :member
AND contacts.changed_at IS NOT NULL AND contacts.ended_by IS NULL
RETURNING contacts.id
""")
