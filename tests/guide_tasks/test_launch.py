"""Launch: the audience is frozen, some held out, each gets one task and each guide one card."""

import time
from collections import Counter
from datetime import datetime, timedelta
from threading import Thread
from typing import Any

import pytest
from sqlalchemy import delete, func, update
from sqlmodel import Session, col, select

from guide_tasks import launch, making
from guide_tasks.campaigns import DeadlinePassed
from store import merges
from store.campaigns import (
    Arm,
    Assignment,
    AudienceMember,
    Campaign,
    CampaignState,
    CareTask,
    TaskState,
)
from store.coupons import Coupon, CouponPlan
from store.db import Database
from store.errors import WrongState
from store.jobs import Job
from store.launches import LaunchChunk
from store.members import IdentityChannel, Member, MemberStatus
from store.notices import Notice
from store.organisation import Guide, Shop
from store.touches import Channel, Touch, TouchState
from tests.builders import (
    a_brand,
    a_campaign,
    a_guide,
    a_member,
    a_piece,
    a_plan,
    a_product,
    a_shop,
    an_order,
)
from tests.guide_tasks.people import (
    FALLBACKS,
    URL,
    a_customer,
    agree,
    befriend,
    identify,
    launched,
    states_of,
    tasks_of,
    tokens_of,
    write_in,
)
from tests.queries import counted

_ALL_PIECES = (
    "{{ name }} {{ guide }} {{ shop }} {{ category }} {{ product }} {{ coupon }} {{ link }}"
)


def a_draft(session: Session, *, now: datetime, **facts: Any) -> Campaign:
    """A care campaign for everybody, without a hold-out."""
    usual: dict[str, Any] = {
        "audience": {"all": []},
        "holdout_percent": 0,
        "fallback_channels": FALLBACKS,
    }
    return a_campaign(session, now=now, **(usual | facts))


def freeze(session: Session, campaign: Campaign, *, now: datetime) -> int:
    return launch.freeze(session, campaign, actor="hq:chen", now=now)


def arms(session: Session, campaign: Campaign) -> dict[int, Arm]:
    query = select(AudienceMember.member_id, AudienceMember.arm).where(
        AudienceMember.campaign_id == campaign.id
    )
    return {member_id: Arm(arm) for member_id, arm in session.exec(query).all()}


def members(session: Session, number: int, *, now: datetime) -> None:
    """Many members of whom nothing else is known, in two statements."""
    brand = a_brand(session)
    rows = [Member(brand_id=brand.id, mobile=f"101{n:08}", created_at=now) for n in range(number)]
    session.add_all(rows)
    session.flush()


def test_the_holdout_is_near_its_share(session: Session, now: datetime) -> None:
    members(session, 2000, now=now)
    campaign = a_draft(session, now=now, holdout_percent=20)

    frozen = freeze(session, campaign, now=now)

    tally = Counter(arms(session, campaign).values())
    assert frozen == 2000
    assert 340 <= tally[Arm.HOLDOUT] <= 460


def test_chance_depends_on_campaign_and_member_alone(session: Session, now: datetime) -> None:
    members(session, 300, now=now)
    one, other = (a_draft(session, now=now, holdout_percent=50) for _ in range(2))
    freeze(session, one, now=now)
    first = arms(session, one)
    # The same draw again, as after a restore from a backup.
    session.exec(delete(AudienceMember))
    session.exec(delete(LaunchChunk))
    one.state = CampaignState.DRAFT
    session.flush()

    freeze(session, one, now=now + timedelta(hours=1))
    freeze(session, other, now=now)

    assert arms(session, one) == first
    assert arms(session, other) != first


def test_freezing_nudges_the_launch_and_happens_once(session: Session, now: datetime) -> None:
    campaign = a_draft(session, now=now)

    freeze(session, campaign, now=now)

    assert (campaign.state, campaign.launched_at) == (CampaignState.LAUNCHING, now)
    assert session.info["zhiyin_after_commit"] == [(Job.LAUNCH_CAMPAIGN, campaign.id)]
    with pytest.raises(WrongState):
        freeze(session, campaign, now=now)


