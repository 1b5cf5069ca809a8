"""A contact in step: who the customer is, tags and remarks both ways, what a guide may not do."""

from datetime import timedelta
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlmodel import select

from bot.people import matching, steps
from sandbox import wecom_acts
from sandbox.state import Switch
from sandbox.wecom_acts import Noted
from store import contacts, corp_tags, members, relations, tags
from store.contacts import Contact, EndedBy
from store.corp_tags import CorpTag
from store.members import Identity, IdentityChannel, Member
from store.merges import Merge
from store.sync_runs import SyncKind, begin
from store.tags import MemberTag, Tag, TagSource
from tests.bot.people.corp import NEW, House
from tests.builders import a_member, an_identity

MOBILE = "13800138000"
_seconds = count(1)


def _befriended(house: House, userid: str = "WangFang", unionid: str = "") -> None:
    wecom_acts.add(house.world, userid, NEW, now=house.now())
    house.world.wecom.customers[NEW].unionid = unionid
    house.hear_all()


def _noted(house: House, *, userid: str = "WangFang", **what: object) -> None:
    noted = Noted(**what)  # type: ignore[arg-type]  # some of its fields
    # In a second of its own: two changes of one second are told in the same words.
    moment = house.now() + timedelta(seconds=next(_seconds))
    wecom_acts.edit(house.world, userid, NEW, noted, now=moment)
    house.hear_all()


def _tag(house: House, name: str = "有孩子") -> str:
    """A tag at both places, of a group that is shared; gives its id at the corp."""
    if not house.world.wecom.corp.tag_groups:
        wecom_acts.make_tag(house.world, "家庭", "新婚", now=house.now())
        house.world.wecom.pushes.clear()
    with house.record() as session:
        session.add(Tag(code=name, name=name, group_name="家庭"))
    _sync_tags(house)
    with house.record() as session:
        return session.exec(select(CorpTag.corp_tag_id).where(CorpTag.name == name)).one()


def _sync_tags(house: House) -> None:
    with house.record() as session:
        begin(session, house.api._account.account_id, SyncKind.TAGS, now=house.now())
    house.work()


def _worn(house: House) -> dict[str, TagSource]:
    with house.record() as session:
        query = select(Tag.code, MemberTag.source).join(MemberTag)
        member_id = house.member_id(NEW)
        found = session.exec(query.where(MemberTag.member_id == member_id)).all()
        return {code: TagSource(source) for code, source in found}


def _marks(house: House, userid: str = "WangFang") -> list[str]:
    return list(house.world.wecom.customers[NEW].links[userid].tags)


def test_customer_is_who_has_the_same_unionid(house: House) -> None:
    with house.record() as session:
        li = a_member(session, brand_id=1)
        an_identity(session, li, unionid="u-li")

    _befriended(house, unionid="u-li")

    assert house.member_id(NEW) == li.id
    assert house.friends() == {NEW}


def test_mobile_that_a_guide_notes_joins_the_member_of_the_shop(house: House) -> None:
    _befriended(house)
    with house.record() as session:
        li = a_member(session, brand_id=1, mobile=MOBILE, shop_id=1)

    _noted(house, mobiles=[MOBILE])

    assert house.member_id(NEW) == li.id
    with house.record() as session:
        assert session.exec(select(Merge.reason)).one() == matching.BY_GUIDE


def test_mobile_of_another_shops_member_joins_nobody(house: House) -> None:
    """A guide could look up anybody's purchases otherwise."""
    _befriended(house)
    with house.record() as session:
        elsewhere = a_member(session, brand_id=1, mobile=MOBILE, shop_id=None)
        relations.own(session, elsewhere.id, house.guide("ZhaoLei").id, now=house.now())

    _noted(house, mobiles=[MOBILE])

    assert house.member_id(NEW) != elsewhere.id


def test_mobile_noted_for_somebody_with_a_wechat_joins_nobody(house: House) -> None:
    """Whoever holds that WeChat would open the member's card."""
    _befriended(house)
    with house.record() as session:
        victim = a_member(session, brand_id=1, mobile=MOBILE, shop_id=1)
        visitor = session.get_one(Member, house.member_id(NEW))
        an_identity(session, visitor)

    _noted(house, mobiles=[MOBILE])

    assert house.member_id(NEW) != victim.id


