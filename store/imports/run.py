"""Runs one import: the whole file in one transaction, so that it lands as told or not at all.

Orders renew the facts and levels of their members in transactions of their own; a re-run renews
them too, so a crash in between is healed by importing again.
"""

import csv
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from sqlalchemy.exc import DBAPIError
from sqlmodel import col, select

from store.accounts import Account, Platform
from store.db import Database, Session
from store.errors import NotFound, Refusal
from store.imports import staging
from store.imports.checking import heading
from store.imports.coupons import COUPONS
from store.imports.encoding import UnreadableFile
from store.imports.guides import GUIDES
from store.imports.kinds import Context, Kind, Landed
from store.imports.members import MEMBERS
from store.imports.orders import DRAGGED_ALONG, ORDERS
from store.imports.products import PRODUCTS
from store.imports.reading import Sheet, open_sheet, raw_rows
from store.imports.renewal import renew
from store.imports.shops import SHOPS
from store.imports.staging import Progress
from store.organisation import Brand

KINDS: Mapping[str, Kind] = {
    kind.name: kind for kind in (SHOPS, GUIDES, MEMBERS, PRODUCTS, ORDERS, COUPONS)
}
_SHOWN_COMPLAINTS = 10
_FIRST_BRAND = "brand"
_REASON = "reason"


class ImportFailed(Refusal):
    """The database refused the import as a whole; nothing was written."""


class ErrorsNotWritten(Refusal):
    """The good rows landed, but the file for the bad ones cannot be written."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"The good rows are in; the refused ones could not be written to {path} ({why})."
            " Import again with --errors naming another file."
        )


@dataclass(frozen=True)
class Options:
    """What a person may choose. `wechat_account` is an appid, `wecom_account` a corp id."""

    brand: str | None = None
    source: str = "csv"
    wechat_account: str | None = None
    wecom_account: str | None = None
    errors_path: Path | None = None
    is_dry_run: bool = False


@dataclass(frozen=True)
class Report:
    """What an import did, or in a dry run would do. Orders are counted, not their lines."""

    kind: str
    rows: int
    added: int
    updated: int
    unchanged: int
    refused: int
    is_dry_run: bool
    ignored_columns: tuple[str, ...]
    complaints: tuple[str, ...]
    errors_path: Path | None
    seconds: Mapping[str, float] = field(default_factory=dict)


class _DryRun(Exception):  # noqa: N818 -- takes the transaction back, is no fault
    """Leaves the transaction so that nothing is written."""


@dataclass
class _Result:
    """What the transaction found out; it outlives a dry run."""

    rows: int = 0
    landed: Landed = field(default_factory=lambda: Landed(0, 0, 0))
    refused: Mapping[int, str] = field(default_factory=dict)
    members: Sequence[int] = ()


def import_file(
    database: Database,
    kind_name: str,
    path: Path,
    *,
    options: Options,
    progress: Progress,
    now: datetime,
) -> Report:
    """Import one CSV file. Refuses with WrongHeader, UnreadableFile, NotFound or ImportFailed."""
    kind = KINDS.get(kind_name)
    if kind is None:
        raise NotFound(f"There is no import of {kind_name}; there are: {', '.join(KINDS)}.")
    sheet = open_sheet(path, heading(kind.columns))
    if _errors_path(sheet, options).resolve() == path.resolve():
        raise UnreadableFile("The file of errors cannot be the file that is imported.")
    steps = _Steps(progress)
    result = _Result()
    try:
        with _undoable(), database.transaction() as session:
            _land(session, kind, sheet, result, options=options, steps=steps, now=now)
            if options.is_dry_run:
                raise _DryRun
        if result.members and not options.is_dry_run:
            with steps.step("facts"):
                renew(database, result.members, progress, now=now)
    except DBAPIError as error:
        raise ImportFailed(_plain_words(error)) from None
    return _report(kind, sheet, result, options, steps)


def _land(  # noqa: PLR0913 -- the parts of one import, used only above
    session: Session,
    kind: Kind,
    sheet: Sheet,
    result: _Result,
    *,
    options: Options,
    steps: "_Steps",
    now: datetime,
) -> None:
    context = _context(session, options, now=now)
    staging.prepare(session, kind.name)
    with steps.step("read"):
        result.rows = staging.copy_in(session, sheet, kind.columns, "checked", steps.progress)
    with steps.step("check"):
        staging.check(session, kind.columns, "checked_raw", "checked", zone=context.zone)
        staging.refuse_repeats(session, "checked", *kind.keys)
        staging.drop_bad(session, "checked")
    with steps.step("write"):
        result.landed = kind.land(session, context)
    result.refused = staging.refused(session)
    result.members = kind.touched(session)


def _context(session: Session, options: Options, *, now: datetime) -> Context:
    brand = _brand(session, options.brand)
    return Context(
        brand_id=brand.id,
        zone=brand.timezone,
        source=f"import:{options.source}",
        wechat_account=options.wechat_account or _only_account(session, Platform.WECHAT),
        wecom_account=options.wecom_account or _only_account(session, Platform.WECOM),
        now=now,
    )


def _brand(session: Session, code: str | None) -> Brand:
    """The brand named, or the only one; an empty record gets its first brand."""
    brands = session.exec(select(Brand).order_by(col(Brand.id))).all()
    wanted = [brand for brand in brands if code in {None, brand.code}]
    if len(wanted) == 1:
        return wanted[0]
    if brands:
        listed = ", ".join(brand.code for brand in brands)
        raise NotFound(f"Name the brand with --brand; there are: {listed}.")
    brand = Brand(code=code or _FIRST_BRAND, name=code or _FIRST_BRAND)
    session.add(brand)
    session.flush()
    return brand


def _only_account(session: Session, platform: Platform) -> str | None:
    """The platform's own id of the only account on it."""
    app_ids = session.exec(select(Account.app_id).where(Account.platform == platform)).all()
    return app_ids[0] if len(app_ids) == 1 else None


