"""What guides are told in WeCom: the task card and the news of a sale.

A message is `{"title", "text", "rows": [[label, value], …], "url"}`; the channel gives it its form.
One with a `menu` ([[key, words]]) can be changed later.
"""

from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

_LAST_WORDS = 3
_NAMELESS = "一位顾客"
# What a card's menu offers: a key and its words.
_MENU = [["refresh", "刷新进度"]]
_LONGEST_LINE = 120


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
        "menu": _MENU,
    }


def task_card_now(
    *, campaign: str, tasks: int, left: int, deadline_at: datetime, zone: ZoneInfo, url: str
) -> dict[str, Any]:
    """The same card later, when the guide has tapped to see how far it is."""
    local = deadline_at.astimezone(zone)
    done = tasks - left
    return {
        "title": f"还有 {left} 位顾客等您照顾" if left else "这批顾客都照顾到了，辛苦了",
        "text": f"「{campaign}」已处理 {done} 位，共 {tasks} 位。",
        "rows": [
            ["已处理", f"{done} / {tasks}"],
            ["截止", f"{local.month}月{local.day}日 {local:%H:%M}"],
        ],
        "url": url,
        "menu": _MENU if left else [],
    }


def reminder(*, tasks: int, deadline_at: datetime, zone: ZoneInfo, url: str) -> dict[str, Any]:
    """What a guide has not got round to, all in one."""
    local = deadline_at.astimezone(zone)
    return {
        "title": f"还有 {tasks} 位顾客等您联系",
        "text": "话术都备好了，一条一条点发送就行；来不及的，到时会由品牌代为联系。",
        "rows": [
            ["待联系", f"{tasks} 位"],
            ["最早截止", f"{local.month}月{local.day}日 {local:%H:%M}"],
        ],
        "url": url,
    }


def sale(*, member: str, sales_fen: int, commission_fen: int, url: str) -> dict[str, Any]:
    """A member whom the guide cared for has bought."""
    return {
        "title": f"{member or _NAMELESS}下单了",
        "text": "您照顾过的顾客刚刚买了东西，趁热说声谢谢吧。",
        "rows": [
            ["成交", f"{sales_fen / 100:.2f} 元"],
            ["提成（待确认）", f"{commission_fen / 100:.2f} 元"],
        ],
        "url": url,
    }


def handover(*, member: str, lines: list[str], is_first: bool, url: str) -> dict[str, Any]:
    """A member asks for a person, or has said more since; the newest words stand last."""
    who = masked(member)
    return {
        "title": f"{who}想和您说话" if is_first else f"{who}又说了 {len(lines)} 句",
        "text": one_line("；".join(lines[-_LAST_WORDS:])),
        "rows": [["顾客", who], ["新消息", f"{len(lines)} 条"]],
        "url": url,
    }


def stranded(*, guide: str, customers: int, url: str) -> dict[str, Any]:
    """Customers of who has left for whom no colleague has room in WeCom."""
    return {
        "title": f"{customers} 位顾客还没有人接手",
        "text": f"{guide}离职了，同事的企业微信客户数都满了。请在企业微信后台分配给有空位的人。",
        "rows": [["离职导购", guide], ["待接手", f"{customers} 位"]],
        "url": url,
    }


def poor_rating(
    *, member: str, score: int, deadline_at: datetime, zone: ZoneInfo, url: str
) -> dict[str, Any]:
    """A member is not content, and somebody has to make it good."""
    local = deadline_at.astimezone(zone)
    return {
        "title": f"{masked(member)}给了 {score} 分，请跟进",
        "text": "顾客对这次购物不满意。先道歉，问清楚，再把事情办好；话术已经备好。",
        "rows": [
            ["评分", f"{score} / 5"],
            ["请在此前联系", f"{local.month}月{local.day}日 {local:%H:%M}"],
        ],
        "url": url,
    }


def poor_rating_line(score: int) -> str:
    """Why a member is on the list, in one line."""
    return f"刚给了 {score} 分，还没人回应。"


def amends_campaign(day: date) -> str:
    """What the tasks of a day's poor ratings are gathered under."""
    return f"差评跟进 · {day.year}年{day.month}月{day.day}日"


def masked(name: str) -> str:
    """A member's name as a message in WeCom may show it."""
    return f"{name[0]}**" if name else _NAMELESS


def one_line(words: str) -> str:
    """Words without line breaks, and no longer than a card shows."""
    flat = " ".join(words.split())
    return flat if len(flat) <= _LONGEST_LINE else f"{flat[:_LONGEST_LINE]}…"
