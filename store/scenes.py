"""Scenes: the brand's QR codes, one for each shop, guide or campaign, and who came by them.

WeChat makes the picture behind a code, and no call goes out inside a transaction: the row is wanted
first, a job has it made, and writes down what it got. `life_days` is empty for a code for ever; a
code that has lapsed is wanted again under the same token. A subject has one scene per account.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import CheckConstraint, ColumnElement, Index, UniqueConstraint, and_, func, not_
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.sql.expression import SelectOfScalar

from store import accounts
from store.accounts import Account, Platform
from store.columns import big_key, json_column, link, one_of, status
from store.db import Session
from store.errors import NotFound, WrongState
from store.jobs import Job, after_commit
from store.scene_subjects import KEYS, SUBJECTS, SceneKind, Subject
from store.tokens import new_token

# wechat-oa.md §8: the longest life of a temporary code.
LONGEST_DAYS = 30


class SceneState(StrEnum):
    """Whether the platform has made the code; a refused one says why in `failure`."""

    WANTED = "wanted"
    READY = "ready"
    REFUSED = "refused"


class VisitKind(StrEnum):
    """How somebody came: by following through the code, or as a follower who scanned it."""

    FOLLOW = "follow"
    SCAN = "scan"


_MOVES: Mapping[SceneState, frozenset[SceneState]] = {
    SceneState.WANTED: frozenset({SceneState.READY, SceneState.REFUSED}),
    SceneState.READY: frozenset({SceneState.WANTED}),
    SceneState.REFUSED: frozenset({SceneState.WANTED}),
}


class Scene(SQLModel, table=True):
    """A code of one account for one subject. `url` is what the QR code holds, once it is made."""

    __tablename__ = "scenes"
    __table_args__ = (
        one_of("kind", SceneKind, "scenes"),
        one_of("state", SceneState, "scenes"),
        UniqueConstraint("account_id", "shop_id", name="uq_scenes_shop"),
        UniqueConstraint("account_id", "guide_id", name="uq_scenes_guide"),
        UniqueConstraint("account_id", "campaign_id", name="uq_scenes_campaign"),
        CheckConstraint(
            "(kind = 'shop') = (shop_id IS NOT NULL)"
            " AND (kind = 'guide') = (guide_id IS NOT NULL)"
            " AND (kind = 'campaign') = (campaign_id IS NOT NULL)",
            name="ck_scenes_subject",
        ),
        CheckConstraint("state <> 'ready' OR url <> ''", name="ck_scenes_ready"),
        CheckConstraint(f"life_days BETWEEN 1 AND {LONGEST_DAYS}", name="ck_scenes_life"),
        Index("ix_scenes_wanted", "retry_at", postgresql_where="state = 'wanted'"),
    )
    id: int = big_key()
    token: str = Field(unique=True, default_factory=new_token)
    account_id: int = link("accounts.id", index=False)
    kind: SceneKind = status(SceneKind)
    shop_id: int | None = link("shops.id", index=False, default=None, nullable=True)
    guide_id: int | None = link("guides.id", index=False, default=None, nullable=True)
    campaign_id: int | None = link("campaigns.id", index=False, default=None, nullable=True)
    life_days: int | None = None
    state: SceneState = status(SceneState, default=SceneState.WANTED)
    ticket: str = ""
    url: str = ""
    # Guides who stand behind a code of WeCom, as WeCom was told last.
    userids: list[str] = json_column(default_factory=list)
    failure: str = ""
    created_at: datetime
    retry_at: datetime
    made_at: datetime | None = None
    expires_at: datetime | None = None


class Visit(SQLModel, table=True):
    """Somebody came by a code; whoever was forgotten is counted on without a name."""

    __tablename__ = "scene_visits"
    __table_args__ = (
        one_of("kind", VisitKind, "scene_visits"),
        Index("ix_scene_visits_scene_at", "scene_id", "at"),
    )
    id: int = big_key()
    scene_id: int = link("scenes.id", index=False)
    identity_id: int | None = link(
        "identities.id", default=None, nullable=True, ondelete="SET NULL"
    )
    kind: VisitKind = status(VisitKind)
    at: datetime


class SceneNotFound(NotFound):
    """No code has this token."""

    def __init__(self) -> None:
        super().__init__("There is no such scene.")


class SceneNotReady(WrongState):
    """WeChat has not made this code (yet), so there is no picture of it."""

    def __init__(self, state: SceneState) -> None:
        super().__init__("scene", state, "a picture")


@dataclass(frozen=True)
class Wanted:
    """A scene that is there now; `is_new` when it was asked for to be made by this."""

    scene: Scene
    is_new: bool


def lacking(session: Session, kind: SceneKind, *, limit: int) -> list[Subject]:
    """Subjects of a kind that never had a code, of brands with an account to make one."""
    query = SUBJECTS[kind].where(_lacks(kind)).order_by(KEYS[kind]).limit(limit)
    return [Subject(kind, row_id, brand_id) for row_id, brand_id in session.execute(query).all()]


def count_lacking(session: Session, kind: SceneKind) -> int:
    """How many subjects of a kind never had a code."""
    lack = SUBJECTS[kind].where(_lacks(kind)).subquery()
    return session.exec(select(func.count()).select_from(lack)).one()


def want(
    session: Session,
    about: Subject,
    *,
    life_days: int | None,
    platform: Platform = Platform.WECHAT,
    now: datetime,
) -> Wanted:
    """Have a code made for a subject, once: a repeat gives the same scene.

    A code that lapsed or was refused is asked for again; a temporary one that is now wanted for
    ever is made anew. The account is the brand's first; without one `UnknownAccount`. A code of
    WeCom leads to a guide instead of the account; its `ticket` is the id of the contact way.
    """
    # One batch after another: two in opposite orders would wait for each other's rows.
    session.exec(select(func.pg_advisory_xact_lock(func.hashtextextended("scenes", 0)))).one()
    account = accounts.of_brand(session, about.brand_id, platform)
    fresh = Scene(
        account_id=account.id, kind=about.kind, life_days=life_days, created_at=now, retry_at=now
    )
    setattr(fresh, about.column, about.row_id)
    query = insert(Scene).values(fresh.model_dump(exclude={"id"})).on_conflict_do_nothing()
    is_new = session.execute(query.returning(col(Scene.id))).scalar() is not None
    scene = _locked(session, account.id, about)
    if is_new:
        after_commit(session, Job.MAKE_SCENE, scene.id)
        return Wanted(scene, is_new)
    return Wanted(scene, want_again(session, scene, life_days=life_days, now=now))


def want_again(session: Session, scene: Scene, *, life_days: int | None, now: datetime) -> bool:
    """Have a code made anew that needs it; gives whether it does."""
    session.refresh(scene, with_for_update=True)
    if not _is_to_be_remade(scene, life_days, now):
        return False
    _move(scene, SceneState.WANTED)
    scene.life_days, scene.retry_at, scene.failure = life_days, now, ""
    session.flush()
    after_commit(session, Job.MAKE_SCENE, scene.id)
    return True


def change(session: Session, scene: Scene, *, now: datetime) -> bool:
    """Have other guides put behind a code that is in use; it keeps its picture."""
    session.refresh(scene, with_for_update=True)
    if scene.state is not SceneState.READY:
        return False
    _move(scene, SceneState.WANTED)
    scene.retry_at, scene.failure = now, ""
    session.flush()
    after_commit(session, Job.MAKE_SCENE, scene.id)
    return True


def made(session: Session, scene: Scene, *, ticket: str, url: str, now: datetime) -> None:
    """Write down what the platform gave."""
    _move(scene, SceneState.READY)
    scene.ticket, scene.url, scene.failure, scene.made_at = ticket, url, "", now
    scene.expires_at = now + timedelta(days=scene.life_days) if scene.life_days else None
    session.flush()


def refused(session: Session, scene: Scene, reason: str) -> None:
    """The platform will not make this code; somebody has to ask again."""
    _move(scene, SceneState.REFUSED)
    scene.failure = reason
    session.flush()


def put_off(session: Session, scene: Scene, reason: str, *, retry_at: datetime) -> None:
    """It did not work now: the sweep takes it up again."""
    scene.failure, scene.retry_at = reason, retry_at
    session.flush()


def waiting(now: datetime) -> SelectOfScalar[int]:
    """The scenes that a job should have made."""
    return select(Scene.id).where(Scene.state == SceneState.WANTED, col(Scene.retry_at) <= now)


def lock_wanted(session: Session, scene_id: int) -> Scene | None:
    """The scene, locked, while it waits to be made."""
    query = select(Scene).where(Scene.id == scene_id, Scene.state == SceneState.WANTED)
    return session.exec(query.with_for_update()).one_or_none()


def by_token(session: Session, token: str) -> Scene:
    """The scene behind a token."""
    scene = session.exec(select(Scene).where(Scene.token == token)).one_or_none()
    if scene is None:
        raise SceneNotFound
    return scene


def ready(session: Session, token: str) -> Scene:
    """The scene behind a token, with the code that was made of it."""
    scene = by_token(session, token)
    if scene.state is not SceneState.READY:
        raise SceneNotReady(scene.state)
    return scene


def found(session: Session, kind: SceneKind, token: str, *, app_id: str) -> Scene | None:
    """The scene that a code of this account brought, if the account has such a scene."""
    query = (
        select(Scene)
        .join(Account, col(Account.id) == Scene.account_id)
        .where(Scene.token == token, Scene.kind == kind, Account.app_id == app_id)
    )
    return session.exec(query).one_or_none()


def visit(
    session: Session, scene: Scene, identity_id: int, kind: VisitKind, *, now: datetime
) -> Visit:
    """Write down that somebody came by a code. A code counts after its end, too: it was printed."""
    came = Visit(scene_id=scene.id, identity_id=identity_id, kind=kind, at=now)
    session.add(came)
    session.flush()
    return came


def _is_to_be_remade(scene: Scene, life_days: int | None, now: datetime) -> bool:
    if scene.state is SceneState.WANTED:
        return False
    has_lapsed = scene.expires_at is not None and scene.expires_at <= now
    is_for_ever_now = life_days is None and scene.life_days is not None
    return scene.state is SceneState.REFUSED or has_lapsed or is_for_ever_now


def _locked(session: Session, account_id: int, about: Subject) -> Scene:
    query = select(Scene).where(
        Scene.account_id == account_id, getattr(Scene, about.column) == about.row_id
    )
    locked = query.with_for_update().execution_options(populate_existing=True)
    return session.exec(locked).one()


def _move(scene: Scene, to: SceneState) -> None:
    if to not in _MOVES[scene.state]:
        raise WrongState("scene", scene.state, to)
    scene.state = to


def _lacks(kind: SceneKind) -> ColumnElement[bool]:
    row_id, brand_id = SUBJECTS[kind].selected_columns
    has_code = select(Scene.id).where(getattr(Scene, f"{kind}_id") == row_id).exists()
    may_have = select(Account.id).where(
        Account.brand_id == brand_id, Account.platform == Platform.WECHAT
    )
    return and_(may_have.exists(), not_(has_code))
