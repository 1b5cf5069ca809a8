"""What an official account keeps with WeChat: its menu, its parametric codes, its short keys."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Scene:
    """A parametric QR code: whoever scans it tells the account its scene (wechat-oa.md §8)."""

    ticket: str
    value: str
    url: str
    made_at: datetime
    until: datetime | None

    @property
    def names(self) -> tuple[str, str, str]:
        """What a person can give in place of the picture."""
        return self.ticket, self.url, self.value

    def is_alive(self, now: datetime) -> bool:
        """It can be scanned; a permanent one always can."""
        return self.until is None or now < self.until


@dataclass(frozen=True)
class Short:
    """What a short key stands for (wechat-oa.md §8)."""

    long_data: str
    made_at: datetime
    until: datetime


@dataclass
class Belongings:
    """All of it, for one account."""

    menu: list[dict[str, Any]] = field(default_factory=list)
    scenes: dict[str, Scene] = field(default_factory=dict)
    shorts: dict[str, Short] = field(default_factory=dict)

    def scene(self, asked: str) -> Scene | None:
        """The code of a ticket, of the address in its picture, or of its scene; newest first."""
        newest_first = reversed(self.scenes.values())
        return next((one for one in newest_first if asked in one.names), None)
