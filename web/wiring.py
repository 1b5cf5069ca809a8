"""Wiring: builds engine, queue, clients and channels from settings; everyone else receives them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from redis import Redis

from bot import llm, routes
from bot.channels.base import Channel as Way
from bot.channels.sms import Sms, SmsAccess
from bot.channels.sms_touch import SmsTouch
from bot.channels.wechat_custom import WechatService
from bot.channels.wechat_notice import WechatNotice
from bot.channels.wechat_template import WechatTemplate
from bot.channels.wecom_app import WecomApp
from bot.channels.wecom_broadcast import WecomBroadcast
from bot.channels.wecom_sidebar import WecomSidebar
from bot.channels.wecom_welcome import WecomWelcome
from bot.handlers import free_words
from bot.llm import ModelAccess
from bot.wechat.client import WechatClients
from bot.wecom.client import WecomClients
from store import clock
from store.db import Database, make_engine
from store.settings import Settings
from web.parts import Parts
from web.queue import Nudger, make_queue
from web.sessions import Sessions

Clock = Callable[[], datetime]

# A worker waits for jobs on its own connection for as long as it likes; nobody's message waits for
# these, and a callback also nudges.
_REDIS_SECONDS = 2.0


@contextmanager
def build(settings: Settings, *, tick: Clock = clock.now, pool_size: int = 10) -> Iterator[Parts]:
    """The parts for one process; closes what it opened. Both server URLs must be set."""
    assert settings.database_url
    assert settings.redis_url
    redis, pace = Redis.from_url(settings.redis_url), _pace(settings.redis_url)
    engine = make_engine(settings.database_url, pool_size=pool_size)
    database = Database(engine, Nudger(make_queue(pace)))
    try:
        yield _parts(settings, database, redis, pace, tick)
    finally:
        redis.close()
        pace.close()
        database.close()


def _pace(url: str) -> Redis:
    # A server that hangs is as good as none: the tokens and limits do without.
    return Redis.from_url(url, socket_timeout=_REDIS_SECONDS, socket_connect_timeout=_REDIS_SECONDS)


def _parts(settings: Settings, database: Database, redis: Redis, pace: Redis, tick: Clock) -> Parts:
    wechat = WechatClients(
        settings.wechat_api_url, pace, settings.secret, daily_factor=settings.wechat_daily_factor
    )
    wecom = WecomClients(settings.wecom_api_url, pace, settings.secret)
    sms = sms_of(settings)
    return Parts(
        settings=settings,
        database=database,
        redis=redis,
        sessions=Sessions(settings.secret, settings.public_url.startswith("https://")),
        clock=tick,
        wechat=wechat,
        wecom=wecom,
        sms=sms,
        makers={free_words.ASK_MODEL: llm.maker(database, _model(settings), routes.HANDLERS)},
        channels={way.name: way for way in _ways(wechat, wecom, sms)},
    )


def _ways(wechat: WechatClients, wecom: WecomClients, sms: Sms | None) -> Iterator[Way]:
    """Every way out that this deployment has."""
    yield WechatService(wechat)
    yield WechatNotice(wechat)
    yield WechatTemplate(wechat)
    yield WecomBroadcast(wecom)
    yield WecomSidebar()
    yield WecomWelcome(wecom)
    yield WecomApp(wecom)
    if sms is not None:
        yield SmsTouch(sms)


def _model(settings: Settings) -> ModelAccess:
    return ModelAccess(
        base_url=settings.llm_base_url,
        model=settings.llm_model,
        api_key=settings.llm_api_key,
        seconds=settings.llm_seconds,
        turns=settings.llm_turns,
    )


def sms_of(settings: Settings) -> Sms | None:
    """The SMS provider of the deployment, if one is set."""
    if not settings.sms_api_url:
        return None
    return Sms(
        SmsAccess(
            url=settings.sms_api_url,
            key_id=settings.sms_key_id,
            secret=settings.sms_secret,
            signature=settings.sms_signature,
        )
    )
