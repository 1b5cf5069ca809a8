"""The demo's report: every figure is a query on the database, none a counter of the script."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from sqlalchemy import text
from sqlmodel import Session

from fatigue.audit import audit_caps

_FIGURES = {
    "members": "SELECT count(*) FROM members WHERE status = 'active' AND mobile IS NOT NULL",
    "orders": "SELECT count(*) FROM orders",
    "shops": "SELECT count(*) FROM shops",
    "guides": "SELECT count(*) FROM guides WHERE status = 'active'",
    "audience": "SELECT count(*) FROM audience_members",
    "holdout": "SELECT count(*) FROM audience_members WHERE arm = 'holdout'",
    # A reminder is a card, too, but of no assignment.
    "cards_to_guides": """
        SELECT count(*) FROM notices
        WHERE kind = 'card' AND state = 'sent' AND assignment_id IS NOT NULL""",
    "orders_attributed": "SELECT count(*) FROM attributions",
    "sales_fen": "SELECT coalesce(sum(amount_fen), 0) FROM attributions",
    "commission_fen": "SELECT coalesce(sum(amount_fen), 0) FROM commissions",
}
_VERDICTS = {
    "reserved": "SELECT count(*) FROM touches WHERE counted_at IS NOT NULL",
    "deferred": "SELECT count(*) FROM touches WHERE state = 'asked' AND retry_at IS NOT NULL",
}
_WITHHELD = """
    SELECT coalesce(verdict->'violations'->0->>'rule', ''), count(*)
    FROM touches WHERE state = 'withheld' GROUP BY 1 ORDER BY 2 DESC, 1
"""
_TASKS = "SELECT state, count(*) FROM care_tasks GROUP BY 1 ORDER BY 1"
_TOUCHES = "SELECT channel, state, count(*) FROM touches GROUP BY 1, 2 ORDER BY 1, 2"
_BOT = """
    SELECT count(*), count(*) FILTER (WHERE reply IS NOT NULL),
           coalesce(percentile_cont(0.99) WITHIN GROUP (ORDER BY handled_ms), 0)
    FROM inbound_messages
"""
# What is sure of the touches that went, best first (decision 16).
_EVIDENCE = """
    SELECT grade, count(t.id)
    FROM unnest(ARRAY['platform', 'event', 'self_reported']) WITH ORDINALITY AS grades (grade, rank)
    LEFT JOIN touches t ON t.evidence = grade AND t.state = 'sent'
    GROUP BY grade, rank ORDER BY rank
"""
# Tasks by the channel that the brand turned to; one may have gone through a broadcast first.
_FALLBACKS = """
    SELECT channel, count(DISTINCT care_task_id) FROM touches
    WHERE care_task_id IS NOT NULL AND state <> 'withheld'
      AND key ~ '^task-[0-9]+-(broadcast|fallback)$'
    GROUP BY 1 ORDER BY 1
"""
_HANDED_OVER = """
    SELECT coalesce(sum(tasks), 0), coalesce(sum(members), 0),
           (SELECT count(*) FROM transfers WHERE has_left AND state = 'done'),
           (SELECT count(*) FROM scenes s JOIN guides g ON g.id = s.guide_id
            WHERE g.status = 'left' AND s.state = 'ready' AND jsonb_array_length(s.userids) > 0
              AND NOT jsonb_exists(s.userids, g.userid))
    FROM departures
"""
_GIFTS = "SELECT count(*), count(*) FILTER (WHERE state = 'claimed') FROM gifts"
# Whoever was really reached: all sales of an arm in the campaign's window, over all its members.
_ARM_SALES = """
    SELECT a.arm, coalesce(sum(o.amount_fen - o.refunded_fen), 0)::float
                  / count(DISTINCT (a.campaign_id, a.member_id))
    FROM audience_members a JOIN campaigns c ON c.id = a.campaign_id
    LEFT JOIN orders o ON o.member_id = a.member_id AND o.paid_at >= c.launched_at
         AND o.paid_at < c.launched_at + make_interval(days => c.attribution_days)
    GROUP BY a.arm
"""


def collect(session: Session, seconds: Mapping[str, float]) -> dict[str, Any]:
    """The report of docs/demo-report.md; `seconds` are the measured steps."""
    ask = session.connection().execute
    one = {name: ask(text(sql)).scalar_one() for name, sql in _FIGURES.items()}
    verdicts: dict[str, Any] = {k: ask(text(sql)).scalar_one() for k, sql in _VERDICTS.items()}
    verdicts["withheld"] = dict(ask(text(_WITHHELD)).tuples().all())
    touches: dict[str, dict[str, int]] = {}
    for channel, state, number in ask(text(_TOUCHES)):
        touches.setdefault(channel, {})[state] = number
    tasks, members, customers, codes = (int(number) for number in ask(text(_HANDED_OVER)).one())
    inbound, replies, p99 = ask(text(_BOT)).one()
    opened, claimed = ask(text(_GIFTS)).one()
    per_member: dict[str, float] = dict(ask(text(_ARM_SALES)).tuples().all())
    return {
        **{name: int(number) for name, number in one.items()},
        "verdicts": verdicts,
        "tasks": dict(ask(text(_TASKS)).tuples().all()),
        "touches": touches,
        "evidence": dict(ask(text(_EVIDENCE)).tuples().all()),
        "fallbacks": dict(ask(text(_FALLBACKS)).tuples().all()),
        "handed_over": {"tasks": tasks, "members": members, "customers": customers, "codes": codes},
        "bot": {"inbound": inbound, "replies": replies, "p99_ms": round(p99, 1)},
        "gifts": {"opened": opened, "claimed": claimed},
        "holdout_sales_fen_per_member": round(per_member.get("holdout", 0.0), 1),
        "treated_sales_fen_per_member": round(per_member.get("treated", 0.0), 1),
        "caps_exceeded": len(audit_caps(session)),
        "seconds": {name: round(value, 2) for name, value in seconds.items()},
    }


def show(report: Mapping[str, Any], console: Console) -> None:
    """The report as a table."""
    table = Table(title="Zhiyin demo report", show_header=False)
    for name, value in report.items():
        table.add_row(name, _words(value))
    console.print(table)


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        return "\n".join(f"{key}: {_words(inner)}" for key, inner in value.items())
    return f"{value:,}" if isinstance(value, int) else str(value)
