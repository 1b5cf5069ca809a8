"""Touches as the gate finds and writes them: a batch is one statement, of one array or document."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.orm import class_mapper
from sqlalchemy.orm.base import instance_state
from sqlmodel import Session, col, select

from fatigue.facts import among
from store import trips
from store.touches import Touch
from store.trips import Rows, Statement

_IS_KNOWN = "SELECT id FROM touches WHERE key = %(key)s"
_KNOWN = "SELECT id FROM touches WHERE key = ANY(CAST(%(keys)s AS text[]))"
_INSERT = """INSERT INTO touches (
        key, member_id, channels, channel, category, brand_id, campaign_id, care_task_id, guide_id,
        priority, text, payload, deadline_at, state, verdict, asked_at, retry_at, lease_until,
        counted_at, settled_at)
    SELECT
        key, member_id, channels, channel, category, brand_id, campaign_id, care_task_id, guide_id,
        priority, text, payload, deadline_at, state, verdict, asked_at, retry_at, lease_until,
        counted_at, settled_at
    FROM jsonb_populate_recordset(
        jsonb_populate_record(CAST(NULL AS touches), CAST(%(common)s AS jsonb)),
        CAST(%(rows)s AS jsonb))
    ON CONFLICT (key) DO NOTHING
    RETURNING key, id
"""
# What a touch does not have before it was fenced.
_LATER: dict[str, object] = {
    **dict.fromkeys(("fenced_at", "tried_since", "reached_at")),
    **dict.fromkeys(("provider_id", "failure", "evidence")),
    "attempts": 0,
}
# An instance without the constructor, as the mapper makes one for a row that it has read: the
# constructor validates and takes ten times as long. Named so, the mapper is made ready, which in a
# new process nobody may have done before.
_new_touch = class_mapper(Touch).class_manager.new_instance


def knowing(keys: Sequence[str]) -> Statement:
    """The statement that tells which touches have these keys already."""
    return (_KNOWN, {"keys": list(keys)}) if len(keys) > 1 else (_IS_KNOWN, {"key": keys[0]})


def find(session: Session, known: Rows, *, is_locked: bool) -> dict[str, Touch]:
    """The touches that are known, most often none, by key; freshly read, locked in id order."""
    if not known:
        return {}
    query = select(Touch).where(among(Touch.id, [touch_id for (touch_id,) in known]))
    if is_locked:
        query = query.order_by(col(Touch.id)).with_for_update()
    touches = session.exec(query.execution_options(populate_existing=True)).all()
    return {touch.key: touch for touch in touches}


def insert(session: Session, rows: Sequence[dict[str, Any]], *, is_kept: bool) -> dict[str, Touch]:
    """Write new touches; gives those whose key nobody else had taken.

    They hold what stands in the database, as if read back. The session knows of those that are
    kept, as of any row; for many that takes longer than to decide about them.
    """
    common = _common(rows)
    own = [name for name in rows[0] if name not in common]
    facts = {
        "common": json.dumps(common, default=datetime.isoformat),
        "rows": json.dumps(
            [{name: row[name] for name in own} for row in rows], default=datetime.isoformat
        ),
    }
    made: dict[str, int] = dict(trips.fetch(session, _INSERT, facts))
    # Of two rows with one key the first is written.
    first = {row["key"]: row for row in reversed(rows)}
    touches = {key: _made(touch_id, first[key]) for key, touch_id in made.items()}
    if is_kept:
        session.add_all(touches.values())
    return touches


def _common(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What is the same in all rows, so that it is sent and read once."""
    first = rows[0]
    return {
        name: value
        for name, value in first.items()
        if all(row[name] is value or row[name] == value for row in rows)
    }


def _made(touch_id: int, row: dict[str, Any]) -> Touch:
    touch: Touch = _new_touch()
    vars(touch).update(_LATER, id=touch_id, **row)
    # As `make_transient_to_detached` would, which looks at each column and takes longest of all.
    instance_state(touch).key = Touch, (touch_id,), None
    return touch
