"""What the tests of the importers write down again and again."""

from collections.abc import Callable
from typing import Any, Protocol

from store.imports.run import Options, Report

ACCOUNTS = Options(wechat_account="brand", wecom_account="guides")
MEMBER_HEADER = (
    "external_id,mobile,name,birthday,shop_code,guide_userid,joined_on,points,tags,"
    "unionid,openid,external_userid,consents\n"
)
ORDER_HEADER = "order_id,line_no,member_id,shop_code,paid_at,product_id,quantity,amount\n"
PRODUCT_HEADER = "external_id,name,department,category,price\n"


class Bring(Protocol):
    """Imports content as a file of a kind."""

    def __call__(
        self, kind: str, content: str | bytes, *, options: Options = ..., name: str = ...
    ) -> Report:
        """Write the file, import it, give the report."""
        ...


Look = Callable[[str], list[tuple[Any, ...]]]


def member(external_id: str = "M1", mobile: str = "13800138000", **cells: str) -> str:
    """One row of a members file; cells that are not named are empty."""
    named = {"external_id": external_id, "mobile": mobile, "name": "李雷", **cells}
    return ",".join(named.get(name, "") for name in MEMBER_HEADER.strip().split(",")) + "\n"


def line(order_id: str = "O1", line_no: str = "1", **cells: str) -> str:
    """One row of an orders file: a bottle of milk in the first shop, paid in February."""
    usual = {"shop_code": "S1", "paid_at": "2026-02-01 10:00", "product_id": "P1"}
    named = {"order_id": order_id, "line_no": line_no, **usual, "quantity": "1", "amount": "3.00"}
    return (
        ",".join((named | cells).get(name, "") for name in ORDER_HEADER.strip().split(",")) + "\n"
    )
