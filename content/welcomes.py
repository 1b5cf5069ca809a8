"""What a new friend of a guide reads first: a piece for each way of coming, HQ's words or ours."""

from enum import StrEnum

from sqlmodel import Session, select

from content.pieces import MemberVariables, render
from store.pieces import ContentPiece

_PURPOSE = "welcome"
# What WeCom tells a customer whose guide has been changed, in the new one's name.
HANDED_ON = "您好，以后由我（{guide}）继续为您服务，有需要随时找我。"


class Occasion(StrEnum):
    """By what somebody came to a guide; the values are the codes of the pieces."""

    GUIDE = "welcome_guide"
    SHOP = "welcome_shop"
    PLAIN = "welcome_plain"


# What is said until HQ publishes a piece of the occasion's code.
_TEXTS = {
    Occasion.GUIDE: "您好，我是{{ shop }}的{{ guide }}，很高兴认识您！"
    "以后选购、搭配和售后都可以直接找我。\n会员卡、积分和优惠券在这里：\n{{ link }}",
    Occasion.SHOP: "您好，欢迎来到{{ shop }}！我是{{ guide }}，店里的事都可以问我。\n"
    "会员卡、积分和优惠券在这里：\n{{ link }}",
    Occasion.PLAIN: "您好，我是{{ shop }}的{{ guide }}，有需要随时叫我。\n"
    "会员卡、积分和优惠券在这里：\n{{ link }}",
}


def words(session: Session, occasion: Occasion, *, guide: str, shop: str, link: str) -> str:
    """The welcome in HQ's words, or in those that ship with the product."""
    query = select(ContentPiece.text).where(
        ContentPiece.code == occasion.value, ContentPiece.purpose == _PURPOSE
    )
    text = session.exec(query).one_or_none() or _TEXTS[occasion]
    # A stranger has no name and no points here yet.
    return render(
        text,
        MemberVariables(
            name="顾客",
            guide=guide,
            shop=shop,
            level="",
            points=0,
            days_since=None,
            category="好物",
            product="",
            coupon="",
            link=link,
        ),
    )
