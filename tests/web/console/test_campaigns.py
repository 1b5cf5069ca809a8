"""Writing a campaign, launching it, and watching it, through the pages."""

import json
from datetime import timedelta

import pytest
from sqlmodel import select

from guide_tasks import launch
from guide_tasks.campaigns import CampaignForm
from store.audit import AuditEntry
from store.campaigns import (
    AudienceMember,
    Campaign,
    CampaignMode,
    CampaignState,
    CareTask,
    CommissionTo,
    TaskState,
)
from store.coupons import CouponKind, CouponPlan
from store.members import Member
from store.touches import Channel
from tests.builders import a_touch
from tests.queries import counted
from tests.times import at
from tests.web.browser import Browser
from tests.web.drafts import FORM, save, saved
from tests.web.scene import Scene, a_member, a_sale, a_task, an_assignment
from web.console import drafting, views


def test_form_becomes_a_draft_with_all_its_conditions(scene: Scene, song: Browser) -> None:
    scene.add(CouponPlan(code="ten", name="满50减10", kind=CouponKind.AMOUNT_OFF, value=1000))

    save(
        song,
        coupon_plan="ten",
        spent_yuan_min="12.34",
        m_score_min="4",
        level=["gold", "black"],
        untouched_days="7",
        friends_only="1",
        audience_limit="200",
    )

    campaign = saved(scene)
    assert campaign.audience == {
        "all": [
            {"fact": "recency_days", "op": "<=", "value": 30},
            {"fact": "spent_365_fen", "op": ">=", "value": 1234},
            {"fact": "m_score", "op": ">=", "value": 4},
            {"fact": "days_since_touch", "op": ">=", "value": 7},
            {"fact": "level", "op": "in", "value": ["gold", "black"]},
            {"fact": "is_friend_of_a_guide", "op": "=", "value": True},
        ]
    }
    assert campaign.state is CampaignState.DRAFT
    assert (campaign.commission_bp, campaign.attribution_days) == (250, 7)
    assert (campaign.holdout_percent, campaign.audience_limit) == (0, 200)
    assert campaign.fallback_channels == [Channel.WECHAT_SERVICE]
    assert campaign.coupon_plan_id is not None


SETTINGS = {
    "mode": "shops",
    "fallback_channels": ["wecom_broadcast", "wechat_notice", ""],
    "fallback_hours": "5",
    "tasks_per_day": "12",
    "commission_cap_yuan": "88.80",
    "commission_to": "split",
}


def test_settings_of_the_form_are_those_of_the_campaign(scene: Scene, song: Browser) -> None:
    save(song, **SETTINGS)

    campaign = saved(scene)
    assert (campaign.mode, campaign.commission_to) == (CampaignMode.SHOPS, CommissionTo.SPLIT)
    assert campaign.fallback_channels == [Channel.WECOM_BROADCAST, Channel.WECHAT_NOTICE]
    assert (campaign.fallback_hours, campaign.tasks_per_day) == (5, 12)
    assert campaign.commission_cap_fen == 8880


def test_settings_left_blank_are_the_usual_ones(scene: Scene, song: Browser) -> None:
    save(song)

    campaign, usual = saved(scene), CampaignForm.model_fields
    names = ["mode", "fallback_hours", "tasks_per_day", "commission_cap_fen", "commission_to"]
    assert {name: getattr(campaign, name) for name in names} == {
        name: usual[name].default for name in names
    }


def test_form_of_a_draft_has_every_setting_of_it(scene: Scene, song: Browser) -> None:
    draft = save(song, **SETTINGS)
    before = saved(scene)

    with scene.database.transaction() as session:
        filled = drafting.filled_from(session, before, scene.parts.zone)
    song.post(f"{draft}/edit", data=filled.model_dump() | {"action": "save"})

    after, names = saved(scene), CampaignForm.model_fields.keys() - {"piece_code"}
    assert {name: getattr(after, name) for name in names} == {
        name: getattr(before, name) for name in names
    }


