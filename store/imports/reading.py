"""Reads a CSV file: encoding, header, and rows in batches. Knows nothing of what the cells mean.

Row numbers are those a spreadsheet shows: the header is row 1.
"""

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from operator import itemgetter
from pathlib import Path

from store.errors import Refusal
from store.imports.encoding import ENCODING_NAMES, encoding_of

BATCH_ROWS = 5_000
# Python's own limit for one cell is 128 KiB; past it the csv module gives the row up, and so do we.
_TOO_LONG = "A cell is longer than 131,072 characters; perhaps a quotation mark is not closed."
_UNCLOSED = "A quotation mark is not closed: the rest of the file is inside it."
# Stands after the last line; no file can hold it, for escaped bytes end at U+DCFF.
_END = "\udfff"
_BROKEN_BYTES = "The row holds bytes that are not {encoding} text."
_NUL = "The row holds a NUL character."
_SURROGATE = re.compile("[\ud800-\udfff]")
# Anything that COPY or a lookup would stumble over: only such batches are cleaned cell by cell.
_DIRTY = re.compile("[\\\\\x00\r\u3000\xa0\ufeff\ud800-\udfff]| [\t\n]|[\t\n] | $")
_BLANKS = " \t\r\n\u3000\xa0\ufeff"
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


class WrongHeader(Refusal):
    """The first row does not name the columns that are needed."""


@dataclass(frozen=True)
class Heading:
    """What a kind of file must and may name in its first row, in the documented order."""

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sheet:
    """A CSV file that can be read: `names` are its known columns in order, `ignored` the others."""

    path: Path
    encoding: str
    header: tuple[str, ...]
    names: tuple[str, ...]
    ignored: tuple[str, ...]
    size: int


@dataclass
class Batch:
    """Rows ready for COPY (text format, empty cell = NULL, row number first) and rows given up.

    `rows` counts both, blank lines aside.
    """

    text: str
    rows: int
    bytes_read: int
    bad: list["BadRow"] = field(default_factory=list)


@dataclass(frozen=True)
class BadRow:
    """A row without a shape. `key` is its first key cell where that can still be read."""

    row_no: int
    reason: str
    key: str | None = None


@dataclass(frozen=True)
class _GivenUp:
    """What stands in place of a row that the reader gave up, with its cells that are sound."""

    reason: str
    cells: tuple[str, ...] = ()


def open_sheet(path: Path, heading: Heading) -> Sheet:
    """Look at the whole file once for its encoding, and at its first row for the columns."""
    encoding = encoding_of(path)
    header = tuple(cell.strip(_BLANKS).lower() for cell in next(_cells(path, encoding), None) or ())
    while header and not header[-1]:
        header = header[:-1]
    _check_header(path, header, heading)
    known = heading.required + heading.optional
    return Sheet(
        path=path,
        encoding=encoding,
        header=header,
        names=tuple(name for name in header if name in known),
        ignored=tuple(name for name in header if name and name not in known),
        size=path.stat().st_size,
    )


def batches(sheet: Sheet, required: Sequence[str], key: str) -> Iterator[Batch]:
    """The data rows in batches of COPY text; rows that have no shape are given up with a reason."""
    shape = _Shape(sheet, required, key)
    rows: list[list[str] | _GivenUp] = []
    first = 2
    with sheet.path.open("rb") as raw:
        stream = io.TextIOWrapper(raw, sheet.encoding, "surrogateescape", newline="")
        reader = _steady(stream)
        next(reader, None)
        for row in reader:
            rows.append(row)
            if len(rows) == BATCH_ROWS:
                yield shape.batch(rows, first, raw.tell())
                first += len(rows)
                rows = []
        if rows:
            yield shape.batch(rows, first, raw.tell())


def raw_rows(sheet: Sheet) -> Iterator[tuple[int, list[str]]]:
    """Every row after the header as it stands in the file, with its number."""
    rows = _cells(sheet.path, sheet.encoding)
    next(rows, None)
    for number, row in enumerate(rows, start=2):
        yield number, [_SURROGATE.sub("\ufffd", cell) for cell in row]


