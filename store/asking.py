"""Questions that only read, of many people at once: who asks, and what they were answered.

What is told to the database is given as statements, so that the asker can send several at once.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from store.grants import TERMS, Trigger
from store.trips import Rows, Statement

# A trip to the database costs more than what it does there, so each of the two does all it can.
# Who is in the middle of a talk, or whose next word answers a care task, is no mere asker.
_ASKERS = """
    SELECT i.outside_id, i.id, i.member_id
    FROM identities i
    WHERE i.channel = 'wechat' AND i.account = %(account)s
      AND i.outside_id = ANY(CAST(%(outside_ids)s AS text[]))
      AND NOT EXISTS (SELECT FROM conversations c
                      WHERE c.identity_id = i.id AND c.expires_at > %(now)s)
      AND NOT EXISTS (SELECT FROM care_tasks t
                      WHERE t.member_id = i.member_id AND t.sent_at > %(answers_since)s
                        AND t.state IN ('sent', 'delivered'))
"""
_MEMBERS = """
    WITH wanted AS (SELECT unnest(CAST(%(members)s AS bigint[])) AS member_id)
"""
_BEHIND = """
    WITH wanted AS (
        SELECT DISTINCT member_id FROM identities
        WHERE channel = 'wechat' AND account = %(account)s
          AND outside_id = ANY(CAST(%(outside_ids)s AS text[]))
    )
"""
# In the order of their ids: two processes with the same messages never wait in a ring. Whoever was
# erased, merged away or left since the first look is not written about any more; whoever is about
# to be holds the member's lock.
_KEEP = """
    WITH said AS (
        SELECT * FROM jsonb_to_recordset(CAST(%(rows)s AS jsonb)) AS row(
            platform_id text, outside_id text, member_id bigint, kind text, payload jsonb,
            reply jsonb, channel text, allowance int, seconds int)
    ), standing AS (
        SELECT said.*
        FROM said
        JOIN members m ON m.id = said.member_id
        JOIN identities i ON i.channel = 'wechat' AND i.account = %(account)s
                         AND i.outside_id = said.outside_id AND i.member_id = m.id
        WHERE m.status = 'active'
        ORDER BY m.id FOR KEY SHARE OF m, i
    ), heard AS (
        INSERT INTO inbound_messages (account_id, platform_id, outside_id, member_id, kind, payload,
                                      state, reply, received_at, answered_at, handled_ms,
                                      late_attempts)
        SELECT %(account_id)s, platform_id, outside_id, member_id, kind, payload, 'answered', reply,
               %(now)s, %(now)s, %(took_ms)s, 0
        FROM standing ORDER BY platform_id
        ON CONFLICT ON CONSTRAINT uq_inbound_messages_platform DO NOTHING
        RETURNING platform_id, id
    ), opened AS (
        INSERT INTO grants (member_id, channel, account, template_id, allowance, opened_at,
                            expires_at, source_id)
        SELECT said.member_id, said.channel, %(account)s, '', said.allowance, %(now)s,
               CAST(%(now)s AS timestamptz) + make_interval(secs => said.seconds),
               'inbound-' || heard.id
        FROM heard JOIN said USING (platform_id)
    )
    SELECT platform_id FROM heard
"""
# A relation `wanted(member_id)` that a statement begins with, and its facts.
Wanted = Statement


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
    opens: Trigger

    def as_row(self) -> dict[str, Any]:
        """The same as JSON, with the window that it opens."""
        row = {name: getattr(self, name) for name in self.__slots__ if name != "opens"}
        terms = TERMS[self.opens]
        return row | {
            "channel": terms.channel,
            "allowance": terms.allowance,
            "seconds": terms.seconds,
        }


def these(member_ids: Collection[int]) -> Wanted:
    """Members, by their ids."""
    return _MEMBERS, {"members": list(member_ids)}


def behind(account: str, openids: Collection[str]) -> Wanted:
    """Members, by the openids they are known under."""
    return _BEHIND, {"account": account, "outside_ids": list(openids)}


def seeking(
    account: str, openids: Collection[str], *, answers_since: datetime, now: datetime
) -> Statement:
    """Ask for the people who are known under these openids and only ask.

    Not those in the middle of a talk, nor those who were reached by a care task since
    `answers_since` and have not answered.
    """
    facts = {
        "account": account,
        "outside_ids": list(openids),
        "answers_since": answers_since,
        "now": now,
    }
    return _ASKERS, facts


def askers(rows: Rows) -> dict[str, Asker]:
    """Who asks, by openid, from the rows of `seeking`."""
    return {openid: Asker(identity_id, member_id) for openid, identity_id, member_id in rows}


def keeping(
    account: tuple[int, str], questions: Sequence[Answered], *, took_ms: float, now: datetime
) -> Statement:
    """Write the questions down with their replies, and open what they open.

    `account` is its id and its app id. Gives the platform ids of those that were heard first now,
    from people who are still who they were.
    """
    account_id, app_id = account
    facts = {
        "account_id": account_id,
        "account": app_id,
        "rows": json.dumps([question.as_row() for question in questions]),
        "took_ms": took_ms,
        "now": now,
    }
    return _KEEP, facts
