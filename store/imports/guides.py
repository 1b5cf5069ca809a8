"""Guides: WeCom userid, name, shop, role. A guide who has left stays left."""

from store.db import Session
from store.imports.checking import CODE, Column, Reference, one_of, words
from store.imports.kinds import Context, Kind, Landed
from store.imports.upsert import upsert
from store.organisation import Guide, GuideRole

KNOWN_SHOP = Reference("shops", "code", "is not a known shop; import the shops first.")
COLUMNS = (
    Column("userid", CODE),
    Column("name", words()),
    Column("shop_code", CODE, refers=KNOWN_SHOP),
    Column("role", one_of(*GuideRole), is_required=False),
)


def land(session: Session, context: Context) -> Landed:
    """Write the guides."""
    del context
    return upsert(
        session,
        Guide,
        key="userid",
        cells={"name": "name", "shop_id": "shop_code_row", "role": "role"},
    )


GUIDES = Kind("guides", COLUMNS, keys=("userid",), land=land)
