"""Commissions: what guides earn from a credited order, by the plan of its campaign.

A commission is the sum of its entries, which are only added: the sale, refunds, better evidence. It
is unconfirmed until the return period of the order ends.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlmodel import Session, select

from store.attributions import (
    Attribution,
    Commission,
    CommissionEntry,
    CommissionState,
    EntryReason,
)
from store.campaigns import Campaign, CommissionTo
from store.orders import Order
from store.touches import Evidence

# What a shopper may bring back without a reason (seven days in Chinese consumer law): until then a
# commission is not confirmed.
RETURN_DAYS = 7
_BASIS_POINTS = 10_000
_PROOF = frozenset({Evidence.PLATFORM, Evidence.EVENT})


def shares(
    campaign: Campaign, amount_fen: int, *, carer_id: int, server_id: int | None
) -> dict[int, int]:
    """Fen for each guide: basis points of the amount, rounded down, at most the campaign's cap.

    `server_id` is who served at the till. An odd fen of a split goes to who had cared.
    """
    total = amount_fen * campaign.commission_bp // _BASIS_POINTS
    if campaign.commission_cap_fen is not None:
        total = min(total, campaign.commission_cap_fen)
    if server_id is None or server_id == carer_id:
        return {carer_id: total}
    match campaign.commission_to:
        case CommissionTo.CARER:
            return {carer_id: total}
        case CommissionTo.SERVER:
            return {server_id: total}
        case CommissionTo.SPLIT:
            return {carer_id: total - total // 2, server_id: total // 2}


def settle(
    session: Session,
    attribution: Attribution,
    order: Order,
    *,
    reason: EntryReason,
    source_id: str,
    now: datetime,
) -> dict[int, int]:
    """Bring the commissions of an attribution to what its plan says now; gives fen by guide.

    Only proven touches earn; whoever has earned on another touch before gives it back. What changes
    is written as an entry of this reason and source; a repeat changes nothing. The caller has
    locked the order.
    """
    wanted = _wanted(session, attribution, order)
    known = {row.guide_id: row for row in of_attribution(session, attribution.id)}
    for guide_id in dict.fromkeys((*wanted, *known)):
        fen, row = wanted.get(guide_id, 0), known.get(guide_id)
        if row is None and fen:
            row = _begun(session, attribution, order, guide_id, now)
        if row is not None and row.amount_fen != fen:
            _change(session, row, fen, reason, source_id, now)
    return wanted


def of_attribution(session: Session, attribution_id: int) -> Sequence[Commission]:
    """The commissions of an attribution, locked."""
    query = select(Commission).where(Commission.attribution_id == attribution_id).with_for_update()
    return session.exec(query.execution_options(populate_existing=True)).all()


def _wanted(session: Session, attribution: Attribution, order: Order) -> dict[int, int]:
    if attribution.guide_id is None or attribution.evidence not in _PROOF:
        return {}
    campaign = session.get_one(Campaign, attribution.campaign_id)
    fen, carer_id = attribution.amount_fen, attribution.guide_id
    return shares(campaign, fen, carer_id=carer_id, server_id=order.guide_id)


def _begun(
    session: Session, attribution: Attribution, order: Order, guide_id: int, now: datetime
) -> Commission:
    row = Commission(
        attribution_id=attribution.id,
        guide_id=guide_id,
        amount_fen=0,
        confirms_at=order.paid_at + timedelta(days=RETURN_DAYS),
        created_at=now,
    )
    session.add(row)
    session.flush()
    return row


def _change(
    session: Session, row: Commission, fen: int, reason: EntryReason, source_id: str, now: datetime
) -> None:
    entry = CommissionEntry(
        commission_id=row.id,
        amount_fen=fen - row.amount_fen,
        reason=reason,
        source_id=source_id,
        created_at=now,
    )
    session.add(entry)
    row.amount_fen = fen
    if fen == 0:
        row.state = CommissionState.CLAWED_BACK
    elif row.state is CommissionState.CLAWED_BACK:
        row.state = CommissionState.UNCONFIRMED
    session.flush()
