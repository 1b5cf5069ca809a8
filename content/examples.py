"""A made-up member, to show a piece of content before anybody is chosen."""

from content.pieces import MemberVariables

EXAMPLE = MemberVariables(
    name="李女士",
    guide="小王",
    shop="解放路店",
    level="金卡",
    points=1280,
    days_since=23,
    category="鲜果",
    product="云南蓝莓",
    coupon="满100减20券",
    link="https://知音.示例/清单",
)
