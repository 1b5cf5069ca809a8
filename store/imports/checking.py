"""What the cells of a file must look like, declared, and the one SQL pass that checks them all.

A `Form` is SQL over `{cell}` (text, trimmed, not empty). A cell that fails its test is NULL in the
checked table and gives the row a reason; reasons never quote a whole mobile.
"""

from dataclasses import dataclass

from store.imports.reading import Heading

# At most nine digits, so that a count fits a 32-bit column and an amount in fen a 64-bit one.
_THOUSANDS = "([0-9]{1,9}|[0-9]{1,3}(,[0-9]{3}){1,2})"
_DAY = "(19|20)[0-9]{2}([-/.\u5e74])(1[0-2]|0?[1-9])[-/.\u6708](3[01]|[12][0-9]|0?[1-9])\u65e5?"
_HOUR = "([01]?[0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\\.[0-9]{1,6})?)?"
_ZONE = "(Z|[+-](0[0-9]|1[0-4]):?[0-5][0-9])"
# The fifth mark, day, falls away: all ways of writing a day become "2026-3-1".
_DASHED = "translate({cell}, '/.\u5e74\u6708\u65e5', '----')"
# Any mobile in any cell, also in the wrong column and with spaces or dashes between its digits.
_MASK = (
    "regexp_replace({cell}, '(1([ -]?[0-9]){{2}})([ -]?[0-9]){{4}}(([ -]?[0-9]){{4}})',"
    " '\\1****\\4', 'g')"
)
_QUOTED_LENGTH = 40


@dataclass(frozen=True)
class Form:
    """How a cell is tested and turned into a value; `sentence` completes 'price "x" …'."""

    test: str
    value: str
    sentence: str


@dataclass(frozen=True)
class Reference:
    """The cell names a row of `relation` by its `key`; the row's id lands in `<column>_row`."""

    relation: str
    key: str
    sentence: str


@dataclass(frozen=True)
class Column:
    """One column of a file. A secret cell (a mobile) is never quoted."""

    name: str
    form: Form
    is_required: bool = True
    may_be_absent: bool = False
    is_secret: bool = False
    refers: Reference | None = None


def words(limit: int = 100) -> Form:
    """Any text up to a length."""
    return Form(f"length({{cell}}) <= {limit}", "{cell}", f"is longer than {limit} characters.")


def one_of(*values: str) -> Form:
    """One of a few words."""
    listed = ", ".join(f"'{value}'" for value in values)
    return Form(
        f"lower({{cell}}) IN ({listed})", "lower({cell})", f"is not one of {', '.join(values)}."
    )


def degrees(most: int) -> Form:
    """A latitude or longitude."""
    plain = pattern("-?[0-9]{1,3}(\\.[0-9]{1,12})?", "{cell}::float", "")
    return Form(
        f"CASE WHEN {plain.test} THEN abs({plain.value}) <= {most} ELSE false END",
        plain.value,
        f"is not a number of degrees between -{most} and {most}, such as 30.274085.",
    )


def pattern(regex: str, value: str, sentence: str) -> Form:
    """A cell that a regular expression (case sensitive, whole cell) must match."""
    return Form(f"{{cell}} ~ '^{regex.replace('{', '{{').replace('}', '}}')}$'", value, sentence)


CODE = words(64)
WHOLE = pattern(
    _THOUSANDS + "(\\.0+)?",
    "translate(split_part({cell}, '.', 1), ',', '')::bigint",
    "is not a whole number such as 12.",
)
MONEY = pattern(
    "[\u00a5\uffe5]? ?" + _THOUSANDS + "(\\.[0-9]{1,2}0*)?",
    "(translate({cell}, ', \u00a5\uffe5', '')::numeric * 100)::bigint",
    "is not an amount in yuan such as 1234.50 (zero or more).",
)
CLOCK = pattern(_HOUR, "{cell}::time", "is not a time such as 09:30.")
MOBILE = Form(
    "{clean} ~ '^1[0-9]{{10}}$'".replace(
        "{clean}", "regexp_replace({cell}, '^''?(\\+?86|0086)?|[ -]|\\.0$', '', 'g')"
    ),
    "regexp_replace({cell}, '^''?(\\+?86|0086)?|[ -]|\\.0$', '', 'g')",
    "is not an 11-digit mobile number (format the column as text in Excel).",
)