def test_a_campaign_past_its_deadline_is_not_launched(session: Session, now: datetime) -> None:
    campaign = a_draft(session, now=now - timedelta(days=1), deadline_at=now)

    with pytest.raises(DeadlinePassed):
        freeze(session, campaign, now=now)


def test_a_limit_freezes_the_best_customers_only(session: Session, now: datetime) -> None:
    rich, poor = a_member(session), a_member(session)
    an_order(session, rich, amount_fen=9_000, now=now)
    an_order(session, poor, amount_fen=8_000, now=now)
    campaign = a_draft(session, now=now, audience_limit=1)

    freeze(session, campaign, now=now)

    assert arms(session, campaign).keys() == {rich.id}


def test_every_treated_member_gets_one_task_with_words_goods_and_reason(
    database: Database, now: datetime
) -> None:
    with database.transaction() as session:
        wang = a_guide(session, shop=a_shop(session, name="城西店"))
        li = a_customer(session, wang, now=now, name="李雨桐")
        tea = a_product(session, name="龙井", category="茶叶")
        for days in (30, 9):
            an_order(session, li, product=tea, now=now - timedelta(days=days))
        campaign = a_draft(session, now=now, piece_id=a_piece(session, text=_ALL_PIECES).id)

    launched(database, campaign.id, now=now)

    with database.transaction() as session:
        task = tasks_of(session, campaign.id)[li.id]
    assert (task.state, task.guide_id, task.deadline_at) == (
        TaskState.ASSIGNED,
        wang.id,
        campaign.deadline_at,
    )
    assert task.draft == f"李雨桐 王芳 城西店 茶叶 龙井  {URL}/m/picks/{task.token}"
    assert task.picks == [tea.id]
    assert task.reason == "来过 2 次，上次是 9 天前，常买茶叶"


def test_held_out_members_get_no_task(database: Database, now: datetime) -> None:
    with database.transaction() as session:
        members(session, 60, now=now)
        campaign = a_draft(session, now=now, holdout_percent=50)

    launched(database, campaign.id, now=now)

    with database.transaction() as session:
        by_arm = arms(session, campaign)
        treated = {member for member, arm in by_arm.items() if arm is Arm.TREATED}
        assert tasks_of(session, campaign.id).keys() == treated
    assert 0 < len(treated) < 60


def test_words_for_a_member_without_any_facts_leave_nothing_open(
    database: Database, now: datetime
) -> None:
    with database.transaction() as session:
        li = a_customer(session, a_guide(session), now=now, name="")
        campaign = a_draft(session, now=now, piece_id=a_piece(session, text=_ALL_PIECES).id)

    launched(database, campaign.id, now=now)

    with database.transaction() as session:
        task = tasks_of(session, campaign.id)[li.id]
    assert task.draft == f"顾客 王芳 知味 · 中山路店 好物   {URL}/m/picks/{task.token}"
    assert "{" not in task.draft


def test_every_guide_gets_one_card_whatever_the_number_of_tasks(
    database: Database, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "CHUNK", 2)
    with database.transaction() as session:
        wang, sun = a_guide(session), a_guide(session)
        for guide in (wang, sun, wang, wang, sun):
            a_customer(session, guide, now=now)
        campaign = a_draft(session, now=now)

    launched(database, campaign.id, now=now)

    with database.transaction() as session:
        cards = session.exec(select(Notice).order_by(col(Notice.guide_id))).all()
        assignments = session.exec(select(Assignment).order_by(col(Assignment.guide_id))).all()
    assert [card.guide_id for card in cards] == [wang.id, sun.id]
    assert [card.message["title"] for card in cards] == [
        "今天请照顾 3 位顾客",
        "今天请照顾 2 位顾客",
    ]
    assert [card.message["url"] for card in cards] == [
        f"{URL}/guide/a/{assignment.token}" for assignment in assignments
    ]


