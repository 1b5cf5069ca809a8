"""The gate's rules through the pages: read, changed in a draft, tried on the past, published."""

from datetime import timedelta

import pytest
from sqlmodel import select

from content import rule_readings
from content.rule_phrases import RULE_PHRASES
from content.rule_readings import Names, reading
from fatigue import policies, replaying
from store.audit import AuditEntry
from store.organisation import OperatorRole, add_operator
from store.policies import PolicyDraft, PolicyReplay
from store.touches import Category, Channel, Touch, TouchState
from tests.queries import counted
from tests.web.browser import Browser
from tests.web.console.conftest import PASSWORD
from tests.web.scene import Scene, a_member
from web.console import rule_form
from web.sessions import Door

GAP = {
    "kind": "min_gap",
    "name": "隔两天",
    "source": "会员部 7-20 定",
    "length": "2",
    "unit": "days",
}


def _draft(song: Browser) -> str:
    answer = song.post("/hq/policies/drafts")
    assert answer.status_code == 303
    return str(answer.headers["location"])


def _run(scene: Scene) -> None:
    """Do what a worker does."""
    with scene.database.transaction() as session:
        ids = session.exec(select(PolicyReplay.id)).all()
    for replay_id in ids:
        replaying.run(scene.database, replay_id, now=scene.now)


def _sent(scene: Scene, *, hours: int, member_id: int) -> None:
    then = scene.now - timedelta(hours=hours)
    scene.add(
        Touch(
            key=f"sent-{member_id}-{hours}",
            member_id=member_id,
            channels=[Channel.WECOM_BROADCAST],
            channel=Channel.WECOM_BROADCAST,
            category=Category.CARE,
            brand_id=scene.brand.id,
            campaign_id=scene.campaign.id,
            guide_id=scene.wang.id,
            state=TouchState.SENT,
            asked_at=then,
            fenced_at=then,
            counted_at=then,
            settled_at=then,
        )
    )


def test_every_rule_reads_as_a_sentence_with_its_source(song: Browser) -> None:
    page = song.get("/hq/policies")

    assert "任意连续 7 天内最多 3 条" in page.text
    assert "22:00 到次日 08:00 不发" in page.text
    assert "两条之间至少隔 4 小时" in page.text
    assert "企业微信开发文档 92135" in page.text
    assert "按北京时间的日历" in page.text
    assert "Asia/Shanghai" not in page.text


def test_an_address_that_is_gone_or_misspelt_speaks_no_code_and_leads_home(song: Browser) -> None:
    gone, misspelt = song.get("/hq/policies/versions/99"), song.get("/hq/budget?days=abc")

    assert '<a href="/hq">' in gone.text
    assert misspelt.status_code == 422
    assert "query.days" not in misspelt.text


def test_rule_is_changed_tried_on_the_past_and_published(scene: Scene, song: Browser) -> None:
    li = a_member(scene)
    for hours in (76, 50):
        _sent(scene, hours=hours, member_id=li.id)
    draft = _draft(song)

    song.post(f"{draft}/rule?name=min_gap", data=GAP | {"name": "min_gap"})
    changed = song.get(draft).text
    song.post(f"{draft}/replay")
    running = song.get(draft).text
    _run(scene)
    tried = song.get(draft).text
    published = song.post(f"{draft}/publish")

    assert "两条之间至少隔 2 天" in changed
    assert "先试一遍" in changed
    assert f"{draft}/publish" not in changed
    assert 'http-equiv="refresh"' in running
    assert '<div class="figure">1</div><small>条发出过的，要等一等才发' in tried
    assert "离上一条消息太近" in tried
    assert "老客关怀" in tried
    assert li.mobile is not None
    assert li.mobile not in tried
    assert published.headers["location"] == "/hq/policies?published=2"
    page = song.follow(published).text
    assert "第 2 版" in page
    assert "宋知远" in page
    assert "两条之间至少隔 2 天" in page


