"""Whose a customer is among our members: by unionid, or by the mobile that their guide has noted.

The unionid is the person. A mobile in a remark is only a guide's word, and a slip of one digit
would show somebody's card to a stranger. So it counts only while there is no unionid, only for a
customer known from nowhere else, and only for a member of the guide's own shop who has no other
guide; a unionid that comes later undoes it.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlmodel import Session, col, select

from store import members, merges, relations
from store.audit import note
from store.errors import Refusal
from store.members import Identity, Member
from store.merges import Merge
from store.organisation import Guide

BY_GUIDE = "guide_mobile"


def by_unionid(session: Session, identity: Identity, unionid: str, *, now: datetime) -> None:
    """Join the customer with whoever has this unionid."""
    if identity.unionid == unionid:
        return
    if identity.unionid is None:
        _undo_guides_word(session, identity, now=now)
    members.meet(
        session,
        channel=identity.channel,
        account=identity.account,
        outside_id=identity.outside_id,
        brand_id=session.get_one(Member, identity.member_id).brand_id,
        unionid=unionid,
        now=now,
    )


def by_mobile(
    session: Session, identity: Identity, guide: Guide, mobiles: Sequence[str], *, now: datetime
) -> bool:
    """Join the customer with the member whose mobile the guide has noted; gives whether it did."""
    if identity.unionid is not None:
        return False
    found = {
        member.id: member
        for mobile in mobiles
        if members.is_mobile(mobile) and (member := members.by_mobile(session, mobile)) is not None
    }
    # Two numbers of two people are no word at all.
    if len(found) != 1:
        return False
    owner, stranger = members.lock_both(session, next(iter(found)), identity.member_id)
    session.refresh(identity)
    if owner.id == stranger.id or not _may(session, owner, stranger, guide):
        return False
    merges.merge(session, owner.id, stranger.id, reason=BY_GUIDE, now=now)
    subject = f"member:{owner.id}"
    note(session, f"guide:{guide.userid}", "member.match_by_mobile", subject=subject, now=now)
    return True


def _may(session: Session, owner: Member, stranger: Member, guide: Guide) -> bool:
    own = relations.guide_of(session, owner.id)
    return (
        stranger.mobile is None
        and owner.brand_id == stranger.brand_id
        and owner.shop_id in {None, guide.shop_id}
        and (own is None or own.id == guide.id)
        and _is_known_from_here_alone(session, stranger)
    )


def _is_known_from_here_alone(session: Session, stranger: Member) -> bool:
    """A merged WeChat identity would open the member's pages to whoever holds it."""
    query = select(Identity.id).where(Identity.member_id == stranger.id).limit(2)
    return len(session.exec(query).all()) == 1


def _undo_guides_word(session: Session, identity: Identity, *, now: datetime) -> None:
    query = select(Merge).where(
        Merge.kept_id == identity.member_id,
        Merge.reason == BY_GUIDE,
        col(Merge.undone_at).is_(None),
    )
    for merge in session.exec(query.order_by(col(Merge.id).desc())).all():
        moved = merge.moved.get("rows", {}).get("identities.member_id", [])
        if identity.id not in moved:
            continue
        try:
            merges.undo(session, merge.id, now=now)
        except Refusal:
            # Merged again since: a person has to look.
            note(session, "system", "member.match_stays", subject=f"merge:{merge.id}", now=now)
            raise
        session.refresh(identity)
        return
