"""Files as people save them: headers, encodings, Excel's habits, and rows that have no shape."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from store.imports.encoding import UnreadableFile
from store.imports.reading import WrongHeader
from store.imports.run import ErrorsNotWritten
from tests.store.imports.bringing import ACCOUNTS, PRODUCT_HEADER, Bring, Look

_NAMES = "SELECT external_id, name FROM products ORDER BY external_id"
_PRICES = "SELECT external_id, price_fen FROM products ORDER BY external_id"


def test_header_without_a_column_is_refused_in_one_sentence_that_lists_all(bring: Bring) -> None:
    with pytest.raises(WrongHeader) as refused:
        bring("products", "external_id,department,category,price\nP1,,,3\n")

    assert str(refused.value) == (
        "The header of file.csv lacks the column name; expected columns (in any order,"
        " [optional]): external_id, name, department, category, price."
    )


def test_header_that_names_a_column_twice_is_refused(bring: Bring) -> None:
    with pytest.raises(WrongHeader, match="names the column name twice"):
        bring("products", "external_id,name,name,department,category,price\nP1,a,b,,,3\n")


def test_columns_in_another_order_with_strangers_between_are_read(bring: Bring, look: Look) -> None:
    report = bring(
        "products", "Price,colour, NAME ,external_id,category,department\n3,red,牛奶,P1,,\n"
    )

    assert report.ignored_columns == ("colour",)
    assert look("SELECT external_id, name, price_fen FROM products") == [("P1", "牛奶", 300)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "gb18030"])
def test_file_is_read_in_every_encoding_that_excel_writes(
    bring: Bring, look: Look, encoding: str
) -> None:
    bring("products", (PRODUCT_HEADER + "P1,纯牛奶,乳品,鲜奶,3\n").encode(encoding))

    assert look("SELECT name, department FROM products") == [("纯牛奶", "乳品")]


def test_row_of_broken_bytes_is_refused_by_number_and_the_others_land(
    bring: Bring, look: Look
) -> None:
    good = [f"P{number},牛奶{number},,,3\n".encode() for number in (1, 3)]
    content = PRODUCT_HEADER.encode() + good[0] + b"P2,\xe7\x89\xff\xfe,,,3\n" + good[1]

    report = bring("products", content)

    assert report.complaints == ("Row 3: The row holds bytes that are not UTF-8 text.",)
    assert look(_NAMES) == [("P1", "牛奶1"), ("P3", "牛奶3")]


def test_file_that_is_no_text_at_all_is_refused_with_its_first_row(bring: Bring) -> None:
    with pytest.raises(UnreadableFile) as refused:
        bring("products", PRODUCT_HEADER.encode() + b"P1,\xff\xff\xff,,,3\n")

    assert str(refused.value) == (
        "Row 2 of file.csv is neither UTF-8 nor GBK text; save it as 'CSV UTF-8'."
    )


@pytest.mark.parametrize(
    ("start", "what"),
    [(b"PK\x03\x04rest", "an Excel workbook"), (b"\xff\xfen\x00", "UTF-16 text")],
)
def test_file_of_another_format_is_named_for_what_it_is(
    bring: Bring, start: bytes, what: str
) -> None:
    with pytest.raises(UnreadableFile, match=f"is {what}, not CSV"):
        bring("products", start)


def test_empty_file_is_refused(bring: Bring) -> None:
    with pytest.raises(UnreadableFile, match="is empty"):
        bring("products", b"")


def test_empty_columns_and_blank_rows_at_the_end_are_no_fault(bring: Bring, look: Look) -> None:
    report = bring(
        "products",
        "external_id,name,department,category,price,,\nP1,牛奶,,,3,,,,\n,,,,,,\n\nP2,面包\n",
    )

    assert (report.rows, report.refused) == (2, 0)
    assert look(_NAMES) == [("P1", "牛奶"), ("P2", "面包")]


@pytest.mark.parametrize(
    ("written", "fen"),
    [("1234.5", 123450), ('"1,234.50"', 123450), ("¥12", 1200), ("￥ 0.50", 50), ("7.000", 700)],
)
def test_amounts_are_read_as_excel_shows_them(
    bring: Bring, look: Look, written: str, fen: int
) -> None:
    bring("products", f"{PRODUCT_HEADER}P1,牛奶,,,{written}\n")

    assert look(_PRICES) == [("P1", fen)]


@pytest.mark.parametrize("written", ["-1", "1.234", '"1,5"', "1e3", "abc", "99999999999"])
def test_amounts_that_could_mean_something_else_are_refused(bring: Bring, written: str) -> None:
    report = bring("products", f"{PRODUCT_HEADER}P1,牛奶,,,{written}\n")

    shown = written.strip('"')
    assert report.complaints == (
        f'Row 2: price "{shown}" is not an amount in yuan such as 1234.50 (zero or more).',
    )


def test_cells_may_hold_tabs_quotes_backslashes_and_line_ends(bring: Bring, look: Look) -> None:
    bring("products", PRODUCT_HEADER + 'P1,"a\tb\\N ""c""\nd",,,3\nP2,　面包 ,,,3\n')

    assert look(_NAMES) == [("P1", 'a\tb\\N "c"\nd'), ("P2", "面包")]


def test_huge_cell_is_refused_and_the_next_row_lands(bring: Bring, look: Look) -> None:
    report = bring("products", f"{PRODUCT_HEADER}P1,{'x' * 200_000},,,3\nP2,面包,,,3\n")

    assert [complaint[:24] for complaint in report.complaints] == ["Row 2: A cell is longer "]
    assert look(_NAMES) == [("P2", "面包")]


def test_rows_without_a_shape_are_refused(bring: Bring, look: Look) -> None:
    report = bring("products", PRODUCT_HEADER + "P1,a,b,c,1,234.50\nP2\nP3,a\x00b,,,1\nP4,ok,,,1\n")

    assert report.complaints == (
        "Row 2: The row has 6 cells, not 5.",
        "Row 3: The row has only 1 of 5 cells.",
        "Row 4: The row holds a NUL character.",
    )
    assert look(_NAMES) == [("P4", "ok")]


def test_tenth_of_bad_rows_comes_back_with_reasons_and_lands_when_mended(
    bring: Bring, look: Look, tmp_path: Path
) -> None:
    rows = [f"P{number},商品,,,{'x' if number % 10 == 0 else '3'}\n" for number in range(1, 101)]

    report = bring("products", PRODUCT_HEADER + "".join(rows))

    assert (report.added, report.refused, report.rows) == (90, 10, 100)
    assert report.errors_path == tmp_path / "file.csv.errors.csv"
    written = report.errors_path.read_bytes()
    assert written.startswith(b"\xef\xbb\xbf")
    refused = list(csv.DictReader(written.decode("utf-8-sig").splitlines()))
    assert [row["external_id"] for row in refused] == [f"P{ten}0" for ten in range(1, 11)]
    assert refused[0]["reason"] == (
        'Row 11: price "x" is not an amount in yuan such as 1234.50 (zero or more).'
    )
    mended = bring("products", written.replace(b",x,", b",4,"), name="mended.csv")
    assert (mended.added, mended.refused) == (10, 0)
    assert look("SELECT count(*), sum(price_fen) FROM products") == [(100, 90 * 300 + 10 * 400)]


def test_file_of_errors_belongs_to_its_owner_alone(bring: Bring) -> None:
    report = bring("products", PRODUCT_HEADER + "P1,,,,\n")

    assert report.errors_path is not None
    assert report.errors_path.stat().st_mode & 0o077 == 0


def test_file_of_errors_cannot_overwrite_the_file_itself(bring: Bring, tmp_path: Path) -> None:
    options = replace(ACCOUNTS, errors_path=tmp_path / "file.csv")

    with pytest.raises(UnreadableFile, match="cannot be the file that is imported"):
        bring("products", PRODUCT_HEADER + "P1,,,,\n", options=options)


def test_errors_that_cannot_be_written_are_told_and_the_good_rows_are_in(
    bring: Bring, look: Look, tmp_path: Path
) -> None:
    options = replace(ACCOUNTS, errors_path=tmp_path / "missing" / "errors.csv")

    with pytest.raises(ErrorsNotWritten, match="The good rows are in"):
        bring("products", PRODUCT_HEADER + "P1,牛奶,,,3\nP2,,,,\n", options=options)

    assert look(_NAMES) == [("P1", "牛奶")]


def test_dry_run_writes_nothing_and_says_what_would_happen(
    bring: Bring, look: Look, tmp_path: Path
) -> None:
    bring("products", PRODUCT_HEADER + "P1,牛奶,,,3\nP2,面包,,,5\n")

    report = bring(
        "products",
        PRODUCT_HEADER + "P1,牛奶,,,3\nP2,面包,,,6\nP3,蛋,,,7\nP4,,,,\n",
        options=replace(ACCOUNTS, is_dry_run=True),
    )

    assert (report.added, report.updated, report.unchanged, report.refused) == (1, 1, 1, 1)
    assert look(_PRICES) == [("P1", 300), ("P2", 500)]
    assert [path.name for path in tmp_path.iterdir()] == ["file.csv"]


def test_second_of_two_rows_with_one_key_is_refused(bring: Bring, look: Look) -> None:
    report = bring("products", PRODUCT_HEADER + "P1,牛奶,,,3\nP1,羊奶,,,4\n")

    assert report.complaints == ("Row 3: The same external_id as row 2.",)
    assert look(_NAMES) == [("P1", "牛奶")]