def test_versions_are_compared(scene: Scene, song: Browser) -> None:
    draft = _draft(song)
    song.post(f"{draft}/rule", data=GAP)
    song.post(f"{draft}/drop", data={"name": "daily_cap"})
    song.post(f"{draft}/replay")
    _run(scene)
    song.post(f"{draft}/publish")

    page = song.get("/hq/policies/versions/2?against=1").text

    assert '<span class="tag">新增</span> <b>隔两天</b>' in page
    assert '<span class="tag red">去掉</span> <b>每日上限</b>' in page
    assert song.get("/hq/policies/versions/9").status_code == 404


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"name": " "}, "请填写这一项。"),
        ({"name": "daily_cap"}, "已经有一条叫这个名字了，请换一个。"),
        ({"name": "opted_out"}, "这个名字系统自己要用，请换一个。"),
        ({"source": ""}, "请填写这一项。"),
        ({"length": ""}, "请填写这一项。"),
        ({"length": "0"}, "最小填 1。"),
        ({"length": "-1"}, "最小填 1。"),
        ({"length": "soon"}, "请填数字。"),
        ({"kind": "rolling_cap", "cap": "0"}, "最小填 1。"),
        ({"kind": "calendar_cap", "cap": ""}, "请填写这一项。"),
        ({"kind": "quiet_hours", "start": "22:00", "end": "22:00"}, "是同一分钟"),
        ({"kind": "quiet_hours", "start": "noon"}, "请填几点几分"),
        ({"kind": "quiet_hours", "holiday_start": "09:00"}, "请填写这一项。"),
        ({"kind": "grant"}, "这一项已经不在了，请重新选择。"),
        ({"campaign": "gone"}, "这一项已经不在了，请重新选择。"),
        ({"brand": "gone"}, "这一项已经不在了，请重新选择。"),
    ],
)
def test_field_of_a_rule_that_is_wrong_is_named_and_nothing_is_lost(
    scene: Scene, song: Browser, change: dict[str, str], sentence: str
) -> None:
    draft = _draft(song)

    answer = song.post(f"{draft}/rule", data=GAP | {"categories": "care"} | change)

    assert answer.status_code == 422
    assert sentence in answer.text
    assert 'class="bad"' in answer.text
    assert 'value="care" checked' in answer.text
    with scene.database.transaction() as session:
        rules = session.exec(select(PolicyDraft)).one().rules
    assert "隔两天" not in [rule["name"] for rule in rules]


def test_every_kind_of_rule_comes_back_into_its_form_as_it_was(scene: Scene, song: Browser) -> None:
    del scene, song
    filled = {
        "calendar_cap": {"cap": "2", "period": "month"},
        "rolling_cap": {"cap": "3", "length": "36", "unit": "hours"},
        "min_gap": {"length": "90", "unit": "minutes"},
        "lifetime_cap": {"cap": "1"},
        "quiet_hours": {
            "start": "21:30",
            "end": "09:00",
            "holiday_start": "00:00",
            "holiday_end": "00:00",
            "spread_minutes": "45",
        },
    }
    keys = {"brands": {"zx": 7}, "campaigns": {"token": 9}}

    for kind, own in filled.items():
        form = rule_form.RuleFilledIn(
            kind=kind,
            name="新规",
            source="为什么",
            channels=["sms"],
            categories=["care", "marketing"],
            bands=["low"],
            brand="zx",
            campaign="token",
            is_shadow="1",
            **own,
        )
        rule = rule_form.read(form, **keys)
        (again,) = policies.rules_to_json(policies.rules_from_json([rule]))

        back = rule_form.filled_from(again, **keys)

        assert {name: getattr(back, name) for name in own} == own
        assert rule_form.read(back, **keys) == rule


def test_rule_of_the_house_is_saved_unchanged_from_its_form(scene: Scene, song: Browser) -> None:
    draft = _draft(song)
    with scene.database.transaction() as session:
        before = session.exec(select(PolicyDraft)).one().rules
    own = [rule for rule in before if not rule["is_platform"]]
    assert any(rule["name"] == "quiet_hours" for rule in own)

    for rule in own:
        form = rule_form.filled_from(rule, brands={}, campaigns={})
        answer = song.post(f"{draft}/rule?name={rule['name']}", data=form.model_dump())
        assert answer.status_code == 303

    with scene.database.transaction() as session:
        assert session.exec(select(PolicyDraft)).one().rules == before


