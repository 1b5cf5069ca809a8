"""Chunks of a launch: the work of one short transaction each, done once, by whichever worker."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint
from sqlmodel import Field, Session, SQLModel, col, select

from store.columns import link


class LaunchChunk(SQLModel, table=True):
    """The treated members of a campaign from `first_id` to `last_id`, both included."""

    __tablename__ = "launch_chunks"
    __table_args__ = (CheckConstraint("first_id <= last_id", name="ck_launch_chunks_order"),)
    campaign_id: int = link("campaigns.id", index=False, primary_key=True)
    number: int = Field(primary_key=True)
    first_id: int = Field(sa_type=BigInteger)
    last_id: int = Field(sa_type=BigInteger)
    done_at: datetime | None = None


def take(session: Session, campaign_id: int) -> LaunchChunk | None:
    """Lock the first chunk that nobody has done or is doing; one whose worker died is free."""
    query = (
        select(LaunchChunk)
        .where(LaunchChunk.campaign_id == campaign_id, col(LaunchChunk.done_at).is_(None))
        .order_by(col(LaunchChunk.number))
        .limit(1)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    )
    return session.exec(query).first()


def is_done(session: Session, campaign_id: int) -> bool:
    """Whether no chunk is left, locked ones included."""
    query = select(LaunchChunk.number).where(
        LaunchChunk.campaign_id == campaign_id, col(LaunchChunk.done_at).is_(None)
    )
    return session.exec(query.limit(1)).first() is None
