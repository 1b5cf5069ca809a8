"""What a new friend of a guide reads first."""

import pytest
from sqlmodel import Session

from content.pieces import PieceForm, publish
from content.welcomes import HANDED_ON, Occasion, words
from store.touches import Category
from tests.builders import NOW

_WHO = {"guide": "王芳", "shop": "知味 · 中山路店", "link": "https://x.example/m/card"}
# wecom.md §4.2 and §4.5.
_WELCOME_BYTES, _HANDED_ON_CHARACTERS = 4000, 200


@pytest.mark.parametrize("occasion", Occasion)
def test_welcome_names_guide_and_shop_and_leads_to_the_card(
    session: Session, occasion: Occasion
) -> None:
    said = words(session, occasion, **_WHO)

    assert all(fact in said for fact in _WHO.values())
    assert len(said.encode()) <= _WELCOME_BYTES


def test_welcome_is_in_hqs_words_when_there_are_any(session: Session) -> None:
    text = "{{ guide }}在{{ shop }}等您"
    piece = PieceForm(Occasion.SHOP, "门店欢迎语", "welcome", Category.SERVICE, text)
    publish(session, piece, now=NOW)

    assert words(session, Occasion.SHOP, **_WHO) == "王芳在知味 · 中山路店等您"
    assert words(session, Occasion.GUIDE, **_WHO).startswith("您好")


def test_words_of_a_transfer_are_short_enough() -> None:
    assert len(HANDED_ON.format(guide="王" * 60)) <= _HANDED_ON_CHARACTERS
