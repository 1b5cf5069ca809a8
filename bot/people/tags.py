"""The names of tags at both places: theirs are made here, ours there, and renamed alike.

A group of tags is shared once it stands in WeCom, with any tag in it: that is the brand's own
choice, made in WeCom's console. What a brand tags for itself stays here.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session, col, select

from bot.calls import ApiError, Fate
from bot.people.bits import Bit, Position, Trip
from bot.wecom import corp_tags as api
from bot.wecom.corp_tags import NAME_CHARACTERS
from bot.wecom.corp_tags import CorpTag as Told
from store import corp_tags
from store.corp_tags import CorpTag
from store.tags import Tag

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Plan:
    """What is to be done over there: new tags by group, names by the corp's id."""

    add: Mapping[str, Sequence[str]]
    rename: Mapping[str, str]


def bit(trip: Trip, position: Position) -> Bit:
    """All of them at once: a corp has ten thousand at most (wecom.md §4.3)."""
    del position
    theirs = api.every(trip.api)
    with trip.database.transaction() as session:
        taken = _take(session, trip.account.id, theirs, now=trip.clock())
        plan = _plan(session, trip.account.id, {one.group_name for one in theirs})
    made = 0
    for group, names in plan.add.items():
        made += _make(trip, group, names)
    for corp_tag_id, name in plan.rename.items():
        _rename(trip, corp_tag_id, name)
    return Bit(None, {"taken": taken, "made": made, "renamed": len(plan.rename)})


def _take(session: Session, account_id: int, theirs: Sequence[Told], *, now: datetime) -> int:
    """Write theirs down: new ones by their name, renamed ones, and those that are gone."""
    told = {one.tag_id: one for one in theirs}
    known = {row.corp_tag_id: row for row in corp_tags.known(session, account_id)}
    for corp_tag_id, row in known.items():
        _follow(session, row, told.get(corp_tag_id), now)
    fresh = [one for one in theirs if one.tag_id not in known]
    taken = {row.tag_id for row in known.values()}
    for one in fresh:
        tag = _tag_of(session, one, taken)
        taken.add(tag.id)
        session.add(
            CorpTag(account_id=account_id, tag_id=tag.id, corp_tag_id=one.tag_id, name=one.name)
        )
    session.flush()
    return len(fresh)


def _follow(session: Session, row: CorpTag, told: Told | None, now: datetime) -> None:
    if told is None:
        row.gone_at = row.gone_at or now
        return
    row.gone_at = None
    if told.name != row.name:
        session.get_one(Tag, row.tag_id).name = row.name = told.name


def _tag_of(session: Session, told: Told, taken: set[int]) -> Tag:
    """Our tag of the same name and group, if it is not another one of theirs; else a new one."""
    query = select(Tag).where(Tag.name == told.name, Tag.group_name == told.group_name)
    for tag in session.exec(query.order_by(col(Tag.id))).all():
        if tag.id not in taken:
            return tag
    tag = Tag(code=f"wecom-{told.tag_id}", name=told.name, group_name=told.group_name)
    session.add(tag)
    session.flush()
    return tag


def _plan(session: Session, account_id: int, shared: set[str]) -> _Plan:
    known = {row.tag_id: row for row in corp_tags.known(session, account_id)}
    add: dict[str, list[str]] = {}
    rename: dict[str, str] = {}
    for tag in session.exec(select(Tag).order_by(col(Tag.id))).all():
        row = known.get(tag.id)
        if row is None and tag.group_name in shared and len(tag.name) <= NAME_CHARACTERS:
            add.setdefault(tag.group_name, []).append(tag.name)
        elif row is not None and row.gone_at is None and row.name != tag.name:
            rename[row.corp_tag_id] = tag.name
    return _Plan(add, rename)


def _make(trip: Trip, group: str, names: Sequence[str]) -> int:
    made = api.add(trip.api, group, names)
    with trip.database.transaction() as session:
        return _take(session, trip.account.id, _fresh(session, trip, made), now=trip.clock())


def _fresh(session: Session, trip: Trip, made: Sequence[Told]) -> Sequence[Told]:
    """The whole group comes back; of what is known nothing is to be said, also not that it goes."""
    known = {row.corp_tag_id for row in corp_tags.known(session, trip.account.id)}
    return [one for one in made if one.tag_id not in known]


def _rename(trip: Trip, corp_tag_id: str, name: str) -> None:
    try:
        api.rename(trip.api, corp_tag_id, name[:NAME_CHARACTERS])
    except ApiError as error:
        if error.fate is not Fate.REFUSED:
            raise
        # An app may rename only what it has made; the two are the same tag all the same.
        _log.info("A tag keeps its name in WeCom: errcode %s.", error.code)
    with trip.database.transaction() as session:
        row = session.exec(
            select(CorpTag).where(
                CorpTag.account_id == trip.account.id, CorpTag.corp_tag_id == corp_tag_id
            )
        ).one()
        row.name = name
