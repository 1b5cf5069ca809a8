"""Having the codes of scenes made by their platform: read, call between transactions, write."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import Session

from bot import scenes as packing
from bot.channels.base import Cause, ChannelError, spoken
from bot.channels.wechat_codes import CAUSES
from bot.wechat.client import WechatClients
from store import scenes
from store.accounts import Account, Platform
from store.db import Database
from store.scenes import Scene

_DAY_SECONDS = 86400
# What failed without a better hint is tried again after a minute.
_RETRY_SECONDS = 60


@dataclass(frozen=True)
class Code:
    """A code that a platform has made, and who stands behind it in WeCom."""

    ticket: str
    url: str
    userids: Sequence[str] = ()


# Reads what a code needs; what it gives calls the platform, outside of any transaction.
Prepare = Callable[[Session, Account, Scene], Callable[[], Code]]


@dataclass(frozen=True)
class Maker:
    """How one platform makes a code, and what its error codes mean."""

    prepare: Prepare
    causes: Mapping[int, Cause]


def make(
    database: Database,
    makers: Mapping[Platform, Maker],
    scene_id: int,
    *,
    clock: Callable[[], datetime],
) -> None:
    """Have one wanted code made, or changed; a repeat does no harm, both bring the same scene."""
    with database.transaction() as session:
        scene = scenes.lock_wanted(session, scene_id)
        if scene is None or scene.retry_at > clock():
            return
        account = session.get_one(Account, scene.account_id)
        maker = makers[account.platform]
        call = maker.prepare(session, account, scene)
    try:
        code = spoken(call, maker.causes)
    except ChannelError as error:
        _write_failure(database, scene_id, error, clock())
        return
    with database.transaction() as session:
        wanted = scenes.lock_wanted(session, scene_id)
        if wanted is not None:
            wanted.userids = list(code.userids)
            scenes.made(session, wanted, ticket=code.ticket, url=code.url, now=clock())


def of_wechat(clients: WechatClients) -> Maker:
    """Codes with a parameter, which bring whoever scans them to the official account."""

    def prepare(_session: Session, account: Account, scene: Scene) -> Callable[[], Code]:
        packed = packing.pack(scene.kind, scene.token)
        seconds = scene.life_days * _DAY_SECONDS if scene.life_days else None

        def call() -> Code:
            made = clients.of(account).create_code(packed, seconds=seconds)
            return Code(made.ticket, made.url)

        return call

    return Maker(prepare, CAUSES)


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
