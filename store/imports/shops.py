"""Shops: where they are and when they open. A region is made when first named."""

from store.db import Session
from store.imports.checking import CLOCK, CODE, Column, degrees, words
from store.imports.kinds import Context, Kind, Landed
from store.imports.staging import run
from store.imports.upsert import upsert
from store.organisation import Shop

COLUMNS = (
    Column("code", CODE),
    Column("name", words()),
    Column("city", words(), is_required=False),
    Column("region", words(), is_required=False),
    Column("address", words(200), is_required=False),
    Column("opens_at", CLOCK, is_required=False),
    Column("closes_at", CLOCK, is_required=False),
    Column("district", words(), is_required=False, may_be_absent=True),
    Column("phone", words(40), is_required=False, may_be_absent=True),
    Column("latitude", degrees(90), is_required=False, may_be_absent=True),
    Column("longitude", degrees(180), is_required=False, may_be_absent=True),
)


def land(session: Session, context: Context) -> Landed:
    """Write the shops, and the regions they name."""
    _name_regions(session, context.brand_id)
    # Half a place is none; a file may also bring only the one that was missing.
    run(
        session,
        "UPDATE checked SET latitude = NULL, longitude = NULL"
        " WHERE (latitude IS NULL) <> (longitude IS NULL)",
    )
    return upsert(
        session,
        Shop,
        key="code",
        cells={
            "name": "name",
            "region_id": "region_id",
            "city": "city",
            "address": "address",
            "opens_at": "opens_at",
            "closes_at": "closes_at",
            "district": "district",
            "phone": "phone",
            "latitude": "latitude",
            "longitude": "longitude",
        },
        fixed={"brand_id": str(context.brand_id)},
    )


def _name_regions(session: Session, brand_id: int) -> None:
    """Make the regions that are new and put their ids beside the shops."""
    run(
        session,
        "INSERT INTO regions (brand_id, code, name)"
        " SELECT DISTINCT cast(:brand_id AS bigint), region, region FROM checked"
        " WHERE region IS NOT NULL ON CONFLICT DO NOTHING",
        brand_id=brand_id,
    )
    run(session, "ALTER TABLE checked ADD COLUMN region_id bigint")
    run(
        session,
        "UPDATE checked SET region_id = r.id FROM regions r"
        " WHERE r.code = checked.region AND r.brand_id = :brand_id",
        brand_id=brand_id,
    )


SHOPS = Kind("shops", COLUMNS, keys=("code",), land=land)
