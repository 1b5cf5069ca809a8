"""What a person says about guides at the command line, and codes of WeCom over the API."""

from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError
from sqlmodel import col, select

from store import clock, directory
from store.accounts import Platform
from store.audit import AuditEntry
from store.db import Database
from store.departures import Departure
from store.directory import Department
from store.organisation import Brand, Guide, GuideStatus, Shop
from store.scene_subjects import SceneKind
from tests.bot.builders import CORP_ID, an_account
from tests.web.test_introduce import Run
from web.api.scenes import SceneForm


@pytest.fixture
def run(database_url: str, redis_url: str, tmp_path: Path, fresh_database: Database) -> Run:
    """The command line of a brand with a shop, Wang and Zhao."""
    with fresh_database.transaction() as session:
        brand = Brand(code="zw", name="知味")
        session.add(brand)
        session.flush()
        shop = Shop(brand_id=brand.id, code="s1", name="中山路店")
        session.add(shop)
        session.flush()
        for userid in ("WangFang", "ZhaoLei"):
            session.add(Guide(shop_id=shop.id, userid=userid, name=userid))
        an_account(session, brand, platform=Platform.WECOM, now=clock.now())
    return Run(database_url, redis_url, tmp_path)


def test_guide_leaves_at_once_and_a_worker_does_the_rest(
    run: Run, fresh_database: Database
) -> None:
    result = run("guide", "left", "WangFang", "--to", "ZhaoLei")

    assert result.exit_code == 0, result.output
    with fresh_database.transaction() as session:
        wang = directory.guide_of(session, "WangFang")
        departure = session.exec(select(Departure)).one()
        heir = directory.guide_of(session, "ZhaoLei").id
        assert (wang.status, departure.successor_id) == (GuideStatus.LEFT, heir)
        assert session.exec(select(AuditEntry.act)).all() == ["guide.depart"]


def test_guide_comes_back_once_everything_is_handed_over(
    run: Run, fresh_database: Database
) -> None:
    run("guide", "left", "WangFang")
    too_early = run("guide", "back", "WangFang")
    with fresh_database.transaction() as session:
        session.exec(select(Departure)).one().finished_at = clock.now()

    result = run("guide", "back", "WangFang")

    assert (too_early.exit_code, "handed over" in too_early.output) == (1, True)
    assert result.exit_code == 0, result.output
    with fresh_database.transaction() as session:
        wang = directory.guide_of(session, "WangFang")
        acts = session.exec(select(AuditEntry.act).order_by(col(AuditEntry.id))).all()
    assert (wang.status, wang.left_at) == (GuideStatus.ACTIVE, None)
    assert acts == ["guide.depart", "guide.come_back"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("left", "Nobody"), "There is no guide 'Nobody'"),
        (("left", "WangFang", "--to", "WangFang"), "cannot take over"),
    ],
)
def test_departure_that_cannot_be_is_one_sentence(
    run: Run, words: tuple[str, ...], says: str, fresh_database: Database
) -> None:
    result = run("guide", *words)

    assert result.exit_code == 1
    assert says in result.output
    with fresh_database.transaction() as session:
        assert session.exec(select(Departure)).all() == []


def test_guides_whom_wecom_does_not_show_are_named(run: Run, fresh_database: Database) -> None:
    before, yesterday = run("guide", "missing").output, clock.now() - timedelta(days=1)
    with fresh_database.transaction() as session:
        wang = directory.guide_of(session, "WangFang")
        directory.missed(session, [wang.id], now=yesterday)
        directory.missed(session, [wang.id], now=clock.now())

    told = run("guide", "missing").output
    doctor = run("doctor").output

    assert "every guide" in before
    assert told.startswith("WangFang")
    assert f"{yesterday:%Y-%m-%d %H:%M} UTC" in told
    assert "WeCom does not show 1 guides in post" in doctor


def test_department_is_a_shop(run: Run, fresh_database: Database) -> None:
    result = run("department", "17", "s1")
    unknown = run("department", "17", "s9")

    assert (result.exit_code, unknown.exit_code) == (0, 1)
    with fresh_database.transaction() as session:
        found = session.exec(select(Department)).one()
        assert (found.corp_id, found.department_id) == (CORP_ID, 17)


@pytest.mark.parametrize(
    "facts", [{"kind": SceneKind.CAMPAIGN}, {"kind": SceneKind.SHOP, "life_days": 3}]
)
def test_code_of_wecom_stands_for_guides_and_has_no_end(facts: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SceneForm.model_validate({"key": "s1", "platform": "wecom", **facts})
