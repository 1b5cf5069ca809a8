"""Imports every table module, so that `metadata` is whole for migrations and tests."""

from sqlmodel import SQLModel

from store import (
    accounts,
    api_keys,
    attributions,
    audit,
    campaigns,
    consents,
    coupons,
    grants,
    inbound,
    levels,
    members,
    merges,
    notices,
    orders,
    organisation,
    pieces,
    plan_shops,
    points,
    points_shop,
    policies,
    products,
    redemptions,
    relations,
    tags,
    touches,
)

__all__ = ["metadata"]

metadata = SQLModel.metadata
_MODULES = (
    accounts,
    api_keys,
    attributions,
    audit,
    campaigns,
    consents,
    coupons,
    grants,
    inbound,
    levels,
    members,
    merges,
    notices,
    orders,
    organisation,
    pieces,
    plan_shops,
    points,
    points_shop,
    policies,
    products,
    redemptions,
    relations,
    tags,
    touches,
)
