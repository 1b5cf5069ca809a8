"""Notices: what a guide reads in WeCom."""

import pytest

from content import notices
from tests.times import SHANGHAI, at


def test_the_card_names_tasks_and_the_deadline_by_the_shops_clock() -> None:
    card = notices.task_card(
        campaign="春日回访",
        tasks=3,
        deadline_at=at("2026-03-05 20:00"),
        zone=SHANGHAI,
        url="https://guide.example/guide/a/t",
    )

    assert card == {
        "title": "今天请照顾 3 位顾客",
        "text": "「春日回访」的话术和商品都备好了，点开看看，改一改或直接发送。",
        "rows": [["任务数", "3 位"], ["截止", "3月5日 20:00"]],
        "url": "https://guide.example/guide/a/t",
        "menu": [["refresh", "刷新进度"]],
    }


@pytest.mark.parametrize(
    ("left", "title", "menu"),
    [(1, "还有 1 位顾客等您照顾", 1), (0, "这批顾客都照顾到了，辛苦了", 0)],
)
def test_the_card_says_later_how_far_the_tasks_are(left: int, title: str, menu: int) -> None:
    card = notices.task_card_now(
        campaign="春日回访",
        tasks=3,
        left=left,
        deadline_at=at("2026-03-05 20:00"),
        zone=SHANGHAI,
        url="https://guide.example/guide/a/t",
    )

    assert (card["title"], len(card["menu"])) == (title, menu)
    assert card["rows"][0] == ["已处理", f"{3 - left} / 3"]


def test_the_news_of_a_sale_is_in_yuan() -> None:
    news = notices.sale(
        member="李雨桐", sales_fen=12_345, commission_fen=5, url="https://guide.example"
    )

    assert news["title"] == "李雨桐下单了"
    assert news["rows"] == [["成交", "123.45 元"], ["提成（待确认）", "0.05 元"]]
