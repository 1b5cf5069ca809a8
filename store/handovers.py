"""Hand-overs: a member talks with a person for a while, and the bot keeps still.

From `opened_at` until the guide or the member ends it, or nobody said anything for so long that it
lapses, the bot answers nothing but a stop. What the member says meanwhile are lines, kept until
the guide was nudged about them: one nudge for all lines of some minutes.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import CheckConstraint, ColumnElement, Index, func, update
from sqlalchemy.dialects.postgresql import distinct_on
from sqlmodel import Field, Session, SQLModel, col, select

from store import members, visibility
from store.columns import big_key, link, one_of, status
from store.errors import NotFound, WrongState
from store.leaves import Leave
from store.members import Identity
from store.notices import Notice, NoticeState
from store.organisation import Guide, GuideStatus, HumanDesk
from store.tokens import new_token

# After the last word of either side; a shop that is closed adds the time until it opens.
PATIENCE = timedelta(hours=4)
# A guide who serves somebody in the shop reads one message better than ten.
NUDGE_PAUSE = timedelta(minutes=5)
LONGEST_LINE = 2000


class Ending(StrEnum):
    """Who ended it: a person, the clock, or nobody who could have answered."""

    GUIDE = "guide"
    MEMBER = "member"
    LAPSED = "lapsed"
    NOBODY = "nobody"


class Side(StrEnum):
    """Whose words a line is."""

    MEMBER = "member"
    GUIDE = "guide"


class Handover(SQLModel, table=True):
    """One talk with a person. At the desk `wechat` WeChat's own tool holds the talk, not a guide.

    `nudges` counts the messages to the guide; the lines of the last went out at `nudged_at`.
    """

    __tablename__ = "handovers"
    __table_args__ = (
        one_of("desk", HumanDesk, "handovers"),
        one_of("ended_by", Ending, "handovers"),
        CheckConstraint("(ended_at IS NULL) = (ended_by IS NULL)", name="ck_handovers_ended_once"),
        CheckConstraint("desk = 'wechat' OR guide_id IS NOT NULL", name="ck_handovers_somebody"),
        Index("uq_handovers_open", "identity_id", unique=True, postgresql_where="ended_at IS NULL"),
        Index("ix_handovers_guide", "guide_id", postgresql_where="ended_at IS NULL"),
    )
    id: int = big_key()
    token: str = Field(unique=True, default_factory=new_token)
    member_id: int = link("members.id")
    # Whoever leaves the account takes along what was said there (wechat-oa.md §2.3).
    identity_id: int = link("identities.id", ondelete="CASCADE")
    brand_id: int = link("brands.id", index=False)
    guide_id: int | None = link("guides.id", index=False, default=None, nullable=True)
    desk: HumanDesk = status(HumanDesk, default=HumanDesk.GUIDE)
    nudges: int = 0
    nudged_at: datetime | None = None
    opened_at: datetime
    expires_at: datetime
    ended_at: datetime | None = None
    ended_by: Ending | None = status(Ending, default=None, nullable=True)


class HandoverLine(SQLModel, table=True):
    """One thing that was said. `nudge` numbers the message that told the guide of it.

    `touch_id` is how a guide's words went to the member.
    """

    __tablename__ = "handover_lines"
    __table_args__ = (
        one_of("side", Side, "handover_lines"),
        Index(
            "ix_handover_lines_untold",
            "handover_id",
            postgresql_where="nudge IS NULL AND side = 'member'",
        ),
    )
    id: int = big_key()
    handover_id: int = link("handovers.id", ondelete="CASCADE")
    side: Side = status(Side)
    words: str
    said_at: datetime
    nudge: int | None = None
    touch_id: int | None = link("touches.id", index=False, default=None, nullable=True)


class HandoverNotFound(NotFound):
    """There is no such talk that this guide may see."""

    def __init__(self) -> None:
        super().__init__("There is no such talk for this guide.")


class HandoverOver(WrongState):
    """The talk has ended meanwhile, and the bot answers again."""

    def __init__(self, ended_by: str) -> None:
        self.ended_by = ended_by
        super().__init__("hand-over", f"ended ({ended_by})", "gone on with")


def notice_key(handover: Handover) -> str:
    """The key of the last nudge."""
    return f"handover-{handover.id}-{handover.nudges}"


def lines(session: Session, handover_id: int, *, limit: int = 100) -> Sequence[HandoverLine]:
    """The last things that were said, the oldest first."""
    query = select(HandoverLine).where(HandoverLine.handover_id == handover_id)
    newest = session.exec(query.order_by(col(HandoverLine.id).desc()).limit(limit)).all()
    return newest[::-1]


def last_lines(session: Session, handover_ids: Collection[int]) -> dict[int, HandoverLine]:
    """The last thing said in each of these talks."""
    query = (
        select(HandoverLine)
        .where(col(HandoverLine.handover_id).in_(handover_ids))
        .ext(distinct_on(col(HandoverLine.handover_id)))
        .order_by(col(HandoverLine.handover_id), col(HandoverLine.id).desc())
    )
    return {line.handover_id: line for line in session.exec(query).all()}


def open_load(session: Session, guide_ids: Collection[int]) -> Counter[int]:
    """How many open talks each of these guides has."""
    query = (
        select(Handover.guide_id, func.count())
        .where(col(Handover.ended_at).is_(None), col(Handover.guide_id).in_(guide_ids))
        .group_by(col(Handover.guide_id))
    )
    return Counter({guide: talks for guide, talks in session.exec(query) if guide is not None})


def seen_by(session: Session, token: str, guide: Guide) -> Handover:
    """The talk behind `token`: the guide's own, or of whoever they lead."""
    seen = col(Handover.guide_id).in_(visibility.guides(guide.id))
    found = session.exec(select(Handover).where(Handover.token == token, seen)).one_or_none()
    if found is None:
        raise HandoverNotFound
    return found


