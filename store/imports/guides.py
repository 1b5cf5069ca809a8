"""Guides: WeCom userid, name, shop, role, contact link. A guide who has left stays left."""

from store.db import Session
from store.imports.checking import CODE, Column, Form, Reference, one_of, words
from store.imports.kinds import Context, Kind, Landed
from store.imports.upsert import upsert
from store.organisation import Guide, GuideRole

# What a person's phone opens from a code on a page of ours: nothing but a web page.
LINK = Form(
    "{cell} ~ '^https://[^[:space:]\"<>]{{1,250}}$'",
    "{cell}",
    "is not a link that begins https://.",
)
KNOWN_SHOP = Reference("shops", "code", "is not a known shop; import the shops first.")
COLUMNS = (
    Column("userid", CODE),
    Column("name", words()),
    Column("shop_code", CODE, refers=KNOWN_SHOP),
    Column("role", one_of(*GuideRole), is_required=False),
    Column("contact_url", LINK, is_required=False, may_be_absent=True),
)


def land(session: Session, context: Context) -> Landed:
    """Write the guides."""
    del context
    return upsert(
        session,
        Guide,
        key="userid",
        cells={
            "name": "name",
            "shop_id": "shop_code_row",
            "role": "role",
            "contact_url": "contact_url",
        },
    )


GUIDES = Kind("guides", COLUMNS, keys=("userid",), land=land)
