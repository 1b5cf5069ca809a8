"""Scenes: one per subject and account, made once, made anew when they are over."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, select

from store import scene_subjects, scenes
from store.accounts import Account, UnknownAccount
from store.campaigns import CampaignState
from store.errors import WrongState
from store.jobs import Job
from store.organisation import Brand, Guide, GuideStatus
from store.scene_subjects import SceneKind, Subject, SubjectNotFound
from store.scenes import Scene, SceneNotReady, SceneState, VisitKind
from tests.bot.builders import an_account
from tests.builders import NOW, a_brand, a_campaign, a_guide, a_member, a_shop, an_identity, number

LATER = NOW + timedelta(days=31)


@pytest.fixture
def brand(session: Session) -> Brand:
    """The brand with its official account."""
    brand = a_brand(session)
    an_account(session, brand, now=NOW)
    return brand


@pytest.fixture
def wang(session: Session, brand: Brand) -> Guide:
    """A guide of the brand."""
    return a_guide(session, shop=a_shop(session, brand_id=brand.id))


def of_guide(session: Session, guide: Guide) -> Subject:
    """The guide as the subject of a code."""
    return scene_subjects.subject(session, SceneKind.GUIDE, guide.userid)


def a_scene(session: Session, guide: Guide, *, life_days: int | None = None) -> Scene:
    """A guide's code that was made."""
    scene = scenes.want(session, of_guide(session, guide), life_days=life_days, now=NOW).scene
    if scene.state is SceneState.WANTED:
        scenes.made(session, scene, ticket="t", url="http://weixin.qq.com/q/1", now=NOW)
    return scene


def test_code_is_wanted_once_for_a_subject(session: Session, wang: Guide) -> None:
    about = of_guide(session, wang)
    wanted = [scenes.want(session, about, life_days=None, now=NOW) for _ in range(3)]

    assert [one.is_new for one in wanted] == [True, False, False]
    assert {one.scene.id for one in wanted} == {wanted[0].scene.id}
    assert session.info.pop("zhiyin_after_commit") == [(Job.MAKE_SCENE, wanted[0].scene.id)]


@pytest.mark.parametrize(
    ("life_days", "asked", "is_made_anew"),
    [(None, None, False), (None, 30, False), (30, 30, False), (30, None, True)],
)
def test_code_is_made_anew_only_to_live_for_ever(
    session: Session, wang: Guide, life_days: int | None, asked: int | None, is_made_anew: bool
) -> None:
    scene = a_scene(session, wang, life_days=life_days)
    again = scenes.want(session, of_guide(session, wang), life_days=asked, now=NOW)

    assert (again.scene.id, again.is_new) == (scene.id, is_made_anew)


def test_lapsed_code_is_made_anew_under_its_token(session: Session, wang: Guide) -> None:
    scene = a_scene(session, wang, life_days=30)
    ends, token = scene.expires_at, scene.token
    again = scenes.want(session, of_guide(session, wang), life_days=30, now=LATER)

    assert ends == NOW + timedelta(days=30)
    assert again.is_new
    assert (again.scene.token, again.scene.state) == (token, SceneState.WANTED)


def test_refused_code_waits_until_somebody_asks_again(session: Session, wang: Guide) -> None:
    scene = scenes.want(session, of_guide(session, wang), life_days=None, now=NOW).scene
    scenes.refused(session, scene, "forbidden_by_platform")
    is_waiting = scene.id in session.exec(scenes.waiting(LATER)).all()
    again = scenes.want(session, of_guide(session, wang), life_days=None, now=LATER)

    assert not is_waiting
    assert (again.is_new, again.scene.failure) == (True, "")


def test_code_that_was_put_off_waits_for_its_time(session: Session, wang: Guide) -> None:
    scene = scenes.want(session, of_guide(session, wang), life_days=None, now=NOW).scene
    at = NOW + timedelta(minutes=1)
    scenes.put_off(session, scene, "platform_busy", retry_at=at)

    assert session.exec(scenes.waiting(at - timedelta(seconds=1))).all() == []
    assert session.exec(scenes.waiting(at)).all() == [scene.id]


