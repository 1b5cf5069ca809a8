"""What a code can stand for: a shop, a guide in post, a campaign that is not over."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlmodel import col, select

from store.campaigns import Campaign, CampaignState
from store.db import Session
from store.errors import NotFound
from store.organisation import Guide, GuideStatus, Shop


class SceneKind(StrEnum):
    """What a code stands for."""

    SHOP = "shop"
    GUIDE = "guide"
    CAMPAIGN = "campaign"


# How others name it.
KEYS: Mapping[SceneKind, Any] = {
    SceneKind.SHOP: col(Shop.code),
    SceneKind.GUIDE: col(Guide.userid),
    SceneKind.CAMPAIGN: col(Campaign.token),
}
# Its row and the brand whose account speaks for it.
SUBJECTS: Mapping[SceneKind, Any] = {
    SceneKind.SHOP: select(Shop.id, Shop.brand_id),
    SceneKind.GUIDE: select(Guide.id, Shop.brand_id)
    .join(Shop, col(Shop.id) == Guide.shop_id)
    .where(Guide.status == GuideStatus.ACTIVE),
    SceneKind.CAMPAIGN: select(Campaign.id, Campaign.brand_id).where(
        col(Campaign.state).in_(
            [CampaignState.DRAFT, CampaignState.LAUNCHING, CampaignState.RUNNING]
        )
    ),
}


@dataclass(frozen=True)
class Subject:
    """What a code is to stand for: the row of its kind, and the brand whose account speaks."""

    kind: SceneKind
    row_id: int
    brand_id: int

    @property
    def column(self) -> str:
        """The column of `scenes` that names it."""
        return f"{self.kind}_id"


class SubjectNotFound(NotFound):
    """No shop, guide in post or open campaign has this key, so no code can stand for it."""

    def __init__(self, kind: SceneKind, key: str) -> None:
        self.kind, self.key = kind, key
        super().__init__(f"key: there is no {kind} {key!r} that a code could stand for.")


def subject(session: Session, kind: SceneKind, key: str) -> Subject:
    """The shop with a code, the guide in post with a userid, or the open campaign with a token."""
    found = session.execute(SUBJECTS[kind].where(KEYS[kind] == key)).first()
    if found is None:
        raise SubjectNotFound(kind, key)
    return Subject(kind, found[0], found[1])
