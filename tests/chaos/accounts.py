"""What must hold after any number of killed runs: every message once, every account in balance."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlmodel import Session

from fatigue.audit import audit_caps
from store.db import Engine

_LIST = re.compile(r"/m/picks/([\w-]+)")
CHANNELS = {
    "wecom_broadcast": "wecom_broadcast",
    "wechat_custom": "wechat_service",
    "wechat_notice": "wechat_notice",
    # What a guide writes by hand, and tells us.
    "wecom_chat": "wecom_sidebar",
}
# One row a touch: where it goes, and what tells its receipt: the token of its product list, or the
# words of one that has none.
_TOUCHES = r"""
    SELECT t.id, t.state, t.channel, array_agg(i.outside_id),
           coalesce(substring(concat(t.text, ' ', t.payload ->> 'url') FROM '/m/picks/([\w-]+)'),
                    t.text)
    FROM touches t JOIN identities i ON i.member_id = t.member_id
         AND i.channel = CASE WHEN t.channel IN ('wecom_broadcast', 'wecom_sidebar')
                              THEN 'wecom' ELSE 'wechat' END
    GROUP BY t.id
"""
# What must never be, and how often it is.
_NEVER = {
    "points and lots disagree": """
        SELECT count(*) FROM
        (SELECT member_id, sum(points) AS points FROM points_entries GROUP BY 1) e FULL JOIN
        (SELECT member_id, sum(remaining) AS points FROM points_lots GROUP BY 1) l USING (member_id)
        WHERE greatest(coalesce(e.points, 0), 0) <> coalesce(l.points, 0)""",
    "an order of the case gave no points, or twice": """
        SELECT count(*) FROM orders o WHERE o.amount_fen >= 100 AND o.member_id IS NOT NULL
        AND o.source = 'pos' AND 1 <> (SELECT count(*) FROM points_entries e
            WHERE e.reason = 'order' AND e.source_id = o.id::text)""",
    "a coupon is on its way without an open gift": """
        SELECT count(*) FROM coupons c WHERE (c.state = 'gifting') <>
        EXISTS (SELECT FROM gifts g WHERE g.coupon_id = c.id AND g.state = 'open')""",
    "a claimed coupon is not its claimer's": """
        SELECT count(*) FROM gifts g JOIN coupons c ON c.id = g.coupon_id
        WHERE g.state = 'claimed' AND c.member_id <> g.claimed_by_id
        AND NOT EXISTS (SELECT FROM gifts h WHERE h.coupon_id = c.id AND h.id > g.id)""",
    "more coupons than a plan counts": """
        SELECT count(*) FROM coupon_plans p
        WHERE p.issued <> (SELECT count(*) FROM coupons c WHERE c.plan_id = p.id)""",
    "an order is attributed beyond its worth": """
        SELECT count(*) FROM attributions a JOIN orders o ON o.id = a.order_id
        WHERE a.amount_fen > o.amount_fen - o.refunded_fen""",
    "a task was sent without a touch that went": """
        SELECT count(*) FROM care_tasks k
        WHERE k.state IN ('sent', 'delivered', 'replied', 'converted')
        AND NOT EXISTS (SELECT FROM touches t WHERE t.care_task_id = k.id AND t.state = 'sent')""",
}


def receipts(var: Path) -> list[dict[str, Any]]:
    """What members have received unasked, over all runs."""
    path = var / "demo-receipts.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [found for found in map(json.loads, lines) if found["channel"] in CHANNELS]


def complaints(var: Path, engine: Engine) -> list[str]:
    """Everything that does not add up, in sentences; nothing is what we promise."""
    with Session(engine) as session:
        ask = session.connection().execute
        counted = {what: ask(text(sql)).scalar_one() for what, sql in _NEVER.items()}
        touches = list(ask(text(_TOUCHES)))
        caps = [str(breach) for breach in audit_caps(session)]
    wrong = [f"{what}: {number}" for what, number in counted.items() if number]
    return wrong + caps + _twice(var) + _unaccounted(receipts(var), touches)


def _twice(var: Path) -> list[str]:
    seen = Counter((found["to"], found["text"]) for found in receipts(var))
    return [f"received {times} times: {what}" for what, times in seen.items() if times > 1]


def _unaccounted(received: list[dict[str, Any]], touches: list[Any]) -> list[str]:
    """Receipts without a touch that went, and touches said to be sent without their one receipt."""
    got = Counter((CHANNELS[one["channel"]], one["to"], _list_in(one)) for one in received)
    wrong = []
    for touch_id, state, channel, outside_ids, token in touches:
        number = sum(got.pop((channel, outside, token), 0) for outside in outside_ids)
        allowed = {"sent": {1}, "sending": {0, 1}, "unknown": {0, 1}}.get(state, {0})
        if number not in allowed:
            wrong.append(f"touch {touch_id} is {state} by {channel}, with {number} receipts")
    return wrong + [f"received without a touch: {what}" for what in got]


def _list_in(receipt: dict[str, Any]) -> str:
    """The token of the product list that the message leads to: every care task has its own. The
    words of a message without a list.
    """
    found = _LIST.search(f"{receipt['text']} {receipt['facts'].get('url')}")
    return found[1] if found else str(receipt["text"])
