"""Coupon plans: worth, threshold, life, stock, limit. Coupons are issued, not imported."""

from store.coupons import CouponKind, CouponPlan
from store.db import Session
from store.imports.checking import CODE, MONEY, WHOLE, Column, one_of, words
from store.imports.kinds import Context, Kind, Landed
from store.imports.staging import drop_bad, refuse
from store.imports.upsert import upsert

# Some write nines for a coupon that never ends; too many lead beyond the last year there is.
_MOST_DAYS = 99_999
COLUMNS = (
    Column("code", CODE),
    Column("name", words()),
    Column("kind", one_of(*CouponKind)),
    # Yuan for amount_off, percent for percent_off: hundredths of either here, told apart below.
    Column("value", MONEY, is_required=False),
    Column("min_spend", MONEY, is_required=False),
    Column("valid_days", WHOLE, is_required=False),
    Column("stock", WHOLE, is_required=False),
    Column("per_member_limit", WHOLE, is_required=False),
)


def land(session: Session, context: Context) -> Landed:
    """Write the plans; what was already issued is never cut off by a smaller stock."""
    del context
    _refuse_worthless(session)
    drop_bad(session, "checked")
    return upsert(
        session,
        CouponPlan,
        key="code",
        cells={
            "name": "name",
            "kind": "kind",
            "value": "worth",
            "min_spend_fen": "min_spend",
            "valid_days": "valid_days",
            "stock": "stock",
            "per_member_limit": "per_member_limit",
        },
    )


def _refuse_worthless(session: Session) -> None:
    """Refuse plans whose worth makes no sense, and a stock below what is issued."""
    from_checked = "FROM checked c WHERE c.reason IS NULL AND"
    refuse(
        session,
        f"SELECT row_no, 'value must be more than 0 yuan for amount_off.' {from_checked}"
        " kind = 'amount_off' AND coalesce(value, 0) <= 0",
    )
    refuse(
        session,
        "SELECT row_no, 'value must be a whole percent from 1 to 99 for percent_off.'"
        f" {from_checked} kind = 'percent_off'"
        " AND (coalesce(value, 0) NOT BETWEEN 100 AND 9900 OR value % 100 <> 0)",
    )
    refuse(
        session,
        f"SELECT row_no, 'valid_days must be from 1 to {_MOST_DAYS}.' {from_checked}"
        f" valid_days NOT BETWEEN 1 AND {_MOST_DAYS}",
    )
    refuse(
        session,
        "SELECT c.row_no,"
        " 'stock ' || c.stock || ' is less than the ' || p.issued || ' already issued.'"
        " FROM checked c JOIN coupon_plans p ON p.code = c.code WHERE c.stock < p.issued",
    )
    session.connection().exec_driver_sql(
        "ALTER TABLE checked ADD COLUMN worth bigint;"
        " UPDATE checked SET worth = CASE kind WHEN 'percent_off' THEN value / 100 ELSE value END"
    )


COUPONS = Kind("coupons", COLUMNS, keys=("code",), land=land)