def begin(
    session: Session,
    identity: Identity,
    *,
    brand_id: int,
    guide_id: int | None,
    expires_at: datetime,
    now: datetime,
) -> Handover:
    """Begin a talk with a guide, or without one at WeChat's own desk. Locks the member.

    One that is open goes on; one whose time is over ends first.
    """
    member = members.lock(session, identity.member_id)
    query = select(Handover).where(
        Handover.identity_id == identity.id, col(Handover.ended_at).is_(None)
    )
    held = session.exec(query.execution_options(populate_existing=True)).one_or_none()
    if held is not None and held.expires_at > now:
        return held
    if held is not None:
        end(session, held, Ending.LAPSED, now=now)
    fresh = Handover(
        member_id=member.id,
        identity_id=identity.id,
        brand_id=brand_id,
        guide_id=guide_id,
        desk=HumanDesk.WECHAT if guide_id is None else HumanDesk.GUIDE,
        opened_at=now,
        expires_at=expires_at,
    )
    session.add(fresh)
    session.flush()
    return fresh


def lock(session: Session, handover: Handover) -> None:
    """Lock the member, then the talk, and read it anew; refuses one that is over."""
    members.lock(session, handover.member_id)
    session.refresh(handover, with_for_update=True)
    if handover.ended_by is not None:
        raise HandoverOver(handover.ended_by)


def say(
    session: Session, handover: Handover, side: Side, words: str, *, now: datetime
) -> HandoverLine:
    """Keep what somebody said in a locked talk; whoever speaks keeps it alive."""
    line = HandoverLine(handover_id=handover.id, side=side, words=words[:LONGEST_LINE], said_at=now)
    session.add(line)
    handover.expires_at = max(handover.expires_at, now + PATIENCE)
    session.flush()
    return line


def take_untold(session: Session, handover: Handover, *, now: datetime) -> Sequence[HandoverLine]:
    """Number the next nudge of a locked talk and give the lines it tells; none when none wait."""
    waiting = session.exec(
        select(HandoverLine)
        .where(
            HandoverLine.handover_id == handover.id,
            HandoverLine.side == Side.MEMBER,
            col(HandoverLine.nudge).is_(None),
        )
        .order_by(col(HandoverLine.id))
    ).all()
    if waiting:
        handover.nudges += 1
        handover.nudged_at = now
        for line in waiting:
            line.nudge = handover.nudges
        session.flush()
    return waiting


def may_nudge(handover: Handover, now: datetime) -> bool:
    """Whether the last nudge is long enough ago."""
    return handover.nudged_at is None or handover.nudged_at + NUDGE_PAUSE <= now


def pass_on(session: Session, handover: Handover, guide_id: int, *, now: datetime) -> None:
    """Give a locked talk to another guide, who is to be told of every line anew."""
    handover.guide_id, handover.nudged_at = guide_id, None
    handover.expires_at = max(handover.expires_at, now + PATIENCE)
    session.execute(
        update(HandoverLine)
        .where(col(HandoverLine.handover_id) == handover.id)
        .where(col(HandoverLine.side) == Side.MEMBER)
        .values(nudge=None)
    )
    session.flush()


def end(session: Session, handover: Handover, by: Ending, *, now: datetime) -> None:
    """End a locked talk: from now on the bot answers again."""
    if handover.ended_by is not None:
        raise HandoverOver(handover.ended_by)
    handover.ended_at, handover.ended_by = now, by
    session.flush()


def due(session: Session, now: datetime, *, limit: int) -> Sequence[int]:
    """Ids of open talks that need a hand: lapsed, with untold lines, or with nobody there."""
    untold = select(HandoverLine.id).where(
        HandoverLine.handover_id == Handover.id,
        HandoverLine.side == Side.MEMBER,
        col(HandoverLine.nudge).is_(None),
    )
    gone = select(Guide.id).where(Guide.id == Handover.guide_id, Guide.status == GuideStatus.LEFT)
    unheard = select(Notice.id).where(
        Notice.key == _notice_key(), Notice.state == NoticeState.FAILED
    )
    away = select(Leave.id).where(
        Leave.guide_id == Handover.guide_id, Leave.since <= now, Leave.until > now
    )
    is_rested = col(Handover.nudged_at).is_(None) | (col(Handover.nudged_at) <= now - NUDGE_PAUSE)
    wanted = (
        (col(Handover.expires_at) <= now)
        | (untold.exists() & is_rested)
        | gone.exists()
        | unheard.exists()
        | (away.exists() & (col(Handover.expires_at) <= now + PATIENCE))
    )
    query = select(Handover.id).where(col(Handover.ended_at).is_(None), wanted)
    return session.exec(query.order_by(col(Handover.id)).limit(limit)).all()


def unheard_by(session: Session, handover: Handover) -> set[int]:
    """The guides whom no nudge about this talk could reach."""
    query = select(Notice.guide_id).where(
        col(Notice.key).startswith(f"handover-{handover.id}-"), Notice.state == NoticeState.FAILED
    )
    return set(session.exec(query).all())


def _notice_key() -> ColumnElement[str]:
    return func.concat("handover-", Handover.id, "-", Handover.nudges)
