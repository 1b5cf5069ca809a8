"""The member's own data: look at it, take it away, have it erased."""

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Form, Response

from content import export_words
from store import audit, coupons, erasure, exporting, points
from store.members import Member, MemberNotFound
from web.deps import PartsDep
from web.entry import DoorRoute
from web.member.entry import Forgotten, Visit, VisitDep
from web.origin import OwnPostsOnly
from web.pages import page, rendered
from web.parts import Parts

router = APIRouter(prefix="/m/privacy", route_class=DoorRoute, dependencies=[OwnPostsOnly])

# A page of thousands of rows takes a phone long to draw; the download holds them all.
_SHOWN = 50


@dataclass(frozen=True, slots=True)
class LossView:
    """What an erasure costs the member."""

    points: int
    coupons: int


@dataclass(frozen=True, slots=True)
class SectionView:
    """The rows of one kind that are shown, of `total`."""

    title: str
    rows: list[dict[str, str]]
    total: int


@router.get("")
def show(visit: VisitDep, parts: PartsDep) -> Response:
    """What there is, in numbers, and the three things one can do."""
    found = _found(visit, parts)
    counts = [(export_words.section(table), len(rows)) for table, rows in found.items()]
    return page(visit.request, "member/privacy.html", parts=counts)


@router.get("/data")
def look(visit: VisitDep, parts: PartsDep) -> Response:
    """Everything, as a page: of each kind the newest rows, newest first."""
    found = _told(visit, parts, "looked at the own data")
    return page(
        visit.request,
        "member/privacy_data.html",
        sections=[_section(table, rows[::-1], visit, most=_SHOWN) for table, rows in found.items()],
        made_at=visit.now,
    )


@router.get("/download")
def download(visit: VisitDep, parts: PartsDep) -> Response:
    """Everything, as a file: a page for people and JSON for machines."""
    found = _told(visit, parts, "downloaded the own data")
    sections = [_section(table, rows, visit) for table, rows in found.items()]
    html = rendered(visit.request, "member/export.html", sections=sections, made_at=visit.now)
    name = f"my-data-{visit.now.astimezone(visit.zone):%Y-%m-%d}.zip"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(_packed(found, html), media_type="application/zip", headers=headers)


@router.get("/erase")
def ask(visit: VisitDep) -> Response:
    """What would be lost; nothing is until it is said twice."""
    return _ask(visit)


@router.post("/erase")
def erase(
    visit: VisitDep, parts: PartsDep, sure: Annotated[str, Form(max_length=10)] = ""
) -> Response:
    """Forget the person who looks; the session stays, so that an open page knows they are gone."""
    person = visit.someone()
    if sure != "yes":
        return _ask(visit, is_unsure=True)
    _note(visit, person, "erased")
    try:
        erasure.erase(visit.session, person.id, secret_key=parts.settings.secret, now=visit.now)
    except MemberNotFound:
        # The same form, sent twice at once.
        raise Forgotten from None
    return page(visit.request, "member/erased.html")


def _ask(visit: Visit, *, is_unsure: bool = False) -> Response:
    person = visit.someone()
    view = LossView(
        points=points.balance(visit.session, person.id),
        coupons=len(coupons.usable(visit.session, person.id, visit.now)),
    )
    return page(
        visit.request,
        "member/erase.html",
        status_code=422 if is_unsure else 200,
        view=view,
        is_unsure=is_unsure,
    )


def _found(visit: Visit, parts: Parts) -> dict[str, list[dict[str, Any]]]:
    person = visit.someone()
    return exporting.export(visit.session, person.id, secret_key=parts.settings.secret)


def _told(visit: Visit, parts: Parts, act: str) -> dict[str, list[dict[str, Any]]]:
    """Everything, and a line of the audit log about who has it now."""
    _note(visit, visit.someone(), act)
    return _found(visit, parts)


def _note(visit: Visit, person: Member, act: str) -> None:
    audit.note(visit.session, "member", act, subject=f"member:{person.id}", now=visit.now)


def _section(
    table: str, rows: Sequence[dict[str, Any]], visit: Visit, *, most: int | None = None
) -> SectionView:
    """The rows of a table in words, at most the first `most`."""
    shown = [export_words.row_in_words(row, visit.zone) for row in rows[:most]]
    return SectionView(export_words.section(table), shown, len(rows))


def _packed(found: Mapping[str, Sequence[dict[str, Any]]], html: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "data.json", json.dumps(found, ensure_ascii=False, indent=2, default=_plain)
        )
        archive.writestr("data.html", html)
    return packed.getvalue()


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, date | datetime) else str(value)
