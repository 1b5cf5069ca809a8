"""Erasure: a person is forgotten, on request or because the platform says so.

What the law wants kept (orders and the points for them) stays without the person; what each table
loses is said in `store.personal`. Whoever was erased is not written to again: `store.silences`.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import text
from sqlmodel import col, select

from store import consents, gifts, members, silences
from store.campaigns import WITH_GUIDE, CareTask, TaskState, move_task
from store.coupon_rows import Coupon, CouponState, Gift, GiftState, move_coupon
from store.db import Session
from store.members import Identity, IdentityChannel, Member, MemberStatus
from store.personal import PARTS, UNNAMED_MESSAGE, Part
from store.touches import Touch, TouchState, move_touch

# What a guide or the fallback would still send. A broadcast in the guide's hands is past recall.
_UNSENT_TASKS = WITH_GUIDE | {TaskState.PLANNED, TaskState.FELL_BACK}
_UNSENT_TOUCHES = (TouchState.ASKED, TouchState.RESERVED)


def erase(session: Session, member_id: int, *, secret_key: str, now: datetime) -> None:
    """Forget a member or visitor, and everybody who was merged into them; it cannot be undone.

    Locks the member first. Gifts on their way come back, coupons are void, tasks and unsent touches
    end. Whatever the session has loaded is read again afterwards.
    """
    member = members.lock(session, member_id)
    ids = everybody_within(session, member)
    silences.remember(session, ids, secret_key=secret_key, now=now)
    _erase(session, member, ids, now=now)


def forget_wechat(
    session: Session, *, app_id: str, openid: str, secret_key: str, now: datetime
) -> None:
    """Forget what an official account told us of somebody who left or took a permission back.

    The openid, the messages and the windows go (wechat-oa.md §2.3). A visitor is gone as a whole,
    but a stop that held is remembered; a member keeps the card, and finds it again by binding the
    mobile. Nobody known is nobody to forget, so a repeat changes nothing.
    """
    session.flush()
    identity = _identity(session, app_id, openid)
    member = members.lock_behind(session, identity) if identity is not None else None
    if identity is None or member is None:
        return
    if member.mobile is None and _has_no_other(session, identity):
        ids = everybody_within(session, member)
        if consents.stops(session, member.id, now):
            silences.remember(session, ids, secret_key=secret_key, now=now)
        _erase(session, member, ids, now=now)
        return
    whose = {"member": member.id, "app_id": app_id, "openid": openid}
    for statement in (_FORGET_WINDOWS, _FORGET_WORDS):
        session.execute(statement, whose)
    for part in PARTS:
        if part.of == "identities":
            _forget(session, part, f"{part.owner} = ANY(:ids)", [identity.id])
    session.delete(identity)
    session.flush()
    session.expire_all()


def _erase(session: Session, member: Member, ids: Sequence[int], *, now: datetime) -> None:
    _end_gifts(session, member, now=now)
    _end_coupons(session, ids)
    _end_care(session, ids, now=now)
    member.status = MemberStatus.ERASED
    session.flush()
    for part in PARTS:
        _forget(session, part, part.condition, ids)
    session.expire_all()


def _forget(session: Session, part: Part, condition: str, ids: Sequence[int]) -> None:
    """Delete the rows of a part, or blank what is the person's in them."""
    if part.is_deleted:
        act = f"DELETE FROM {part.table}"  # noqa: S608 -- our own names
    elif part.blanks:
        blanked = ", ".join(f"{column} = {sql}" for column, sql in part.blanks.items())
        act = f"UPDATE {part.table} SET {blanked}"  # noqa: S608 -- our own names
    else:
        return
    session.execute(text(f"{act} WHERE {condition}"), {"ids": list(ids)})


def everybody_within(session: Session, member: Member) -> list[int]:
    """The member's own id and those of all rows that were merged into it."""
    return list(session.execute(_WITHIN, {"id": member.id}).scalars())


def _end_gifts(session: Session, member: Member, *, now: datetime) -> None:
    query = select(Gift.id).where(Gift.giver_id == member.id, Gift.state == GiftState.OPEN)
    for gift_id in session.exec(query.order_by(col(Gift.coupon_id))).all():
        gifts.cancel(session, gift_id, member.id, now=now)


def _end_coupons(session: Session, ids: Sequence[int]) -> None:
    query = (
        select(Coupon)
        .where(col(Coupon.member_id).in_(ids), Coupon.state == CouponState.AVAILABLE)
        .order_by(col(Coupon.id))
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    for coupon in session.exec(query):
        move_coupon(coupon, CouponState.REVOKED)


def _end_care(session: Session, ids: Sequence[int], *, now: datetime) -> None:
    tasks = select(CareTask).where(
        col(CareTask.member_id).in_(ids), col(CareTask.state).in_(_UNSENT_TASKS)
    )
    for task in session.exec(tasks.order_by(col(CareTask.id)).with_for_update()):
        move_task(task, TaskState.SUPPRESSED, reason=silences.ERASED, now=now)
    touches = select(Touch).where(
        col(Touch.member_id).in_(ids), col(Touch.state).in_(_UNSENT_TOUCHES)
    )
    for touch in session.exec(touches.order_by(col(Touch.id)).with_for_update()):
        move_touch(touch, TouchState.RELEASED, now=now)


def _identity(session: Session, app_id: str, openid: str) -> Identity | None:
    query = select(Identity).where(
        Identity.channel == IdentityChannel.WECHAT,
        Identity.account == app_id,
        Identity.outside_id == openid,
    )
    return session.exec(query).first()


def _has_no_other(session: Session, identity: Identity) -> bool:
    query = select(Identity.id).where(
        Identity.member_id == identity.member_id, Identity.id != identity.id
    )
    return session.exec(query).first() is None


_WITHIN = text("""
WITH RECURSIVE within AS (
    SELECT CAST(:id AS bigint) AS id
    UNION
    SELECT gone.id FROM members AS gone JOIN within ON gone.merged_into_id = within.id
)
SELECT id FROM within
""")
_FORGET_WINDOWS = text("DELETE FROM grants WHERE member_id = :member AND account = :app_id")
_FORGET_WORDS = text(
    f"UPDATE inbound_messages SET {UNNAMED_MESSAGE}"  # noqa: S608 -- our own columns
    " WHERE member_id = :member AND outside_id = :openid"
)
