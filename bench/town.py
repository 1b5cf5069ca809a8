"""A brand with shops, guides and customers who have bought before, made in bulk for a launch."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text

from bench.crowd import rules
from fatigue import policies
from store.campaigns import Campaign
from store.db import Database
from store.organisation import Brand
from store.pieces import ContentPiece
from store.products import Product
from store.touches import Category, Channel

# The checks of foreign keys are skipped: the rows are right, and a million of them take long.
_UNCHECKED = text("SET LOCAL session_replication_role = replica")
_SHOPS = text("""
    INSERT INTO shops (brand_id, code, name, city, district, address, phone, opens_at, closes_at)
    SELECT :brand_id, 'S' || n, 'Shop ' || n, '', '', '', '', '10:00', '22:00'
    FROM generate_series(CAST(:first AS int), :last) AS n
""")
_GUIDES = text("""
    INSERT INTO guides (shop_id, userid, name, contact_url, role, status)
    SELECT s.id, 'guide-' || s.code || '-' || n, 'Guide ' || n, '', 'guide', 'active'
    FROM shops s, generate_series(1, :each) AS n
    WHERE s.id > :known_shops ORDER BY s.id, n
""")
# Each has a guide of their own, in turn, so that a chunk of members is that of many guides.
_MEMBERS = text("""
    INSERT INTO members (card_no, name, brand_id, shop_id, status, joined_at, created_at)
    SELECT 'bench-' || n, 'Name ' || n, :brand_id, g.shop_id, 'active', :since, :since
    FROM generate_series(CAST(:first AS bigint), :last) AS n
    JOIN guides g ON g.id = 1 + n % :guides
    RETURNING id
