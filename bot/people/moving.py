"""Customers on their way to another guide: asked of WeCom, looked after until it is over (§4.5).

WeCom takes no two calls for one giver at once, begins at once and completes after a day. A call
whose answer was lost is not made again before WeCom was asked what it knows: it would count as the
second of the two that a customer may be moved in 90 days.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import Session

from bot.calls import ApiError, Fate
from bot.wecom import transfers as api
from bot.wecom.client import WeComApi, WecomClients
from bot.wecom.transfers import MOST_AT_ONCE, Pair, Progress, Result
from content.welcomes import HANDED_ON
from store import accounts, contacts, transfers
from store.accounts import Account, Platform, SealBroken, UnknownAccount
from store.contacts import Contact, EndedBy
from store.db import Database
from store.members import Identity
from store.organisation import Guide, GuideStatus, Shop
from store.transfers import MOST, Transfer, TransferState

_log = logging.getLogger(__name__)

_LOOK = timedelta(hours=1)
_AGAIN = timedelta(minutes=10)
_MOST_TRIES = 8
# A transfer of which WeCom knows nothing for so long will not come about.
_PATIENCE = timedelta(days=4)
# wecom.md §2.3: it is under way, the customer was moved twice in 90 days, the taker has too many.
_BEGUN = frozenset({0, 40100, 40129})
_TOO_OFTEN, _TOO_MANY, _NOT_LEFT = 40128, 40099, 40097
# Refused for now: busy, limits, another change of the same guide's customers at the same time.
_LATER = frozenset({-1, 6000, 45009, 45033, 45035, 45036})
_ENDS = {
    Progress.DONE: TransferState.DONE,
    Progress.REFUSED: TransferState.REFUSED,
    Progress.FULL: TransferState.FULL,
}
_REASONS = {Progress.REFUSED: "customer_refused", Progress.FULL: "taker_full"}


@dataclass(frozen=True)
class _Batch:
    """Transfers of one pair of guides, by the customer's outside id."""

    account: Account
    pair: Pair
    taker_name: str
    has_left: bool
    ids: Mapping[str, int]


def move_due(database: Database, clients: WecomClients, *, clock: Callable[[], datetime]) -> None:
    """Ask for what is planned and look after what is under way, one giver after the other."""
    with database.transaction() as session:
        givers = transfers.due_givers(session, clock())
    for giver_id in givers:
        try:
            # Each takes the customers of one taker; what was taken is not due any more.
            while _ask(database, clients, giver_id, clock):
                pass
            while _look(database, clients, giver_id, clock):
                pass
        except (SealBroken, UnknownAccount) as problem:
            _log.error("Customers of guide %s cannot be moved: %s", giver_id, problem)


def _ask(
    database: Database, clients: WecomClients, giver_id: int, clock: Callable[[], datetime]
) -> bool:
    with database.transaction() as session:
        batch = _fenced(session, giver_id, clock())
    if batch is None:
        return False
    if batch.ids:
        _begin(database, clients.of(batch.account), batch, clock)
    return True


def _begin(
    database: Database, client: WeComApi, batch: _Batch, clock: Callable[[], datetime]
) -> None:
    words = HANDED_ON.format(guide=batch.taker_name)
    try:
        codes = api.begin(client, batch.pair, list(batch.ids), has_left=batch.has_left, words=words)
    except ApiError as error:
        if error.fate is not Fate.LOST:
            _refused(database, batch, error, clock())
        return
    with database.transaction() as session:
        for external_userid, transfer_id in batch.ids.items():
            transfer = _locked(session, transfer_id)
            if transfer.state is TransferState.ASKING and external_userid in codes:
                _begun(transfer, codes[external_userid], clock())


def _fenced(session: Session, giver_id: int, now: datetime) -> _Batch | None:
    """Take planned transfers past the fence; those that cannot be are ended with their reason."""
    rows = transfers.due(session, giver_id, {TransferState.PLANNED}, limit=MOST_AT_ONCE, now=now)
    if not rows:
        return None
    pairs = {row.id: _whose(session, row) for row in rows}
    identities = {identity.id for _, identity in pairs.values()}
    moved = transfers.moved_before(session, identities, now=now)
    taker = session.get_one(Guide, rows[0].taker_id)
    ids = {}
    for row in rows:
        contact, identity = pairs[row.id]
        why = _obstacle(row, contact, taker, moved.get(identity.id, 0))
        if why:
            transfers.move(row, TransferState.FAILED, failure=why, now=now)
            continue
        transfers.move(row, TransferState.ASKING, due_at=now + _AGAIN, now=now)
        ids[identity.outside_id] = row.id
    session.flush()
    return _batch(session, rows[0], taker, ids)


def _obstacle(row: Transfer, contact: Contact, taker: Guide, moved: int) -> str:
    if taker.status is not GuideStatus.ACTIVE:
        return "taker_left"
    # Of who has left WeCom shows no contact; whether there is one to hand on, it answers itself.
    if contact.ended_by is not None and not (row.has_left and contact.ended_by is EndedBy.PLATFORM):
        return "no_contact"
    if moved >= MOST:
        return transfers.TOO_OFTEN
    return "too_many_tries" if row.attempts >= _MOST_TRIES else ""


