"""Merges of two rows that are one person, and their exact undoing.

A merge hands rows over from `gone` to `kept` and writes down in `Merge.moved` each row that changed
hands. Undo hands back exactly those; what happened after the merge stays with `kept`, save what
answers a row of `gone`: the refund of an order of theirs, the expiry of a lot of theirs, the gift
on its way of a coupon of theirs.
What moves is said in `store.holdings`.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, text
from sqlmodel import Field, SQLModel, col, select

from store import facts, holdings, levels
from store.columns import big_key, json_column, link
from store.db import Session
from store.errors import NotAllowed, NotFound, WrongState


class Merge(SQLModel, table=True):
    """One merge of `gone` into `kept`; `moved` names every row that changed hands."""

    __tablename__ = "merges"
    __table_args__ = (CheckConstraint("kept_id <> gone_id", name="ck_merges_two_people"),)
    id: int = big_key()
    kept_id: int = link("members.id")
    gone_id: int = link("members.id")
    reason: str
    moved: dict[str, Any] = json_column()
    merged_at: datetime
    undone_at: datetime | None = Field(default=None)


class MergeNotFound(NotFound):
    """There is no merge with this id."""

    def __init__(self, merge_id: int) -> None:
        self.merge_id = merge_id
        super().__init__(f"There is no merge {merge_id}.")


class CannotMerge(NotAllowed):
    """One of the two is not an active member, or both are the same."""

    def __init__(self, kept_id: int, gone_id: int) -> None:
        self.kept_id, self.gone_id = kept_id, gone_id
        super().__init__(f"Member {gone_id} cannot be merged into {kept_id}: both must be active.")


class CannotUndoMerge(NotAllowed):
    """The world moved on: undo the later merge first, or free the mobile."""

    def __init__(self, merge_id: int, obstacle: str) -> None:
        self.merge_id, self.obstacle = merge_id, obstacle
        super().__init__(f"Merge {merge_id} cannot be undone: {obstacle}.")


def merge(session: Session, kept_id: int, gone_id: int, *, reason: str, now: datetime) -> Merge:
    """Hand everything of `gone` to `kept`; both are locked in id order and must be active.

    Kept's own guide wins; of two consents or stops the stricter stays; of two care tasks of one
    campaign each keeps their own. Facts and levels follow.
    """
    session.flush()
    both_active = {kept_id: "active", gone_id: "active"}
    if kept_id == gone_id or _lock(session, kept_id, gone_id) != both_active:
        raise CannotMerge(kept_id, gone_id)
    moved = holdings.hand_over(session, kept_id, gone_id, now=now)
    row = Merge(kept_id=kept_id, gone_id=gone_id, reason=reason, moved=moved, merged_at=now)
    session.add(row)
    _settle(session, kept_id, gone_id, now=now)
    return row


def undo(session: Session, merge_id: int, *, now: datetime) -> Merge:
    """Hand back what the merge moved; a second time changes nothing and is a `WrongState`.

    Points of `gone` that `kept` has spent since come back to `gone`, and are a debt of `kept`.
    """
    row = session.get(Merge, merge_id)
    if row is None:
        raise MergeNotFound(merge_id)
    states = _lock(session, row.kept_id, row.gone_id)
    session.refresh(row, with_for_update=True)
    if row.undone_at is not None:
        raise WrongState("merge", "undone", "undone")
    if states[row.kept_id] != "active" or states[row.gone_id] != "merged":
        raise CannotUndoMerge(merge_id, "one of the two was merged again or erased since")
    if _is_mobile_taken(session, row):
        raise CannotUndoMerge(merge_id, "the mobile belongs to another member by now")
    holdings.hand_back(session, row.kept_id, row.gone_id, row.moved)
    row.undone_at = now
    _settle(session, row.kept_id, row.gone_id, now=now)
    return row


def of_member(session: Session, member_id: int) -> list[Merge]:
    """The merges into this member that stand, newest first."""
    query = select(Merge).where(Merge.kept_id == member_id, col(Merge.undone_at).is_(None))
    return list(session.exec(query.order_by(col(Merge.id).desc())))


def _lock(session: Session, one_id: int, other_id: int) -> dict[int, str]:
    rows = session.execute(_LOCK, {"ids": [one_id, other_id]})
    return {row.id: row.status for row in rows}


def _is_mobile_taken(session: Session, row: Merge) -> bool:
    # Kept gives back a mobile that the merge filled in, but not one that they bound since.
    giver_id = row.kept_id if holdings.has_filled(row.moved, "mobile") else row.gone_id
    values = {"gone": row.gone_id, "giver": giver_id}
    return session.execute(_TAKEN, values).first() is not None


def _settle(session: Session, kept_id: int, gone_id: int, *, now: datetime) -> None:
    facts.refresh(session, [kept_id, gone_id], now=now)
    levels.settle(session, [kept_id, gone_id], now=now)
    # What plain SQL changed, the session has not seen; merges are rare, so one read a row is fine.
    for loaded in list(session.identity_map.values()):
        if getattr(loaded, "__tablename__", None) in holdings.TABLES:
            session.refresh(loaded)


_LOCK = text("SELECT id, status FROM members WHERE id = ANY(:ids) ORDER BY id FOR UPDATE")
_TAKEN = text("""
SELECT 1 FROM members AS gone JOIN members AS other ON other.mobile = gone.mobile
WHERE gone.id = :gone AND other.status = 'active' AND other.id NOT IN (:gone, :giver)
""")
