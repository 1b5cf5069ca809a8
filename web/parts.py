"""The parts that pages, doors and jobs work with: built once by `web.wiring`, passed to `create_app`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from redis import Redis

from bot.channels.base import Channel
from bot.wechat.client import WeChatApi
from bot.wecom.client import WeComApi
from store.db import Database
from store.settings import Settings
from store.touches import Channel as ChannelName
from web.sessions import Sessions


@dataclass(frozen=True)
class Parts:
    """Everything built from settings. `clock` gives aware UTC."""

    settings: Settings
    database: Database
    redis: "Redis[bytes]"
    sessions: Sessions
    clock: Callable[[], datetime]
    channels: Mapping[ChannelName, Channel] = field(default_factory=dict)
    wechat: Mapping[str, WeChatApi] = field(default_factory=dict)
    wecom: Mapping[str, WeComApi] = field(default_factory=dict)

    @property
    def zone(self) -> ZoneInfo:
        """The deployment's time zone."""
        return ZoneInfo(self.settings.timezone)
