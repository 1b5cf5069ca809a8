"""What a guide reads about a list that was opened: one line, with the day as people say it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo


def look_line(
    opened_at: datetime,
    tapped: Sequence[str],
    bought: Sequence[str],
    *,
    zone: ZoneInfo,
    now: datetime,
) -> str:
    """When the list was opened, which products were tapped, and which of it were bought since."""
    told = f"{when(opened_at, zone=zone, now=now)} 打开了好物单"
    if tapped:
        told += f"，点了 {len(tapped)} 件：{'、'.join(tapped)}"
    if bought:
        told += f"；后来买了{'、'.join(bought)}"
    return told


def when(instant: datetime, *, zone: ZoneInfo, now: datetime) -> str:
    """An instant by the hour, with its day: today, yesterday, or the date."""
    local, today = instant.astimezone(zone), now.astimezone(zone).date()
    days = {today: "今天", today - timedelta(days=1): "昨天"}
    day = days.get(local.date()) or f"{local.month}月{local.day}日"
    return f"{day} {local:%H:%M}"
