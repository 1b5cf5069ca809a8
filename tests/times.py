"""Instants as tests write them: shop-local wall time in, aware UTC out."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

SHANGHAI = ZoneInfo("Asia/Shanghai")


def at(local: str) -> datetime:
    """`at("2026-03-01 21:59")` is that minute on a clock in Shanghai, as aware UTC."""
    return datetime.fromisoformat(local).replace(tzinfo=SHANGHAI).astimezone(UTC)
