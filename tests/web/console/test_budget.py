"""The budget's page: figures with names, a picture that fits, the meter of abuse."""

from datetime import date, timedelta
from typing import Any

import pytest

from fatigue.spending import Spent
from store.campaigns import Campaign
from store.touches import Category, Channel, Touch, TouchState
from tests.queries import counted
from tests.web.browser import Browser
from tests.web.scene import Scene, a_member
from web.console import budget


def _touch(scene: Scene, member_id: int, state: TouchState, key: str, **more: Any) -> Touch:
    facts: dict[str, Any] = {
        "channel": Channel.WECOM_BROADCAST,
        "category": Category.CARE,
        "campaign_id": scene.campaign.id,
    }
    then = scene.now - timedelta(hours=1)
    row = Touch(
        key=key,
        member_id=member_id,
        brand_id=scene.brand.id,
        state=state,
        asked_at=then,
        counted_at=then,
        **facts | more,
    )
    added: Touch = scene.add(row)
    return added


def _verdict(rule: str, *touches: int) -> dict[str, Any]:
    return {"violations": [{"rule": rule, "channel": "wecom_broadcast", "touches": list(touches)}]}


def _another(scene: Scene) -> Campaign:
    campaign = Campaign(**scene.campaign.model_dump(exclude={"id", "token", "name"}), name="夏日")
    added: Campaign = scene.add(campaign)
    return added


def test_page_names_who_spent_and_who_went_without(scene: Scene, song: Browser) -> None:
    li = a_member(scene)
    sent = _touch(scene, li.id, TouchState.SENT, "a")
    summer = _another(scene)
    verdict = _verdict("weekly_cap", sent.id)
    _touch(scene, li.id, TouchState.WITHHELD, "b", campaign_id=summer.id, verdict=verdict)

    page = song.get("/hq/budget").text

    assert f'<a href="/hq/campaigns/{scene.campaign.token}">老客关怀</a>' in page
    assert "夏日" in page
    assert "这几天的次数已用完" in page
    assert "企业微信群发" in page
    assert "知鲜" in page
    assert '<rect class="go"' in page
    assert '<rect class="stop"' in page


def test_campaign_that_calls_its_touches_service_is_marked(scene: Scene, song: Browser) -> None:
    li = a_member(scene)
    _touch(scene, li.id, TouchState.SENT, "a", category=Category.SERVICE)

    page = song.get("/hq/budget").text

    assert "100%" in page
    assert "借服务之名" in page


def test_service_outside_campaigns_is_no_abuse(scene: Scene, song: Browser) -> None:
    li = a_member(scene)
    _touch(scene, li.id, TouchState.SENT, "a", category=Category.SERVICE, campaign_id=None)

    assert "借服务之名" not in song.get("/hq/budget").text


def test_empty_house_says_so(song: Browser) -> None:
    page = song.get("/hq/budget?days=30")

    assert page.status_code == 200
    assert "这段时间没有消息" in page.text


@pytest.mark.parametrize("days", ["0", "7", "x"])
def test_other_spans_are_refused(song: Browser, days: str) -> None:
    assert song.get(f"/hq/budget?days={days}").status_code == 422


def test_page_takes_as_many_queries_for_three_campaigns_as_for_one(
    scene: Scene, song: Browser
) -> None:
    li = a_member(scene)
    _touch(scene, li.id, TouchState.SENT, "a")
    with counted(scene.database.engine) as for_one:
        song.get("/hq/budget")
    for key in ("b", "c"):
        _touch(scene, li.id, TouchState.SENT, key, campaign_id=_another(scene).id)

    with counted(scene.database.engine) as for_three:
        page = song.get("/hq/budget")

    assert page.text.count("夏日") == 2
    assert len(for_three) == len(for_one)


@pytest.mark.parametrize(
    ("most", "top"), [(0, 4), (1, 4), (4, 4), (5, 8), (9, 12), (21, 40), (121, 200), (999, 1200)]
)
def test_scale_of_the_picture_is_round(most: int, top: int) -> None:
    chart = budget.chart_of({date(2026, 3, 2): Spent(went=most)})

    assert [n for _, n in chart.lines] == [top * quarter // 4 for quarter in range(5)]


def test_bars_stay_inside_the_picture() -> None:
    weeks = {
        date(2026, 1, 5) + timedelta(weeks=n): Spent(went=n, waits=2, withheld=7) for n in range(53)
    }

    chart = budget.chart_of(weeks)

    for bar in chart.bars:
        assert bar.x >= budget.LEFT
        assert bar.x + bar.width <= budget.WIDTH
        assert sum(piece.height for piece in bar.pieces) <= budget.HEIGHT - budget.BOTTOM
        assert min(piece.y for piece in bar.pieces) >= 0
