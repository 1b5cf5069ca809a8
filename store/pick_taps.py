"""Products that a member looked at more closely, from the list made for them."""

from datetime import date, datetime

from sqlalchemy import UniqueConstraint
from sqlmodel import SQLModel

from store.columns import big_key, link


class PickTap(SQLModel, table=True):
    """A product of a task's list that was tapped on a day, at the first tap of that day.

    Whoever comes back to it within the day is interested once.
    """

    __tablename__ = "pick_taps"
    __table_args__ = (
        UniqueConstraint("care_task_id", "product_id", "tapped_on", name="uq_pick_taps_day"),
    )
    id: int = big_key()
    care_task_id: int = link("care_tasks.id", index=False)
    product_id: int = link("products.id", index=False)
    tapped_on: date
    tapped_at: datetime
