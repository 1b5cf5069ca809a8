"""What a template or notice field may hold, by the type in its name (wechat-oa.md §6.3)."""

import re
from collections.abc import Mapping
from typing import Any

from sandbox.refusals import ApiError

_MOMENT = r"(\d{4}(年|-)\d{1,2}(月|-)\d{1,2}日?)?\s?(\d{1,2}:\d{2}(:\d{2})?)?"

_RULES: dict[str, str] = {
    "thing": r"[\s\S]{1,20}",
    "number": r"-?[\d.]{1,32}",
    "letter": r"[A-Za-z]{1,32}",
    "symbol": r"[^\w\s]{1,5}",
    "character_string": r"[\x21-\x7e]{1,32}",
    "time": rf"(?=\d){_MOMENT}(\s?~\s?{_MOMENT})?",
    "date": rf"(?=\d){_MOMENT}(\s?~\s?{_MOMENT})?",
    "amount": r"[^\d\s]?\d{1,10}(\.\d+)?元?",
    "phone_number": r"[\d+\-() ]{1,17}",
    "car_number": r".{1,8}",
    "name": r"([\u4e00-\u9fff·]{1,10}|[A-Za-z .]{1,20})",
    "phrase": r"[\u4e00-\u9fff]{1,5}",
    "const": r".{1,20}",
    "enum": r".{1,20}",
}
_NAME = re.compile(r"([a-z_]+?)(\d+)")
# Fields of templates made before 2023, which still send (wechat-oa.md §6.1).
_OLD_NAMES = re.compile(r"first|remark|keyword\d+")


def check_data(data: Any, *, fields: list[str], may_be_old: bool = False) -> None:
    """Refuse 47003, naming the field, when a value breaks its rule or the fields are not the
    template's.
    """
    if not isinstance(data, Mapping) or not data:
        raise ApiError(47003, "data")
    for name in fields:
        if name not in data:
            raise ApiError(47003, f"data.{name}.value")
    for name, holder in data.items():
        if not _is_allowed(name, holder, fields=fields, may_be_old=may_be_old):
            raise ApiError(47003, f"data.{name}.value")


def _is_allowed(name: str, holder: Any, *, fields: list[str], may_be_old: bool) -> bool:
    value = holder.get("value") if isinstance(holder, Mapping) else None
    if value is None or (fields and name not in fields):
        return False
    if may_be_old and _OLD_NAMES.fullmatch(name):
        return True
    match = _NAME.fullmatch(name)
    rule = _RULES.get(match.group(1)) if match else None
    return rule is not None and re.fullmatch(rule, str(value)) is not None
