"""Members: met by an outside id, joined by unionid, bound by mobile."""

import pytest
from sqlmodel import Session, select

from store import members, points
from store.members import (
    BadMobile,
    Identity,
    IdentityChannel,
    Member,
    MemberNotFound,
    MemberStatus,
    MobileTaken,
)
from tests.builders import NOW, a_brand, a_level, a_member, a_mobile, a_visitor, an_identity


def meet(
    session: Session,
    outside_id: str,
    *,
    channel: IdentityChannel = IdentityChannel.WECHAT,
    unionid: str | None = None,
) -> Identity:
    brand_id = a_brand(session).id
    return members.meet(
        session,
        channel=channel,
        account="wx1",
        outside_id=outside_id,
        brand_id=brand_id,
        unionid=unionid,
        now=NOW,
    )


def test_a_stranger_becomes_a_visitor_once(session: Session) -> None:
    first, again = meet(session, "oLi"), meet(session, "oLi")

    visitor = session.get_one(Member, first.member_id)

    assert first.id == again.id
    assert (visitor.mobile, visitor.status) == (None, MemberStatus.ACTIVE)
    assert len(session.exec(select(Member)).all()) == 1


def test_the_same_unionid_joins_the_same_member_and_another_does_not(session: Session) -> None:
    li = meet(session, "oLi", unionid="u1")

    friend = meet(session, "wmLi", channel=IdentityChannel.WECOM, unionid="u1")
    zhao = meet(session, "wmZhao", channel=IdentityChannel.WECOM, unionid="u2")

    assert friend.member_id == li.member_id
    assert zhao.member_id != li.member_id


def test_a_unionid_learnt_later_merges_the_visitor_into_the_member(session: Session) -> None:
    li = a_member(session)
    an_identity(session, li, channel=IdentityChannel.WECOM, outside_id="wmLi", unionid="u1")
    visitor_id = meet(session, "oLi").member_id

    met = meet(session, "oLi", unionid="u1")

    assert met.member_id == li.id
    assert session.get_one(Member, visitor_id).merged_into_id == li.id


def test_a_unionid_learnt_later_leaves_two_mobiles_two_members(session: Session) -> None:
    li, zhao = a_member(session), a_member(session)
    an_identity(session, li, outside_id="oLi", unionid="u1")
    an_identity(session, zhao, channel=IdentityChannel.WECOM, account="wx1", outside_id="wmZhao")

    met = meet(session, "wmZhao", channel=IdentityChannel.WECOM, unionid="u1")

    assert met.member_id == zhao.id


def test_of_identity_finds_the_member_and_nobody_for_a_strange_id(session: Session) -> None:
    li = a_member(session)
    an_identity(session, li, outside_id="oLi")

    found = members.of_identity(session, IdentityChannel.WECHAT, "wx1", "oLi")

    assert found == li
    assert members.of_identity(session, IdentityChannel.WECOM, "wx1", "oLi") is None


def test_a_visitor_becomes_a_member_with_a_level_when_a_mobile_is_bound(session: Session) -> None:
    silver = a_level(session)
    visitor, mobile = a_visitor(session), a_mobile()

    member = members.bind_mobile(session, visitor.id, mobile, now=NOW)

    assert (member.id, member.mobile, member.joined_at) == (visitor.id, mobile, NOW)
    assert member.level_id == silver.id


def test_a_visitor_is_merged_into_the_member_who_has_the_mobile(session: Session) -> None:
    li, visitor = a_member(session), a_visitor(session)
    identity = an_identity(session, visitor)

    survivor = members.bind_mobile(session, visitor.id, li.mobile or "", now=NOW)

    assert survivor.id == li.id
    assert identity.member_id == li.id
    assert (visitor.status, visitor.merged_into_id) == (MemberStatus.MERGED, li.id)


def test_a_member_may_change_to_a_free_mobile_but_not_to_that_of_another(
    session: Session,
) -> None:
    li, zhao, free = a_member(session), a_member(session), a_mobile()
    taken = zhao.mobile or ""

    with pytest.raises(MobileTaken) as refusal:
        members.bind_mobile(session, li.id, taken, now=NOW)
    moved = members.bind_mobile(session, li.id, free, now=NOW)

    assert taken not in str(refusal.value)
    assert moved.mobile == free


@pytest.mark.parametrize("mobile", ["", "1381234567", "138123456789", "2381234567a", "\uff11" * 11])
def test_a_mobile_that_is_none_is_refused(session: Session, mobile: str) -> None:
    visitor = a_visitor(session)

    with pytest.raises(BadMobile):
        members.bind_mobile(session, visitor.id, mobile, now=NOW)


def test_mask_hides_the_middle() -> None:
    assert members.mask("13812345678") == "138****5678"
    assert members.mask(None) == ""


def test_acts_on_a_merged_row_reach_the_survivor(session: Session) -> None:
    li, visitor = a_member(session), a_visitor(session)
    members.bind_mobile(session, visitor.id, li.mobile or "", now=NOW)

    points.earn(session, visitor.id, 10, reason="t", source_id="1", now=NOW)

    assert points.balance(session, li.id) == 10


def test_lock_refuses_somebody_unknown(session: Session) -> None:
    with pytest.raises(MemberNotFound):
        members.lock(session, 10**9)