def test_settings_stand_on_the_page_of_the_campaign(song: Browser) -> None:
    page = song.get(save(song, **SETTINGS)).text

    assert "由门店联系，谁有空谁领，每位导购一天最多 12 个任务" in page
    assert "替导购备好的群发 → 公众号订阅通知，最多等 5 小时" in page
    assert "2.5%，每单最多 88.80 元，7 天内的购买算数；收银的是另一位时，两位各一半" in page


def test_deadline_is_read_as_shop_local_time(scene: Scene, song: Browser) -> None:
    save(song)

    assert saved(scene).deadline_at == at("2026-03-02 20:00")


def test_deadline_in_minutes_wins_over_the_date(scene: Scene, song: Browser) -> None:
    save(song, deadline_minutes="90")

    assert saved(scene).deadline_at == scene.now + timedelta(minutes=90)


def test_audience_as_json_wins_over_the_fields(scene: Scene, song: Browser) -> None:
    tree = {"any": [{"fact": "orders_count", "op": ">=", "value": 3}]}

    save(song, audience_json=json.dumps(tree))

    assert saved(scene).audience == tree


def test_preset_fills_in_recency_frequency_and_money(scene: Scene, song: Browser) -> None:
    save(song, preset="regulars")

    assert saved(scene).audience == {
        "all": [
            {"fact": "recency_days", "op": "<=", "value": 60},
            {"fact": "f_score", "op": ">=", "value": 4},
            {"fact": "days_since_touch", "op": ">=", "value": 7},
        ]
    }


def test_draft_names_its_writer_in_the_audit_log(scene: Scene, song: Browser) -> None:
    save(song)

    with scene.database.transaction() as session:
        entry = session.exec(select(AuditEntry)).one()
    assert (entry.actor, entry.act) == ("operator:song", "campaign.write")


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("name", " ", "请填写这一项。"),
        ("name", "长" * 61, "最多 60 个字。"),
        ("deadline", "", "请填写这一项。"),
        ("deadline", "2026-03-01T13:59", "这个时间已经过去了，请选一个之后的时间。"),
        ("deadline", "tomorrow", "请填完整的日期和时间。"),
        ("holdout_percent", "51", "最大填 50。"),
        ("r_score_min", "0", "最小填 1。"),
        ("recency_days_max", "many", "请填数字。"),
        ("spent_yuan_min", "1.234", "小数最多 2 位。"),
        ("coupon_plan", "gone", "这一项已经不在了，请重新选择。"),
        ("piece_code", "gone", "这一项已经不在了，请重新选择。"),
        ("category", "service", "这一项已经不在了，请重新选择。"),
        ("fallback_channels", "wecom_app", "这一项已经不在了，请重新选择。"),
        ("fallback_hours", "0", "最小填 1。"),
        ("fallback_hours", "721", "最大填 720。"),
        ("tasks_per_day", "0", "最小填 1。"),
        ("tasks_per_day", "1.5", "请填数字。"),
        ("commission_cap_yuan", "-1", "最小填 0。"),
        ("commission_cap_yuan", "0.001", "小数最多 2 位。"),
        ("commission_to", "nobody", "这一项已经不在了，请重新选择。"),
        ("mode", "robots", "这一项已经不在了，请重新选择。"),
        ("audience_json", "{", "这不是正确的 JSON，请检查括号和引号。"),
        ("audience_json", "5", "整段要写在一对花括号里"),
        ("audience_json", '{"all": [{"fact": "x"}]}', "<em>all 的第 1 项：还缺 op, value，"),
        (
            "audience_json",
            '{"fact": "r_score", "op": "~", "value": 3}',
            "<em>最外层：r_score 的 op 不能写「~」，",
        ),
    ],
)
def test_field_that_is_wrong_is_named_and_nothing_is_written(
    scene: Scene, song: Browser, field: str, value: str, sentence: str
) -> None:
    answer = song.post("/hq/campaigns/new", data=FORM | {field: value})

    assert answer.status_code == 422
    assert sentence in answer.text
    assert 'class="bad"' in answer.text
    assert saved(scene).id == scene.campaign.id


