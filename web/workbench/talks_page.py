"""Talks with members who asked for a person: what was said, an answer, and the bot's release."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Form, Response
from fastapi.responses import RedirectResponse
from sqlmodel import Session, col, select

from bot import handing_over
from bot.dialogue import HUMAN
from content.notices import one_line
from content.rule_phrases import rule_phrase
from store import handovers, visibility
from store.handovers import Ending, Handover, HandoverLine, Side
from store.members import Member, mask
from store.organisation import Guide
from store.plain import plain
from store.touches import Touch, TouchState
from web.entry import DoorRoute
from web.pages import page
from web.workbench.entry import Desk, DeskDep

router = APIRouter(route_class=DoorRoute)

_MOST = 50
# WeChat takes 2,048 bytes; three of them a character.
LONGEST_ANSWER = 600
_GOES_OUT = {TouchState.RESERVED, TouchState.SENDING, TouchState.ASKED, TouchState.UNKNOWN}


@dataclass(frozen=True, slots=True)
class TalkRow:
    """One talk in the list; `guide` is named where it is not one's own."""

    token: str
    member: str
    last_words: str
    last_at: datetime
    waits: bool
    guide: str
    ended_by: Ending | None


@dataclass(frozen=True, slots=True)
class LineView:
    """One thing said; `way` tells how the guide's words fared: going, sent, or not, and why."""

    is_own: bool
    words: str
    said_at: datetime
    way: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class TalkView:
    """The whole talk."""

    token: str
    member: str
    mobile: str
    opened_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    ended_by: Ending | None
    lines: Sequence[LineView]


@router.get("/talks")
def show_talks(desk: DeskDep, *, released: bool = False) -> Response:
    """The talks that are open, the one that waits longest first, and those that ended lately."""
    rows = _rows(desk.session, desk.guide)
    return page(
        desk.request,
        "workbench/talks.html",
        open=[row for row in rows if row.ended_by is None],
        over=[row for row in rows if row.ended_by is not None],
        released=released,
        now=desk.now,
    )


@router.get("/talks/{token}")
def show_talk(token: str, desk: DeskDep) -> Response:
    """One talk."""
    return _talk_page(desk, handovers.seen_by(desk.session, token, desk.guide))


@router.post("/talks/{token}/answer")
def answer(token: str, desk: DeskDep, text: Annotated[str, Form()] = "") -> Response:
    """Write to the member through the official account."""
    handover = handovers.seen_by(desk.session, token, desk.guide)
    words = plain(text)
    if not 1 <= len(words) <= LONGEST_ANSWER:
        return _talk_page(desk, handover, typed=text)
    handing_over.answer(desk.session, handover, words, step=HUMAN, now=desk.now)
    return _to(f"/guide/talks/{token}#last")


@router.post("/talks/{token}/release")
def release(token: str, desk: DeskDep) -> Response:
    """Give the member back to the bot; twice is once."""
    handover = handovers.seen_by(desk.session, token, desk.guide)
    try:
        handing_over.release(desk.session, handover, Ending.GUIDE, now=desk.now)
    except handovers.HandoverOver:
        return _to("/guide/talks")
    return _to("/guide/talks?released=true")


@router.get("/talks/{token}/{act}")
def back_to_talk(token: str, act: str) -> Response:
    """A post that had to log in first comes back as a read."""
    del act
    return _to(f"/guide/talks/{token}")


def _talk_page(desk: Desk, handover: Handover, *, typed: str | None = None) -> Response:
    return page(
        desk.request,
        "workbench/talk.html",
        status_code=200 if typed is None else 422,
        talk=_view(desk.session, handover),
        typed=typed or "",
        is_bad=typed is not None,
        longest=LONGEST_ANSWER,
        now=desk.now,
    )


def _view(session: Session, handover: Handover) -> TalkView:
    member = session.get_one(Member, handover.member_id)
    lines = handovers.lines(session, handover.id)
    ids = [line.touch_id for line in lines if line.touch_id is not None]
    touches = session.exec(select(Touch).where(col(Touch.id).in_(ids))).all()
    by_id = {touch.id: touch for touch in touches}
    return TalkView(
        token=handover.token,
        member=member.name,
        mobile=mask(member.mobile),
        opened_at=handover.opened_at,
        expires_at=handover.expires_at,
        ended_at=handover.ended_at,
        ended_by=handover.ended_by,
        lines=[_line(line, by_id.get(line.touch_id or 0)) for line in lines],
    )


def _line(line: HandoverLine, touch: Touch | None) -> LineView:
    is_own = line.side is Side.GUIDE
    if touch is None:
        return LineView(is_own, line.words, line.said_at)
    if touch.state is TouchState.SENT or touch.state in _GOES_OUT:
        way = "sent" if touch.state is TouchState.SENT else "going"
        return LineView(is_own, line.words, line.said_at, way)
    violations = touch.verdict.get("violations", [])
    why = rule_phrase(str(violations[0]["rule"])) if violations else ""
    return LineView(is_own, line.words, line.said_at, "refused", why)


def _rows(session: Session, guide: Guide) -> list[TalkRow]:
    """The newest talks that this guide may see, with the last words of each in one more query."""
    query = (
        select(Handover, Guide, Member.name)
        .join(Guide, col(Guide.id) == Handover.guide_id)
        .join(Member, col(Member.id) == Handover.member_id)
        .order_by(col(Handover.ended_at).desc().nulls_first(), col(Handover.opened_at))
        .limit(_MOST)
    )
    seen = query.where(col(Handover.guide_id).in_(visibility.guides(guide.id)))
    found = session.exec(seen).all()
    last = handovers.last_lines(session, [handover.id for handover, _, _ in found])
    return [
        _row(handover, "" if other.id == guide.id else other.name, name, last[handover.id])
        for handover, other, name in found
        if handover.id in last
    ]


def _row(handover: Handover, guide: str, member: str, last: HandoverLine) -> TalkRow:
    return TalkRow(
        token=handover.token,
        member=member,
        last_words=one_line(last.words),
        last_at=last.said_at,
        waits=last.side is Side.MEMBER and handover.ended_by is None,
        guide=guide,
        ended_by=handover.ended_by,
    )


def _to(place: str) -> Response:
    return RedirectResponse(place, status_code=303)
