"""Orders: one line a row. History, so it earns no points; an order lands whole or not at all.

Two tables are made of the rows: `checked` (lines) and `heads` (what its lines agree on).
"""

from collections.abc import Sequence

from sqlalchemy import text

from store.db import Session
from store.imports.checking import CODE, MOMENT, MONEY, WHOLE, Column, Reference, words
from store.imports.filling import insert_sql
from store.imports.guides import KNOWN_SHOP
from store.imports.kinds import Context, Kind, Landed
from store.imports.staging import check, number, refuse, run
from store.orders import Order, OrderLine

DRAGGED_ALONG = "Another row of this order is refused"
_KNOWN_MEMBER = Reference(
    # Orders of a member who was merged into another belong to the other.
    "(SELECT external_id, coalesce(merged_into_id, id) AS id FROM members)",
    "external_id",
    "is not a known member; import the members first.",
)
_KNOWN_PRODUCT = Reference(
    "products", "external_id", "is not a known product; import the products first."
)
LINE_COLUMNS = (
    Column("order_id", CODE),
    Column("line_no", WHOLE),
    # The head of an order is looked at once per order, not once per line: here it is only text.
    Column("member_id", words(200), is_required=False),
    Column("shop_code", words(200), is_required=False),
    Column("paid_at", words(200)),
    Column("product_id", CODE, refers=_KNOWN_PRODUCT),
    Column("quantity", WHOLE),
    Column("amount", MONEY),
)
_ORDER_VALUES = {
    "id": "id",
    "source": ":source",
    "external_id": "order_id",
    "member_id": "member_id_row",
    "shop_id": "shop_code_row",
    "amount_fen": "amount_fen",
    "paid_at": "paid_at",
    "created_at": "cast(:now AS timestamptz)",
}
_LINE_VALUES = {
    "order_id": "f.id",
    "line_no": "c.line_no",
    "product_id": "c.product_id_row",
    "quantity": "c.quantity",
    "amount_fen": "c.amount",
}
_HEAD_COLUMNS = (
    Column("order_id", CODE),
    Column("member_id", CODE, is_required=False, refers=_KNOWN_MEMBER),
    Column("shop_code", CODE, is_required=False, refers=KNOWN_SHOP),
    Column("paid_at", MOMENT),
)


def land(session: Session, context: Context) -> Landed:
    """Write the orders that are new; known ones must say the same as before."""
    _gather_heads(session, context)
    _refuse_heads(session, context)
    _refuse_broken_orders(session)
    added = _write(session, context)
    whole = number(session, "SELECT count(*) FROM heads h WHERE " + _IS_GOOD)
    return Landed(added=added, updated=0, unchanged=whole - added)


def members_touched(session: Session) -> Sequence[int]:
    """The members whose orders stand in this file: their facts and levels are to be renewed."""
    found = session.execute(
        text("SELECT DISTINCT member_id_row FROM heads WHERE member_id_row IS NOT NULL ORDER BY 1")
    )
    return list(found.scalars())


_IS_GOOD = "NOT EXISTS (SELECT FROM broken b WHERE b.order_id = h.order_id)"


def _gather_heads(session: Session, context: Context) -> None:
    """One row per order: what its lines say of it, its sum, and the order already recorded."""
    run(
        session,
        "CREATE TEMP TABLE heads_raw ON COMMIT DROP AS"
        " SELECT min(row_no) AS row_no, order_id, member_id, shop_code, paid_at,"
        " count(*) AS lines, sum(amount) AS amount_fen FROM checked"
        " WHERE reason IS NULL GROUP BY order_id, member_id, shop_code, paid_at",
    )
    check(session, _HEAD_COLUMNS, "heads_raw", "heads", zone=context.zone)
    run(session, "ALTER TABLE heads ADD lines int, ADD amount_fen bigint, ADD known_id bigint")
    run(
        session,
        "UPDATE heads SET lines = r.lines, amount_fen = r.amount_fen, known_id = o.id"
        " FROM heads_raw r LEFT JOIN orders o ON o.source = :source AND o.external_id = r.order_id"
        " WHERE r.row_no = heads.row_no",
        source=context.source,
    )
    run(session, "ANALYZE heads")


def _refuse_heads(session: Session, context: Context) -> None:
    """Refuse orders that contradict themselves, the calendar, or what is recorded."""
    refuse(
        session,
        "SELECT h.row_no, 'member_id, shop_code or paid_at differs from row ' || d.first"
        " || ' of the same order.' FROM (SELECT order_id, min(row_no) AS first FROM heads"
        " GROUP BY order_id HAVING count(*) > 1) d"
        " JOIN heads h USING (order_id) WHERE h.row_no > d.first",
    )
    refuse(
        session,
        "SELECT row_no, 'paid_at lies in the future.' FROM heads"
        " WHERE paid_at > cast(:now AS timestamptz) + interval '1 day'",
        now=context.now,
    )
    refuse(
        session,
        "SELECT h.row_no, 'The order is already recorded with another content'"
        " || ' (another number of lines or sum); history is not rewritten.'"
        " FROM heads h JOIN orders o ON o.id = h.known_id"
        " JOIN LATERAL (SELECT count(*) AS n FROM order_lines l WHERE l.order_id = o.id) l ON true"
        " WHERE o.amount_fen <> h.amount_fen OR l.n <> h.lines",
    )


def _refuse_broken_orders(session: Session) -> None:
    """One refused row refuses its whole order, so that no order lands in part."""
    run(
        session,
        "CREATE TEMP TABLE broken ON COMMIT DROP AS"
        " SELECT coalesce(b.key, r.order_id) AS order_id, min(b.row_no) AS row_no"
        " FROM bad b LEFT JOIN checked_raw r ON r.row_no = b.row_no"
        " WHERE coalesce(b.key, r.order_id) IS NOT NULL GROUP BY 1",
    )
    run(session, "ANALYZE broken")
    refuse(
        session,
        f"SELECT r.row_no, '{DRAGGED_ALONG}: row ' || b.row_no || '.'"
        " FROM checked_raw r JOIN broken b ON b.order_id = r.order_id",
    )


def _write(session: Session, context: Context) -> int:
    """Insert the new orders, then their lines; gives the number of orders."""
    run(
        session,
        "CREATE TEMP TABLE fresh ON COMMIT DROP AS"
        " SELECT nextval(pg_get_serial_sequence('orders', 'id')) AS id, h.*"
        f" FROM (SELECT * FROM heads ORDER BY row_no) h WHERE known_id IS NULL AND {_IS_GOOD}",
    )
    run(session, "ANALYZE fresh")
    orders = run(
        session,
        insert_sql(Order, _ORDER_VALUES, "FROM fresh ORDER BY id"),
        source=context.source,
        now=context.now,
    )
    run(
        session,
        insert_sql(OrderLine, _LINE_VALUES, "FROM checked c JOIN fresh f USING (order_id)"),
    )
    return orders


ORDERS = Kind(
    "orders", LINE_COLUMNS, keys=("order_id", "line_no"), land=land, touched=members_touched
)
