"""Who answered which message: a member who writes after a care task has reached them."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlmodel import Session

from fatigue import facts
from guide_tasks import proofs
from store.campaigns import CareTask, TaskState, move_task
from store.grants import TERMS, Trigger

# A member who writes within a week of a touch is taken to answer it.
WINDOW = timedelta(days=7)
UNANSWERED = frozenset({TaskState.SENT, TaskState.DELIVERED})
_MESSAGE = TERMS[Trigger.MESSAGE]
# A member's words open a window. They answer the last care that had arrived by then, and wait for
# the word on one that a guide may have confirmed before them. Words that answered are the task's.
_ANSWERED = text("""
    SELECT task.id, min(words.opened_at)
    FROM unnest(CAST(:members AS bigint[]), CAST(:times AS timestamptz[])) AS news(member, since)
    JOIN grants words ON words.member_id = news.member AND words.channel = :channel
        AND words.expires_at - words.opened_at = make_interval(secs => :seconds)
        AND words.opened_at >= news.since
    CROSS JOIN LATERAL (
        SELECT care_task_id FROM touches
        WHERE member_id = news.member AND state = 'sent' AND care_task_id IS NOT NULL
            AND counted_at < words.opened_at AND counted_at > words.opened_at - :window
        ORDER BY counted_at DESC, id DESC LIMIT 1) last
    JOIN care_tasks task ON task.id = last.care_task_id
    WHERE task.state IN ('sent', 'delivered', 'replied')
        AND NOT EXISTS (
            SELECT FROM touches under_way
            WHERE under_way.member_id = news.member AND under_way.state = 'sending'
                AND under_way.care_task_id IS NOT NULL AND under_way.fenced_at < words.opened_at)
        AND NOT EXISTS (
            SELECT FROM care_tasks WHERE member_id = news.member AND replied_at = words.opened_at)
    GROUP BY task.id
    ORDER BY task.id
""")


def member_wrote(session: Session, member_id: int, *, now: datetime) -> None:
    """The member has just written to the brand: what had reached them last is answered, once."""
    facts.lock(session, [member_id])
    words_since(session, {member_id: now}, now=now)


def words_since(session: Session, news: Mapping[int, datetime], *, now: datetime) -> None:
    """Look again at what members wrote, each since their own time; they are locked.

    A platform may say hours later that a message went out, and the member has answered by then.
    """
    if not news:
        return
    session.flush()
    asked = {
        "members": list(news),
        "times": list(news.values()),
        "channel": _MESSAGE.channel,
        "seconds": _MESSAGE.seconds,
        "window": WINDOW,
    }
    for task_id, wrote_at in session.connection().execute(_ANSWERED, asked).all():
        task = session.get_one(CareTask, task_id, with_for_update=True, populate_existing=True)
        if task.state in UNANSWERED:
            move_task(task, TaskState.REPLIED, now=now)
            task.replied_at = wrote_at
        proofs.by_answer(session, task, now=now)