def test_what_the_form_does_not_show_stays_in_the_rule() -> None:
    before = {
        "kind": "calendar_cap",
        "name": "n",
        "source": "s",
        "cap": 1,
        "period": "day",
        "zone": "Asia/Tokyo",
        "selector": {"guide_id": 5},
    }
    form = rule_form.filled_from(before, brands={}, campaigns={})

    rule = rule_form.read(form, brands={}, campaigns={}, before=before)

    assert (rule["zone"], rule["selector"]) == ("Asia/Tokyo", {"guide_id": 5})


@pytest.mark.parametrize("act", ["drop", "rule"])
def test_rule_of_a_platform_is_refused_to_everybody(song: Browser, act: str) -> None:
    draft = _draft(song)

    answer = song.post(
        f"{draft}/{act}?name=wechat_service_grant", data=GAP | {"name": "wechat_service_grant"}
    )

    assert answer.status_code == 403
    assert f"{draft}/rule?name=wechat_service_grant" not in song.get(draft).text


def _as(scene: Scene, role: OperatorRole) -> Browser:
    with scene.database.transaction() as session:
        person = add_operator(session, f"his-{role}", "何", PASSWORD, role=role)
    return scene.at_door(Door.CONSOLE, person.id)


def test_operator_drafts_and_tries_but_only_an_admin_publishes(scene: Scene, song: Browser) -> None:
    del song
    he = _as(scene, OperatorRole.OPERATOR)
    draft = _draft(he)
    he.post(f"{draft}/rule", data=GAP)
    he.post(f"{draft}/replay")
    _run(scene)

    page, answer = he.get(draft), he.post(f"{draft}/publish")

    assert "发布要由管理员来做" in page.text
    assert answer.status_code == 403
    assert "没有这项权限" in answer.text
    with scene.database.transaction() as session:
        assert policies.current(session).version == 1


@pytest.mark.parametrize(
    "path",
    [
        "/hq/policies/drafts",
        "/hq/campaigns/new",
        "/hq/campaigns/some-token/launch",
        "/hq/campaigns/some-token/schedule",
        "/hq/campaigns/some-token/edit",
        "/hq/members/C1/mobile",
        "/hq/scenes",
    ],
)
def test_viewer_changes_nothing(scene: Scene, song: Browser, path: str) -> None:
    del song
    answer = _as(scene, OperatorRole.VIEWER).post(path, data={"action": "save", "kind": "shop"})

    assert answer.status_code == 403


def test_viewer_reads_every_page(scene: Scene, song: Browser) -> None:
    draft = _draft(song)
    viewer = _as(scene, OperatorRole.VIEWER)
    pages = ("/hq", "/hq/policies", draft, "/hq/members", "/hq/budget", "/hq/scenes")

    codes = {place: viewer.get(place).status_code for place in pages}

    assert codes == dict.fromkeys(pages, 200)


def test_publication_names_who_it_was(scene: Scene, song: Browser) -> None:
    draft = _draft(song)
    song.post(f"{draft}/rule", data=GAP)
    song.post(f"{draft}/replay")
    _run(scene)
    song.post(f"{draft}/publish")

    with scene.database.transaction() as session:
        entry = session.exec(select(AuditEntry).where(AuditEntry.act == "policy.publish")).one()
    assert (entry.actor, entry.facts) == ("operator:song", {"changes": ["隔两天"]})


def test_page_takes_as_many_queries_for_three_versions_as_for_one(
    scene: Scene, song: Browser
) -> None:
    def publish() -> None:
        with scene.database.transaction() as session:
            policies.publish(session, policies.DEFAULT_RULES, author="operator:song", now=scene.now)

    publish()
    _draft(song)
    with counted(scene.database.engine) as for_one:
        song.get("/hq/policies")
    for _ in range(2):
        publish()
        _draft(song)

    with counted(scene.database.engine) as for_three:
        page = song.get("/hq/policies")

    assert "第 4 版" in page.text
    assert len(for_three) == len(for_one)


def test_every_default_rule_has_a_title_a_source_and_a_reason_in_chinese() -> None:
    for rule in policies.rules_to_json(policies.DEFAULT_RULES):
        assert rule_readings.title(rule["name"]) != rule["name"], rule["name"]
        assert rule_readings.source(rule["source"]) != rule["source"], rule["source"]
        assert rule["name"] in RULE_PHRASES
        assert reading(rule, Names())


def test_every_kind_of_rule_has_a_name() -> None:
    assert set(rule_readings.KIND_NAMES) == set(policies._KINDS)
