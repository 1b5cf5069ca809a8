"""Whom a campaign did not reach: by which rule, and which campaigns had used the cap up."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlmodel import Session, col, select

from content.rule_phrases import rule_phrase
from fatigue import spending
from store.campaigns import Campaign

_MOST_TAKERS = 5


@dataclass(frozen=True, slots=True)
class Taker:
    """A campaign whose touches had used a cap up; without a name, touches of none."""

    name: str
    token: str
    members: int
    is_own: bool


@dataclass(frozen=True, slots=True)
class LossView:
    """One rule with the members it kept from the campaign, for good or for now."""

    words: str
    withheld: int
    waits: int
    takers: Sequence[Taker]


def read(session: Session, campaign_id: int) -> list[LossView]:
    """The losses of a campaign, in three queries."""
    found = spending.losses(session, campaign_id)
    keys = {key for loss in found for key, _ in loss.takers if key is not None}
    query = select(Campaign.id, Campaign.name, Campaign.token).where(col(Campaign.id).in_(keys))
    named = {key: (name, token) for key, name, token in session.exec(query).all()}
    return [
        LossView(
            rule_phrase(loss.rule),
            loss.withheld,
            loss.waits,
            [
                Taker(*named.get(key or 0, ("", "")), members, key == campaign_id)
                for key, members in loss.takers[:_MOST_TAKERS]
            ],
        )
        for loss in found
    ]
