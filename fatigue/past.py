"""What was known about a member at any instant of the past, from rows that carry their times.

Of what keeps no history the present counts: a member's zone, and whether an identity is reachable.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import text
from sqlmodel import Session

from fatigue.case import Recent, Window
from fatigue.rules import is_zone
from fatigue.standing import Standing
from store.consents import Purpose
from store.members import IdentityChannel
from store.touches import Channel

_WHO = text("""
    SELECT m.id, m.timezone, b.timezone, m.mobile IS NOT NULL,
        (SELECT json_agg(json_build_array(channel, created_at)) FROM identities
            WHERE member_id = m.id AND is_reachable),
        (SELECT json_agg(json_build_array(f.guide_id, f.since, least(f.until, g.left_at)))
            FROM friendships f JOIN guides g ON g.id = f.guide_id WHERE f.member_id = m.id),
        (SELECT json_agg(json_build_array(channel, stated_at, until, lifted_at))
            FROM suppressions WHERE member_id = m.id),
        (SELECT json_agg(json_build_array(channel, allowance, opened_at, expires_at, template_id))
            FROM grants WHERE member_id = m.id),
        (SELECT json_agg(json_build_array(channel, purpose, stated_at, is_granted)
            ORDER BY stated_at, id) FROM consents WHERE member_id = m.id)
    FROM members m JOIN brands b ON b.id = m.brand_id
    WHERE m.id = ANY(CAST(:members AS bigint[])) AND m.status = 'active'
""")


@dataclass(slots=True)
class Past:
    """A member with the times from and until which each fact held."""

    zone: ZoneInfo
    has_mobile: bool = False
    identities: list[tuple[IdentityChannel, datetime]] = field(default_factory=list)
    friends: list[tuple[int, datetime, datetime | None]] = field(default_factory=list)
    stops: list[tuple[str, datetime, datetime | None, datetime | None]] = field(
        default_factory=list
    )
    windows: list[Window] = field(default_factory=list)
    consents: list[tuple[str, Purpose, datetime, bool]] = field(default_factory=list)

    def standing(self, at: datetime, recent: list[Recent]) -> Standing:
        """The member as the gate would have seen them at an instant."""
        return Standing(
            self.zone,
            identities={channel for channel, since in self.identities if since <= at},
            consents=self._consents(at),
            stops=self._stops(at),
            friends={guide for guide, since, until in self.friends if _held(since, until, at)},
            windows=self.windows,
            recent=recent,
            has_mobile=self.has_mobile,
        )

    def _consents(self, at: datetime) -> dict[tuple[str, Purpose], tuple[datetime, bool]]:
        return {
            (channel, purpose): (since, is_granted)
            for channel, purpose, since, is_granted in self.consents
            if since <= at
        }

    def _stops(self, at: datetime) -> dict[str, datetime | None]:
        return {
            channel: until
            for channel, since, until, lifted in self.stops
            if _held(since, lifted, at) and (until is None or at < until)
        }


def read(session: Session, member_ids: Collection[int]) -> dict[int, Past]:
    """The past of every member who is active today, in one statement."""
    found = session.connection().execute(_WHO, {"members": list(member_ids)})
    return {member_id: _past(*facts) for member_id, *facts in found}


def _past(  # noqa: PLR0913 -- one row of the statement, in its order
    own_zone: str | None,
    brands_zone: str,
    has_mobile: bool,
    identities: list[Any] | None,
    friends: list[Any] | None,
    stops: list[Any] | None,
    windows: list[Any] | None,
    consents: list[Any] | None,
) -> Past:
    return Past(
        ZoneInfo(own_zone if own_zone and is_zone(own_zone) else brands_zone),
        has_mobile,
        [(IdentityChannel(channel), at(since)) for channel, since in identities or ()],
        [(guide, at(since), _maybe(until)) for guide, since, until in friends or ()],
        [(channel, at(row[0]), _maybe(row[1]), _maybe(row[2])) for channel, *row in stops or ()],
        [_window(*facts) for facts in windows or ()],
        [(row[0], Purpose(row[1]), at(row[2]), row[3]) for row in consents or ()],
    )


def _window(
    channel: str, allowance: int, opened_at: str, expires_at: str | None, template_id: str
) -> Window:
    return Window(Channel(channel), allowance, at(opened_at), _maybe(expires_at), template_id)


def at(moment: str) -> datetime:
    """An instant as the server writes it in JSON."""
    return datetime.fromisoformat(moment).astimezone(UTC)


def _maybe(moment: str | None) -> datetime | None:
    return at(moment) if moment else None


def _held(since: datetime, until: datetime | None, at: datetime) -> bool:
    return since <= at and (until is None or at < until)
