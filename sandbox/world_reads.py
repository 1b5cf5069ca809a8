"""What the people of the demo know of themselves: who they are outside, what they hold."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import TextClause, text
from sqlmodel import Session


@dataclass(frozen=True, slots=True)
class Patron:
    """A member of the demo with the ids their own phone knows."""

    member_id: int
    external_id: str
    shop_code: str
    openid: str | None
    external_userid: str | None
    hears_brand: bool


@dataclass(frozen=True, slots=True)
class Busy:
    """A guide with open tasks, `followers` of whom may hear from the brand itself.

    `friends` are whom WeCom lets the guide write to.
    """

    userid: str
    assignment: str
    tasks: int
    followers: int
    friends: int
    has_colleague: bool


@dataclass(frozen=True, slots=True)
class Handed:
    """A task that a guide has from one who left."""

    userid: str
    task: str


@dataclass(frozen=True, slots=True)
class Shelf:
    """A product at a till."""

    external_id: str
    price_fen: int


_PATRONS = text("""
    SELECT m.id, m.external_id, s.code,
           (SELECT i.outside_id FROM identities i WHERE i.member_id = m.id AND i.channel = 'wechat'
            ORDER BY i.id LIMIT 1),
           (SELECT i.outside_id FROM identities i WHERE i.member_id = m.id AND i.channel = 'wecom'
            ORDER BY i.id LIMIT 1),
           m.id = ANY(:hearers)
    FROM audience_members a JOIN members m ON m.id = a.member_id JOIN shops s ON s.id = m.shop_id
    WHERE a.campaign_id = :campaign AND m.external_id IS NOT NULL ORDER BY m.id
""")
_GUIDES = text("""
    SELECT g.userid, a.token, count(t.id), count(t.id) FILTER (WHERE t.member_id = ANY(:hearers)),
           count(f.id), (SELECT count(*) > 1 FROM guides c
                         WHERE c.shop_id = g.shop_id AND c.status = 'active')
    FROM assignments a JOIN guides g ON g.id = a.guide_id
    JOIN care_tasks t ON t.assignment_id = a.id AND t.state IN ('assigned', 'seen', 'edited')
    LEFT JOIN friendships f
        ON f.guide_id = g.id AND f.member_id = t.member_id AND f.until IS NULL
    WHERE a.campaign_id = :campaign GROUP BY 1, 2, g.shop_id ORDER BY 4 DESC, 3 DESC, 1
""")
_CUSTOMER = text("""
    SELECT f.external_userid FROM care_tasks t
    JOIN friendships f ON f.guide_id = t.guide_id AND f.member_id = t.member_id
    WHERE t.token = :task AND f.until IS NULL ORDER BY f.id LIMIT 1
""")
_CUSTOMERS = text("""
    SELECT f.external_userid FROM friendships f JOIN guides g ON g.id = f.guide_id
    WHERE g.userid = :userid AND f.until IS NULL ORDER BY f.id
""")
_HANDED = text("""
    SELECT g.userid, t.token FROM care_tasks t JOIN guides g ON g.id = t.guide_id
    WHERE t.campaign_id = :campaign AND t.state = 'reassigned' ORDER BY t.id
""")
# They follow the official account, and let the brand care on both of its channels.
_HEARERS = text("""
    SELECT c.member_id FROM consents c JOIN audience_members a USING (member_id)
    WHERE a.campaign_id = :campaign AND c.purpose = 'care' AND c.is_granted
      AND c.channel IN ('wechat_service', 'wechat_notice')
      AND EXISTS (SELECT FROM identities i
                  WHERE i.member_id = c.member_id AND i.channel = 'wechat')
    GROUP BY 1 HAVING count(DISTINCT c.channel) = 2
""")
# Followers whom no campaign has held out, those who have had the fewest coupons of a plan first.
_FRIENDS = text("""
    SELECT min(i.outside_id) FROM identities i
    WHERE i.channel = 'wechat' AND i.member_id <> ALL(:givers)
      AND NOT EXISTS (SELECT FROM audience_members a
                      WHERE a.member_id = i.member_id AND a.arm = 'holdout')
    GROUP BY i.member_id
    ORDER BY (SELECT count(*) FROM coupons c JOIN coupon_plans p ON p.id = c.plan_id
              LEFT JOIN gifts g ON g.coupon_id = c.id
              WHERE p.code = :plan AND i.member_id IN (c.member_id, g.giver_id)), i.member_id
    LIMIT :number