def test_code_cannot_be_made_twice(session: Session, wang: Guide) -> None:
    scene = a_scene(session, wang)

    with pytest.raises(WrongState):
        scenes.made(session, scene, ticket="u", url="http://weixin.qq.com/q/2", now=NOW)


def test_code_that_is_not_made_has_no_picture(session: Session, wang: Guide) -> None:
    scene = scenes.want(session, of_guide(session, wang), life_days=None, now=NOW).scene

    with pytest.raises(SceneNotReady):
        scenes.ready(session, scene.token)


def test_nobody_has_a_code_who_left_or_is_unknown(session: Session, wang: Guide) -> None:
    wang.status = GuideStatus.LEFT
    over = a_campaign(session, state=CampaignState.FINISHED)
    session.flush()

    for kind, key in [
        (SceneKind.GUIDE, wang.userid),
        (SceneKind.CAMPAIGN, over.token),
        (SceneKind.SHOP, "nowhere"),
        (SceneKind.SHOP, "'; DROP TABLE shops; --"),
    ]:
        with pytest.raises(SubjectNotFound):
            scene_subjects.subject(session, kind, key)


def test_brand_without_an_account_has_no_codes(session: Session) -> None:
    other = Brand(code=f"b{number()}", name="other")
    session.add(other)
    session.flush()
    shop = a_shop(session, brand_id=other.id)

    with pytest.raises(UnknownAccount):
        scenes.want(session, Subject(SceneKind.SHOP, shop.id, other.id), life_days=None, now=NOW)
    assert shop.id not in [one.row_id for one in scenes.lacking(session, SceneKind.SHOP, limit=99)]


def test_what_lacks_a_code_is_counted_and_listed(session: Session, brand: Brand) -> None:
    shops = [a_shop(session, brand_id=brand.id) for _ in range(3)]
    about = scene_subjects.subject(session, SceneKind.SHOP, shops[1].code)
    scenes.want(session, about, life_days=None, now=NOW)

    lacking = [one.row_id for one in scenes.lacking(session, SceneKind.SHOP, limit=9)]
    assert lacking == [shops[0].id, shops[2].id]
    assert scenes.count_lacking(session, SceneKind.SHOP) == 2
    assert len(scenes.lacking(session, SceneKind.SHOP, limit=1)) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "shop"},
        {"state": "ready", "url": ""},
        {"life_days": 31},
        {"life_days": 0},
        {"kind": "poster"},
    ],
    ids=str,
)
def test_record_refuses_a_code_that_cannot_be(
    session: Session, wang: Guide, wrong: dict[str, Any]
) -> None:
    scene = a_scene(session, wang)
    for name, value in wrong.items():
        setattr(scene, name, value)

    with pytest.raises((IntegrityError, LookupError)) as raised:
        session.flush()
    assert "ck_scenes" in str(raised.value)


def test_visits_count_on_when_the_person_is_forgotten(session: Session, wang: Guide) -> None:
    scene = a_scene(session, wang)
    li = an_identity(session, a_member(session))
    came = scenes.visit(session, scene, li.id, VisitKind.FOLLOW, now=NOW)
    session.delete(li)
    session.flush()
    session.refresh(came)

    assert (came.identity_id, came.scene_id) == (None, scene.id)


def test_code_of_another_account_is_none_of_this_one(session: Session, wang: Guide) -> None:
    scene = a_scene(session, wang)
    app_id = session.exec(select(Account.app_id)).one()

    assert scenes.found(session, SceneKind.GUIDE, scene.token, app_id=app_id) == scene
    assert scenes.found(session, SceneKind.SHOP, scene.token, app_id=app_id) is None
    assert scenes.found(session, SceneKind.GUIDE, scene.token, app_id="wxother") is None
