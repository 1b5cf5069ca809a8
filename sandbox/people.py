"""Shops, guides and members of the demo brand, made up around real households."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pandas as pd

from sandbox import ids
from sandbox.made_up import birthday, draw, mobile, person_name, places
from sandbox.stage import APP_ID, CORP_ID
from store.consents import Purpose
from store.touches import Channel

_MEMBERS_PER_GUIDE = 40
_GUIDES_OF_A_MANAGED_SHOP = 2
_GUIDELESS_PERCENT = 3
_FOLLOWER_PERCENT = 85
_FRIEND_PERCENT = 80
_MARKETING_PERCENT = 92
_CARE_PERCENT = 97
# The package's year opens with everybody's first visit; such households were members before.
_OLD_MEMBER_DAYS = 400
_OPENING_DAYS = 45
_YEARS_END = {"19-24": "19–24 岁", "25-34": "25–34 岁", "35-44": "35–44 岁", "45-54": "45–54 岁"}
_TAG_WORDS = {
    "age": ("年龄", _YEARS_END | {"55-64": "55–64 岁", "65+": "65 岁以上"}),
    "home_ownership": (
        "住房",
        {
            "Homeowner": "自有",
            "Probable Homeowner": "自有",
            "Renter": "租住",
            "Probable Renter": "租住",
        },
    ),
    "marital_status": ("婚姻", {"Married": "已婚", "Unmarried": "未婚"}),
    "household_size": (
        "家庭人数",
        {"1": "1 人", "2": "2 人", "3": "3 人", "4": "4 人", "5+": "5 人以上"},
    ),
    "household_comp": (
        "家庭",
        {
            "2 Adults No Kids": "夫妻无孩",
            "1 Adult No Kids": "单身",
            "2 Adults Kids": "夫妻有孩",
            "1 Adult Kids": "单亲有孩",
        },
    ),
    "kids_count": ("孩子", {"1": "1 个", "2": "2 个", "3+": "3 个以上"}),
}
_INCOME_GROUP = "年收入"
_OPENS, _CLOSES = "09:00", "21:30"


def shop_rows(stores: list[int], *, used: set[int]) -> Any:
    """The shops that sold something; a store's place does not depend on which others are used."""
    rows = [
        {
            "code": store,
            "name": place.shop_name,
            "city": place.city,
            "region": place.region,
            "address": _address(store, place.city, place.road),
            "latitude": place.latitude,
            "longitude": place.longitude,
        }
        for store, place in zip(stores, places(len(stores)), strict=True)
        if store in used
    ]
    return pd.DataFrame(rows).assign(opens_at=_OPENS, closes_at=_CLOSES)


def guide_rows(homes: Any, *, used: set[int]) -> Any:
    """One guide per forty members of a shop, at least one; where there are several, a manager."""
    households = homes.value_counts()
    rows = []
    for store in sorted(used):
        guides = max(1, -(-int(households.get(store, 0)) // _MEMBERS_PER_GUIDE))
        rows += [
            _guide(f"guide_{store}_{number}", store, "guide") for number in range(1, guides + 1)
        ]
        if guides >= _GUIDES_OF_A_MANAGED_SHOP:
            rows.append(_guide(f"manager_{store}", store, "manager"))
    return pd.DataFrame(rows, columns=["userid", "name", "shop_code", "role"])


def member_rows(households: Any, homes: Any, guides: Any, demographics: dict[int, Any]) -> Any:
    """The households as members: home shop, own guide, ids of the WeChat world, tags and points."""
    of_shop = guides[guides.role == "guide"].groupby("shop_code").userid.agg(list).to_dict()
    turns = homes.groupby(homes).cumcount()
    rows = []
    for home in households.itertuples():
        household = home.household_id
        known = demographics.get(household)
        store, turn = homes[household], turns[household]
        of_home = of_shop[store]
        is_guideless = draw("guideless", household, 100) < _GUIDELESS_PERCENT
        guide = "" if is_guideless else of_home[turn % len(of_home)]
        rows.append(
            {
                "external_id": household,
                "mobile": mobile(household),
                "name": person_name("member", household),
                "birthday": birthday(household, known.age if known else None).isoformat(),
                "shop_code": store,
                "guide_userid": guide,
                "joined_on": _joined(household, home.first, households["first"].min()),
                "points": _points(household, home.spent),
                "tags": "|".join(_tags(known)) if known else "",
                **_outside(household, has_guide=bool(guide)),
            }
        )
    return pd.DataFrame(rows)


def _guide(userid: str, store: int, role: str) -> tuple[str, str, int, str]:
    return userid, person_name("guide", userid), store, role


def _address(store: int, city: str, road: str) -> str:
    return f"{city}市{road}{draw('house', store, 300) + 1}号"


def _joined(household: int, first: Any, opening: Any) -> str:
    is_old = (first - opening).days < _OPENING_DAYS
    before = draw("joined", household, _OLD_MEMBER_DAYS if is_old else 7)
    return str((first - timedelta(days=before)).date())


def _points(household: int, spent: float) -> int:
    """What is left of a point per yuan: between a tenth and nine tenths."""
    return int(spent) * (10 + draw("points", household, 81)) // 100


def _tags(known: Any) -> Iterator[str]:
    for column, (group, words) in _TAG_WORDS.items():
        word = words.get(getattr(known, column))
        if word:
            yield f"{group}:{word}"
    if isinstance(known.income, str):
        yield f"{_INCOME_GROUP}:{_income(known.income)}"


def _income(band: str) -> str:
    """An income band such as 35-49K as 3.5–4.9 万."""
    if band.startswith("Under"):
        return "1.5 万以下"
    if band.endswith("+"):
        return "25 万以上"
    low, high = band.removesuffix("K").split("-")
    return f"{int(low) / 10:g}–{int(high) / 10:g} 万"


def _outside(household: int, *, has_guide: bool) -> dict[str, str]:
    """Ids and consents: most follow the account, most are WeCom friends of their guide."""
    is_follower = draw("follower", household, 100) < _FOLLOWER_PERCENT
    is_friend = has_guide and draw("friend", household, 100) < _FRIEND_PERCENT
    channels = [Channel.WECHAT_SERVICE, Channel.WECHAT_NOTICE] if is_follower else []
    channels += [Channel.WECOM_BROADCAST] if is_friend else []
    return {
        "unionid": ids.unionid(str(household)) if is_follower or is_friend else "",
        "openid": ids.openid(APP_ID, str(household)) if is_follower else "",
        "external_userid": ids.external_userid(CORP_ID, str(household)) if is_friend else "",
        "consents": "|".join(
            f"{channel}:{purpose}"
            for channel in channels
            for purpose, percent in (
                (Purpose.MARKETING, _MARKETING_PERCENT),
                (Purpose.CARE, _CARE_PERCENT),
            )
            if draw(f"consent {purpose}", f"{household} {channel}", 100) < percent
        ),
    }
