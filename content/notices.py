"""What guides are told in WeCom: the task card and the news of a sale.

A message is `{"title", "text", "rows": [[label, value], …], "url"}`; the channel gives it its form.
"""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo


def task_card(
    *, campaign: str, tasks: int, deadline_at: datetime, zone: ZoneInfo, url: str
) -> dict[str, Any]:
    """The one card a guide gets for a campaign."""
    local = deadline_at.astimezone(zone)
    return {
        "title": f"今天请照顾 {tasks} 位顾客",
        "text": f"「{campaign}」的话术和商品都备好了，点开看看，改一改或直接发送。",
        "rows": [
            ["任务数", f"{tasks} 位"],
            ["截止", f"{local.month}月{local.day}日 {local:%H:%M}"],
        ],
        "url": url,
    }


def sale(*, member: str, sales_fen: int, commission_fen: int, url: str) -> dict[str, Any]:
    """A member whom the guide cared for has bought."""
    return {
        "title": f"{member}下单了",
        "text": "您照顾过的顾客刚刚买了东西，趁热说声谢谢吧。",
        "rows": [
            ["成交", f"{sales_fen / 100:.2f} 元"],
            ["提成（待确认）", f"{commission_fen / 100:.2f} 元"],
        ],
        "url": url,
    }