class _Shape:
    """Turns rows of one sheet into COPY text: picks the known columns, gives shapeless rows up."""

    def __init__(self, sheet: Sheet, required: Sequence[str], key: str) -> None:
        self._width = len(sheet.header)
        self._key = sheet.header.index(key)
        needed = [sheet.header.index(name) + 1 for name in required]
        self._needed_width = max(needed)
        places = [index for index, name in enumerate(sheet.header) if name in sheet.names]
        self._takes_all = len(places) == self._width
        self._pick: Callable[[list[str]], Sequence[str]] = _picker(places)
        self._columns = len(places)
        self._encoding = ENCODING_NAMES[sheet.encoding]

    def batch(self, rows: list[list[str] | _GivenUp], first: int, bytes_read: int) -> Batch:
        """One batch; the common case (right width, nothing to clean) is a join and two counts."""
        good: list[tuple[int, list[str]]] = []
        bad: list[BadRow] = []
        for number, row in enumerate(rows, start=first):
            if isinstance(row, _GivenUp):
                bad.append(self._bad(number, row.cells, row.reason))
            elif len(row) == self._width:
                good.append((number, row))
            elif mended := self._mend(number, row, bad):
                good.append((number, mended))
        text = self._join(good)
        if _DIRTY.search(text) or not self._is_plain(text, len(good)):
            text = self._join(self._clean(good, bad))
        filled = text.count("\n") + len(bad)
        return Batch(text=text, rows=filled, bytes_read=bytes_read, bad=bad)

    def _join(self, rows: list[tuple[int, list[str]]]) -> str:
        if not self._takes_all:
            return _join((number, self._pick(row)) for number, row in rows)
        return _join(rows)

    def _mend(self, number: int, row: list[str], bad: list[BadRow]) -> list[str] | None:
        """Mend a row with empty cells too many or too few at its end; skip a blank one."""
        width = len(row)
        while row and not row[-1].strip(_BLANKS):
            row.pop()
        if not row:
            return None
        if len(row) > self._width:
            bad.append(self._bad(number, row, f"The row has {width} cells, not {self._width}."))
            return None
        if len(row) < self._needed_width and width < self._width:
            bad.append(self._bad(number, row, f"The row has only {width} of {self._width} cells."))
            return None
        return row + [""] * (self._width - len(row))

    def _bad(self, number: int, row: Sequence[str], reason: str) -> BadRow:
        key = row[self._key].strip(_BLANKS) if self._key < len(row) else ""
        is_whole = key and "\x00" not in key and not _SURROGATE.search(key)
        return BadRow(number, reason, key if is_whole else None)

    def _is_plain(self, text: str, rows: int) -> bool:
        """No cell holds a tab or a line end of its own."""
        return text.count("\t") == rows * self._columns and text.count("\n") == rows

    def _clean(
        self, good: list[tuple[int, list[str]]], bad: list[BadRow]
    ) -> list[tuple[int, list[str]]]:
        """The rows, trimmed and escaped for COPY; those of broken text are given up."""
        lines = []
        for number, row in good:
            problem = self._problem(row)
            if problem:
                bad.append(self._bad(number, row, problem))
            elif any(cell.strip(_BLANKS) for cell in row):
                lines.append((number, [cell.strip(_BLANKS).translate(_ESCAPES) for cell in row]))
        return lines

    def _problem(self, row: Sequence[str]) -> str | None:
        whole = "".join(row)
        if _SURROGATE.search(whole):
            return _BROKEN_BYTES.format(encoding=self._encoding)
        return _NUL if "\x00" in whole else None


def _join(rows: Iterable[tuple[int, Sequence[str]]]) -> str:
    return "".join(["\t".join((str(number), *row)) + "\n" for number, row in rows])


def _picker(places: list[int]) -> Callable[[list[str]], Sequence[str]]:
    if len(places) == 1:
        return lambda row: [row[places[0]]]
    return itemgetter(*places)


def _cells(path: Path, encoding: str) -> Iterator[list[str]]:
    with path.open(encoding=encoding, errors="surrogateescape", newline="") as stream:
        for row in _steady(stream):
            yield [row.reason] if isinstance(row, _GivenUp) else row


def _steady(stream: Iterable[str]) -> Iterator[list[str] | _GivenUp]:
    """The rows of a CSV text; where one has to be given up, the reason stands in its place."""
    reader = csv.reader(chain(stream, (_END,)))
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield _GivenUp(_TOO_LONG)
            continue
        if row == [_END]:
            return
        # Inside quotation marks the end is part of a cell, as is every row before it.
        is_open = row and row[-1].endswith(_END)
        yield _GivenUp(_UNCLOSED, tuple(row[:-1])) if is_open else row


def _columns(names: list[str]) -> str:
    return f"the column{'s' if len(names) > 1 else ''} {', '.join(names)}"


def _check_header(path: Path, header: tuple[str, ...], heading: Heading) -> None:
    known = heading.required + heading.optional
    expected = ", ".join([*heading.required, *(f"[{name}]" for name in heading.optional)])
    missing = [name for name in heading.required if name not in header]
    if missing:
        raise WrongHeader(
            f"The header of {path.name} lacks {_columns(missing)};"
            f" expected columns (in any order, [optional]): {expected}."
        )
    twice = [name for name in known if header.count(name) > 1]
    if twice:
        raise WrongHeader(f"The header of {path.name} names the column {', '.join(twice)} twice.")
