"""Codes behind which guides stand in WeCom: made, and kept up as guides come and go.

A printed code lives longer than a guide's post. The code of who has left leads to the successor,
the code of a shop to whoever works there now (wecom.md §4.1). Where nobody does, somebody who leads
stands in, until somebody begins there.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy import case, text
from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

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
from store.organisation import Guide, GuideRole, GuideStatus, Shop
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
    """Who is to stand behind a code now: the guide or an heir, the shop's guides, or a leader."""
    if scene.kind is SceneKind.SHOP:
        assert scene.shop_id is not None
        found = _of_shop(session, scene.shop_id) or _leaders(session, scene.shop_id)[:1]
        return [guide.userid for guide in found][:MOST_GUIDES]
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
    """Who takes the code of a guide who has left: the successor, a colleague, or a leader."""
    departure = departures.of_guide(session, guide.id)
    successor = departure.successor_id if departure is not None else None
    if successor is not None:
        heir = session.get_one(Guide, successor)
        if heir.status is GuideStatus.ACTIVE:
            return heir
    found = _of_shop(session, guide.shop_id) or _leaders(session, guide.shop_id)
    return found[0] if found else None


def _of_shop(session: Session, shop_id: int) -> Sequence[Guide]:
    """Guides in post of a shop whom the directory shows; the longest there come first."""
    query = _shown().where(Guide.shop_id == shop_id)
    query = query.where(col(Guide.role).in_((GuideRole.GUIDE, GuideRole.MANAGER)))
    return session.exec(query.order_by(col(Guide.id))).all()


def _leaders(session: Session, shop_id: int) -> Sequence[Guide]:
    """Who leads in the brand of a shop without guides, the nearest first: who leads its region, a
    manager there, HQ, and whoever leads elsewhere.
    """
    shop = session.get_one(Shop, shop_id)
    is_near = col(Shop.region_id).is_not(None) & (col(Shop.region_id) == shop.region_id)
    query = _shown().join(Shop, col(Shop.id) == Guide.shop_id)
    query = query.where(Shop.brand_id == shop.brand_id, Guide.role != GuideRole.GUIDE)
    nearness = case(
        (is_near & (col(Guide.role) == GuideRole.REGION), 0),
        (is_near & (col(Guide.role) == GuideRole.MANAGER), 1),
        (col(Guide.role) == GuideRole.HQ, 2),
        else_=3,
    )
    return session.exec(query.order_by(nearness, col(Guide.id))).all()


def _shown() -> SelectOfScalar[Guide]:
    """Guides in post whom the directory shows."""
    unseen = select(directory.DirectoryEntry.guide_id).where(
        directory.DirectoryEntry.guide_id == Guide.id,
        col(directory.DirectoryEntry.missing_since).is_not(None),
    )
    return select(Guide).where(Guide.status == GuideStatus.ACTIVE, ~unseen.exists())


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


# Codes of shops whose staff is another one by now, and codes that lead to who has left, or to who
# stands in from elsewhere. `behind` has the last word.
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
    (s.shop_id IS NOT NULL AND staff.userids <> s.userids)
    OR (g.status = 'active' AND s.userids <> jsonb_build_array(g.userid))
    OR (g.status = 'left' AND EXISTS (SELECT FROM guides h WHERE h.userid = s.userids ->> 0
                                      AND (h.status = 'left' OR h.shop_id <> g.shop_id)))
)
ORDER BY s.id
""")