def test_brand_that_speaks_itself_needs_a_channel_of_its_own(scene: Scene, song: Browser) -> None:
    form = FORM | {"mode": "direct"}

    refused = song.post(
        "/hq/campaigns/new", data=form | {"fallback_channels": ["wecom_broadcast", ""]}
    )
    taken = song.post("/hq/campaigns/new", data=form)

    assert "由品牌直接发，至少要选一个公众号渠道。" in refused.text
    assert taken.status_code == 303
    assert saved(scene).mode is CampaignMode.DIRECT


def test_what_was_filled_in_is_still_there_when_a_field_is_wrong(song: Browser) -> None:
    answer = song.post("/hq/campaigns/new", data=FORM | {"deadline": ""})

    assert 'value="三月老客回访"' in answer.text
    assert 'name="recency_days_max" value="30"' in answer.text


def test_marketing_words_cannot_go_out_as_care(scene: Scene, song: Browser) -> None:
    form = FORM | {"piece_code": "weekend_offer"}

    refused = song.post("/hq/campaigns/new", data=form)
    taken = song.post("/hq/campaigns/new", data={**form, "category": "marketing"})

    assert "类别要选「营销」" in refused.text
    assert taken.status_code == 303
    assert saved(scene).category == "marketing"


def test_preview_counts_exactly_and_shows_masked_members(scene: Scene, song: Browser) -> None:
    li = a_member(scene, "李雨桐")
    a_member(scene, "赵一鸣")

    answer = song.post("/hq/campaigns/new", data=FORM | {"action": "preview"})

    assert '<div class="figure">2</div><small>位会员</small>' in answer.text
    assert "李**" in answer.text
    assert "李雨桐" not in answer.text
    assert li.mobile is not None
    assert li.mobile not in answer.text
    assert saved(scene).id == scene.campaign.id


def test_preview_works_before_the_rest_is_filled_in(scene: Scene, song: Browser) -> None:
    a_member(scene)

    answer = song.post("/hq/campaigns/new", data={"recency_days_max": "30"})

    assert answer.status_code == 200
    assert '<div class="figure">1</div><small>位会员</small>' in answer.text


def test_draft_shows_what_the_gate_would_say(scene: Scene, song: Browser) -> None:
    a_member(scene)

    page = song.get(save(song))

    assert "现在可以发 <b>1</b>" in page.text or "不该打扰 <b>1</b>" in page.text
    assert "启动" in page.text


def test_launch_freezes_the_audience_and_shows_progress(scene: Scene, song: Browser) -> None:
    a_member(scene)
    draft = save(song)

    answer = song.post(f"{draft}/launch")

    assert answer.headers["location"] == draft
    assert 'http-equiv="refresh"' in song.get(draft).text
    assert saved(scene).state is CampaignState.LAUNCHING
    with scene.database.transaction() as session:
        assert len(session.exec(select(AudienceMember)).all()) == 1


