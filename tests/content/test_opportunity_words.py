"""Days that come, as people say them."""

import pytest

from content import opportunity_words as words


@pytest.mark.parametrize(
    ("days", "said"), [(0, "今天生日"), (1, "明天生日"), (2, "后天生日"), (7, "7 天后生日")]
)
def test_days_are_told_as_people_say_them(days: int, said: str) -> None:
    assert words.birthday(days) == said


def test_number_of_days_stands_apart_from_the_words_before_it() -> None:
    assert words.points_end(7, 120) == "120 积分 7 天后到期"
