"""The people of a storm: a brand with its accounts, guides, and members who may be reached."""

from dataclasses import dataclass

from sqlalchemy import text
from sqlmodel import Session, col, select

from fatigue import policies
from sandbox import stage
from store import clock
from store.campaigns import Campaign
from store.db import Database
from store.members import Member
from store.organisation import Brand, Guide, Shop
from store.settings import Settings
from tests.builders import a_campaign
from tests.chaos import plan

_MEMBERS_OF_A_GUIDE = 25
_CARD = "storm-"
_MEMBERS = text("""
    INSERT INTO members (card_no, name, mobile, timezone, brand_id, status, created_at)
    SELECT :card || place, '', '100' || lpad(CAST(place AS text), 8, '0'), zone, :brand_id,
        'active', :now
    FROM unnest(CAST(:zones AS text[])) WITH ORDINALITY AS listed(zone, number),
        LATERAL (SELECT number - 1) AS counted(place)
""")
_IDENTITIES = text("""
    INSERT INTO identities (member_id, channel, account, outside_id, is_reachable, created_at)
    SELECT id, channel, account, stem || lpad(CAST(id AS text), length, '0'), true, :now
    FROM members, (VALUES ('wechat', CAST(:app_id AS text), 'o', 27),
        ('wecom', CAST(:corp_id AS text), 'wm', 30)) AS place(channel, account, stem, length)
""")
_FRIENDSHIPS = text("""
    INSERT INTO friendships (guide_id, external_userid, member_id, since)
    SELECT (CAST(:guides AS bigint[]))[1 + m.id % cardinality(CAST(:guides AS bigint[]))],
        i.outside_id, m.id, :now
    FROM members m JOIN identities i ON i.member_id = m.id AND i.channel = 'wecom'
""")
_CONSENTS = text("""
    INSERT INTO consents (member_id, channel, purpose, is_granted, text_version, source, stated_at)
    SELECT id, '', purpose, true, '1', 'storm', :now
    FROM members, unnest(ARRAY['marketing', 'care']) AS purpose
""")


@dataclass(frozen=True)
class Town:
    """Whom wishes are about: ids of members, the guide of each, and campaigns, by number."""

    brand_id: int
    members: tuple[int, ...]
    guides: dict[int, int]
    campaigns: tuple[int, ...]


def settle(database: Database, settings: Settings, members: int) -> None:
    """Fill an empty database; everyone said yes to everything."""
    now = clock.now()
    with database.transaction() as session:
        brand = stage.set_up(session, settings, now=now)
        policies.publish(session, plan.rules(), author="storm", now=now)
        guides = _guides(session, brand.id, max(6, members // _MEMBERS_OF_A_GUIDE))
        for number in range(plan.CAMPAIGNS):
            a_campaign(session, name=f"{number}", now=now)
        zones = [plan.zone_of(member) for member in range(members)]
        facts = {"brand_id": brand.id, "zones": zones, "card": _CARD, "guides": guides, "now": now}
        facts |= {"app_id": stage.APP_ID, "corp_id": stage.CORP_ID}
        for statement in (_MEMBERS, _IDENTITIES, _FRIENDSHIPS, _CONSENTS):
            session.connection().execute(statement, facts)


def known(session: Session) -> Town:
    """The town as it stands in the record."""
    query = select(Member.id).where(col(Member.card_no).startswith(_CARD)).order_by(col(Member.id))
    friends = session.connection().execute(text("SELECT member_id, guide_id FROM friendships"))
    return Town(
        session.exec(select(Brand.id)).one(),
        tuple(session.exec(query)),
        {int(member_id): int(guide_id) for member_id, guide_id in friends},
        tuple(session.exec(select(Campaign.id).order_by(col(Campaign.id)))),
    )


def _guides(session: Session, brand_id: int, number: int) -> list[int]:
    shop = Shop(brand_id=brand_id, code="storm", name="storm")
    session.add(shop)
    session.flush()
    guides = [Guide(shop_id=shop.id, userid=f"guide{one}", name="") for one in range(number)]
    session.add_all(guides)
    session.flush()
    return [guide.id for guide in guides]