def test_unionid_that_comes_later_undoes_a_guides_word(house: House) -> None:
    """A slip of one digit must not show somebody's card to the customer's WeChat."""
    _befriended(house)
    with house.record() as session:
        victim = a_member(session, brand_id=1, mobile=MOBILE, shop_id=1)
    _noted(house, mobiles=[MOBILE])
    assert house.member_id(NEW) == victim.id

    house.world.wecom.customers[NEW].unionid = "u-new"
    _noted(house, remark="新客")
    with house.record() as session:
        follower = members.meet(
            session,
            channel=IdentityChannel.WECHAT,
            account="wx1",
            outside_id="oNew",
            brand_id=1,
            unionid="u-new",
            now=house.now(),
        )

    assert follower.member_id == house.member_id(NEW)
    assert follower.member_id != victim.id
    with house.record() as session:
        kept = session.exec(select(Identity).where(Identity.member_id == victim.id)).all()
        assert kept == []


def test_tag_of_a_guide_is_on_the_member_and_on_the_other_guides_customer(house: House) -> None:
    tag = _tag(house)
    _befriended(house)
    _befriended(house, "ZhaoLei")

    _noted(house, tags=[tag])

    assert _worn(house) == {"有孩子": TagSource.OBSERVED}
    assert _marks(house, "ZhaoLei") == [tag]


def test_tag_that_a_guide_takes_off_is_off_everywhere(house: House) -> None:
    tag = _tag(house)
    _befriended(house)
    _befriended(house, "ZhaoLei")
    _noted(house, tags=[tag])

    _noted(house, tags=[])

    assert _worn(house) == {}
    assert _marks(house, "ZhaoLei") == []


def test_tag_given_by_hq_is_marked_and_comes_back_when_a_guide_takes_it_off(house: House) -> None:
    tag = _tag(house)
    _befriended(house)
    with house.record() as session:
        member_id = house.member_id(NEW)
        tags.put(session, member_id, "有孩子", source=TagSource.GIVEN, now=house.now())
    house.work()
    marked = _marks(house)

    _noted(house, tags=[])

    assert (marked, _marks(house)) == ([tag], [tag])
    assert _worn(house) == {"有孩子": TagSource.GIVEN}


def test_private_tag_of_a_guide_is_left_alone(house: House) -> None:
    tag = _tag(house)
    _befriended(house)
    _noted(house, tags=["难缠"])

    with house.record() as session:
        tags.put(session, house.member_id(NEW), "有孩子", source=TagSource.GIVEN, now=house.now())
    house.work()

    assert _marks(house) == ["难缠", tag]
    assert set(_worn(house)) == {"有孩子"}


def test_tags_get_their_names_from_both_sides(house: House) -> None:
    ours = _tag(house, "有孩子")
    theirs = wecom_acts.make_tag(house.world, "口味", "爱喝茶", now=house.now())
    house.hear_all()
    with house.record() as session:
        session.exec(select(Tag).where(Tag.code == "有孩子")).one().name = "有小孩"
    _sync_tags(house)
    house.world.wecom.corp.tags[theirs].name = "爱喝绿茶"
    _sync_tags(house)

    with house.record() as session:
        names = set(session.exec(select(Tag.name)).all())
    assert names == {"有小孩", "爱喝绿茶", "新婚"}
    assert house.world.wecom.corp.tags[ours].name == "有小孩"


def test_tag_deleted_in_wecom_is_not_made_again(house: House) -> None:
    tag = _tag(house)

    wecom_acts.drop_tag(house.world, tag, now=house.now())
    house.hear_all()
    _sync_tags(house)

    assert [one.name for one in house.world.wecom.corp.tags.values()] == ["新婚"]


def test_tag_of_a_group_that_wecom_does_not_have_stays_here(house: House) -> None:
    with house.record() as session:
        session.add(Tag(code="vip", name="贵宾", group_name="内部"))

    _sync_tags(house)

    assert house.world.wecom.corp.tags == {}


