"""Corp tags: which of our tags is which of WeCom's, and how two sets of tags are brought together.

A tag that somebody deleted in WeCom is not made again.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import UniqueConstraint
from sqlmodel import SQLModel, col, select

from store.columns import big_key, link
from store.db import Session
from store.tags import Tag


class CorpTag(SQLModel, table=True):
    """One tag at both places. `name` is what both called it last."""

    __tablename__ = "corp_tags"
    __table_args__ = (
        UniqueConstraint("account_id", "corp_tag_id", name="uq_corp_tags_theirs"),
        UniqueConstraint("account_id", "tag_id", name="uq_corp_tags_ours"),
    )
    id: int = big_key()
    account_id: int = link("accounts.id", index=False)
    tag_id: int = link("tags.id")
    corp_tag_id: str
    name: str
    gone_at: datetime | None = None


@dataclass(frozen=True)
class Reunion:
    """What each side has to do so that both have the same tags, `agreed`, afterwards."""

    agreed: frozenset[str]
    add_there: frozenset[str]
    remove_there: frozenset[str]
    add_here: frozenset[str]
    remove_here: frozenset[str]


def reunite(
    *,
    agreed: Collection[str],
    ours: Collection[str],
    theirs: Collection[str],
    ours_alone: Collection[str] = (),
) -> Reunion:
    """Bring both sides together from what they last agreed on: every change of either counts.

    What stands in `ours_alone` cannot be taken off over there.
    """
    base, here, there = set(agreed), set(ours), set(theirs)
    added = (here - base) | (there - base)
    removed = (base - here) | ((base - there) - set(ours_alone))
    both = frozenset((base | added) - removed)
    return Reunion(
        agreed=both,
        add_there=both - there,
        remove_there=frozenset(there - both),
        add_here=both - here,
        remove_here=frozenset(here - both),
    )


def living(session: Session, account_id: int) -> Sequence[tuple[CorpTag, Tag]]:
    """The tags that are at both places."""
    query = select(CorpTag, Tag).join(Tag, col(Tag.id) == CorpTag.tag_id)
    query = query.where(CorpTag.account_id == account_id, col(CorpTag.gone_at).is_(None))
    return session.exec(query.order_by(col(CorpTag.id))).all()


def known(session: Session, account_id: int) -> Sequence[CorpTag]:
    """All tags that ever were at both places."""
    query = select(CorpTag).where(CorpTag.account_id == account_id)
    return session.exec(query.order_by(col(CorpTag.id))).all()
