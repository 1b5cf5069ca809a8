"""Names for the codes and keys of a campaign, so that pages speak of things and not of codes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlmodel import Session, col, select

from store.campaigns import Campaign
from store.coupons import CouponPlan
from store.levels import Level
from store.organisation import Shop
from store.pieces import ContentPiece
from store.tags import Tag

_NAMED: dict[str, type[Level | Tag | Shop]] = {"level": Level, "tag": Tag, "shop": Shop}


@dataclass(frozen=True, slots=True)
class Facts:
    """What a campaign says and gives."""

    piece: str
    text: str
    coupon: str


def facts(session: Session, campaign: Campaign) -> Facts:
    """Piece and coupon of a campaign by name."""
    piece = session.get_one(ContentPiece, campaign.piece_id)
    plan = session.get(CouponPlan, campaign.coupon_plan_id) if campaign.coupon_plan_id else None
    return Facts(piece.title, piece.text, plan.name if plan else "")


def names(session: Session, tree: dict[str, Any]) -> dict[str, str]:
    """Names of the levels, tags and shops that a condition tree mentions, by code."""
    found: dict[str, str] = {}
    for fact, table in _NAMED.items():
        codes = [code for leaf_fact, code in _codes(tree) if leaf_fact == fact]
        if codes:
            query = select(table.code, table.name).where(col(table.code).in_(codes))
            found |= dict(session.exec(query).all())
    return found


def _codes(tree: Any) -> Iterator[tuple[str, str]]:
    if isinstance(tree, list):
        for node in tree:
            yield from _codes(node)
    elif isinstance(tree, dict) and "fact" in tree:
        values = tree.get("value")
        for value in values if isinstance(values, list) else [values]:
            if isinstance(value, str):
                yield str(tree["fact"]), value
    elif isinstance(tree, dict):
        for node in tree.values():
            yield from _codes(node)