def test_launch_tapped_twice_happens_once(scene: Scene, song: Browser) -> None:
    a_member(scene)
    draft = save(song)

    answers = [song.post(f"{draft}/launch") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [303, 303]
    with scene.database.transaction() as session:
        launches = select(AuditEntry).where(AuditEntry.act == "campaign.launch")
        assert len(session.exec(launches).all()) == 1


def test_draft_past_its_deadline_offers_no_launch(scene: Scene, song: Browser) -> None:
    a_member(scene)
    draft = save(song)
    with scene.database.transaction() as session:
        campaign = session.get_one(Campaign, saved(scene).id)
        campaign.created_at = scene.now - timedelta(days=2)
        campaign.deadline_at = scene.now - timedelta(days=1)

    page, tapped = song.get(draft), song.post(f"{draft}/launch")

    assert f"{draft}/launch" not in page.text
    assert tapped.status_code == 409


def test_launched_campaign_shows_its_funnel_and_guides(scene: Scene, song: Browser) -> None:
    a_member(scene)
    draft = save(song)
    song.post(f"{draft}/launch")
    launch.run(scene.database, saved(scene).id, public_url="http://shop.test:8000", now=scene.now)

    page = song.get(draft)

    assert "漏斗" in page.text
    assert "王芳" in page.text
    assert "人太少，这个数还不能说明什么。" in page.text or "没有留对照组" in page.text


def test_sales_of_a_guide_stand_in_the_table_of_guides(scene: Scene, song: Browser) -> None:
    an_assignment(scene)
    a_sale(scene, a_task(scene, state=TaskState.CONVERTED), amount_fen=123_45)

    page = song.get(f"/hq/campaigns/{scene.campaign.token}")

    assert '<td class="number">123.45</td>' in page.text


def test_guide_has_sent_what_went_out_by_any_own_hand(scene: Scene) -> None:
    an_assignment(scene)
    twice, aside, fallen_back = (a_task(scene, state=TaskState.SENT) for _ in range(3))
    a_sent_touch(scene, twice, Channel.WECOM_BROADCAST)
    a_sent_touch(scene, twice, Channel.WECOM_BROADCAST)
    a_sent_touch(scene, aside, Channel.WECOM_SIDEBAR)
    a_sent_touch(scene, fallen_back, Channel.WECHAT_SERVICE)

    with scene.database.transaction() as session:
        (row,) = views.report(session, scene.campaign.id).guides

    assert (row.tasks, row.sent) == (3, 2)


def a_sent_touch(scene: Scene, task: CareTask, channel: Channel) -> None:
    with scene.database.transaction() as session:
        member = session.get_one(Member, task.member_id)
        facts = {"channel": channel, "campaign_id": task.campaign_id, "care_task_id": task.id}
        a_touch(session, member, now=scene.now, guide_id=task.guide_id, **facts)


def test_campaign_can_be_written_like_another(song: Browser) -> None:
    draft = save(song, fallback_channels=["", ""])

    page = song.get(f"/hq/campaigns/new?like={draft.rsplit('/', 1)[-1]}")

    assert 'value="三月老客回访"' in page.text
    assert "recency_days" in page.text
    assert '<option value="wechat_service" selected>' not in page.text


def test_unknown_campaign_is_not_found(song: Browser) -> None:
    assert song.get("/hq/campaigns/nothing").status_code == 404


def test_condition_of_an_unknown_name_is_shown_as_written(scene: Scene, song: Browser) -> None:
    scene.add(
        Campaign(
            brand_id=scene.brand.id,
            name="旧的",
            category="care",
            audience={"not": {"fact": "level", "op": "in", "value": ["<b>gold</b>"]}},
            piece_id=scene.campaign.piece_id,
            deadline_at=scene.now + timedelta(hours=1),
            created_at=scene.now,
        )
    )

    page = song.get(f"/hq/campaigns/{saved(scene).token}")

    assert "除去（等级是「&lt;b&gt;gold&lt;/b&gt;」）" in page.text


def test_list_takes_as_many_queries_for_three_campaigns_as_for_one(
    scene: Scene, song: Browser
) -> None:
    with counted(scene.database.engine) as for_one:
        song.get("/hq")
    save(song)
    save(song)

    with counted(scene.database.engine) as for_three:
        page = song.get("/hq")

    assert page.text.count("三月老客回访") == 2
    assert len(for_three) == len(for_one)


def test_results_take_as_many_queries_for_three_guides_as_for_one(
    scene: Scene, song: Browser
) -> None:
    an_assignment(scene)
    address = f"/hq/campaigns/{scene.campaign.token}"
    with counted(scene.database.engine) as for_one:
        song.get(address)
    an_assignment(scene, scene.sun)
    a_task(scene)
    a_task(scene, guide=scene.sun)

    with counted(scene.database.engine) as for_two:
        page = song.get(address)

    assert "孙丽" in page.text
    assert len(for_two) == len(for_one)
