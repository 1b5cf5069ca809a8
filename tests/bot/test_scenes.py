"""Coming by a code: the welcome it gives, and whose the follower is from then on."""

import logging
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlmodel import Session, col, select

from bot import scenes as packing
from store import binding, points, relations, scene_subjects, scenes
from store.accounts import Account
from store.campaigns import Campaign, CampaignState
from store.db import Database
from store.inbound import InboundMessage, InboundState
from store.members import Identity, Member
from store.organisation import Brand, Guide, GuideStatus, Shop
from store.relations import Friendship
from store.scene_subjects import SceneKind
from store.scenes import Scene, Visit, VisitKind
from tests.bot.builders import a_push, event_xml
from tests.bot.conftest import Phone
from tests.builders import a_campaign, a_guide, a_plan, a_shop

PLAIN = "欢迎关注！我是您的购物小助手。"
UNKNOWN = "s_" + "A" * 22


@pytest.fixture
def wang(li: Phone) -> Guide:
    """A guide of the brand that Li's account belongs to."""
    with li.desk.database.transaction() as session:
        shop = a_shop(session, name="解放路店", address="解放路 8 号")
        return a_guide(session, shop=shop, name="王芳")


def scene_of(database: Database, kind: SceneKind, key: str, now: datetime) -> str:
    """What the code of somebody or something brings."""
    with database.transaction() as session:
        about = scene_subjects.subject(session, kind, key)
        scene = scenes.want(session, about, life_days=None, now=now).scene
        return packing.pack(scene.kind, scene.token)


def code_of(li: Phone, guide: Guide) -> str:
    """What a guide's code brings."""
    return scene_of(li.desk.database, SceneKind.GUIDE, guide.userid, li.now)


def follow(li: Phone, scene: str) -> str:
    """Li follows through a code."""
    return li.do("subscribe", key=f"qrscene_{scene}")


def owner(li: Phone) -> str | None:
    """The name of Li's own guide."""
    with Session(li.desk.database.engine) as session:
        guide = relations.guide_of(session, li.member_id)
        return guide.name if guide else None


def visits(li: Phone) -> list[VisitKind]:
    """How Li came, in order."""
    with Session(li.desk.database.engine) as session:
        kinds = session.exec(select(Visit.kind).order_by(col(Visit.id))).all()
        return [VisitKind(kind) for kind in kinds]


def test_guides_code_welcomes_with_the_guide_and_makes_them_the_owner(
    li: Phone, wang: Guide
) -> None:
    words = follow(li, code_of(li, wang))

    assert words.startswith("欢迎关注！「解放路店」的王芳是您的专属顾问")
    assert (owner(li), visits(li)) == ("王芳", [VisitKind.FOLLOW])


def test_shops_code_welcomes_with_the_shop_and_gives_nobody_a_guide(li: Phone, wang: Guide) -> None:
    with li.desk.database.transaction() as session:
        shop = session.get_one(Shop, wang.shop_id)
    words = follow(li, scene_of(li.desk.database, SceneKind.SHOP, shop.code, li.now))

    with Session(li.desk.database.engine) as session:
        home = session.get_one(Member, li.member_id).shop_id
    assert words.startswith("欢迎关注！这里是「解放路店」的购物小助手。\n地址：解放路 8 号\n")
    assert (owner(li), home) == (None, shop.id)


def test_first_guide_stays_when_another_ones_code_is_scanned(li: Phone, wang: Guide) -> None:
    with li.desk.database.transaction() as session:
        sun = a_guide(session, shop=session.get_one(Shop, wang.shop_id), name="孙丽")
    follow(li, code_of(li, wang))
    words = li.do("SCAN", key=code_of(li, sun))

    assert words.startswith("您好！「解放路店」的孙丽很高兴为您服务，您原来的专属顾问不变。")
    assert (owner(li), visits(li)) == ("王芳", [VisitKind.FOLLOW, VisitKind.SCAN])


def test_follower_without_a_guide_gets_one_by_scanning_later(li: Phone, wang: Guide) -> None:
    follow(li, "")
    before = owner(li)
    li.do("SCAN", key=code_of(li, wang))

    assert (before, owner(li)) == (None, "王芳")


def test_friend_of_another_guide_still_has_no_owner_before_a_code(li: Phone, wang: Guide) -> None:
    follow(li, "")
    with li.desk.database.transaction() as session:
        sun = a_guide(session, shop=session.get_one(Shop, wang.shop_id), name="孙丽")
        relations.befriend(session, sun.id, "wmLi", member_id=li.member_id, now=li.now)
    before = owner(li)
    li.do("SCAN", key=code_of(li, wang))

    with Session(li.desk.database.engine) as session:
        friend_ids = session.exec(select(Friendship.guide_id)).all()
    assert (before, owner(li), friend_ids) == (None, "王芳", [sun.id])


def test_code_of_a_guide_who_left_welcomes_with_the_shop(li: Phone, wang: Guide) -> None:
    code = code_of(li, wang)
    with li.desk.database.transaction() as session:
        session.get_one(Guide, wang.id).status = GuideStatus.LEFT
    words = follow(li, code)

    assert words.startswith("欢迎关注！这里是「解放路店」的购物小助手。")
    assert (owner(li), visits(li)) == (None, [VisitKind.FOLLOW])


