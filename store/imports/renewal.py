"""Renews facts and levels after an import, some hundred members at a time."""

from collections.abc import Sequence
from datetime import datetime

from sqlmodel import col, select

from store import facts, levels
from store.db import Database
from store.imports.staging import Progress
from store.members import Member

# Members stay locked while their facts are worked out: small parts keep the shops from waiting.
_MEMBERS_AT_ONCE = 500


def renew(database: Database, members: Sequence[int], progress: Progress, *, now: datetime) -> None:
    """Work out facts and levels of these members anew; a repeat changes nothing."""
    for start in range(0, len(members), _MEMBERS_AT_ONCE):
        part = members[start : start + _MEMBERS_AT_ONCE]
        with database.transaction() as session:
            # An order being placed is waited for and counted, or counts itself later.
            locked = select(Member.id).where(col(Member.id).in_(part)).order_by(col(Member.id))
            session.exec(locked.with_for_update()).all()
            facts.refresh(session, part, now=now)
            levels.settle(session, part, now=now)
        progress("facts", start + len(part), len(members))
