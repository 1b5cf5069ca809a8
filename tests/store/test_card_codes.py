"""The rotating card code: good for two minutes, for one member, and not to be guessed."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store import card_codes
from store.card_codes import CardCodeStale
from tests.builders import NOW

SECRET = "the deployment's secret"
IDS = st.integers(1, 10**9 - 1)
SECONDS = st.integers(0, 10**6)


@given(member_id=IDS, later=SECONDS, since=st.integers(0, 119))
def test_a_code_names_its_member_for_two_minutes(member_id: int, later: int, since: int) -> None:
    now = NOW + timedelta(seconds=later)

    code = card_codes.shown(SECRET, member_id, now)

    assert card_codes.looks_like_one(code)
    assert card_codes.read(SECRET, code, now + timedelta(seconds=since)) == member_id


@given(member_id=IDS, later=SECONDS, since=st.integers(180, 10**5))
def test_a_code_is_stale_after_three_minutes(member_id: int, later: int, since: int) -> None:
    now = NOW + timedelta(seconds=later)
    code = card_codes.shown(SECRET, member_id, now)

    with pytest.raises(CardCodeStale):
        card_codes.read(SECRET, code, now + timedelta(seconds=since))


def test_a_code_of_the_future_is_no_code() -> None:
    code = card_codes.shown(SECRET, 7, NOW + timedelta(minutes=1))

    with pytest.raises(CardCodeStale):
        card_codes.read(SECRET, code, NOW)


def test_a_code_of_another_deployment_is_no_code() -> None:
    with pytest.raises(CardCodeStale):
        card_codes.read(SECRET, card_codes.shown("another secret", 7, NOW), NOW)


def test_codes_of_neighbours_and_of_the_next_minute_have_nothing_in_common() -> None:
    codes = {
        card_codes.shown(SECRET, member_id, NOW + timedelta(minutes=minute))
        for member_id in range(1, 40)
        for minute in range(5)
    }

    assert len(codes) == 39 * 5
    assert len({code[2:8] for code in codes}) > 190


@given(digits=st.from_regex(r"88[0-9]{16}", fullmatch=True))
def test_a_made_up_code_is_no_code(digits: str) -> None:
    with pytest.raises(CardCodeStale):
        card_codes.read(SECRET, digits, NOW)


@pytest.mark.parametrize(
    "text", ["", "88", "8" * 17, "1" * 18, "88" + "x" * 16, "88" + "\uff11" * 16]
)
def test_what_does_not_look_like_a_code_is_none(text: str) -> None:
    assert not card_codes.looks_like_one(text)
    with pytest.raises(CardCodeStale):
        card_codes.read(SECRET, text, NOW)


def test_the_card_is_shown_anew_when_the_minute_ends() -> None:
    assert card_codes.seconds_left(NOW) == 60
    assert card_codes.seconds_left(NOW + timedelta(seconds=59)) == 1
