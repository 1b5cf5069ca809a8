"""Chinese as it is typed: traditional becomes simplified, and words are known by their sound."""

import pytest

from content.spelling import simplified, sounds


def test_traditional_characters_become_simplified_ones() -> None:
    assert simplified("請問優惠券還能轉贈嗎") == "请问优惠券还能转赠吗"


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