def _batch(session: Session, row: Transfer, taker: Guide, ids: Mapping[str, int]) -> _Batch:
    giver = session.get_one(Guide, row.giver_id)
    shop = session.get_one(Shop, giver.shop_id)
    account = accounts.of_brand(session, shop.brand_id, Platform.WECOM)
    pair = Pair(giver.userid, taker.userid)
    return _Batch(account, pair, taker.name, row.has_left, ids)


def _begun(transfer: Transfer, code: int, now: datetime) -> None:
    if code in _BEGUN:
        transfers.move(transfer, TransferState.WAITING, due_at=now + _LOOK, now=now)
    elif code == _TOO_MANY:
        transfers.move(transfer, TransferState.FULL, failure="taker_full", now=now)
    else:
        why = transfers.TOO_OFTEN if code == _TOO_OFTEN else f"errcode {code}"
        transfers.move(transfer, TransferState.FAILED, failure=why, now=now)


def _refused(database: Database, batch: _Batch, error: ApiError, now: datetime) -> None:
    """The call as a whole was refused, so nothing has begun."""
    is_late = error.fate is Fate.UNSENT or error.code in _LATER
    with database.transaction() as session:
        for transfer_id in batch.ids.values():
            transfer = _locked(session, transfer_id)
            if transfer.state is not TransferState.ASKING:
                continue
            why = f"errcode {error.code}"
            if is_late or (error.code == _NOT_LEFT and transfer.has_left):
                # Who is still in the corp gives by the other call.
                transfer.has_left = transfer.has_left and error.code != _NOT_LEFT
                due_at = now + _AGAIN
                transfers.move(transfer, TransferState.PLANNED, failure=why, due_at=due_at, now=now)
            else:
                transfers.move(transfer, TransferState.FAILED, failure=why, now=now)


def _look(
    database: Database, clients: WecomClients, giver_id: int, clock: Callable[[], datetime]
) -> bool:
    """Ask what became of those that were asked for; gives whether there were any."""
    states = {TransferState.ASKING, TransferState.WAITING}
    with database.transaction() as session:
        rows = transfers.due(session, giver_id, states, limit=10 * MOST_AT_ONCE, now=clock())
        if not rows:
            return False
        ids = {_whose(session, row)[1].outside_id: row.id for row in rows}
        taker = session.get_one(Guide, rows[0].taker_id)
        batch = _batch(session, rows[0], taker, ids)
        for row in rows:
            # Nobody else looks at the same meanwhile.
            row.due_at = clock() + _AGAIN
    try:
        told = _results(clients.of(batch.account), batch)
    except ApiError as error:
        _log.info("Transfers of guide %s could not be looked at: %s", giver_id, error)
        return True
    for external_userid, transfer_id in batch.ids.items():
        with database.transaction() as session:
            _settle(session, transfer_id, told.get(external_userid), clock())
    return True


def _results(client: WeComApi, batch: _Batch) -> dict[str, Result]:
    found = api.results(client, batch.pair, has_left=batch.has_left)
    return {one.external_userid: one for one in found if one.external_userid in batch.ids}


def _settle(session: Session, transfer_id: int, told: Result | None, now: datetime) -> None:
    """Carry over what WeCom says; locks the customer's member first, then the transfer."""
    contact, identity = _whose(session, session.get_one(Transfer, transfer_id))
    giving = contacts.of_pair(session, contact.guide_id, identity)
    transfer = _locked(session, transfer_id)
    if transfer.state not in {TransferState.ASKING, TransferState.WAITING}:
        return
    progress = told.progress if told is not None else Progress.NONE
    if progress is Progress.NONE:
        _unknown(transfer, now)
    elif progress is Progress.WAITING:
        _wait_on(transfer, now)
    else:
        transfers.move(transfer, _ENDS[progress], failure=_REASONS.get(progress, ""), now=now)
    if progress is Progress.DONE and told is not None:
        _hand_on(session, transfer, giving, identity, min(told.at or now, now))


def _hand_on(
    session: Session, transfer: Transfer, giving: Contact, identity: Identity, at: datetime
) -> None:
    contacts.ended(session, giving, identity, by=EndedBy.TRANSFER, at=at)
    taking = contacts.of_pair(session, transfer.taker_id, identity)
    contacts.met(session, taking, identity, at=at)
    contacts.want(session, taking, now=at)


def _unknown(transfer: Transfer, now: datetime) -> None:
    """WeCom has no record: what was only asked may be asked again, what had begun may yet show."""
    asked_at = transfer.asked_at or transfer.planned_at
    if transfer.state is TransferState.ASKING:
        transfers.move(transfer, TransferState.PLANNED, due_at=now, now=now)
    elif asked_at + _PATIENCE <= now:
        transfers.move(transfer, TransferState.FAILED, failure="no_record", now=now)
    else:
        transfer.due_at = now + _LOOK


def _wait_on(transfer: Transfer, now: datetime) -> None:
    if transfer.state is TransferState.ASKING:
        transfers.move(transfer, TransferState.WAITING, due_at=now + _LOOK, now=now)
    else:
        transfer.due_at = now + _LOOK


def _whose(session: Session, transfer: Transfer) -> tuple[Contact, Identity]:
    contact = session.get_one(Contact, transfer.contact_id)
    return contact, session.get_one(Identity, contact.identity_id)


def _locked(session: Session, transfer_id: int) -> Transfer:
    return session.get_one(Transfer, transfer_id, with_for_update=True, populate_existing=True)