@pytest.mark.parametrize(
    ("state", "starts"),
    [
        (CampaignState.RUNNING, "欢迎关注！您正在看「春日回访」。\n本次礼遇：十元券，"),
        (CampaignState.FINISHED, PLAIN),
        (CampaignState.CANCELLED, PLAIN),
    ],
)
def test_campaigns_code_names_its_offer_while_it_runs(
    li: Phone, state: CampaignState, starts: str
) -> None:
    with li.desk.database.transaction() as session:
        plan = a_plan(session)
        spring = a_campaign(
            session, now=li.now, state=CampaignState.RUNNING, coupon_plan_id=plan.id
        )
    code = scene_of(li.desk.database, SceneKind.CAMPAIGN, spring.token, li.now)
    with li.desk.database.transaction() as session:
        session.get_one(Campaign, spring.id).state = state

    assert follow(li, code).startswith(starts)
    assert visits(li) == [VisitKind.FOLLOW]


def test_push_that_comes_three_times_is_one_visit(li: Phone, wang: Guide) -> None:
    code = code_of(li, wang)
    push = a_push(event_xml("subscribe", key=f"qrscene_{code}"), now=li.now)
    words = {li.receive(push) for _ in range(3)}

    assert len(words) == 1
    assert visits(li) == [VisitKind.FOLLOW]


def test_code_of_a_lapsed_scene_still_says_whose_it_was(li: Phone, wang: Guide) -> None:
    code = code_of(li, wang)
    with li.desk.database.transaction() as session:
        scene = session.exec(select(Scene)).one()
        scenes.made(session, scene, ticket="t", url="u", now=li.now)
        scene.expires_at = li.now - timedelta(days=1)

    assert "王芳" in follow(li, code)


def test_follower_who_could_not_be_reached_is_welcomed_back(li: Phone) -> None:
    li.say("积分")
    with li.desk.database.transaction() as session:
        session.exec(select(Identity)).one().is_reachable = False
    words = follow(li, "")

    with Session(li.desk.database.engine) as session:
        assert session.exec(select(Identity)).one().is_reachable
    assert words.startswith("欢迎回来！我是您的购物小助手。")


def test_welcome_names_the_joining_gift_until_somebody_joins(li: Phone) -> None:
    offer_gift(li)
    before = follow(li, "")
    joined = bind(li)
    after = follow(li, "")

    assert "\n新会员送100 积分，回复“绑定”就能领。\n" in before
    assert (joined, "新会员" in after) == (100, False)


def test_follower_who_returns_gets_no_second_joining_gift(li: Phone) -> None:
    offer_gift(li)
    follow(li, "")
    first = bind(li)
    li.do("unsubscribe")
    follow(li, "")
    second = bind(li)

    with Session(li.desk.database.engine) as session:
        assert points.balance(session, li.member_id) == 100
    assert (first, second) == (100, None)


def offer_gift(li: Phone) -> None:
    """The brand gives a hundred points for joining."""
    with li.desk.database.transaction() as session:
        binding.offer(session, session.exec(select(Brand.id)).one(), points=100)


def bind(li: Phone) -> int | None:
    """Li proves her mobile; gives the points she got for it."""
    with li.desk.database.transaction() as session:
        key = li.desk.secret_key
        bound = binding.bind(
            session, li.member_id, "13800138000", text_version="1", secret_key=key, now=li.now
        )
        return bound.gift.points if bound.gift else None


HOSTILE = [
    "shop-1",
    UNKNOWN,
    UNKNOWN.lower(),
    "x_" + "A" * 22,
    "s_" + "A" * 23,
    "s_" + "A" * 4000,
    "' OR 1=1; --",
    "<script>alert(1)</script>",
    "{{ 7 * 7 }}",
    "\u202e王芳\u200b",
    "qrscene_qrscene_",
    "../../../etc/passwd",
    "13800138000",
]


@pytest.mark.parametrize("scene", HOSTILE)
def test_scene_that_is_none_of_ours_is_welcomed_plainly_and_logged(
    li: Phone, scene: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    words = [follow(li, scene), li.do("SCAN", key=scene)]

    assert [one.split("我")[0] for one in words] == ["欢迎关注！", "您好！"]
    assert visits(li) == []
    assert caplog.text.count("An unknown scene of") == 2
    assert scene not in caplog.text


def test_code_of_another_account_is_welcomed_plainly(li: Phone, wang: Guide) -> None:
    code = code_of(li, wang)
    with li.desk.database.transaction() as session:
        other = session.exec(select(Account.id).where(Account.code == "guides")).one()
        session.exec(select(Scene)).one().account_id = other

    assert follow(li, code).startswith(PLAIN)


@settings(max_examples=150)
@given(scene=st.text(max_size=80) | st.from_regex(r"[sgcx]_[A-Za-z0-9_-]{20,24}", fullmatch=True))
def test_no_scene_whatever_is_a_fault(li: Phone, scene: str) -> None:
    printable = "".join(one for one in scene if one.isprintable()).replace("]]>", "")
    words = [follow(li, printable), li.do("SCAN", key=printable)]

    with Session(li.desk.database.engine) as session:
        states = set(session.exec(select(InboundMessage.state)).all())
    assert [one.split("我")[0] for one in words] == ["欢迎关注！", "您好！"]
    assert states == {InboundState.ANSWERED}


@given(token=st.from_regex(r"[A-Za-z0-9_-]{22}", fullmatch=True), kind=st.sampled_from(SceneKind))
def test_packed_scene_unpacks_to_the_same_within_the_platforms_limit(
    token: str, kind: SceneKind
) -> None:
    packed = packing.pack(kind, token)

    assert len(packed) <= 64
    assert packing.unpack(packed) == (kind, token)


@given(text=st.text(max_size=200))
def test_what_unpacks_packs_to_the_same_text(text: str) -> None:
    ours = packing.unpack(text)

    assert ours is None or packing.pack(*ours) == text
