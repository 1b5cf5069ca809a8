"""Orders whose attribution is due again, because more is known about the touches before them."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import text

from store.db import Session
from store.jobs import Job, after_commit

_REOPEN = text("""
    UPDATE orders SET is_attribution_due = true
    FROM unnest(CAST(:members AS bigint[]), CAST(:times AS timestamptz[])) AS news(member, since)
    WHERE member_id = news.member AND paid_at >= news.since AND NOT is_attribution_due
        AND NOT EXISTS (
            SELECT 1 FROM attributions WHERE order_id = orders.id AND evidence <> 'self_reported'
        )
    RETURNING id
""")


def reopen(session: Session, member_id: int, *, since: datetime) -> int:
    """Look again at orders since then that nobody was credited with, or on a word only.

    A platform says late that a touch arrived: what was bought in between follows that touch. So
    does the commission of an order whose touch is proven by now. Gives how many; the caller has
    locked the member.
    """
    return reopen_all(session, {member_id: since})


def reopen_all(session: Session, news: Mapping[int, datetime]) -> int:
    """`reopen` for many members, each since their own time, in one statement."""
    if not news:
        return 0
    session.flush()
    facts = {"members": list(news), "times": list(news.values())}
    found = session.connection().execute(_REOPEN, facts)
    orders = list(found.scalars())
    for order_id in orders:
        after_commit(session, Job.ATTRIBUTE_ORDER, order_id)
    return len(orders)