def test_a_guide_with_nothing_to_do_gets_no_card(database: Database, now: datetime) -> None:
    with database.transaction() as session:
        a_customer(session, a_guide(session), now=now, agrees_to=())
        campaign = a_draft(session, now=now)

    launched(database, campaign.id, now=now)

    with database.transaction() as session:
        assert session.exec(select(Notice)).all() == []
        assert session.get_one(Campaign, campaign.id).state is CampaignState.RUNNING


def test_who_has_no_friend_in_wecom_is_planned_and_due_at_once(
    database: Database, now: datetime
) -> None:
    with database.transaction() as session:
        shop = a_shop(session)
        a_guide(session, shop=shop)
        li = a_customer(session, now=now, shop_id=shop.id)
        write_in(session, li, now=now)
        campaign = a_draft(session, now=now, piece_id=a_piece(session, text=_ALL_PIECES).id)

    launched(database, campaign.id, now=now)

    with database.transaction() as session:
        task = tasks_of(session, campaign.id)[li.id]
    assert (task.state, task.guide_id, task.deadline_at) == (TaskState.PLANNED, None, now)
    assert task.draft.startswith("李明 小知 知味 好物")


def test_a_guide_who_would_never_be_let_through_is_spared_the_task(
    database: Database, now: datetime
) -> None:
    """The member said yes to the official account, and nothing about WeCom."""
    with database.transaction() as session:
        wang = a_guide(session)
        li = a_customer(session, wang, now=now, agrees_to=[Channel.WECHAT_SERVICE])
        write_in(session, li, now=now)
        campaign = a_draft(session, now=now)

    launched(database, campaign.id, now=now)

    with database.transaction() as session:
        task = tasks_of(session, campaign.id)[li.id]
        assert session.exec(select(Notice)).all() == []
    assert (task.state, task.guide_id) == (TaskState.PLANNED, None)


@pytest.mark.parametrize("fallbacks", [[], FALLBACKS])
def test_a_hopeless_task_is_suppressed_and_the_log_says_why(
    database: Database, now: datetime, fallbacks: list[str]
) -> None:
    with database.transaction() as session:
        li = a_customer(session, a_guide(session), now=now, agrees_to=())
        stranger = a_member(session)
        campaign = a_draft(session, now=now, fallback_channels=fallbacks)

    launched(database, campaign.id, now=now)

    with database.transaction() as session:
        tasks = tasks_of(session, campaign.id)
        touches = session.exec(select(Touch).where(Touch.campaign_id == campaign.id)).all()
    assert {member: task.state for member, task in tasks.items()} == dict.fromkeys(
        (li.id, stranger.id), TaskState.SUPPRESSED
    )
    assert {task.state_reason for task in tasks.values()} == {"no_consent"}
    assert {touch.member_id: touch.state for touch in touches} == dict.fromkeys(
        (li.id, stranger.id), TouchState.WITHHELD
    )


def test_whom_only_a_guide_could_reach_is_suppressed_without_one(
    database: Database, now: datetime
) -> None:
    with database.transaction() as session:
        li = a_customer(session, now=now)
        identify(session, li, IdentityChannel.WECOM, now=now)
        campaign = a_draft(session, now=now, fallback_channels=[])

    launched(database, campaign.id, now=now)

    with database.transaction() as session:
        task = tasks_of(session, campaign.id)[li.id]
    assert (task.state, task.state_reason) == (TaskState.SUPPRESSED, "no_friendship")


def test_who_was_merged_after_the_freeze_is_left_alone(database: Database, now: datetime) -> None:
    with database.transaction() as session:
        li = a_customer(session, a_guide(session), now=now)
        campaign = a_draft(session, now=now, coupon_plan_id=a_plan(session).id)
        freeze(session, campaign, now=now)
        li.status = MemberStatus.ERASED

    launch.run(database, campaign.id, public_url=URL, now=now)

    with database.transaction() as session:
        task = tasks_of(session, campaign.id)[li.id]
        assert session.exec(select(Coupon)).all() == []
    assert (task.state, task.state_reason) == (TaskState.SUPPRESSED, "member_gone")


