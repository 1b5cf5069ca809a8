"""Members with a past, made in bulk, and the rules that the gate's measurements put to them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time
from itertools import count
from typing import Any

from sqlalchemy import text

from fatigue.gate import Ask
from fatigue.rules import CalendarCap, MinGap, Period, QuietHours, RollingCap, Rule, Selector
from store.db import Database
from store.organisation import Brand, Guide, Shop
from store.touches import Category, Channel

# The checks of foreign keys are skipped: the rows are right, and a million of them take long.
_UNCHECKED = text("SET LOCAL session_replication_role = replica")
_MEMBERS = text("""
    INSERT INTO members (card_no, name, brand_id, status, created_at)
    SELECT 'bench-' || number, '', :brand_id, 'active', :since
    FROM generate_series(CAST(:first AS bigint), :last) AS number
    RETURNING id
""")
# Everyone follows the account, knows the guide and said yes twice.
_TIES = [
    text("""
    INSERT INTO identities (member_id, channel, account, outside_id, is_reachable, created_at)
    SELECT member, channel, 'bench', channel || member, true, :since
    FROM unnest(CAST(:members AS bigint[])) AS member,
         unnest(ARRAY['wechat', 'wecom']) AS channel
    """),
    text("""
    INSERT INTO friendships (guide_id, external_userid, member_id, since)
    SELECT :guide_id, 'wm' || member, member, :since
    FROM unnest(CAST(:members AS bigint[])) AS member
    """),
    text("""
    INSERT INTO consents (member_id, channel, purpose, is_granted, text_version, source, stated_at)
    SELECT member, '', purpose, true, '1', 'bench', :since
    FROM unnest(CAST(:members AS bigint[])) AS member, unnest(ARRAY['marketing', 'care']) AS purpose
    """),
]
# Spread evenly over 30 days, the newest one a spacing ago.
_PAST = text("""
    INSERT INTO touches (key, member_id, channels, channel, category, brand_id, guide_id, priority,
                         state, text, payload, verdict, asked_at, counted_at, fenced_at, settled_at)
    SELECT 'past-' || member || '-' || number, member, '["wecom_broadcast"]', 'wecom_broadcast',
           'marketing', :brand_id, :guide_id, 50, 'sent', '', '{}', '{"outcome": "open"}',
           at, at, at, at
    FROM generate_series(1, :each) AS number,
         unnest(CAST(:members AS bigint[])) AS member,
         LATERAL (SELECT CAST(:now AS timestamptz) - interval '30 days' * number / (:each + 1.0))
             AS spread(at)
""")
_BLOCK = 10_000
_DAY = 86_400
_SOURCE = "the bench"


@dataclass(slots=True)
class Crowd:
    """A brand with one guide, who wants to write to everybody."""

    database: Database
    brand_id: int
    guide_id: int
    now: datetime
    _members: int = 0
    _numbers: Iterator[int] = field(default_factory=count)

    def add(self, members: int, *, touches_each: int, told: Callable[[int], None]) -> list[int]:
        """Make so many members with so many recent touches each; gives their ids."""
        made: list[int] = []
        while len(made) < members:
            size = min(_BLOCK, members - len(made))
            made += self._block(size, touches_each)
            told(size)
        return made

    def _block(self, size: int, touches_each: int) -> list[int]:
        facts: dict[str, Any] = {"brand_id": self.brand_id, "guide_id": self.guide_id}
        facts |= {"since": datetime(2020, 1, 1, tzinfo=self.now.tzinfo), "now": self.now}
        facts |= {"first": self._members + 1, "last": self._members + size, "each": touches_each}
        with self.database.transaction() as session:
            connection = session.connection()
            connection.execute(_UNCHECKED)
            members = list(connection.execute(_MEMBERS, facts).scalars())
            for statement in [*_TIES, _PAST]:
                connection.execute(statement, facts | {"members": members})
        self._members += size
        return members

    def asks(self, members: Sequence[int]) -> list[Ask]:
        """A new wish for each of these members."""
        return [
            Ask(
                key=f"ask-{next(self._numbers)}",
                member_id=member_id,
                channels=(Channel.WECOM_BROADCAST,),
                category=Category.MARKETING,
                brand_id=self.brand_id,
                guide_id=self.guide_id,
                text="A line about something new.",
            )
            for member_id in members
        ]

    def settle(self) -> None:
        """Bring statistics up to date, as the server does by itself within minutes."""
        engine = self.database.engine.execution_options(isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text("VACUUM ANALYZE"))


def gather(database: Database, now: datetime) -> Crowd:
    """The house, still without a member."""
    with database.transaction() as session:
        brand = Brand(code="bench", name="bench")
        session.add(brand)
        session.flush()
        shop = Shop(brand_id=brand.id, code="bench", name="bench")
        session.add(shop)
        session.flush()
        guide = Guide(shop_id=shop.id, userid="bench", name="bench")
        session.add(guide)
        session.flush()
        return Crowd(database, brand.id, guide.id, now)


def rules(number: int) -> list[Rule]:
    """So many rules, none of which refuses what is asked here; most have to be counted for that."""
    usual: list[Rule] = [
        CalendarCap(name="day", source=_SOURCE, cap=2, period=Period.DAY),
        RollingCap(name="week", source=_SOURCE, cap=8, seconds=7 * _DAY),
        RollingCap(name="month", source=_SOURCE, cap=40, seconds=30 * _DAY),
        MinGap(name="gap", source=_SOURCE, seconds=4 * 3600),
        QuietHours(name="night", source=_SOURCE, start=time(22), end=time(8)),
    ]
    return usual + [_cap(order) for order in range(number - len(usual))]


def _cap(order: int) -> Rule:
    of_category = Selector(categories=frozenset({Category.MARKETING}))
    of_channel = Selector(channels=frozenset({Channel.WECOM_BROADCAST}))
    selector = of_channel if order % 2 else of_category
    days = order % 7 + 1
    return RollingCap(
        name=f"cap {order}", source=_SOURCE, selector=selector, cap=8, seconds=days * _DAY
    )
