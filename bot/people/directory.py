"""Guides as the corp's directory has them: names, shops and managers, who came, who is not shown.

Not to be shown is no departure: an app's range may have been narrowed, or somebody disabled for a
week. Who is not shown and has left customers behind has left (wecom.md §2.2, §4.5).
"""

import logging
from collections.abc import Sequence

from sqlmodel import Session, col, select

from bot.people.bits import Bit, Position, Trip
from bot.wecom import contacts as api_contacts
from bot.wecom import directory as api_directory
from bot.wecom import transfers as api_transfers
from bot.wecom.directory import Person, Standing
from store import departures, directory
from store.organisation import Guide, GuideRole, GuideStatus, Shop

_log = logging.getLogger(__name__)

ACTOR = "wecom"
_AT_ONCE = 25
# More than these at once is rather a mistake in WeCom's console than a wave of departures.
_MOST_LEAVERS, _LEAVING_SHARE = 3, 0.2


def bit(trip: Trip, position: Position) -> Bit:
    """Some guides; after the last of them who came and who left."""
    with trip.database.transaction() as session:
        guides = _guides(session, trip.account.brand_id, int(position.get("after", 0)))
    if not guides:
        return Bit(None, _came(trip) | _left(trip))
    people = {guide.id: api_directory.person(trip.api, guide.userid) for guide in guides}
    here = {guide_id: person for guide_id, person in people.items() if _is_there(person)}
    with trip.database.transaction() as session:
        shops = directory.shops_of(session, trip.account.app_id)
        for guide_id, person in here.items():
            if person is not None:
                _keep_up(session.get_one(Guide, guide_id), person, shops)
        now = trip.clock()
        directory.seen(session, here.keys(), now=now)
        directory.missed(session, people.keys() - here.keys(), now=now)
    counts = {"seen": len(here), "missing": len(people) - len(here)}
    return Bit({"after": guides[-1].id}, counts)


def _is_there(person: Person | None) -> bool:
    return person is not None and person.standing != Standing.LEFT


def _guides(session: Session, brand_id: int, after: int) -> Sequence[Guide]:
    query = select(Guide).join(Shop, col(Shop.id) == Guide.shop_id)
    query = query.where(Shop.brand_id == brand_id, Guide.status == GuideStatus.ACTIVE)
    return session.exec(query.where(Guide.id > after).order_by(col(Guide.id)).limit(_AT_ONCE)).all()


def _keep_up(guide: Guide, person: Person, shops: dict[int, int]) -> None:
    """Name, shop and manager as the directory says; where departments stand for shops it rules.

    A region's or HQ's role is given here, and is none of the directory's.
    """
    if person.name:
        guide.name = person.name
    theirs = [department for department in person.departments if department in shops]
    if not theirs:
        return
    leading = [department for department in theirs if department in person.leads]
    home = (leading or theirs)[0]
    guide.shop_id = shops[home]
    if guide.role in {GuideRole.GUIDE, GuideRole.MANAGER}:
        guide.role = GuideRole.MANAGER if leading else GuideRole.GUIDE


def _came(trip: Trip) -> dict[str, int]:
    """Who may have customers and is in a shop's department becomes a guide of that shop.

    So does who had left by the directory's word; of whom a person said so, a person says otherwise.
    """
    with trip.database.transaction() as session:
        shops = directory.shops_of(session, trip.account.app_id)
        known = set(session.exec(select(Guide.userid)).all())
        known -= set(departures.gone_by(session, ACTOR))
    fresh = [userid for userid in api_contacts.guides(trip.api) if userid not in known]
    people = [api_directory.person(trip.api, userid) for userid in fresh] if shops else []
    came = 0
    with trip.database.transaction() as session:
        for person in people:
            came += person is not None and _enter(session, trip, person, shops)
    return {"came": came, "unplaced": len(fresh) - came}


def _enter(session: Session, trip: Trip, person: Person, shops: dict[int, int]) -> bool:
    theirs = [department for department in person.departments if department in shops]
    if not theirs or not _is_there(person):
        return False
    guide = session.exec(select(Guide).where(Guide.userid == person.userid)).one_or_none()
    if guide is not None and person.userid not in departures.gone_by(session, ACTOR):
        return False
    if guide is None:
        guide = Guide(shop_id=shops[theirs[0]], userid=person.userid, name=person.userid)
        session.add(guide)
    else:
        departures.come_back(session, guide.id, actor=ACTOR, now=trip.clock())
    _keep_up(guide, person, shops)
    session.flush()
    directory.seen(session, [guide.id], now=trip.clock())
    return True


def _left(trip: Trip) -> dict[str, int]:
    """Whoever left customers behind and is shown no more has left: everything goes on to others."""
    leavers = {one.userid for one in api_transfers.unassigned(trip.api)}
    with trip.database.transaction() as session:
        in_post = len(_guides_missing(session, trip, None))
        gone = [guide.id for guide in _guides_missing(session, trip, leavers)]
    if len(gone) > max(_MOST_LEAVERS, in_post * _LEAVING_SHARE):
        _log.error("WeCom says that %s guides have left at once: a person must say so.", len(gone))
        return {"left": 0, "doubted": len(gone)}
    for guide_id in gone:
        with trip.database.transaction() as session:
            departures.begin(session, guide_id, successor_id=None, actor=ACTOR, now=trip.clock())
    return {"left": len(gone)}


def _guides_missing(session: Session, trip: Trip, leavers: set[str] | None) -> list[Guide]:
    """Guides of the brand in post; with `leavers`, those of them who are not shown any more."""
    query = select(Guide).join(Shop, col(Shop.id) == Guide.shop_id)
    query = query.where(Shop.brand_id == trip.account.brand_id, Guide.status == GuideStatus.ACTIVE)
    if leavers is None:
        return list(session.exec(query).all())
    missing = {guide.id for guide, since in directory.missing(session) if since >= trip.began_at}
    return [
        guide
        for guide in session.exec(query.where(col(Guide.userid).in_(leavers))).all()
        if guide.id in missing or _was_missing(session, guide.id)
    ]


def _was_missing(session: Session, guide_id: int) -> bool:
    entry = session.get(directory.DirectoryEntry, guide_id)
    return entry is not None and entry.missing_since is not None
