"""The codes of a shop whose last guide leaves: who leads stands in, until somebody begins there."""

from datetime import timedelta

import pytest
from sqlmodel import select

from bot.people import ways
from sandbox import wecom_acts
from sandbox.state import Guide as CorpGuide
from store import departures, scenes
from store.accounts import Platform
from store.organisation import Brand, Guide, GuideRole, GuideStatus, Region, Shop
from store.scene_subjects import SceneKind, subject
from store.scenes import Scene
from store.touches import Touch
from tests.bot.people.corp import NEW, House


@pytest.fixture
def house_of_one(house: House) -> House:
    """Wang is the only guide of the shop; her code and the shop's are made, and printed."""
    with house.record() as session:
        session.merge(house.guide("ZhaoLei")).status = GuideStatus.LEFT
    with house.record() as session:
        for kind, key in ((SceneKind.GUIDE, "WangFang"), (SceneKind.SHOP, "s1")):
            about = subject(session, kind, key)
            scenes.want(session, about, life_days=None, platform=Platform.WECOM, now=house.now())
    house.work()
    return house


def somebody(house: House, userid: str, role: GuideRole, *, shop: str, region: str = "") -> None:
    """Somebody else of the brand, in a shop that is made when it is new."""
    with house.record() as session:
        brand = session.exec(select(Brand)).one()
        found = session.exec(select(Shop).where(Shop.code == shop)).first()
        if found is None:
            found = Shop(brand_id=brand.id, code=shop, name=f"{shop}店")
            found.region_id = region_of(house, region) if region else None
            session.add(found)
            session.flush()
        session.add(Guide(shop_id=found.id, userid=userid, name=userid, role=role))
    house.world.wecom.guides[userid] = CorpGuide(userid, userid)


def region_of(house: House, code: str) -> int:
    """A region with its code; Wang's shop lies in the one called east."""
    with house.record() as session:
        found = session.exec(select(Region).where(Region.code == code)).first()
        if found is None:
            brand = session.exec(select(Brand)).one()
            found = Region(brand_id=brand.id, code=code, name=code)
            session.add(found)
            session.flush()
        if code == "east":
            session.exec(select(Shop).where(Shop.code == "s1")).one().region_id = found.id
        return found.id


def leave(house: House) -> None:
    """Wang leaves, and the clock looks after the codes."""
    wecom_acts.resign(house.world, "WangFang", now=house.now())
    house.world.wecom.pushes.clear()
    with house.record() as session:
        departures.begin(session, house.guide().id, successor_id=None, actor="hq", now=house.now())
    house.work()
    renew(house)


def renew(house: House) -> int:
    """What the clock does with codes, and the jobs that follow."""
    changed = ways.renew_due(house.database, now=house.now())
    house.work()
    return changed


def behind(house: House) -> list[list[str]]:
    """Who stands behind the guide's code and behind the shop's, as WeCom has it."""
    found = house.world.wecom.corp.ways
    with house.record() as session:
        tickets = session.exec(select(Scene.ticket).order_by(Scene.kind)).all()
    return [list(found[ticket].userids) for ticket in tickets]


def test_code_of_the_last_guide_leads_to_who_leads_the_region(house_of_one: House) -> None:
    house = house_of_one
    somebody(house, "Hua", GuideRole.HQ, shop="hq")
    somebody(house, "Qian", GuideRole.REGION, shop="s9", region="west")
    somebody(house, "Sun", GuideRole.MANAGER, shop="s2", region="east")
    somebody(house, "Li", GuideRole.GUIDE, shop="s2")
    somebody(house, "Zhou", GuideRole.REGION, shop="s2")

    leave(house)

    assert behind(house) == [["Zhou"], ["Zhou"]]
    assert renew(house) == 0


@pytest.mark.parametrize(
    ("others", "heir"),
    [
        ({"Sun": (GuideRole.MANAGER, "east"), "Hua": (GuideRole.HQ, "")}, "Sun"),
        ({"Sun": (GuideRole.MANAGER, "west"), "Hua": (GuideRole.HQ, "")}, "Hua"),
        ({"Sun": (GuideRole.MANAGER, "west")}, "Sun"),
    ],
)
def test_whoever_is_nearest_stands_in(
    house_of_one: House, others: dict[str, tuple[GuideRole, str]], heir: str
) -> None:
    house = house_of_one
    for number, (userid, (role, region)) in enumerate(others.items()):
        somebody(house, userid, role, shop=f"x{number}", region=region)
    region_of(house, "east")

    leave(house)

    assert behind(house) == [[heir], [heir]]


def test_codes_come_back_to_the_shop_when_somebody_begins_there(house_of_one: House) -> None:
    house = house_of_one
    somebody(house, "Hua", GuideRole.HQ, shop="hq")
    leave(house)
    somebody(house, "Chen", GuideRole.GUIDE, shop="s1")

    assert renew(house) == 2
    assert behind(house) == [["Chen"], ["Chen"]]


def test_codes_of_a_brand_without_leaders_stay_as_they_are(house_of_one: House) -> None:
    house = house_of_one

    leave(house)

    assert behind(house) == [["WangFang"], ["WangFang"]]


def test_who_stands_in_welcomes_to_the_shop_of_the_code(house_of_one: House) -> None:
    house = house_of_one
    somebody(house, "Hua", GuideRole.HQ, shop="hq")
    leave(house)
    with house.record() as session:
        scene = session.exec(select(Scene).where(Scene.kind == SceneKind.GUIDE)).one()
    state = f"g_{scene.token}"

    wecom_acts.add(house.world, "Hua", NEW, now=house.now() + timedelta(seconds=1), state=state)
    house.hear_all()

    with house.record() as session:
        text = session.exec(select(Touch.text)).one()
    assert text.startswith("您好，欢迎来到中山路店！我是Hua")
