"""Feedback: one to five and a few words, once for an order, or once a day without one."""

from datetime import date, datetime, timedelta

from sqlalchemy import CheckConstraint, Index, UniqueConstraint
from sqlmodel import Session, SQLModel, col, select

from store import members
from store.columns import big_key, link
from store.errors import Refusal, WrongState
from store.orders import Order

WORST, BEST = 1, 5
# At or below this somebody has to make it good.
POOR = 2
# A purchase longer ago is not what the person has in mind.
_FRESH = timedelta(days=14)
LONGEST_WORDS = 1000


class Feedback(SQLModel, table=True):
    """What a member thinks; `given_on` is the day on the brand's clock."""

    __tablename__ = "feedbacks"
    __table_args__ = (
        CheckConstraint(f"score BETWEEN {WORST} AND {BEST}", name="ck_feedbacks_score"),
        UniqueConstraint("order_id", name="uq_feedbacks_order"),
        Index(
            "uq_feedbacks_day",
            "member_id",
            "given_on",
            unique=True,
            postgresql_where="order_id IS NULL",
        ),
    )
    id: int = big_key()
    member_id: int = link("members.id")
    brand_id: int = link("brands.id", index=False)
    order_id: int | None = link("orders.id", index=False, default=None, nullable=True)
    care_task_id: int | None = link("care_tasks.id", default=None, nullable=True)
    score: int
    words: str = ""
    source: str
    given_on: date
    created_at: datetime

    @property
    def is_poor(self) -> bool:
        """Whether somebody has to make it good."""
        return self.score <= POOR


class BadScore(Refusal):
    """A score is a whole number from one to five."""

    def __init__(self) -> None:
        self.worst, self.best = WORST, BEST
        super().__init__(f"A score is a whole number from {WORST} to {BEST}.")


class AlreadyRated(WrongState):
    """The order was rated before, or the member has rated without an order today."""

    def __init__(self) -> None:
        super().__init__("feedback", "given", "given again")


def unrated_order(session: Session, member_id: int, now: datetime) -> Order | None:
    """The member's last order, while it is fresh and not yet rated."""
    query = (
        select(Order)
        .where(Order.member_id == member_id, Order.paid_at > now - _FRESH)
        .order_by(col(Order.paid_at).desc(), col(Order.id).desc())
        .limit(1)
    )
    last = session.exec(query).first()
    rated = select(Feedback.id).where(Feedback.order_id == (last.id if last else None))
    return last if last is not None and session.exec(rated).first() is None else None


def give(  # noqa: PLR0913 -- who, about what, how good, from where and when: all of it counts
    session: Session,
    member_id: int,
    score: int,
    *,
    order_id: int | None,
    source: str,
    today: date,
    now: datetime,
) -> Feedback:
    """Write down a score, locking the member; refuses a second one for the order or the day."""
    if not WORST <= score <= BEST:
        raise BadScore
    member = members.lock(session, member_id)
    same = select(Feedback.id)
    if order_id is not None:
        same = same.where(Feedback.order_id == order_id)
    else:
        same = same.where(
            Feedback.member_id == member.id,
            Feedback.given_on == today,
            col(Feedback.order_id).is_(None),
        )
    if session.exec(same).first() is not None:
        raise AlreadyRated
    given = Feedback(
        member_id=member.id,
        brand_id=member.brand_id,
        order_id=order_id,
        score=score,
        source=source,
        given_on=today,
        created_at=now,
    )
    session.add(given)
    session.flush()
    return given


def add_words(session: Session, given: Feedback, words: str) -> None:
    """Keep what the member says about it, after what was said before."""
    session.refresh(given, with_for_update=True)
    given.words = "\n".join(part for part in (given.words, words) if part)[:LONGEST_WORDS]
    session.flush()
