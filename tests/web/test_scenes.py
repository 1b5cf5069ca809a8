"""Codes over REST and in the console: asked for once, drawn for print, counted."""

import struct
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
import segno
from redis import Redis
from sqlmodel import Session, col, select

from store import api_keys, scenes
from store.db import Database
from store.organisation import Guide, Shop, add_operator
from store.scene_subjects import SceneKind
from store.scenes import Scene, SceneState, VisitKind
from store.settings import Settings
from tests.queries import counted
from tests.web import scene as street
from tests.web.browser import Browser
from web.sessions import Door

SCENES = "/api/v1/scenes"
URL = "http://weixin.qq.com/q/02AbCdEfGhIjK"


@dataclass
class Office:
    """The brand's shop with its guides Wang and Sun, a system with a key, and an operator."""

    street: street.Scene
    key: str
    song: Browser

    @property
    def database(self) -> Database:
        """Where it is all kept."""
        return self.street.database

    def ask(self, *items: dict[str, Any]) -> list[dict[str, Any]]:
        """The answers to a batch over REST."""
        headers = {"Authorization": f"Bearer {self.key}"}
        answer = self.street.browser().post(SCENES, json={"scenes": items}, headers=headers)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["items"]
        return found

    def read(self, path: str = SCENES) -> httpx.Response:
        """A page of the API."""
        headers = {"Authorization": f"Bearer {self.key}"}
        return self.street.browser().get(path, headers=headers)

    def make_all(self, *, ends_at: datetime | None = None) -> list[Scene]:
        """WeChat has made all that was wanted."""
        with self.database.transaction() as session:
            made = list(session.exec(select(Scene).order_by(col(Scene.id))).all())
            for number, one in enumerate(made):
                if one.state is SceneState.WANTED:
                    url = f"{URL}{number}"
                    scenes.made(session, one, ticket="t", url=url, now=self.street.now)
                    one.expires_at = ends_at
        return made


@pytest.fixture
def office(settings: Settings, database: Database, redis: Redis, now: datetime) -> Office:
    """An office where no code was asked for yet."""
    here = settings.model_copy(update={"public_url": street.HOST})
    front = street.set_up(street.parts_of(here, database, redis, now), now)
    with database.transaction() as session:
        key = api_keys.issue(session, "posters", now=now)
        operator = add_operator(session, "song", "宋知远", "calm-and-kind")
    return Office(front, key, front.at_door(Door.CONSOLE, operator.id))


SHOP = {"kind": "shop", "key": "s1"}
WANG = {"kind": "guide", "key": "WangFang"}


def test_codes_are_asked_for_once_and_answered_one_by_one(office: Office) -> None:
    campaign = {"kind": "campaign", "key": office.street.campaign.token, "life_days": 30}
    wrong: list[dict[str, Any]] = [
        {"kind": "shop", "key": "nowhere"},
        {"kind": "poster", "key": "s1"},
        {"kind": "shop", "key": "s1", "life_days": 31},
        {"kind": "shop", "key": "s1", "color": "red"},
    ]
    first = office.ask(SHOP, WANG, campaign, *wrong)
    again = office.ask(WANG, SHOP, campaign)

    assert [one["status"] for one in first] == ["created"] * 3 + ["refused"] * 4
    assert [(one["code"], one["field"]) for one in first[3:]] == [
        ("subject_not_found", "key"),
        ("invalid_input", "kind"),
        ("invalid_input", "life_days"),
        ("invalid_input", "color"),
    ]
    assert [one["status"] for one in again] == ["known"] * 3


def test_api_is_closed_without_a_key(office: Office) -> None:
    browser = office.street.browser()
    answers = [
        browser.post(SCENES, json={"scenes": [SHOP]}),
        browser.get(SCENES),
        browser.get(f"{SCENES}/abc.png"),
    ]

    assert [one.status_code for one in answers] == [401] * 3


def test_list_names_counts_and_pages(office: Office) -> None:
    office.ask(SHOP, WANG, {"kind": "guide", "key": "SunLi"})
    li = street.an_identity(office.street, street.a_member(office.street))
    with office.database.transaction() as session:
        for kind in [VisitKind.FOLLOW, VisitKind.SCAN, VisitKind.SCAN]:
            wang = session.exec(select(Scene).where(Scene.guide_id == office.street.wang.id)).one()
            scenes.visit(session, wang, li.id, kind, now=office.street.now)
    office.make_all()
    first = office.read(f"{SCENES}?limit=2").json()
    rest = office.read(f"{SCENES}?limit=2&after={first['next']}").json()

    seen = [(one["key"], one["title"], one["follows"], one["scans"]) for one in first["items"]]
    assert seen == [("s1", "城西店", 0, 0), ("WangFang", "王芳", 1, 2)]
    assert ([one["key"] for one in rest["items"]], rest["next"]) == (["SunLi"], "")
    assert [one["state"] for one in office.read(f"{SCENES}?kind=shop").json()["items"]] == ["ready"]


