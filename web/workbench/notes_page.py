"""Notes about a customer at `/guide/c/…/notes`: read, write, delete one's own.

They are seen by whoever sees the customer, whoever wrote them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Form, Response
from fastapi.responses import RedirectResponse

from store import notes
from store.members import Member
from web.entry import DoorRoute
from web.pages import page
from web.workbench import customer_list
from web.workbench.entry import Desk, DeskDep

router = APIRouter(prefix="/c/{card_no}/notes", route_class=DoorRoute)
PAGE_SIZE = 30
# On the page of the customer, before the way to the rest.
FIRST = 3


@dataclass(frozen=True, slots=True)
class NoteRow:
    """A note; only the author may delete it."""

    token: str
    text: str
    author: str
    at: datetime
    is_own: bool


@dataclass(frozen=True, slots=True)
class NotesView:
    """Notes, newest first, the token after which the next page begins, and the reader's draft."""

    rows: Sequence[NoteRow]
    after: str | None
    draft: str
    longest: int = notes.LONGEST


@router.get("")
def show_notes(card_no: str, desk: DeskDep, after: str | None = None) -> Response:
    """All notes about a customer, page by page."""
    return _page(desk, customer_list.by_card(desk.session, desk.guide, card_no), after=after)


@router.post("")
def write_note(card_no: str, desk: DeskDep, text: Annotated[str, Form()] = "") -> Response:
    """Write a note; one that is empty or too long comes back to be mended."""
    member = customer_list.by_card(desk.session, desk.guide, card_no)
    try:
        notes.write(desk.session, member.id, desk.guide.id, text, now=desk.now)
    except notes.BadNote as refusal:
        return _page(desk, member, typed=text, refusal=refusal)
    return _to(f"/guide/c/{card_no}?noted=true#notes")


@router.post("/keep")
def keep_note(card_no: str, desk: DeskDep, text: Annotated[str, Form()] = "") -> Response:
    """The page's script keeps what is being written, before the phone sleeps."""
    member = customer_list.by_card(desk.session, desk.guide, card_no)
    notes.keep(desk.session, member.id, desk.guide.id, text, now=desk.now)
    return Response(status_code=204)


@router.post("/{token}/delete")
def delete_note(card_no: str, token: str, desk: DeskDep) -> Response:
    """Delete a note of one's own."""
    member = customer_list.by_card(desk.session, desk.guide, card_no)
    notes.remove(desk.session, member.id, desk.guide.id, token)
    return _to(f"/guide/c/{card_no}#notes")


@router.get("/{rest:path}")
def back_to_notes(card_no: str, rest: str) -> Response:
    """A post that had to log in first comes back as a read."""
    del rest
    return _to(f"/guide/c/{card_no}#notes")


def read(desk: Desk, member: Member, *, most: int, after: str | None = None) -> NotesView:
    """Up to `most` notes and the reader's draft; two queries, one more for a later page."""
    found = notes.of_member(desk.session, member.id, limit=most + 1, after=after)
    rows = [
        NoteRow(note.token, note.text, author, note.created_at, note.guide_id == desk.guide.id)
        for note, author in found[:most]
    ]
    following = rows[-1].token if len(found) > most else None
    return NotesView(rows, following, notes.draft(desk.session, member.id, desk.guide.id))


def _page(
    desk: Desk,
    member: Member,
    *,
    after: str | None = None,
    typed: str | None = None,
    refusal: notes.BadNote | None = None,
) -> Response:
    return page(
        desk.request,
        "workbench/notes.html",
        status_code=200 if refusal is None else 422,
        person=member,
        notes=read(desk, member, most=PAGE_SIZE, after=after),
        typed=typed,
        refusal=refusal,
        is_first=after is None,
        noted=False,
        now=desk.now,
    )


def _to(place: str) -> Response:
    return RedirectResponse(place, status_code=303)