def test_remark_goes_both_ways(house: House) -> None:
    _befriended(house)
    _noted(house, remark="李姐")
    theirs = house.contact(NEW).remark

    with house.record() as session:
        contact = session.merge(house.contact(NEW))
        contacts.rename(session, contact, "李女士", now=house.now())
    house.work()

    assert theirs == "李姐"
    assert house.world.wecom.customers[NEW].links["WangFang"].remark == "李女士"
    assert (house.contact(NEW).remark, house.contact(NEW).wanted_remark) == ("李女士", None)


def test_contact_that_wecom_shows_no_more_is_over(house: House) -> None:
    """The callback of the deletion was lost."""
    _befriended(house)
    wecom_acts.delete(house.world, "WangFang", NEW, now=house.now())
    house.world.wecom.pushes.clear()

    with house.record() as session:
        contacts.want(session, session.merge(house.contact(NEW)), now=house.now())
    house.work()

    assert house.friends() == set()
    assert house.contact(NEW).ended_by is EndedBy.PLATFORM


@pytest.mark.parametrize("code", [45033, 45035, -1])
def test_busy_wecom_is_asked_again_later(house: House, code: int) -> None:
    tag = _tag(house)
    _befriended(house)
    path = "cgi-bin/externalcontact/mark_tag"
    house.world.switches.append(Switch("wecom", path, "error", 1, code))
    with house.record() as session:
        tags.put(session, house.member_id(NEW), "有孩子", source=TagSource.GIVEN, now=house.now())
    house.work()
    put_off = house.contact(NEW)

    house.ahead = steps._LONGEST_PAUSE
    steps.step(house.database, house.clients, put_off.id, clock=house.now)

    assert put_off.failure == f"errcode {code}"
    assert _marks(house) == [tag]
    assert house.contact(NEW).due_at is None


def test_lost_answer_to_a_mark_is_no_second_mark(house: House) -> None:
    tag = _tag(house)
    _befriended(house)
    path = "cgi-bin/externalcontact/mark_tag"
    house.world.switches.append(Switch("wecom", path, "drop", 1))
    with house.record() as session:
        tags.put(session, house.member_id(NEW), "有孩子", source=TagSource.GIVEN, now=house.now())
    house.work()

    house.ahead = steps._LONGEST_PAUSE
    steps.step(house.database, house.clients, house.contact(NEW).id, clock=house.now)

    calls = [one for one in house.world.journal.entries if one.get("path") == path]
    assert len(calls) == 1
    assert _marks(house) == [tag]
    assert house.contact(NEW).corp_tag_ids == [tag]


def test_second_worker_leaves_a_contact_alone(house: House) -> None:
    _befriended(house)
    with house.record() as session:
        contact = session.merge(house.contact(NEW))
        contacts.want(session, contact, now=house.now())
        first = contacts.claim(session, contact.id, now=house.now())
        second = contacts.claim(session, contact.id, now=house.now())

    assert isinstance(first, Contact)
    assert second is None


_IDS = st.frozensets(st.sampled_from("abcdef"))


@given(agreed=_IDS, ours=_IDS, theirs=_IDS, alone=_IDS)
def test_both_sides_have_the_same_tags_afterwards_and_no_change_is_lost(
    agreed: frozenset[str], ours: frozenset[str], theirs: frozenset[str], alone: frozenset[str]
) -> None:
    both = corp_tags.reunite(agreed=agreed, ours=ours, theirs=theirs, ours_alone=alone & ours)

    here = (ours | both.add_here) - both.remove_here
    there = (theirs | both.add_there) - both.remove_there
    assert here == there == both.agreed
    # What either side has put on since is on; what we took off is off.
    assert (ours - agreed) | (theirs - agreed) <= both.agreed
    assert not (agreed - ours) & both.agreed
    # What they took off is off, unless it is not theirs to take.
    assert (agreed - theirs) & both.agreed == (agreed & ours & alone) - theirs
    # Once agreed, nothing more is to be done.
    again = corp_tags.reunite(agreed=both.agreed, ours=here, theirs=there, ours_alone=alone & here)
    assert not (again.add_here | again.remove_here | again.add_there | again.remove_there)
