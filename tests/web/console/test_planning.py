"""A campaign before its launch, through the pages: changed, scheduled, taken back, prioritised."""

from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import col, select

from fatigue import gate
from fatigue.gate import Ask
from store.audit import AuditEntry
from store.campaigns import Campaign, CampaignState, TaskState
from store.organisation import Guide
from store.touches import Category, Channel
from tests.queries import counted
from tests.times import at
from tests.web.browser import Browser
from tests.web.drafts import FORM, save, saved
from tests.web.scene import Scene, a_member, a_task, an_assignment
from web.console import forms


def test_draft_is_changed_in_place(scene: Scene, song: Browser) -> None:
    draft = save(song, level=["gold"], friends_only="1")
    form = song.get(f"{draft}/edit").text

    answer = song.post(f"{draft}/edit", data=FORM | {"name": "四月回访", "orders_min": "2"})

    assert 'value="三月老客回访"' in form
    assert 'name="recency_days_max" value="30"' in form
    assert 'name="friends_only" value="1" checked' in form
    assert 'value="2026-03-02T20:00"' in form
    assert answer.headers["location"] == draft
    campaign = saved(scene)
    assert (campaign.name, campaign.token) == ("四月回访", draft.rsplit("/", 1)[-1])
    assert campaign.audience == {
        "all": [
            {"fact": "recency_days", "op": "<=", "value": 30},
            {"fact": "orders_count", "op": ">=", "value": 2},
        ]
    }
    with scene.database.transaction() as session:
        acts = session.exec(select(AuditEntry.act).order_by(col(AuditEntry.id))).all()
    assert acts == ["campaign.write", "campaign.rewrite"]


def test_wrong_field_of_a_draft_changes_nothing_and_loses_nothing(
    scene: Scene, song: Browser
) -> None:
    draft = save(song)

    answer = song.post(f"{draft}/edit", data=FORM | {"name": "四月回访", "holdout_percent": "99"})

    assert answer.status_code == 422
    assert 'value="四月回访"' in answer.text
    assert f'action="{draft}/edit#preview"' in answer.text
    assert saved(scene).name == "三月老客回访"


def test_launched_campaign_cannot_be_changed(scene: Scene, song: Browser) -> None:
    a_member(scene)
    draft = save(song)
    song.post(f"{draft}/launch")

    answers = [song.get(f"{draft}/edit"), song.post(f"{draft}/edit", data=FORM)]

    assert [answer.status_code for answer in answers] == [409, 409]


@pytest.mark.parametrize(
    "tree",
    [
        {"all": []},
        {"all": [{"fact": "spent_365_fen", "op": ">=", "value": 1234}]},
        {"all": [{"fact": "tag", "op": "in", "value": ["a", "b"]}]},
        {"any": [{"fact": "orders_count", "op": ">=", "value": 2}]},
        {"all": [{"fact": "orders_count", "op": ">", "value": 2}]},
        {"all": [{"fact": "orders_count", "op": ">=", "value": n} for n in (1, 2)]},
        {"not": {"fact": "shop", "op": "in", "value": ["s1"]}},
    ],
)
def test_audience_comes_back_into_the_form_as_it_was(tree: dict[str, Any]) -> None:
    filled = forms.FilledIn(**forms.filled_from_tree(tree))

    assert forms.read_audience(filled).tree() == tree


def test_band_gives_the_priority_and_stays_when_the_draft_is_saved_again(
    scene: Scene, song: Browser
) -> None:
    draft = save(song, band="high")
    high = saved(scene).priority
    with scene.database.transaction() as session:
        session.get_one(Campaign, saved(scene).id).priority = high + 7

    form = song.get(f"{draft}/edit").text
    song.post(f"{draft}/edit", data=FORM | {"band": "high"})

    assert '<option value="high" selected>' in form
    assert high > 50
    assert saved(scene).priority == high + 7
    assert "<dt>优先级</dt><dd>高</dd>" in song.get(draft).text


def test_campaign_without_a_band_is_usual(scene: Scene, song: Browser) -> None:
    save(song)

    assert saved(scene).priority == 50


def test_unknown_band_is_refused(scene: Scene, song: Browser) -> None:
    answer = song.post("/hq/campaigns/new", data=FORM | {"band": "highest"})

    assert answer.status_code == 422
    assert saved(scene).id == scene.campaign.id


