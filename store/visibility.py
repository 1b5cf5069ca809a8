"""Who sees whom: conditions for queries, so that a page cannot show what its reader may not see.

A guide sees own customers, a manager the shop, a region its shops, HQ the whole brand. The reader's
row is part of every query: whoever has left sees nothing, from the moment that is written down.
"""

from typing import Any

from sqlalchemy import ColumnElement, Select, select
from sqlmodel import col

from store.campaigns import REACHED, WITH_GUIDE, CareTask, TaskState
from store.errors import NotAllowed
from store.members import Member
from store.organisation import Guide, GuideRole, GuideStatus, Shop
from store.relations import Friendship, Ownership

# What ended without a word gives nobody a customer.
_THEIRS = WITH_GUIDE | REACHED | {TaskState.SENDING}


class MobileHidden(NotAllowed):
    """A whole mobile is shown to whoever leads a shop or more; a guide writes without it."""

    def __init__(self) -> None:
        super().__init__("Whole mobiles are shown to managers only.")


class TeamHidden(NotAllowed):
    """A guide asked for the page of those who lead."""

    def __init__(self) -> None:
        super().__init__("The team is shown to managers only.")


def shops(guide_id: int) -> Select[Any]:
    """Ids of the shops that a person sees as a whole; none for a guide, or who has left."""
    reader = _reader(guide_id)
    role = reader.c.role
    return select(col(Shop.id)).where(
        ((role == GuideRole.MANAGER) & (col(Shop.id) == reader.c.shop_id))
        | ((role == GuideRole.REGION) & (col(Shop.region_id) == reader.c.region_id))
        | ((role == GuideRole.HQ) & (col(Shop.brand_id) == reader.c.brand_id))
    )


def guides(guide_id: int) -> Select[Any]:
    """Ids of the guides whose work a person sees: oneself, and all of the shops one sees."""
    reader = _reader(guide_id)
    return select(col(Guide.id)).where(
        (col(Guide.id) == reader.c.id) | col(Guide.shop_id).in_(shops(guide_id))
    )


def sees_member(guide_id: int) -> ColumnElement[bool]:
    """SQL over `members`: whether a person may see this one.

    Own customers are those one owns, is in contact with, or has a care task for. A whole brand is
    seen without looking at shops: not every member has one.
    """
    reader = _reader(guide_id)
    whole_brand = select(reader.c.brand_id).where(reader.c.role == GuideRole.HQ)
    return (
        col(Member.shop_id).in_(shops(guide_id))
        | col(Member.brand_id).in_(whole_brand)
        | is_customer_of(guide_id)
    )


def is_customer_of(guide_id: int) -> ColumnElement[bool]:
    """SQL over `members`: the customers in the hands of the guides whose work a person sees."""
    return col(Member.id).in_(customer_ids(guide_id))


def customer_ids(guide_id: int) -> Any:
    """The same as a query of their ids, some of them twice."""
    return _customers(guides(guide_id))


def own_customer_ids(guide_id: int) -> Any:
    """Ids of a person's own customers alone, whatever else they see, some of them twice."""
    return _customers(select(_reader(guide_id).c.id))


def sees_task(guide_id: int) -> ColumnElement[bool]:
    """SQL over `care_tasks`: whether a person may see this one; those of a shop are everyone's."""
    reader = _reader(guide_id)
    of_own_shop = col(CareTask.guide_id).is_(None) & col(CareTask.shop_id).in_(
        select(reader.c.shop_id)
    )
    of_seen_shop = col(CareTask.guide_id).is_(None) & col(CareTask.shop_id).in_(shops(guide_id))
    return col(CareTask.guide_id).in_(guides(guide_id)) | of_own_shop | of_seen_shop


def _customers(guide_ids: Select[Any]) -> Any:
    """Ids of the members who are in the hands of these guides now."""
    owned = select(col(Ownership.member_id)).where(
        col(Ownership.guide_id).in_(guide_ids), col(Ownership.until).is_(None)
    )
    known = select(col(Friendship.member_id)).where(
        col(Friendship.guide_id).in_(guide_ids),
        col(Friendship.until).is_(None),
        col(Friendship.member_id).is_not(None),
    )
    cared_for = select(col(CareTask.member_id)).where(
        col(CareTask.guide_id).in_(guide_ids), col(CareTask.state).in_(_THEIRS)
    )
    return owned.union_all(known, cared_for)


def _reader(guide_id: int) -> Any:
    """The person's row with shop, region and brand, while in post."""
    return (
        select(
            col(Guide.id),
            col(Guide.role),
            col(Guide.shop_id),
            col(Shop.region_id),
            col(Shop.brand_id),
        )
        .join(Shop, col(Shop.id) == col(Guide.shop_id))
        .where(col(Guide.id) == guide_id, col(Guide.status) == GuideStatus.ACTIVE)
        .subquery()
    )