def test_picture_is_there_once_the_code_is_made(office: Office) -> None:
    office.ask(SHOP)
    token = office.read().json()["items"][0]["token"]
    early = office.read(f"{SCENES}/{token}.png")
    office.make_all()
    png, svg = office.read(f"{SCENES}/{token}.png"), office.read(f"{SCENES}/{token}.svg")

    modules = segno.make_qr(f"{URL}0", error="m").symbol_size(border=4)[0]
    assert (early.status_code, early.json()["code"]) == (409, "scene_not_ready")
    assert png.content.startswith(b"\x89PNG")
    assert struct.unpack(">II", png.content[16:24]) == (modules * 16, modules * 16)
    assert svg.headers["content-type"].startswith("image/svg+xml")
    assert svg.content.count(b"<path") == 1
    assert office.read(f"{SCENES}/unknown.png").status_code == 404
    assert office.read(f"{SCENES}/{token}.gif").status_code == 422


def test_operator_has_codes_made_for_all_that_lack_one(office: Office) -> None:
    before = office.song.get("/hq/scenes?kind=guide").text
    pressed = office.song.post("/hq/scenes", data={"kind": "guide"})
    after = office.song.follow(pressed).text

    assert "还有 <b>2</b> 位导购没有二维码" in before
    assert pressed.status_code == 303
    assert ("没有二维码" in after, after.count("生成中")) == (False, 2)


def test_operator_has_a_lapsed_code_made_anew(office: Office) -> None:
    office.song.post("/hq/scenes", data={"kind": "shop", "is_temporary": "true"})
    (scene,) = office.make_all(ends_at=office.street.now - timedelta(days=1))
    lapsed = office.song.get("/hq/scenes?kind=shop").text
    office.song.post(f"/hq/scenes/{scene.token}/again")
    after = office.song.get("/hq/scenes?kind=shop").text

    assert "已过期" in lapsed
    assert "生成中" in after


def test_sheet_shows_good_codes_with_their_names(office: Office) -> None:
    office.ask(SHOP, WANG, {"kind": "guide", "key": "SunLi"})
    made = office.make_all()
    with office.database.transaction() as session:
        session.get_one(Scene, made[2].id).expires_at = office.street.now
    sheet = office.song.get("/hq/scenes/sheet").text

    assert sheet.count("<svg") == 2
    assert "<b>城西店</b><span>西路 1 号</span>" in sheet
    assert "<b>王芳</b><span>城西店</span>" in sheet
    assert "孙丽" not in sheet


def test_sheet_of_a_shop_holds_its_own_codes_only(office: Office) -> None:
    with office.database.transaction() as session:
        other = Shop(brand_id=office.street.brand.id, code="s2", name="城东店")
        session.add(other)
        session.flush()
        session.add(Guide(shop_id=other.id, userid="Chen", name="陈晨"))
    office.ask(SHOP, WANG, {"kind": "shop", "key": "s2"}, {"kind": "guide", "key": "Chen"})
    office.make_all()
    sheet = office.song.get("/hq/scenes/sheet?shop=s2").text

    assert ("城东店" in sheet, "陈晨" in sheet) == (True, True)
    assert ("城西店" in sheet, "王芳" in sheet) == (False, False)


def test_name_with_markup_is_shown_as_it_is_written(office: Office) -> None:
    with office.database.transaction() as session:
        session.get_one(Shop, office.street.shop.id).name = "<script>alert(1)</script>"
    office.ask(SHOP)
    office.make_all()

    for path in ("/hq/scenes", "/hq/scenes/sheet"):
        assert "<script>" not in office.song.get(path).text


@pytest.mark.parametrize("path", ["", "/sheet", "/abc.png"])
def test_console_pages_are_closed_without_a_session(office: Office, path: str) -> None:
    answer = office.street.browser().get(f"/hq/scenes{path}")

    assert (answer.status_code, answer.headers["location"][:9]) == (303, "/hq/login")


def test_list_takes_as_many_queries_for_three_codes_as_for_one(office: Office) -> None:
    def queries() -> int:
        with counted(office.database.engine) as statements:
            office.song.get("/hq/scenes?kind=guide")
        return len(statements)

    office.ask(WANG)
    one = queries()
    office.ask({"kind": "guide", "key": "SunLi"})
    with office.database.transaction() as session:
        session.add(Guide(shop_id=office.street.shop.id, userid="Chen", name="陈晨"))
    office.ask({"kind": "guide", "key": "Chen"})

    assert queries() == one


def test_every_kind_has_a_subject_that_lacks_a_code_at_first(office: Office) -> None:
    with Session(office.database.engine) as session:
        counts = {kind: scenes.count_lacking(session, kind) for kind in SceneKind}

    assert counts == {SceneKind.SHOP: 1, SceneKind.GUIDE: 2, SceneKind.CAMPAIGN: 1}