def test_scheduled_campaign_says_when_and_can_be_taken_back(scene: Scene, song: Browser) -> None:
    a_member(scene)
    draft = save(song)

    scheduled = song.post(f"{draft}/schedule", data={"launch_at": "2026-03-02T09:00"})
    campaign = saved(scene)
    page, listed = song.get(draft).text, song.get("/hq").text
    taken_back = song.post(f"{draft}/unschedule")
    again = song.post(f"{draft}/unschedule")

    assert scheduled.status_code == 303
    assert (campaign.state, campaign.launch_at) == (
        CampaignState.SCHEDULED,
        at("2026-03-02 09:00"),
    )
    assert "<b>2026-03-02 09:00</b> 自动启动" in page
    assert "03-02 09:00 自动启动" in listed
    assert "定时启动" in listed
    assert [taken_back.status_code, again.status_code] == [303, 303]
    assert saved(scene).state is CampaignState.DRAFT


def test_scheduled_campaign_can_be_put_to_another_time_but_not_changed(
    scene: Scene, song: Browser
) -> None:
    a_member(scene)
    draft = save(song)
    song.post(f"{draft}/schedule", data={"launch_at": "2026-03-02T09:00"})

    song.post(f"{draft}/schedule", data={"launch_at": "2026-03-02T10:00"})
    edited = song.post(f"{draft}/edit", data=FORM)

    assert saved(scene).launch_at == at("2026-03-02 10:00")
    assert edited.status_code == 409


@pytest.mark.parametrize(
    ("launch_at", "sentence"),
    [
        ("2026-03-01T13:59", "这个时间已经过去了，请选一个之后的时间。"),
        ("2026-03-02T20:00", "启动要早于导购截止时间"),
        ("", "请填完整的日期和时间。"),
        ("soon", "请填完整的日期和时间。"),
    ],
)
def test_time_that_cannot_be_meant_is_told_beside_its_field(
    scene: Scene, song: Browser, launch_at: str, sentence: str
) -> None:
    a_member(scene)
    draft = save(song)

    answer = song.post(f"{draft}/schedule", data={"launch_at": launch_at})

    assert answer.status_code == 422
    assert sentence in answer.text
    assert f'value="{launch_at}"' in answer.text
    assert saved(scene).state is CampaignState.DRAFT


def test_scheduled_campaign_can_be_launched_at_once(scene: Scene, song: Browser) -> None:
    a_member(scene)
    draft = save(song)
    song.post(f"{draft}/schedule", data={"launch_at": "2026-03-02T09:00"})

    song.post(f"{draft}/launch")

    assert saved(scene).state is CampaignState.LAUNCHING


def test_guides_of_a_campaign_are_paged(
    scene: Scene, song: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.console.views.PAGE", 2)
    for number in range(3):
        guide = Guide(shop_id=scene.shop.id, userid=f"g{number}", name=f"导购{number}号")
        an_assignment(scene, scene.add(guide))
    address = f"/hq/campaigns/{scene.campaign.token}"

    first, second = song.get(address).text, song.get(f"{address}?guides=2").text

    assert ("导购0号" in first, "导购2号" in first, "下一页" in first) == (True, False, True)
    assert ("导购0号" in second, "导购2号" in second, "上一页" in second) == (False, True, True)
    assert "这里是第 3–3 位" in second


def test_task_that_waits_for_the_gate_is_not_called_under_way(scene: Scene, song: Browser) -> None:
    a_task(scene, state=TaskState.SENDING)

    page = song.get(f"/hq/campaigns/{scene.campaign.token}").text

    assert "<span>等发送</span>" in page
    assert "发送中" not in page


def test_losses_name_the_rule_and_the_campaign_that_took_the_place(
    scene: Scene, song: Browser
) -> None:
    taker = Campaign(**scene.campaign.model_dump(exclude={"id", "token", "name"}), name="夏日")
    scene.add(taker)
    li = a_member(scene)
    for key, campaign, minutes in (("a", taker, 5), ("b", scene.campaign, 0)):
        wish = Ask(
            key=key,
            member_id=li.id,
            channels=(Channel.WECOM_BROADCAST,),
            category=Category.CARE,
            brand_id=scene.brand.id,
            campaign_id=campaign.id,
            guide_id=scene.wang.id,
        )
        with scene.database.transaction() as session:
            gate.ask(session, wish, now=scene.now - timedelta(minutes=minutes))
    address = f"/hq/campaigns/{scene.campaign.token}"

    with counted(scene.database.engine) as statements:
        page = song.get(address).text

    assert "今天的次数已用完<br>" in page or "离上一条消息太近<br>" in page
    assert '<th class="number">等发送</th>' in page
    assert f'名额用在了<a href="/hq/campaigns/{taker.token}">夏日</a> 1 位' in page
    assert len(statements) < 40
