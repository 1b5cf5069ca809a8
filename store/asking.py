"""Questions that only read, of many people at once: who asks, and what they were answered."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlmodel import Session

# Who is in the middle of a talk, or of anything else that an answer could end, is no mere asker.
_ASKERS = text("""
    SELECT i.outside_id, i.id, i.member_id
    FROM identities i
    WHERE i.channel = 'wechat' AND i.account = :account
      AND i.outside_id = ANY(CAST(:outside_ids AS text[]))
      AND NOT EXISTS (SELECT FROM conversations c
                      WHERE c.identity_id = i.id AND c.expires_at > :now)
""")
# In the order of their ids: two processes with the same messages never wait in a ring.
_KEEP = text("""
    INSERT INTO inbound_messages (account_id, platform_id, outside_id, member_id, kind, payload,
                                  state, reply, received_at, answered_at, handled_ms, late_attempts)
    SELECT :account_id, row.platform_id, row.outside_id, row.member_id, row.kind, row.payload,
           'answered', row.reply, :now, :now, :took_ms, 0
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS row(
        platform_id text, outside_id text, member_id bigint, kind text, payload jsonb, reply jsonb)
    ORDER BY row.platform_id
    ON CONFLICT ON CONSTRAINT uq_inbound_messages_platform DO NOTHING
    RETURNING platform_id, id
""")


@dataclass(frozen=True, slots=True)
class Asker:
    """Who stands behind an openid."""

    identity_id: int
    member_id: int


@dataclass(frozen=True, slots=True)
class Answered:
    """A question and the reply it got, as an inbound message keeps both."""

    platform_id: str
    outside_id: str
    member_id: int
    kind: str
    payload: Mapping[str, Any]
    reply: Mapping[str, Any]

    def as_row(self) -> dict[str, Any]:
        """The same as JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


def askers(
    session: Session, account: str, openids: Collection[str], now: datetime
) -> dict[str, Asker]:
    """The people who are known under these openids and not in the middle of a talk."""
    facts = {"account": account, "outside_ids": list(openids), "now": now}
    found = session.connection().execute(_ASKERS, facts)
    return {openid: Asker(identity_id, member_id) for openid, identity_id, member_id in found}


def keep(
    session: Session,
    account_id: int,
    questions: Sequence[Answered],
    *,
    took_ms: float,
    now: datetime,
) -> dict[str, int]:
    """Write the questions down with their replies; gives the row ids of those heard first now."""
    rows = json.dumps([question.as_row() for question in questions])
    facts = {"account_id": account_id, "rows": rows, "took_ms": took_ms, "now": now}
    found = session.connection().execute(_KEEP, facts)
    return {row.platform_id: row.id for row in found}
