"""The corp's directory as we last saw it: whose department is which shop, who was not there.

That somebody is not shown does not say that they left: an app's visible range may have been
changed, or the person may be disabled for a while (wecom.md §2.2). It is written down, and a
person decides, or WeCom's list of customers without a guide.
"""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import BigInteger, UniqueConstraint
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Field, SQLModel, col, select

from store.columns import big_key, link
from store.db import Session
from store.errors import NotFound
from store.organisation import Guide, GuideStatus, Shop


class Department(SQLModel, table=True):
    """A department of a corp that stands for a shop."""

    __tablename__ = "departments"
    __table_args__ = (
        UniqueConstraint("corp_id", "department_id", name="uq_departments_department"),
    )
    id: int = big_key()
    corp_id: str
    department_id: int = Field(sa_type=BigInteger)
    shop_id: int = link("shops.id")


class DirectoryEntry(SQLModel, table=True):
    """When the directory last showed a guide, and since when it has not."""

    __tablename__ = "directory_entries"
    guide_id: int = link("guides.id", index=False, primary_key=True)
    seen_at: datetime | None = None
    missing_since: datetime | None = None


class GuideNotFound(NotFound):
    """No guide has this userid."""

    def __init__(self, userid: str) -> None:
        self.userid = userid
        super().__init__(f"There is no guide {userid!r}; import the guides first.")


def guide_of(session: Session, userid: str) -> Guide:
    """The guide with this userid, in post or not."""
    guide = session.exec(select(Guide).where(Guide.userid == userid)).one_or_none()
    if guide is None:
        raise GuideNotFound(userid)
    return guide


def stands_for(session: Session, corp_id: str, department_id: int, shop: Shop) -> None:
    """Say that a department is a shop; it may be said again of another one."""
    row = {"corp_id": corp_id, "department_id": department_id, "shop_id": shop.id}
    query = insert(Department).values(**row)
    session.execute(
        query.on_conflict_do_update(
            constraint="uq_departments_department", set_={"shop_id": shop.id}
        )
    )


def shops_of(session: Session, corp_id: str) -> dict[int, int]:
    """Shops by the departments that stand for them."""
    query = select(Department.department_id, Department.shop_id)
    return dict(session.exec(query.where(Department.corp_id == corp_id)).all())


def seen(session: Session, guide_ids: Collection[int], *, now: datetime) -> None:
    """The directory shows these guides."""
    _write(session, guide_ids, {"seen_at": now, "missing_since": None})


def missed(session: Session, guide_ids: Collection[int], *, now: datetime) -> None:
    """The directory does not show these guides; the first such time counts."""
    rows = [{"guide_id": one, "missing_since": now} for one in sorted(guide_ids)]
    if not rows:
        return
    query = insert(DirectoryEntry).values(rows)
    since = {"missing_since": query.excluded.missing_since}
    is_new = col(DirectoryEntry.missing_since).is_(None)
    session.execute(
        query.on_conflict_do_update(index_elements=["guide_id"], set_=since, where=is_new)
    )


def missing(session: Session) -> list[tuple[Guide, datetime]]:
    """Guides in post whom the directory does not show, the longest first."""
    query = (
        select(Guide, DirectoryEntry.missing_since)
        .join(DirectoryEntry, col(DirectoryEntry.guide_id) == Guide.id)
        .where(col(DirectoryEntry.missing_since).is_not(None))
        .where(Guide.status == GuideStatus.ACTIVE)
        .order_by(col(DirectoryEntry.missing_since), col(Guide.id))
    )
    return [(guide, since) for guide, since in session.exec(query) if since is not None]


def _write(session: Session, guide_ids: Collection[int], facts: dict[str, datetime | None]) -> None:
    rows = [{"guide_id": one, **facts} for one in sorted(guide_ids)]
    if rows:
        query = insert(DirectoryEntry).values(rows)
        session.execute(query.on_conflict_do_update(index_elements=["guide_id"], set_=facts))
