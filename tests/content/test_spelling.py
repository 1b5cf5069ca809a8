"""Chinese as it is typed: traditional becomes simplified, and words are known by their sound."""

import pytest

from content.keywords import means
from content.phrases import Intent
from content.spelling import simplified, sounds


def test_traditional_characters_become_simplified_ones() -> None:
    assert simplified("請問優惠券還能轉贈嗎") == "请问优惠券还能转赠吗"


def test_coupon_is_one_however_its_character_is_typed() -> None:
    assert means("優惠劵", Intent.COUPONS)
    assert means("我的卷", Intent.COUPONS)
    assert means("送劵", Intent.GIFT)


@pytest.mark.parametrize("text", ["积分", "hello 123", "😀", ""])
def test_all_else_stays(text: str) -> None:
    assert simplified(text) == text


@pytest.mark.parametrize(
    ("text", "sound"),
    [
        ("优惠券转赠", "youhuiquanzhuanzeng"),
        ("积份", sounds("积分")),
        ("啊座", "azuo"),
        ("女儿绿", "nverlv"),
        ("TD退订", "tdtuiding"),
        ("嘅鑫㐀😀", "嘅鑫㐀😀"),
    ],
)
def test_words_are_known_by_their_sound(text: str, sound: str) -> None:
    assert sounds(text) == sound
