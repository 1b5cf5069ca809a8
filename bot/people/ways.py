"""Codes behind which guides stand in WeCom: made, and kept up as guides come and go.

A printed code lives longer than a guide's post. The code of who has left leads to the successor,
the code of a shop to whoever works there now (wecom.md §4.1).
"""

from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy import text
from sqlmodel import Session, col, select

from bot import scenes as packing
from bot.calls import ApiError
from bot.channels.base import Cause, ChannelError
from bot.channels.wecom_codes import CAUSES
from bot.scene_codes import Code, Maker
from bot.wecom import contact_ways as api
from bot.wecom.client import WeComApi, WecomClients
from bot.wecom.contact_ways import MOST_GUIDES, MadeWay
from store import departures, directory, scenes
from store.accounts import Account
from store.db import Database
from store.organisation import Guide, GuideRole, GuideStatus
from store.scene_subjects import SceneKind
from store.scenes import Scene

# wecom.md §2.3: the way is not there any more.
_NO_WAY = 41044
# Somebody may begin there any day.
_NOBODY_BEHIND = Cause("nobody_behind", is_permanent=False, retry_after=3600)


def maker(clients: WecomClients) -> Maker:
    """Ways to a guide or a shop's guides: made, or others put behind the one that is there."""

    def prepare(session: Session, account: Account, scene: Scene) -> Callable[[], Code]:
        userids = behind(session, scene)

        def call() -> Code:
            if not userids:
                raise ChannelError(_NOBODY_BEHIND)
            made = _told(clients.of(account), scene, userids)
            return Code(made.config_id, made.qr_code, userids)

        return call

    return Maker(prepare, CAUSES)


def behind(session: Session, scene: Scene) -> list[str]:
    """Who is to stand behind a code now: the guide or the successor, or the shop's guides."""
    if scene.kind is SceneKind.SHOP:
        assert scene.shop_id is not None
        return [guide.userid for guide in _of_shop(session, scene.shop_id)][:MOST_GUIDES]
    assert scene.guide_id is not None
    guide = session.get_one(Guide, scene.guide_id)
    heir = guide if guide.status is GuideStatus.ACTIVE else _heir(session, guide)
    return [heir.userid] if heir is not None else []


def renew_due(database: Database, *, now: datetime) -> int:
    """Have every code changed behind which others stand by now; gives how many."""
    changed = 0
    with database.transaction() as session:
        for scene_id in session.execute(_STALE, {"most": MOST_GUIDES}).scalars().all():
            scene = session.get_one(Scene, scene_id)
            userids = behind(session, scene)
            if userids and userids != scene.userids:
                changed += scenes.change(session, scene, now=now)
    return changed


def _heir(session: Session, guide: Guide) -> Guide | None:
    """Who takes the code of a guide who has left: the successor, else a colleague of the shop."""
    departure = departures.of_guide(session, guide.id)
    successor = departure.successor_id if departure is not None else None
    if successor is not None:
        heir = session.get_one(Guide, successor)
        if heir.status is GuideStatus.ACTIVE:
            return heir
    colleagues = _of_shop(session, guide.shop_id)
    return colleagues[0] if colleagues else None


def _of_shop(session: Session, shop_id: int) -> Sequence[Guide]:
    """Guides in post of a shop whom the directory shows; the longest there come first."""
    unseen = select(directory.DirectoryEntry.guide_id).where(
        directory.DirectoryEntry.guide_id == Guide.id,
        col(directory.DirectoryEntry.missing_since).is_not(None),
    )
    query = select(Guide).where(Guide.shop_id == shop_id, Guide.status == GuideStatus.ACTIVE)
    query = query.where(col(Guide.role).in_((GuideRole.GUIDE, GuideRole.MANAGER)))
    return session.exec(query.where(~unseen.exists()).order_by(col(Guide.id))).all()


def _told(client: WeComApi, scene: Scene, userids: Sequence[str]) -> MadeWay:
    state = packing.pack(scene.kind, scene.token)
    if scene.ticket:
        try:
            api.change(client, scene.ticket, userids, state=state)
        except ApiError as error:
            if error.code != _NO_WAY:
                raise
        else:
            return MadeWay(scene.ticket, scene.url)
    return api.add(client, userids, state=state, is_single=scene.kind is SceneKind.GUIDE)


# Codes of shops whose staff is another one by now, and codes that lead to who has left.
_STALE = text("""
SELECT s.id FROM scenes s
JOIN accounts a ON a.id = s.account_id AND a.platform = 'wecom'
LEFT JOIN guides g ON g.id = s.guide_id
LEFT JOIN LATERAL (
    SELECT coalesce(jsonb_agg(one.userid ORDER BY one.id), '[]') AS userids FROM (
        SELECT w.id, w.userid FROM guides w
        WHERE w.shop_id = s.shop_id AND w.status = 'active' AND w.role IN ('guide', 'manager')
        AND NOT EXISTS (SELECT FROM directory_entries d
                        WHERE d.guide_id = w.id AND d.missing_since IS NOT NULL)
        ORDER BY w.id LIMIT :most
    ) AS one
) AS staff ON s.shop_id IS NOT NULL
WHERE s.state = 'ready' AND (
    (s.shop_id IS NOT NULL AND staff.userids <> '[]' AND staff.userids <> s.userids)
    OR (g.status = 'active' AND s.userids <> jsonb_build_array(g.userid))
    OR (g.status = 'left' AND EXISTS (SELECT FROM guides h WHERE h.userid = s.userids ->> 0
                                      AND h.status = 'left'))
)
ORDER BY s.id
""")