@contextmanager
def _undoable() -> Iterator[None]:
    try:
        yield
    except _DryRun:
        return


def _plain_words(error: DBAPIError) -> str:
    """What the database said without its DETAIL, which may quote a mobile."""
    said = str(error.orig).splitlines()[0] if error.orig else "connection lost"
    return f"The database refused the import, nothing was written: {said}."


def _errors_path(sheet: Sheet, options: Options) -> Path:
    return options.errors_path or sheet.path.with_name(f"{sheet.path.name}.errors.csv")


def _report(kind: Kind, sheet: Sheet, result: _Result, options: Options, steps: "_Steps") -> Report:
    errors_path = None
    if result.refused and not options.is_dry_run:
        with steps.step("errors file"):
            errors_path = _errors_path(sheet, options)
            _write_errors(sheet, result.refused, errors_path)
    # What is wrong is told before what it drags along.
    causes = sorted(result.refused.items(), key=lambda bad: bad[1].startswith(DRAGGED_ALONG))
    complaints = [f"Row {row_no}: {reason}" for row_no, reason in causes]
    return Report(
        kind=kind.name,
        rows=result.rows,
        added=result.landed.added,
        updated=result.landed.updated,
        unchanged=result.landed.unchanged,
        refused=len(result.refused),
        is_dry_run=options.is_dry_run,
        ignored_columns=sheet.ignored,
        complaints=tuple(complaints[:_SHOWN_COMPLAINTS]),
        errors_path=errors_path,
        seconds=steps.seconds,
    )


def _write_errors(sheet: Sheet, refused: Mapping[int, str], path: Path) -> None:
    """The refused rows as they stood, reason last; for its owner's eyes only."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    except OSError as error:
        raise ErrorsNotWritten(path, str(error.strerror)) from None
    # A mended file of errors still has the old reasons.
    kept = [place for place, name in enumerate(sheet.header) if name != _REASON]
    with open(handle, "w", encoding="utf-8-sig", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow([*(sheet.header[place] for place in kept), _REASON])
        for row_no, row in raw_rows(sheet):
            if row_no in refused:
                cells = row + [""] * len(sheet.header)
                reason = f"Row {row_no}: {refused[row_no]}"
                writer.writerow([*(cells[place] for place in kept), reason])


class _Steps:
    """Times the steps and tells the one who watches."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Say that a step begins and, when it is over, that it is done."""
        started = time.monotonic()
        self.progress(name, 0, 1)
        yield
        self.progress(name, 1, 1)
        self.seconds[name] = round(time.monotonic() - started, 2)