""")
_WHO = "FROM generate_series(CAST(:first AS bigint), :last) AS n JOIN members m ON m.id = n"
_KNOWN = [
    f"""INSERT INTO identities (member_id, channel, account, outside_id, is_reachable, created_at)
    SELECT n, channel, 'bench', channel || n, true, :since
    {_WHO}, unnest(ARRAY['wechat', 'wecom']) AS channel""",
    f"""INSERT INTO friendships (guide_id, external_userid, member_id, since)
    SELECT 1 + n % :guides, 'wm' || n, n, :since {_WHO}""",
    f"""INSERT INTO ownerships (guide_id, member_id, since)
    SELECT 1 + n % :guides, n, :since {_WHO}""",
    f"""INSERT INTO consents
        (member_id, channel, purpose, is_granted, text_version, source, stated_at)
    SELECT n, '', purpose, true, '1', 'bench', :since
    {_WHO}, unnest(ARRAY['marketing', 'care']) AS purpose""",
    f"""INSERT INTO points_entries
        (member_id, kind, points, reason, source_id, created_at)
    SELECT n, 'earn', 100 + n % 900, 'bench', CAST(n AS text), :since {_WHO}""",
    f"""INSERT INTO member_facts (member_id, orders_count, spent_fen, spent_365_fen,
        first_order_at, last_order_at, favourite_categories, updated_at)
    SELECT n, 2, 20000, 1000 * (n % 100), CAST(:now AS timestamptz) - interval '80 days',
        CAST(:now AS timestamptz) - interval '40 days',
        jsonb_build_array('kind ' || n % 10), :now {_WHO}""",
    f"""INSERT INTO orders (source, external_id, member_id, shop_id, guide_id, amount_fen,
        refunded_fen, paid_at, created_at, is_attribution_due)
    SELECT 'bench', n || '-' || place, n, m.shop_id, 1 + n % :guides, 10000, 0,
        CAST(:now AS timestamptz) - interval '40 days' * place, :now, false
    {_WHO}, generate_series(1, 2) AS place""",
    """INSERT INTO order_lines (order_id, line_no, product_id, quantity, amount_fen)
    SELECT o.id, line, 1 + (o.id * 7 + line) % :products, 1, 5000
    FROM orders o, generate_series(1, 2) AS line
    WHERE o.member_id BETWEEN :first AND :last""",
    f"""INSERT INTO touches (key, member_id, channels, channel, category, brand_id, guide_id,
        priority, state, text, payload, verdict, attempts, asked_at, counted_at, settled_at)
    SELECT 'past-' || n || '-' || place, n, '["wecom_broadcast"]', 'wecom_broadcast',
        'marketing', :brand_id, 1 + n % :guides, 50, 'sent', '', '{{}}', '{{}}', 0, at, at, at
    {_WHO}, generate_series(1, 2) AS place, LATERAL
        (SELECT CAST(:now AS timestamptz) - interval '9 days' * place) AS spread(at)""",
]
_MEMBERS_A_GUIDE, _GUIDES_A_SHOP = 100, 10
_PRODUCTS = 200
_BLOCK = 10_000
_TEXT = (
    "{{ name }}, this is {{ guide }} of {{ shop }}."
    "{% if days_since and days_since > 30 %} It is {{ days_since }} days since you came.{% endif %}"
    " {{ product }} is here again, and you have {{ points }} points: {{ link }}"
)


@dataclass(slots=True)
class Town:
    """Everybody of the bench; a guide for every hundred members, ten guides a shop."""

    database: Database
    brand_id: int
    piece_id: int
    now: datetime
    members: int = 0

    def grow(self, members: int, told: Callable[[int], None]) -> None:
        """Make it so many members in all."""
        self._staff(members)
        while self.members < members:
            size = min(_BLOCK, members - self.members)
            self._block(size, members // _MEMBERS_A_GUIDE)
            told(size)
        engine = self.database.engine.execution_options(isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text("VACUUM ANALYZE"))

    def campaign(self) -> int:
        """A draft for everybody, with nobody held out."""
        with self.database.transaction() as session:
            campaign = Campaign(
                brand_id=self.brand_id,
                name="bench",
                category=Category.CARE,
                audience={"all": []},
                holdout_percent=0,
                piece_id=self.piece_id,
                fallback_channels=[Channel.WECHAT_SERVICE.value],
                deadline_at=self.now + timedelta(days=3),
                created_at=self.now,
            )
            session.add(campaign)
            session.flush()
            return campaign.id

    def _staff(self, members: int) -> None:
        shops = members // _MEMBERS_A_GUIDE // _GUIDES_A_SHOP
        with self.database.transaction() as session:
            connection = session.connection()
            known = connection.execute(text("SELECT count(*) FROM shops")).scalar_one()
            facts = {"brand_id": self.brand_id, "first": known + 1, "last": shops}
            connection.execute(_SHOPS, facts)
            connection.execute(_GUIDES, {"each": _GUIDES_A_SHOP, "known_shops": known})

    def _block(self, size: int, guides: int) -> None:
        facts: dict[str, Any] = {"brand_id": self.brand_id, "guides": guides, "now": self.now}
        facts |= {"since": self.now - timedelta(days=900), "products": _PRODUCTS}
        facts |= {"first": self.members + 1, "last": self.members + size}
        with self.database.transaction() as session:
            connection = session.connection()
            connection.execute(_UNCHECKED)
            connection.execute(_MEMBERS, facts)
            for statement in _KNOWN:
                connection.execute(text(statement), facts)
        self.members += size


def found(database: Database, now: datetime) -> Town:
    """The brand, its goods, its words and its rules; nobody lives there yet."""
    with database.transaction() as session:
        brand = Brand(code="bench", name="bench")
        piece = ContentPiece(
            code="bench",
            title="bench",
            purpose="bench",
            category=Category.CARE,
            text=_TEXT,
            created_at=now,
        )
        session.add_all([brand, piece, *_products()])
        policies.publish(session, rules(5), author="bench", now=now)
        session.flush()
        return Town(database, brand.id, piece.id, now)


def _products() -> Iterator[Product]:
    for number in range(_PRODUCTS):
        name, category = f"Product {number}", f"kind {number % 10}"
        yield Product(external_id=f"P{number}", name=name, category=category)
