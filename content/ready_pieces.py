"""The pieces that ship with the product: starting points that HQ edits."""

from datetime import datetime

from sqlmodel import Session, select

from content.pieces import PieceForm, publish
from store.pieces import ContentPiece
from store.touches import Category

# Words without goods, for whoever is not content; published with the first poor rating.
AMENDS = PieceForm(
    "amends",
    "差评跟进",
    "amends",
    Category.CARE,
    "{{ name }}您好，我是{{ shop }}的{{ guide }}。看到您这次的评价，让您失望了，实在抱歉。"
    "方便说说当时的情况吗？我来负责到底。",
)
READY_PIECES = (
    PieceForm(
        "care_picks",
        "老客关怀 · 专属好物",
        "winback",
        Category.CARE,
        "{{ name }}您好，我是{{ shop }}的{{ guide }}。"
        "{% if days_since is not none and days_since > 14 %}有{{ days_since }}天没见到您了，"
        "{% else %}谢谢您一直来店里，{% endif %}"
        "我照着您常买的{{ category }}，给您单独挑了一份清单"
        "{% if product %}，第一样就是{{ product }}{% endif %}：\n{{ link }}\n"
        "{% if coupon %}另外给您留了一张「{{ coupon }}」，"
        "到店报手机号就能用，也可以转送给朋友。\n{% endif %}"
        "{% if points >= 100 %}您账户里还有 {{ points }} 积分。{% endif %}"
        "需要我先帮您留货的话，回我一声就好。",
    ),
    PieceForm(
        "birthday_care",
        "生日问候",
        "birthday",
        Category.CARE,
        "{{ name }}，我是{{ shop }}的{{ guide }}，祝您生日快乐！"
        "{% if coupon %}给您准备了一张「{{ coupon }}」，这个月到店都能用。{% endif %}"
        "您喜欢的{{ category }}我也挑了几样：\n{{ link }}",
    ),
    PieceForm(
        "weekend_offer",
        "周末活动",
        "promotion",
        Category.MARKETING,
        "{{ name }}您好，{{ shop }}这个周末有活动，{{ category }}有专场。"
        "{% if coupon %}您的「{{ coupon }}」可以一起用。{% endif %}看看适合您的清单：\n{{ link }}",
    ),
)


def seed(session: Session, *, now: datetime) -> None:
    """Put the ready pieces into an empty record; pieces that HQ changed stay as they are."""
    known = set(session.exec(select(ContentPiece.code)).all())
    for piece in READY_PIECES:
        if piece.code not in known:
            publish(session, piece, now=now)
