"""Silences: who was erased and asked for no word, known again only by keyed hashes.

An erased person has no row that a stop could belong to. When an import, a first contact or a
binding brings the mobile or the outside id back, the stop is put up again.
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime

from sqlalchemy import delete, text
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Field, SQLModel, col, select

from store import consents
from store.db import Session
from store.tokens import fingerprint

ERASED = "erased"
_BATCH = 10_000


class Silence(SQLModel, table=True):
    """A keyed hash of a mobile, an outside id or a unionid of somebody who was erased."""

    __tablename__ = "silences"
    fingerprint: str = Field(primary_key=True)
    stated_at: datetime


def remember(session: Session, ids: Sequence[int], *, secret_key: str, now: datetime) -> None:
    """Remember every key of these rows of `members`, before they are erased."""
    prints = {mark for _, mark in _prints(session, secret_key, ids)}
    if prints:
        rows = [{"fingerprint": mark, "stated_at": now} for mark in sorted(prints)]
        session.execute(insert(Silence).values(rows).on_conflict_do_nothing())


def recall(session: Session, member_id: int, *, secret_key: str, now: datetime) -> bool:
    """Put the stop up again for this member, if one was remembered; tells whether."""
    prints = [mark for _, mark in _prints(session, secret_key, [member_id])]
    query = select(Silence.fingerprint).where(col(Silence.fingerprint).in_(prints))
    if session.exec(query).first() is None:
        return False
    consents.stop(session, member_id, reason=ERASED, now=now)
    return True


def recall_all(session: Session, *, secret_key: str, now: datetime) -> int:
    """The same for everybody, after an import; whoever lifted such a stop is left out.

    Reads every mobile once (about two seconds a million), unless nobody was ever erased.
    """
    known = set(session.exec(select(Silence.fingerprint)).all())
    if not known:
        return 0
    found = {who for who, mark in _prints(session, secret_key, None) if mark in known}
    for member_id in sorted(found):
        consents.stop(session, member_id, reason=ERASED, now=now)
    return len(found)


def forgive(session: Session, member_id: int, *, secret_key: str) -> None:
    """The person wants to hear from us again: forget the silence."""
    prints = [mark for _, mark in _prints(session, secret_key, [member_id])]
    session.execute(delete(Silence).where(col(Silence.fingerprint).in_(prints)))


def _prints(
    session: Session, secret_key: str, ids: Collection[int] | None
) -> Iterator[tuple[int, str]]:
    """Each member with the hash of each key: of these rows, or of all active ones not told yet."""
    query, values = (
        (_KEYS_OF_ALL, {"reason": ERASED}) if ids is None else (_KEYS, {"ids": list(ids)})
    )
    rows = session.execute(query, values, execution_options={"yield_per": _BATCH})
    for row in rows:
        yield row.member_id, fingerprint(secret_key, row.key)


_ALL_KEYS = """
SELECT members.id AS member_id, mobile AS key FROM members WHERE mobile IS NOT NULL
UNION ALL
SELECT member_id, channel || ':' || account || ':' || outside_id FROM identities
UNION ALL
SELECT member_id, 'unionid:' || unionid FROM identities WHERE unionid IS NOT NULL
"""
_TOLD_NOTHING = """
JOIN members ON members.id = member_id AND members.status = 'active'
WHERE NOT EXISTS (SELECT FROM suppressions AS told
                  WHERE told.member_id = members.id AND told.reason = :reason)
"""
_OF_ALL = f"SELECT member_id, key FROM ({_ALL_KEYS}) AS keys"  # noqa: S608 -- our own names
_KEYS = text(f"{_OF_ALL} WHERE member_id = ANY(:ids)")
_KEYS_OF_ALL = text(_OF_ALL + _TOLD_NOTHING)
