"""The parts that pages, doors and jobs work with: built once by `web.wiring`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo

from redis import Redis

from bot.channels.base import Channel
from bot.channels.sms import Sms
from bot.inbox import Desk
from bot.late import Makers
from bot.messages import Wits
from bot.wechat.client import WechatClients
from bot.wecom.client import WecomClients
from store.db import Database
from store.settings import Settings
from store.touches import Channel as ChannelName
from web.sessions import Sessions


@dataclass(frozen=True)
class Parts:
    """Everything built from settings. `clock` gives aware UTC."""

    settings: Settings
    database: Database
    redis: Redis
    sessions: Sessions
    clock: Callable[[], datetime]
    wechat: WechatClients
    wecom: WecomClients
    # None while no provider is set: then no mobile can be bound.
    sms: Sms | None = None
    channels: Mapping[ChannelName, Channel] = field(default_factory=dict)
    # Who makes the answers that take longer than a callback may.
    makers: Makers = field(default_factory=dict)

    @cached_property
    def zone(self) -> ZoneInfo:
        """The deployment's time zone."""
        return ZoneInfo(self.settings.timezone)

    @cached_property
    def desk(self) -> Desk:
        """What the callback doors work with."""
        settings = self.settings
        fresh = timedelta(seconds=settings.callback_fresh_seconds)
        return Desk(
            self.database,
            settings.secret,
            settings.public_url,
            self.zone,
            fresh=fresh,
            wits=Wits(settings.embedding_enabled, settings.has_model),
        )
