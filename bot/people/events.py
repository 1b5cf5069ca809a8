"""What WeCom's callbacks tell of guides and customers, worked on by a job (wecom.md §1.4).

Everything here is the record's own: what has to be asked of WeCom is left to the contact's next
step. So the welcome, which has 20 seconds, waits for nothing.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import Session, select

from bot import scenes
from bot.people import welcomes
from bot.scenes import PLAIN, Came
from bot.wecom.cards import CODE_LIFE
from store import cards, contacts, inbound, members, sync_runs, transfers
from store.accounts import Account
from store.contacts import EndedBy
from store.db import Database
from store.inbound import InboundMessage, InboundState
from store.members import Identity, IdentityChannel
from store.organisation import Guide
from store.scenes import VisitKind
from store.sync_runs import SyncKind
from store.transfers import TransferState

_log = logging.getLogger(__name__)

_BY_TRANSFER = "DELETE_BY_TRANSFER"
_SAME_SECOND = timedelta(seconds=2)
_REFUSALS = {
    "customer_refused": TransferState.REFUSED,
    "customer_limit_exceed": TransferState.FULL,
}


@dataclass(frozen=True)
class Told:
    """One event: of which app, when WeCom says it happened, and its facts."""

    row: InboundMessage
    account: Account
    at: datetime
    public_url: str

    def fact(self, name: str) -> str:
        """A fact of the event, empty when it has none."""
        return str(self.row.payload.get(name, ""))


Act = Callable[[Session, Told, datetime], int | None]


def hear(
    database: Database, row_id: int, *, public_url: str, clock: Callable[[], datetime]
) -> int | None:
    """Work on one kept callback; a second worker with the same one does nothing.

    Gives the touch of a welcome that is to be delivered at once.
    """
    with database.transaction() as session:
        if inbound.take_up(session, row_id, now=clock()) is None:
            return None
    with database.transaction() as session:
        row = session.get_one(InboundMessage, row_id, with_for_update=True, populate_existing=True)
        if row.state is not InboundState.RECEIVED:
            return None
        now = clock()
        account = session.get_one(Account, row.account_id)
        touch_id = _work(session, Told(row, account, _moment(row), public_url), now)
        row.state, row.answered_at, row.late_due_at = InboundState.ANSWERED, now, None
        return touch_id


def _work(session: Session, told: Told, now: datetime) -> int | None:
    name = told.row.kind
    if name in {"change_external_contact", "change_contact"}:
        name = told.fact("change") or name
    act = _ACTS.get(name)
    return act(session, told, now) if act is not None else None


def _moment(row: InboundMessage) -> datetime:
    """When it happened; what happens later than it was heard is a wrong clock."""
    raw = row.payload.get("at")
    at = datetime.fromisoformat(raw) if raw else row.received_at
    return min(at, row.received_at)


def _added(session: Session, told: Told, now: datetime) -> int | None:
    """The two are in contact now: who it is, by which code, and a welcome."""
    pair = _pair(session, told, now)
    if pair is None:
        return None
    guide, identity = pair
    contact = contacts.of_pair(session, guide.id, identity)
    contacts.met(session, contact, identity, at=told.at)
    came = arrive(session, contact, identity, told.fact("state"), now=now)
    contacts.want(session, contact, now=now)
    return _welcome(session, told, guide, identity, came, now)


def _half_added(session: Session, told: Told, now: datetime) -> int | None:
    """The customer has added the guide, who has yet to agree: welcome, but no contact so far."""
    pair = _pair(session, told, now)
    if pair is None:
        return None
    guide, identity = pair
    contact = contacts.of_pair(session, guide.id, identity)
    came = arrive(session, contact, identity, told.fact("state"), now=now)
    return _welcome(session, told, guide, identity, came, now)


def arrive(
    session: Session, contact: contacts.Contact, identity: Identity, state: str, *, now: datetime
) -> Came:
    """By which code the customer came; written down once a contact."""
    if not state or contact.is_attributed:
        return PLAIN
    contact.is_attributed = True
    return scenes.arrive(session, state, identity=identity, kind=VisitKind.FOLLOW, now=now)


def _welcome(
    session: Session, told: Told, guide: Guide, identity: Identity, came: Came, now: datetime
) -> int | None:
    code = told.fact("welcome_code")
    if not code:
        return None
    hello = welcomes.Hello(told.row.id, identity.member_id, guide, came, code, told.at)
    return welcomes.ask(session, hello, public_url=told.public_url, now=now)


def _edited(session: Session, told: Told, now: datetime) -> None:
    """The guide changed a remark, a mobile or a tag: the contact's next step finds out which.

    Two changes of one second are told in the same words, so that the second looks like a repeat:
    the step waits until that second is over for certain.
    """
    pair = _pair(session, told, now)
    if pair is not None:
        contact = contacts.of_pair(session, pair[0].id, pair[1])
        contacts.want(session, contact, now=now, due_at=told.at + _SAME_SECOND)


def _ended(session: Session, told: Told, now: datetime) -> None:
    pair = _pair(session, told, now)
    if pair is None:
        return
    guide, identity = pair
    contact = contacts.of_pair(session, guide.id, identity)
    contacts.ended(session, contact, identity, by=_by(told), at=told.at)


def _by(told: Told) -> EndedBy:
    if told.fact("change") == "del_follow_user":
        return EndedBy.CUSTOMER
    return EndedBy.TRANSFER if told.fact("source") == _BY_TRANSFER else EndedBy.GUIDE


def _transfer_failed(session: Session, told: Told, now: datetime) -> None:
    """The guide named did not get the customer; the one who gave keeps them."""
    pair = _pair(session, told, now)
    if pair is None:
        return
    taker, identity = pair
    transfer = transfers.open_to(session, taker.id, identity.id)
    end = _REFUSALS.get(told.fact("fail_reason"))
    if transfer is not None and end is not None and transfer.state is TransferState.WAITING:
        transfers.move(transfer, end, failure=told.fact("fail_reason"), now=now)


def _pair(session: Session, told: Told, now: datetime) -> tuple[Guide, Identity] | None:
    """The guide and the customer; contacts of people who are no guides of ours are not kept."""
    guide = session.exec(select(Guide).where(Guide.userid == told.fact("userid"))).one_or_none()
    external_userid = told.fact("external_userid")
    if guide is None or not external_userid:
        # No row of a person would lead an erasure to the customer's id in here.
        told.row.payload = {
            name: fact for name, fact in told.row.payload.items() if name != "external_userid"
        }
        return None
    identity = members.meet(
        session,
        channel=IdentityChannel.WECOM,
        account=told.account.app_id,
        outside_id=external_userid,
        brand_id=told.account.brand_id,
        now=now,
    )
    told.row.member_id = identity.member_id
    return guide, identity


def _tapped(session: Session, told: Told, _now: datetime) -> None:
    """A guide tapped a card; the code that came along changes it once more (wecom.md §3.3)."""
    card = cards.by_task(session, told.fact("task_id"))
    code = told.fact("response_code")
    if card is not None and code and card.closed_at is None:
        cards.tapped(session, card, code, until=told.at + CODE_LIFE)


def _asks(kind: SyncKind) -> Act:
    """Something changed that is found out by asking anew."""

    def act(session: Session, told: Told, now: datetime) -> None:
        sync_runs.begin(session, told.account.id, kind, now=now)

    return act


_ACTS: Mapping[str, Act] = {
    "add_external_contact": _added,
    "add_half_external_contact": _half_added,
    "edit_external_contact": _edited,
    "del_external_contact": _ended,
    "del_follow_user": _ended,
    "transfer_fail": _transfer_failed,
    "template_card_event": _tapped,
    "template_card_menu_event": _tapped,
    "change_external_tag": _asks(SyncKind.TAGS),
    # A guide came into the app's sight or left it; or the directory itself tells.
    "subscribe": _asks(SyncKind.DIRECTORY),
    "unsubscribe": _asks(SyncKind.DIRECTORY),
    "create_user": _asks(SyncKind.DIRECTORY),
    "update_user": _asks(SyncKind.DIRECTORY),
    "delete_user": _asks(SyncKind.DIRECTORY),
}
