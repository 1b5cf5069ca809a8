"""Races for codes: a subject has one, and a follower without a guide gets one guide."""

import pytest
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, select

from bot import scenes as packing
from store import members, relations, scene_subjects, scenes
from store.db import Database
from store.members import Identity, Member
from store.relations import Ownership
from store.scene_subjects import SceneKind
from store.scenes import Scene, VisitKind
from tests.bot.builders import APP_ID, an_account
from tests.builders import NOW, a_brand, a_guide, a_shop, a_visitor, an_identity
from tests.races.racing import Act, race, waiting, winners

pytestmark = pytest.mark.race

RACERS = 4


def set_up(database: Database) -> tuple[int, list[str], list[str]]:
    """Li's identity, and the scenes and userids of several guides in one shop."""
    with database.transaction() as session:
        an_account(session, a_brand(session), now=NOW)
        shop = a_shop(session)
        guides = [a_guide(session, shop=shop) for _ in range(RACERS)]
        li = an_identity(session, a_visitor(session, shop_id=shop.id), account=APP_ID)
        packed = [packing.pack(SceneKind.GUIDE, wanted(session, one.userid)) for one in guides]
        return li.id, packed, [guide.userid for guide in guides]


def wanted(session: Session, userid: str) -> str:
    """The token of a guide's code."""
    about = scene_subjects.subject(session, SceneKind.GUIDE, userid)
    return scenes.want(session, about, life_days=None, now=NOW).scene.token


def coming(identity_id: int, scene: str) -> Act:
    """Li scans one of the codes."""

    def come(session: Session) -> bool:
        identity = session.get_one(Identity, identity_id)
        came = packing.arrive(session, scene, identity=identity, kind=VisitKind.SCAN, now=NOW)
        return came.is_own

    return come


def owners(database: Database) -> int:
    """How many guides Li has or had."""
    with Session(database.engine) as session:
        return len(session.exec(select(Ownership)).all())


def test_codes_of_many_guides_scanned_at_once_give_one_owner(fresh_database: Database) -> None:
    li, packed, _ = set_up(fresh_database)

    outcomes = race(fresh_database, [coming(li, one) for one in packed])

    assert sorted(outcomes) == [False] * (RACERS - 1) + [True]
    assert owners(fresh_database) == 1


def test_without_the_lock_each_of_the_same_scans_takes_itself_for_the_first(
    fresh_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    li, packed, _ = set_up(fresh_database)
    read_by_all = waiting(RACERS, relations.guide_of)

    def unlocked(session: Session, member_id: int) -> Member:
        return session.get_one(Member, member_id)

    monkeypatch.setattr(members, "lock", unlocked)
    monkeypatch.setattr(relations, "guide_of", read_by_all)

    outcomes = race(fresh_database, [coming(li, one) for one in packed])

    assert all(one is True or isinstance(one, IntegrityError) for one in outcomes)


def test_same_code_wanted_by_many_at_once_is_one(fresh_database: Database) -> None:
    _, _, userids = set_up(fresh_database)
    with fresh_database.transaction() as session:
        for scene in session.exec(select(Scene)).all():
            session.delete(scene)

    def want_all(order: list[str]) -> Act:
        def want(session: Session) -> int:
            made = [
                scenes.want(
                    session,
                    scene_subjects.subject(session, SceneKind.GUIDE, userid),
                    life_days=None,
                    now=NOW,
                )
                for userid in order
            ]
            return sum(one.is_new for one in made)

        return want

    outcomes = race(fresh_database, [want_all(userids), want_all(userids[::-1])] * 2)

    with Session(fresh_database.engine) as session:
        rows = len(session.exec(select(Scene)).all())
    assert len(winners(outcomes)) == 4
    assert (sum(outcomes), rows) == (RACERS, RACERS)
