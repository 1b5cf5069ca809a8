"""The bars that a till reads, read back from the picture."""

import re
from itertools import pairwise

import pytest

from web.member.barcodes import _WIDTHS, bars

_START_B, _START_C = 104, 105
_WORDS = [*_WIDTHS.split(), "211412", "211214", "211232"]


def values(svg: str) -> list[int]:
    """The values between the edges: widths of black and white, six to a value."""
    blacks = [(int(x), int(w)) for x, w in re.findall(r"M(\d+) 0h(\d+)v", svg)]
    widths = []
    for (x, width), (following, _) in pairwise(blacks):
        widths += [width, following - x - width]
    # The stop has a bar more than the others.
    assert [*widths[-6:], blacks[-1][1]] == [2, 3, 3, 1, 1, 1, 2]
    words = ["".join(map(str, widths[at : at + 6])) for at in range(0, len(widths) - 6, 6)]
    return [_WORDS.index(word) for word in words]


def test_check_of_a_known_text_is_the_known_one() -> None:
    assert values(bars("Wikipedia"))[-1] == 88


@pytest.mark.parametrize("code", ["K7M2PQ9RTX4A", "AAAA22222222", "12345"])
def test_letters_and_odd_digits_are_read_in_set_b(code: str) -> None:
    start, *read, check = values(bars(code))

    assert start == _START_B
    assert "".join(chr(value + 32) for value in read) == code
    assert check == (start + sum(n * v for n, v in enumerate(read, 1))) % 103


def test_pairs_of_digits_are_read_in_set_c() -> None:
    start, *read, check = values(bars("880012345678901234"))

    assert start == _START_C
    assert "".join(f"{value:02}" for value in read) == "880012345678901234"
    assert check == (start + sum(n * v for n, v in enumerate(read, 1))) % 103