def test_who_took_over_a_task_by_a_merge_gets_no_second_one(
    database: Database, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "CHUNK", 1)
    with database.transaction() as session:
        wang = a_guide(session)
        gone, kept = (a_customer(session, wang, now=now) for _ in range(2))
        campaign = a_draft(session, now=now)
        freeze(session, campaign, now=now)
    with database.transaction() as session:
        words = making.words_of(session, campaign, public_url=URL, now=now)
    launch._next_chunk(database, campaign.id, words, now)
    with database.transaction() as session:
        merges.merge(session, kept.id, gone.id, reason="mobile", now=now)

    launch.run(database, campaign.id, public_url=URL, now=now)

    with database.transaction() as session:
        assert session.get_one(Campaign, campaign.id).state is CampaignState.RUNNING
        assert list(tasks_of(session, campaign.id)) == [kept.id]


def test_the_coupon_goes_once_to_whom_it_can_be_told(database: Database, now: datetime) -> None:
    with database.transaction() as session:
        wang = a_guide(session)
        li, zhao = (a_customer(session, wang, now=now) for _ in range(2))
        a_customer(session, wang, now=now, agrees_to=())
        plan = a_plan(session, name="老友券", stock=5)
        piece = a_piece(session, text="{% if coupon %}送您{{ coupon }}{% else %}您好{% endif %}")
        campaign = a_draft(session, now=now, coupon_plan_id=plan.id, piece_id=piece.id)

    launched(database, campaign.id, now=now)
    _begin_again(database, campaign.id)
    launch.run(database, campaign.id, public_url=URL, now=now)

    with database.transaction() as session:
        coupons = session.exec(select(Coupon)).all()
        drafts = {t.draft for t in tasks_of(session, campaign.id).values() if t.guide_id}
        assert session.get_one(CouponPlan, plan.id).issued == 2
    assert sorted(coupon.member_id for coupon in coupons) == [li.id, zhao.id]
    assert drafts == {"送您老友券", "您好"}


def _begin_again(database: Database, campaign_id: int) -> None:
    """As if nobody had written down what was done."""
    with database.transaction() as session:
        session.get_one(Campaign, campaign_id).state = CampaignState.LAUNCHING
        session.exec(update(LaunchChunk).values(done_at=None))


def test_who_comes_after_the_last_coupon_gets_words_without_one(
    database: Database, now: datetime
) -> None:
    with database.transaction() as session:
        wang = a_guide(session)
        members = [a_customer(session, wang, now=now).id for _ in range(3)]
        plan = a_plan(session, stock=2)
        piece = a_piece(session, text="{{ 'coupon' if coupon else 'none' }}")
        campaign = a_draft(session, now=now, coupon_plan_id=plan.id, piece_id=piece.id)

    launched(database, campaign.id, now=now)

    with database.transaction() as session:
        tasks = tasks_of(session, campaign.id)
    assert [tasks[member].draft for member in members] == ["coupon", "coupon", "none"]


def test_a_piece_that_says_nothing_to_one_member_does_not_stop_the_launch(
    database: Database, now: datetime
) -> None:
    with database.transaction() as session:
        wang = a_guide(session)
        li, zhao = (a_customer(session, wang, now=now, name=name) for name in ("李", "赵"))
        piece = a_piece(session, text="{% if name == '李' %}您好{% endif %}")
        campaign = a_draft(session, now=now, piece_id=piece.id)

    launched(database, campaign.id, now=now)

    with database.transaction() as session:
        tasks = tasks_of(session, campaign.id)
    assert tasks[li.id].state is TaskState.ASSIGNED
    assert (tasks[zhao.id].state, tasks[zhao.id].state_reason) == (
        TaskState.SUPPRESSED,
        "no_words",
    )


class Crash(Exception):  # noqa: N818 -- stands for a killed worker
    """The worker dies."""


def _crash_after(monkeypatch: pytest.MonkeyPatch, chunks: int) -> None:
    done = 0
    act = making.make_tasks

    def make_tasks(*args: Any, **more: Any) -> int:
        nonlocal done
        if done == chunks:
            raise Crash
        done += 1
        return act(*args, **more)

    monkeypatch.setattr(making, "make_tasks", make_tasks)


