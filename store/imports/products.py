"""Products: the brand's own id, name, department, category, price in yuan."""

from store.db import Session
from store.imports.checking import CODE, MONEY, Column, words
from store.imports.kinds import Context, Kind, Landed
from store.imports.upsert import upsert
from store.products import Product

COLUMNS = (
    Column("external_id", CODE),
    Column("name", words(200)),
    Column("department", words(), is_required=False),
    Column("category", words(), is_required=False),
    Column("price", MONEY, is_required=False),
)


def land(session: Session, context: Context) -> Landed:
    """Write the products; a product that was taken off the shelf stays off."""
    del context
    return upsert(
        session,
        Product,
        key="external_id",
        cells={
            "name": "name",
            "department": "department",
            "category": "category",
            "price_fen": "price",
        },
    )


PRODUCTS = Kind("products", COLUMNS, keys=("external_id",), land=land)
