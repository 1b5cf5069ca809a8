"""Who the member is here; the page leads to everything that has no tab of its own."""

from dataclasses import dataclass

from sqlmodel import Session

from store import members
from store.levels import Level
from store.members import Member


@dataclass(frozen=True, slots=True)
class MeView:
    """The head of the page; `masked` is empty for a visitor."""

    name: str
    level: str
    masked: str


def read(session: Session, member: Member) -> MeView:
    """The head of the page of a member or visitor."""
    level = session.get(Level, member.level_id) if member.level_id is not None else None
    return MeView(member.name, level.name if level else "", members.mask(member.mobile))
