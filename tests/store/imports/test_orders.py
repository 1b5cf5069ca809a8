"""Orders are history: whole or not at all, once, and without points."""

from datetime import UTC, datetime

import pytest

from tests.store.imports.bringing import MEMBER_HEADER, ORDER_HEADER, Bring, Look, line, member

pytestmark = pytest.mark.usefixtures("shop_floor")
_ORDERS = "SELECT external_id, amount_fen FROM orders ORDER BY external_id"


@pytest.fixture(autouse=True)
def li(bring: Bring) -> None:
    """Li, who buys."""
    bring("members", MEMBER_HEADER + member("M1"))


def test_order_lands_with_its_lines_sum_time_and_source(bring: Bring, look: Look) -> None:
    report = bring(
        "orders",
        ORDER_HEADER
        + line("O1", "1", member_id="M1", quantity="2", amount="6")
        + line("O1", "2", member_id="M1", product_id="P2", amount='"1,005.50"'),
    )

    assert (report.rows, report.added, report.refused) == (2, 1, 0)
    paid_at = datetime(2026, 2, 1, 2, 0, tzinfo=UTC)
    assert look("SELECT source, external_id, amount_fen, paid_at FROM orders") == [
        ("import:csv", "O1", 101150, paid_at)
    ]
    assert look("SELECT line_no, quantity, amount_fen FROM order_lines ORDER BY 1") == [
        (1, 2, 600),
        (2, 1, 100550),
    ]


def test_order_renews_the_facts_of_its_member_and_earns_no_points(bring: Bring, look: Look) -> None:
    bring("orders", ORDER_HEADER + line(member_id="M1"))

    assert look("SELECT orders_count, spent_fen FROM member_facts") == [(1, 300)]
    assert look("SELECT count(*) FROM points_entries") == [(0,)]


def test_level_follows_the_money_of_imported_orders(bring: Bring, look: Look) -> None:
    look(
        "INSERT INTO levels (code, name, rank, min_spent_fen, earn_percent)"
        " VALUES ('a', '普卡', 1, 0, 100), ('b', '银卡', 2, 300, 110) RETURNING id"
    )

    bring("orders", ORDER_HEADER + line(member_id="M1"))

    held = "SELECT l.code FROM members m JOIN levels l ON l.id = m.level_id"
    assert look(held) == [("b",)]


def test_same_file_again_adds_nothing(bring: Bring, look: Look) -> None:
    bring("orders", ORDER_HEADER + line(member_id="M1"))

    again = bring("orders", ORDER_HEADER + line(member_id="M1") + line("O2"))

    assert (again.added, again.unchanged, again.refused) == (1, 1, 0)
    assert look("SELECT count(*) FROM order_lines") == [(2,)]


def test_known_order_with_another_sum_is_refused(bring: Bring, look: Look) -> None:
    bring("orders", ORDER_HEADER + line())

    report = bring("orders", ORDER_HEADER + line(amount="4"))

    assert report.complaints == (
        "Row 2: The order is already recorded with another content"
        " (another number of lines or sum); history is not rewritten.",
    )
    assert look(_ORDERS) == [("O1", 300)]


@pytest.mark.parametrize(
    "bad",
    [
        line("O1", "2", product_id="P9"),
        line("O1", "2", amount="x"),
        line("O1", "2", shop_code="S2"),
        line("O1", "1"),
        "O1,2,,S1,2026-02-01 10:00,P1,1,1,234.50\n",
        "O1,2\n",
    ],
)
def test_one_bad_row_keeps_its_whole_order_out(bring: Bring, look: Look, bad: str) -> None:
    report = bring("orders", ORDER_HEADER + line("O1", "1") + bad + line("O2"))

    assert (report.added, report.refused) == (1, 2)
    assert report.complaints[1] == "Row 2: Another row of this order is refused: row 3."
    assert look(_ORDERS) == [("O2", 300)]


def test_row_with_an_open_quotation_mark_keeps_its_whole_order_out(
    bring: Bring, look: Look
) -> None:
    bad = line("O1", "2").replace("P1", '"P1')
    report = bring("orders", ORDER_HEADER + line("O2") + line("O1", "1") + bad)

    assert (report.added, report.refused) == (1, 2)
    assert report.complaints[1] == "Row 3: Another row of this order is refused: row 4."
    assert look(_ORDERS) == [("O2", 300)]


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ({"member_id": "M9"}, 'member_id "M9" is not a known member; import the members first.'),
        ({"paid_at": "2026-03-03"}, "paid_at lies in the future."),
        (
            {"paid_at": "2026-02-30 10:00"},
            'paid_at "2026-02-30 10:00" is not a time such as 2026-03-01 18:30 or 2026-03-01.',
        ),
        ({"paid_at": ""}, "paid_at is empty."),
        ({"quantity": "1.5"}, 'quantity "1.5" is not a whole number such as 12.'),
    ],
)
def test_row_is_refused_by_what_is_wrong_with_it(
    bring: Bring, cells: dict[str, str], said: str
) -> None:
    report = bring("orders", ORDER_HEADER + line(**cells))

    assert report.complaints == (f"Row 2: {said}",)


@pytest.mark.parametrize(
    ("written", "utc"),
    [
        ("2026/2/1 8:05", "2026-02-01 00:05"),
        ("2026-02-01T08:05:09", "2026-02-01 00:05:09"),
        ("2026-02-01 08:05:00+00:00", "2026-02-01 08:05"),
        ("2026-02-01T08:05:00.250Z", "2026-02-01 08:05:00.250"),
        ("2026年2月1日 8:05", "2026-02-01 00:05"),
        ("2026.2.1", "2026-01-31 16:00"),
    ],
)
def test_times_are_shop_local_unless_they_say_otherwise(
    bring: Bring, look: Look, written: str, utc: str
) -> None:
    bring("orders", ORDER_HEADER + line(paid_at=written))

    assert look("SELECT paid_at FROM orders") == [
        (datetime.fromisoformat(utc).replace(tzinfo=UTC),)
    ]


def test_order_without_member_or_shop_is_a_walk_in(bring: Bring, look: Look) -> None:
    bring("orders", ORDER_HEADER + line(shop_code=""))

    assert look("SELECT member_id, shop_id FROM orders") == [(None, None)]


def test_order_of_a_merged_member_goes_to_who_is_left(bring: Bring, look: Look) -> None:
    bring("members", MEMBER_HEADER + member("M2", "13900139000"))
    look(
        "UPDATE members SET status = 'merged', merged_into_id ="
        " (SELECT id FROM members WHERE external_id = 'M1') WHERE external_id = 'M2' RETURNING id"
    )

    bring("orders", ORDER_HEADER + line(member_id="M2"))

    bought = "SELECT m.external_id FROM orders o JOIN members m ON m.id = o.member_id"
    assert look(bought) == [("M1",)]
