"""Chinese names for the products of the data package: brand, kind of goods, size.

`data/categories.csv` names every category, `data/types.csv` the most bought product types more
closely; goods of `data/unadvertised.csv` get no category, so that nobody is offered them.
"""

import csv
import re
from collections.abc import Iterable
from typing import Any

from sandbox.made_up import DATA, brand_name

_OWN_BRAND = "知味自有"
_FUEL, _FUEL_TYPES = "FUEL", "GASOLINE"
_UNNAMED = "其他商品"
_LOOSE = "PRODUCE"
_SIZE = re.compile(r"(?:^|.*\s)(\d*\.?\d+)\s*([A-Z]+)$")
_FEW_GRAMS = 1000
# Categories poured rather than weighed; their ounces are fluid ounces.
_LIQUID = re.compile("汽水|果汁|啤酒|酒$|奶$|饮|茶$|纯牛奶|油$|水$|液|洗护|护发|露$")
_METRIC: dict[str, tuple[float, str]] = {
    "OZ": (28.35, "克"),
    "Z": (28.35, "克"),
    "OZS": (28.35, "克"),
    "LB": (453.6, "克"),
    "LBS": (453.6, "克"),
    "G": (1, "克"),
    "GM": (1, "克"),
    "ML": (1, "毫升"),
    "L": (1000, "毫升"),
    "LTR": (1000, "毫升"),
    "QT": (946, "毫升"),
    "PT": (473, "毫升"),
    "GAL": (3785, "毫升"),
    "GA": (3785, "毫升"),
    "CT": (1, "件装"),
    "PC": (1, "件装"),
    "PK": (1, "包装"),
    "DZ": (12, "枚装"),
    "DOZ": (12, "枚装"),
    "ROLL": (1, "卷装"),
    "LOADS": (1, "次用量"),
    "LOAD": (1, "次用量"),
    "STEM": (1, "枝"),
}
_LARGER = {"克": "千克", "毫升": "升"}
_FLUID_OUNCE = 29.57


class Catalogue:
    """The data files, read once."""

    def __init__(self) -> None:
        self._departments = _table("departments")
        self._categories = _table("categories")
        self._types = _table("types")
        self._unadvertised = _table("unadvertised").keys()

    def department(self, department: Any) -> str:
        """A department in Chinese; every one of the package is in the data file."""
        return self._departments[department] if isinstance(department, str) else _UNNAMED

    def category(self, product: Any) -> str:
        """A category in Chinese; empty for what is not to be offered to anybody."""
        return "" if _key(product) in self._unadvertised else self._kind(product)

    def _kind(self, product: Any) -> str:
        """What a product is; one without a category is named by its department."""
        category = _key(product)
        return self._categories[category] if category else self.department(product.department)

    def name(self, product: Any) -> str:
        """What the shelf label says. `product` is a row of the package's products."""
        goods = self._types.get(product.product_type) or self._kind(product)
        size = metric_size(product.package_size, is_liquid=bool(_LIQUID.search(goods)))
        if product.department == _LOOSE and size.endswith("千克"):
            # Fruit and vegetables come to the shop in crates and are sold by weight.
            size = ""
        return " ".join(part for part in (_brand(product), goods, size) if part)


def _key(product: Any) -> str:
    """The package's own category; empty for none. Fuel is filed under miscellaneous goods."""
    if isinstance(product.product_type, str) and product.product_type.startswith(_FUEL_TYPES):
        return _FUEL
    return product.product_category if isinstance(product.product_category, str) else ""


def _brand(product: Any) -> str:
    """The own brand, a made-up one by manufacturer, or none for goods that nobody described."""
    if product.brand == "Private":
        return _OWN_BRAND
    return brand_name(product.manufacturer_id) if isinstance(product.brand, str) else ""


def metric_size(package_size: Any, *, is_liquid: bool) -> str:
    """A size such as 16 OZ as 454克; what is no weight, volume or count is left out."""
    found = _SIZE.match(package_size) if isinstance(package_size, str) else None
    if not found or found[2] not in _METRIC:
        return ""
    factor, unit = _METRIC[found[2]]
    if is_liquid and found[2] in {"OZ", "Z", "OZS"}:
        factor, unit = _FLUID_OUNCE, "毫升"
    amount = float(found[1]) * factor
    if amount >= _FEW_GRAMS and unit in _LARGER:
        return f"{amount / _FEW_GRAMS:.2g}{_LARGER[unit]}"
    return f"{amount:.0f}{unit}" if amount >= 1 else ""


def _table(name: str) -> dict[str, str]:
    with (DATA / f"{name}.csv").open(encoding="utf-8", newline="") as stream:
        rows: Iterable[list[str]] = csv.reader(stream)
        return {row[0]: row[1] for row in rows}
