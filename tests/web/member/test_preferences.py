"""The page of wishes: less, a pause, never and as before, channel by channel."""

from datetime import timedelta

import httpx
import pytest
from sqlmodel import select

from fatigue import preferences
from fatigue.preferences import Mood
from store.consents import Wish, WishKind
from store.members import Member
from store.touches import Channel
from tests.times import at
from tests.web.browser import Browser
from tests.web.scene import Scene, a_member, an_identity

_ONE = Channel.WECOM_BROADCAST


@pytest.fixture
def li(scene: Scene) -> Member:
    """Li, who agreed to hear from Wang."""
    return a_member(scene)


@pytest.fixture
def phone(scene: Scene, li: Member) -> Browser:
    """Li's phone."""
    return scene.phone(an_identity(scene, li))


def _ask(phone: Browser, wish: WishKind, **facts: str) -> httpx.Response:
    return phone.post("/m/preferences", data={"wish": wish.value} | facts)


def _moods(scene: Scene, li: Member) -> dict[Channel | None, Mood]:
    with scene.database.transaction() as session:
        chosen = preferences.choices(session, li.id, scene.now)
    return {choice.channel: choice.mood for choice in chosen}


def test_page_shows_every_channel_as_usual_at_first(phone: Browser) -> None:
    page = phone.get("/m/preferences").text

    for words in ("公众号消息", "公众号通知", "导购的企业微信", "短信", "正常接收"):
        assert words in page
    assert "恢复正常接收" not in page


@pytest.mark.parametrize(
    ("wish", "mood"), [(WishKind.LESS, Mood.LESS), (WishKind.NEVER, Mood.NEVER)]
)
def test_wish_for_one_channel_leaves_the_others(
    scene: Scene, li: Member, phone: Browser, wish: WishKind, mood: Mood
) -> None:
    answer = _ask(phone, wish, channel=_ONE)

    assert answer.headers["location"] == "/m/preferences?saved=true"
    assert _moods(scene, li) == dict.fromkeys(
        (None, Channel.WECHAT_SERVICE, Channel.WECHAT_NOTICE, Channel.SMS), Mood.USUAL
    ) | {_ONE: mood}


def test_wish_is_kept_with_its_date_source_and_version(scene: Scene, phone: Browser) -> None:
    _ask(phone, WishKind.PAUSE, until="2026-04-01")

    with scene.database.transaction() as session:
        wish = session.exec(select(Wish)).one()
    assert (wish.kind, wish.channel, wish.until) == (WishKind.PAUSE, "", at("2026-04-01 00:00"))
    assert (wish.source, wish.text_version, wish.stated_at) == (
        "page",
        preferences.TEXT_VERSION,
        scene.now,
    )


@pytest.mark.parametrize("day", ["2026-03-01", "2020-01-01", "2027-06-01", "soon", ""])
def test_pause_that_cannot_be_meant_is_refused(
    scene: Scene, li: Member, phone: Browser, day: str
) -> None:
    answer = _ask(phone, WishKind.PAUSE, until=day)

    assert answer.status_code == 422
    assert "一年以内" in answer.text
    assert set(_moods(scene, li).values()) == {Mood.USUAL}


def test_page_offers_only_what_is_stricter_and_the_way_back(
    scene: Scene, li: Member, phone: Browser
) -> None:
    _ask(phone, WishKind.NEVER)
    page = phone.get("/m/preferences").text

    _ask(phone, WishKind.RESUME)

    assert "少发一点：" not in page
    assert "恢复正常接收" in page
    assert set(_moods(scene, li).values()) == {Mood.USUAL}


def test_shorter_pause_on_the_page_changes_nothing(
    scene: Scene, li: Member, phone: Browser
) -> None:
    _ask(phone, WishKind.PAUSE, until="2026-05-01")
    _ask(phone, WishKind.PAUSE, until="2026-03-02")

    with scene.database.transaction() as session:
        everything = preferences.choices(session, li.id, scene.now + timedelta(days=40))[0]
    assert everything.mood is Mood.PAUSED


def test_wishes_of_another_member_are_not_shown(scene: Scene, phone: Browser) -> None:
    zhao = scene.phone(an_identity(scene, a_member(scene, "赵敏")))
    _ask(zhao, WishKind.NEVER)

    assert "不再接收\n" not in phone.get("/m/preferences").text
    assert "最近的选择" not in phone.get("/m/preferences").text


def test_stranger_logs_in_first(scene: Scene) -> None:
    assert scene.browser().get("/m/preferences").status_code == 303