""")
_ALL_GUIDES = text("""
    SELECT g.userid FROM assignments a JOIN guides g ON g.id = a.guide_id
    WHERE a.campaign_id = :campaign ORDER BY 1
""")
_REACHED = text("""
    SELECT member_id, picks FROM care_tasks
    WHERE campaign_id = :campaign AND state IN ('sent', 'delivered', 'replied', 'converted')
    ORDER BY member_id
""")
_OF_GUIDE = text("""
    SELECT t.member_id FROM care_tasks t JOIN assignments a ON a.id = t.assignment_id
    WHERE a.token = :token ORDER BY t.member_id
""")
_SHELF = text("""
    SELECT p.external_id, coalesce(p.price_fen, 990) FROM products p WHERE p.id = ANY(:ids)
""")
_USUAL = text("""
    SELECT p.external_id, coalesce(p.price_fen, 990) FROM orders o
    JOIN order_lines l ON l.order_id = o.id JOIN products p ON p.id = l.product_id
    WHERE o.member_id = :member ORDER BY o.paid_at DESC, l.line_no LIMIT 6
""")


def patrons(session: Session, campaign_id: int) -> dict[int, Patron]:
    """The audience of a campaign, by member id."""
    rows = _for_hearers(session, _PATRONS, campaign_id)
    return {row[0]: Patron(*row) for row in rows}


def guides_with_work(session: Session, campaign_id: int) -> list[Busy]:
    """Every guide with open tasks, those with the most followers first."""
    rows = _for_hearers(session, _GUIDES, campaign_id)
    return [Busy(*row) for row in rows]


def reached(session: Session, campaign_id: int) -> dict[int, list[int]]:
    """Members whom a message of the campaign reached, with the product ids picked for them."""
    rows = session.connection().execute(_REACHED, {"campaign": campaign_id})
    return {row[0]: row[1] for row in rows}


def guides_of(session: Session, campaign_id: int) -> list[str]:
    """Userids of all guides of a campaign."""
    rows = session.connection().execute(_ALL_GUIDES, {"campaign": campaign_id})
    return list(rows.scalars())


def members_of(session: Session, token: str) -> list[int]:
    """Members whom one guide was asked to look after."""
    return list(session.connection().execute(_OF_GUIDE, {"token": token}).scalars())


def customer_of(session: Session, task: str) -> str | None:
    """By which id the guide of a task knows its member in WeCom; none when they are no contacts."""
    return session.connection().execute(_CUSTOMER, {"task": task}).scalar_one_or_none()


def customers_of(session: Session, userid: str) -> list[str]:
    """By which ids a guide knows customers in WeCom."""
    return list(session.connection().execute(_CUSTOMERS, {"userid": userid}).scalars())


def handed_over(session: Session, campaign_id: int) -> list[Handed]:
    """Tasks that came from a guide who has left, and that their new guides have not opened yet."""
    rows = session.connection().execute(_HANDED, {"campaign": campaign_id})
    return [Handed(*row) for row in rows]


def friends(session: Session, givers: list[int], plan: str, number: int) -> list[str]:
    """Openids of members who could do with a coupon of a plan, none of them a giver."""
    facts = {"givers": givers, "plan": plan, "number": number}
    return list(session.connection().execute(_FRIENDS, facts).scalars())


def shelf(session: Session, product_ids: list[int]) -> list[Shelf]:
    """Products at the till."""
    rows = session.connection().execute(_SHELF, {"ids": product_ids})
    return [Shelf(*row) for row in rows]


def usual(session: Session, member_id: int) -> list[Shelf]:
    """What a member put in the basket last."""
    return [Shelf(*row) for row in session.connection().execute(_USUAL, {"member": member_id})]


def count(session: Session, sql: str, **values: object) -> int:
    """One number from the database."""
    return int(session.connection().execute(text(sql), values).scalar_one())


def _for_hearers(session: Session, query: TextClause, campaign_id: int) -> Iterable[Any]:
    facts = {"campaign": campaign_id}
    hearers = list(session.connection().execute(_HEARERS, facts).scalars())
    return session.connection().execute(query, {**facts, "hearers": hearers})
