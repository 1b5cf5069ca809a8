"""Having the codes of scenes made by WeChat: read, call between transactions, write."""

from collections.abc import Callable
from datetime import datetime, timedelta

from bot import scenes as packing
from bot.channels.base import ChannelError, spoken
from bot.channels.wechat_codes import CAUSES
from bot.wechat.client import SceneCode, WechatClients
from store import scenes
from store.accounts import Account, Platform
from store.db import Database
from store.scenes import Scene

_DAY_SECONDS = 86400
# What failed without a better hint is tried again after a minute.
_RETRY_SECONDS = 60


def make(
    database: Database, clients: WechatClients, scene_id: int, *, clock: Callable[[], datetime]
) -> None:
    """Have one wanted code of WeChat made; a repeat does no harm, for both bring the same scene."""
    with database.transaction() as session:
        scene = scenes.lock_wanted(session, scene_id)
        if scene is None or scene.retry_at > clock():
            return
        account = session.get_one(Account, scene.account_id)
        if account.platform is not Platform.WECHAT:
            return
    try:
        code = spoken(lambda: _created(clients, account, scene), CAUSES)
    except ChannelError as error:
        _write_failure(database, scene_id, error, clock())
        return
    with database.transaction() as session:
        wanted = scenes.lock_wanted(session, scene_id)
        if wanted is not None:
            scenes.made(session, wanted, ticket=code.ticket, url=code.url, now=clock())


def _created(clients: WechatClients, account: Account, scene: Scene) -> SceneCode:
    seconds = scene.life_days * _DAY_SECONDS if scene.life_days else None
    return clients.of(account).create_code(packing.pack(scene.kind, scene.token), seconds=seconds)


def _write_failure(database: Database, scene_id: int, error: ChannelError, now: datetime) -> None:
    with database.transaction() as session:
        wanted = scenes.lock_wanted(session, scene_id)
        if wanted is None:
            return
        if error.permanent and not error.is_unsure:
            scenes.refused(session, wanted, error.reason)
            return
        wait = timedelta(seconds=error.retry_after or _RETRY_SECONDS)
        scenes.put_off(session, wanted, error.reason, retry_at=now + wait)