def test_a_launch_goes_on_where_a_killed_worker_stopped(
    database: Database, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "CHUNK", 3)
    with database.transaction() as session:
        wang = a_guide(session)
        expected = {a_customer(session, wang, now=now).id for _ in range(8)}
        campaign = a_draft(session, now=now, coupon_plan_id=a_plan(session).id)
    with monkeypatch.context() as dying:
        _crash_after(dying, 1)
        with pytest.raises(Crash):
            launched(database, campaign.id, now=now)
    before = tokens_of(database, campaign.id)

    launch.run(database, campaign.id, public_url=URL, now=now)

    after = tokens_of(database, campaign.id)
    assert (len(before), len(after)) == (3, 8)
    assert before.items() <= after.items()
    assert after.keys() == expected
    with database.transaction() as session:
        assert session.get_one(Campaign, campaign.id).state is CampaignState.RUNNING
        assert session.exec(select(func.count()).select_from(Notice)).one() == 1
        assert session.exec(select(func.count()).select_from(Coupon)).one() == 8


@pytest.mark.race
def test_two_workers_at_once_make_every_task_once(
    database: Database, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "CHUNK", 2)
    with database.transaction() as session:
        wang = a_guide(session)
        expected = {a_customer(session, wang, now=now).id for _ in range(9)}
        campaign = a_draft(session, now=now, coupon_plan_id=a_plan(session).id)
        freeze(session, campaign, now=now)

    workers = [
        Thread(
            target=launch.run, args=(database, campaign.id), kwargs={"public_url": URL, "now": now}
        )
        for _ in range(2)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)

    with database.transaction() as session:
        tasks = tasks_of(session, campaign.id)
        assert session.exec(select(func.count()).select_from(CareTask)).one() == 9
        assert session.exec(select(func.count()).select_from(Coupon)).one() == 9
        assert session.exec(select(func.count()).select_from(Notice)).one() == 1
    assert tasks.keys() == expected


def test_running_a_launched_campaign_again_changes_nothing(
    database: Database, now: datetime
) -> None:
    with database.transaction() as session:
        a_customer(session, a_guide(session), now=now)
        campaign = a_draft(session, now=now)
    launched(database, campaign.id, now=now)
    before = tokens_of(database, campaign.id)

    launch.run(database, campaign.id, public_url=URL, now=now)

    assert tokens_of(database, campaign.id) == before


def test_statements_grow_with_chunks_and_not_with_members(
    database: Database, now: datetime
) -> None:
    def statements(number: int) -> int:
        with database.transaction() as session:
            wang = a_guide(session)
            for _ in range(number):
                a_customer(session, wang, now=now)
            campaign = a_draft(session, now=now, coupon_plan_id=a_plan(session).id)
        with counted(database.engine) as seen:
            launched(database, campaign.id, now=now)
        return len(seen)

    assert statements(2) == statements(20)


def test_two_thousand_members_take_seconds(database: Database, now: datetime) -> None:
    with database.transaction() as session:
        shop = a_shop(session)
        guides = [a_guide(session, shop=shop) for _ in range(20)]
        _a_town(session, shop, guides, now=now)
        campaign = a_draft(session, now=now, coupon_plan_id=a_plan(session).id)

    began = time.monotonic()
    launched(database, campaign.id, now=now)
    took = time.monotonic() - began

    with database.transaction() as session:
        assert Counter(states_of(session, campaign.id).values()) == {TaskState.ASSIGNED: 2000}
    assert took < 20


def _a_town(session: Session, shop: Shop, guides: list[Guide], *, now: datetime) -> None:
    members(session, 2000, now=now)
    for place, member in enumerate(session.exec(select(Member)).all()):
        member.shop_id = shop.id
        agree(session, member, Channel.WECOM_BROADCAST, now=now)
        identify(session, member, IdentityChannel.WECOM, now=now)
        befriend(session, member, guides[place % len(guides)], now=now)
