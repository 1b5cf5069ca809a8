"""What is wrong with an audience or a piece, for the operator who fills in the campaign form."""

import re
from collections.abc import Mapping
from enum import StrEnum

from content.pieces import PieceFault


class AudienceFault(StrEnum):
    """Why a condition tree cannot be read."""

    NOT_A_NODE = "not_a_node"
    NOT_A_LIST = "not_a_list"
    TOO_DEEP = "too_deep"
    EXTRA = "extra"
    MISSING = "missing"
    UNKNOWN_FACT = "unknown_fact"
    UNKNOWN_OP = "unknown_op"
    NOT_A_NUMBER = "not_a_number"
    TOO_LARGE = "too_large"
    NOT_DAYS = "not_days"
    NOT_CODES = "not_codes"
    NOT_A_CLAIM = "not_a_claim"
    NOT_AT_LEAST = "not_at_least"


AUDIENCE_FAULTS: Mapping[AudienceFault, str] = {
    AudienceFault.NOT_A_NODE: "要用一对花括号 {{ }} 写一个条件",
    AudienceFault.NOT_A_LIST: "要用一对方括号 [ ] 列出几个条件",
    AudienceFault.TOO_DEEP: "括号套得太深了，最多 {most} 层，请写得简单一点",
    AudienceFault.EXTRA: (
        "不能写 {names}，一对花括号里只写 fact、op、value 三样，或者 all、any、not 中的一个"
    ),
    AudienceFault.MISSING: "还缺 {names}，一个条件要写全 fact、op、value 三样",
    AudienceFault.UNKNOWN_FACT: "没有「{fact}」这种条件，可以用的有 {known}",
    AudienceFault.UNKNOWN_OP: "{fact} 的 op 不能写「{op}」，请从 {known} 里选一个",
    AudienceFault.NOT_A_NUMBER: "{fact} 的 value 要写数字，不加引号",
    AudienceFault.TOO_LARGE: "{fact} 的 value 太大了，请写小一点的数字",
    AudienceFault.NOT_DAYS: "{fact} 的 value 是天数，请写 0 到 {most} 的数字",
    AudienceFault.NOT_CODES: '{fact} 的 op 要写 in，value 要用方括号列出代码，例如 ["gold"]',
    AudienceFault.NOT_A_CLAIM: "{fact} 的 op 要写 =，value 要写 true 或 false，不加引号",
    AudienceFault.NOT_AT_LEAST: "{fact} 的 op 只能写 >=",
}
PIECE_FAULTS: Mapping[PieceFault, str] = {
    PieceFault.TOO_LONG: "对有些会员来说，这段话术太长了，请换一段，或者请管理员改短。",
    PieceFault.EMPTY: "对有些会员来说，这段话术是空的，请换一段，或者请管理员补上。",
    PieceFault.UNREADABLE: "这段话术写得不对，没法发给会员，请换一段，或者请管理员修改。",
}
_JOIN = re.compile(r"(all|any)\[(\d+)\]")


def audience_fault(where: str, fault: AudienceFault, facts: Mapping[str, object]) -> str:
    """A sentence that names the place in the tree and the way out."""
    return f"{_place(where)}{AUDIENCE_FAULTS[fault].format_map(facts)}。"


def _place(where: str) -> str:
    """A path like `audience.all[0].not` as one counts, from 1."""
    steps = where.split(".")[1:]
    read = [_JOIN.sub(lambda step: f"{step[1]} 的第 {int(step[2]) + 1} 项", step) for step in steps]
    return f"{' → '.join(read)}：" if read else "最外层："