def _real_day(dashed: str) -> str:
    """SQL: the day exists in its month (30 February does not); `dashed` is year-month-day."""
    year, month, day = (f"split_part({dashed}, '-', {place})::int" for place in (1, 2, 3))
    return f"{day} <= extract(day FROM make_date({year}, {month}, 1) + interval '1 month - 1 day')"


def _day() -> Form:
    plain = pattern(_DAY, f"{_DASHED}::date", "is not a date such as 2026-03-01.")
    test = f"CASE WHEN {plain.test} THEN {_real_day(_DASHED)} ELSE false END"
    return Form(test, plain.value, plain.sentence)


def _moment() -> Form:
    """A date and time; without an offset it is the brand's local time (`:zone`)."""
    plain = pattern(
        f"{_DAY}([ T]{_HOUR} ?{_ZONE}?)?",
        "",
        "is not a time such as 2026-03-01 18:30 or 2026-03-01.",
    )
    # Only the day part may be rewritten: a fraction of a second has a dot too.
    day = (
        "translate(split_part(translate({cell}, 'T', ' '), ' ', 1), '/.\u5e74\u6708\u65e5', '----')"
    )
    test = f"CASE WHEN {plain.test} THEN {_real_day(day)} ELSE false END"
    whole = f"({day} || ' ' || coalesce(substring({{cell}} from '[ T](.*)$'), '00:00'))"
    has_zone = f"{{cell}} ~ '{_ZONE}$' AND {{cell}} ~ ':'"
    value = (
        f"CASE WHEN {has_zone} THEN {whole}::timestamptz"
        f" ELSE {whole}::timestamp AT TIME ZONE :zone END"
    )
    return Form(test, value, plain.sentence)


DAY = _day()
MOMENT = _moment()


def heading(columns: tuple[Column, ...]) -> Heading:
    """The header that these columns ask for."""
    return Heading(
        required=tuple(column.name for column in columns if not column.may_be_absent),
        optional=tuple(column.name for column in columns if column.may_be_absent),
    )


def checked_sql(columns: tuple[Column, ...], source: str, target: str) -> str:
    """One pass over `source` (row_no, text cells) to make `target`: values, row ids, `reason`."""
    read = ", ".join(f"{c.name} AS {c.name}_cell, {_value(c)} AS {c.name}" for c in columns)
    values = ", ".join(f"t.{c.name}" for c in columns)
    rows = "".join(f", r_{c.name}.id AS {c.name}_row" for c in columns if c.refers)
    joins = "".join(_join(c) for c in columns)
    reasons = " ".join(_reasons(c) for c in columns)
    return (
        f"CREATE TEMP TABLE {target} ON COMMIT DROP AS"
        f" SELECT t.row_no, {values}{rows}, CASE {reasons} END AS reason"
        # OFFSET 0 keeps the planner from computing every value a second time for its reason.
        f" FROM (SELECT row_no, {read} FROM {source} OFFSET 0) t{joins}"
    )


def quoted(cell: str) -> str:
    """SQL: a cell as it may be shown, short and with mobiles masked."""
    return f"left({_MASK.format(cell=cell)}, {_QUOTED_LENGTH})"


def _value(column: Column) -> str:
    test = column.form.test.format(cell=column.name)
    return f"CASE WHEN {test} THEN {column.form.value.format(cell=column.name)} END"


def _join(column: Column) -> str:
    if column.refers is None:
        return ""
    alias, refers = f"r_{column.name}", column.refers
    return f" LEFT JOIN {refers.relation} {alias} ON {alias}.{refers.key} = t.{column.name}"


def _reasons(column: Column) -> str:
    name, cell = column.name, f"t.{column.name}_cell"
    said = f"'{name} '" if column.is_secret else f"'{name} \"' || {quoted(cell)} || '\" '"
    parts = []
    if column.is_required:
        parts.append(f"WHEN {cell} IS NULL THEN '{name} is empty.'")
    parts.append(
        f"WHEN {cell} IS NOT NULL AND t.{name} IS NULL THEN {said} || '{column.form.sentence}'"
    )
    if column.refers:
        parts.append(
            f"WHEN t.{name} IS NOT NULL AND r_{name}.id IS NULL"
            f" THEN {said} || '{column.refers.sentence}'"
        )
    return " ".join(parts)
