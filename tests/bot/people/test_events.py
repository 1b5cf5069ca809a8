"""Callbacks of WeCom: each once, in any order, lost ones found; the welcome inside 20 seconds."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlmodel import Session, col, select

from bot.people import ways
from sandbox import transfers as corp_transfers
from sandbox import wecom_acts
from sandbox.wecom_acts import Noted
from store import contacts, scenes, transfers
from store.accounts import Platform
from store.contacts import Contact, EndedBy
from store.inbound import InboundMessage, InboundState
from store.jobs import Job
from store.members import Identity, IdentityChannel
from store.organisation import GuideStatus
from store.relations import Friendship, guide_of
from store.scene_subjects import SceneKind, subject
from store.scenes import Visit
from store.touches import Touch, TouchState
from store.transfers import Transfer
from tests.bot.people.corp import NEW, House
from tests.builders import NOW, a_guide, a_visitor, an_identity


def test_new_friend_is_met_and_welcomed(house: House) -> None:
    wecom_acts.add(house.world, "WangFang", NEW, now=house.now())

    house.hear_all()

    assert house.friends() == {NEW}
    words = [one.text for one in house.world.inboxes[NEW]]
    assert len(words) == 1
    assert "王芳" in words[0]
    assert "https://x.example/m/card" in words[0]


def test_event_that_comes_three_times_is_one_welcome(house: House) -> None:
    wecom_acts.add(house.world, "WangFang", NEW, now=house.now())
    house.world.wecom.pushes *= 3

    house.hear_all()

    assert len(house.world.inboxes[NEW]) == 1
    with house.record() as session:
        row = session.exec(select(InboundMessage)).one()
        assert row.state is InboundState.ANSWERED


def test_event_that_is_worked_on_twice_is_one_welcome(house: House) -> None:
    wecom_acts.add(house.world, "WangFang", NEW, now=house.now())
    house.push_all()
    row = next(row for job, row in house.jobs if job is Job.HEAR_WECOM)

    house.hear(row)
    house.hear(row)
    house.work()

    assert len(house.world.inboxes[NEW]) == 1


def test_welcome_that_would_come_too_late_is_not_sent(house: House) -> None:
    wecom_acts.add(house.world, "WangFang", NEW, now=house.now())
    house.push_all()

    house.ahead = timedelta(seconds=21)
    house.work()

    assert house.world.inboxes[NEW] == []
    assert house.friends() == {NEW}
    with house.record() as session:
        assert session.exec(select(Touch)).all() == []


def test_welcome_of_another_app_ends_ours(house: House) -> None:
    """wecom.md §4.2: 41051, final."""
    code = wecom_acts.add(house.world, "WangFang", NEW, now=house.now())
    house.world.wecom.corp.welcome_codes[code].taken_at = house.now() - timedelta(seconds=1)

    house.hear_all()

    assert house.world.inboxes[NEW] == []
    with house.record() as session:
        touch = session.exec(select(Touch)).one()
        assert (touch.state, touch.failure) == (TouchState.FAILED, "already_welcomed")


def test_who_comes_by_a_guides_code_belongs_to_the_guide(house: House) -> None:
    config_id = _code(house, SceneKind.GUIDE, "WangFang")

    wecom_acts.scan(house.world, config_id, NEW, now=house.now())
    house.hear_all()

    with house.record() as session:
        own = guide_of(session, house.member_id(NEW))
        assert own is not None
        assert own.userid == "WangFang"
        assert len(session.exec(select(Visit)).all()) == 1
    assert "中山路店的王芳" in house.world.inboxes[NEW][0].text


def test_who_comes_by_a_shops_code_is_the_shops(house: House) -> None:
    config_id = _code(house, SceneKind.SHOP, "s1")

    userid = wecom_acts.scan(house.world, config_id, NEW, now=house.now())
    house.hear_all()

    with house.record() as session:
        assert guide_of(session, house.member_id(NEW)) is None
    assert house.friends(userid) == {NEW}
    assert "欢迎来到中山路店" in house.world.inboxes[NEW][0].text


def _code(house: House, kind: SceneKind, key: str) -> str:
    with house.record() as session:
        about = subject(session, kind, key)
        wanted = scenes.want(
            session, about, life_days=None, platform=Platform.WECOM, now=house.now()
        )
    house.work()
    with house.record() as session:
        return session.get_one(scenes.Scene, wanted.scene.id).ticket


def test_half_a_friend_is_welcomed_and_is_none_yet(house: House) -> None:
    """wecom.md §1.4: contact calls answer 84061 until the guide agrees."""
    wecom_acts.add(house.world, "WangFang", NEW, is_half=True, now=house.now())

    house.hear_all()

    assert house.friends() == set()
    assert len(house.world.inboxes[NEW]) == 1


@pytest.mark.parametrize(
    ("act", "by"),
    [(wecom_acts.delete, EndedBy.GUIDE), (wecom_acts.leave, EndedBy.CUSTOMER)],
)
def test_friendship_ends_when_one_of_them_ends_it(house: House, act: object, by: EndedBy) -> None:
    wecom_acts.add(house.world, "WangFang", NEW, now=house.now() - timedelta(minutes=1))
    house.hear_all()

    act(house.world, "WangFang", NEW, now=house.now())  # type: ignore[operator]  # one of two acts
    house.hear_all()

    assert house.friends() == set()
    assert house.contact(NEW).ended_by is by


def test_customer_who_left_is_not_taken_back_by_a_look_at_the_list(house: House) -> None:
    """wecom.md §2.3: a contact is one-way, so WeCom goes on listing them."""
    wecom_acts.add(house.world, "WangFang", NEW, now=house.now() - timedelta(minutes=1))
    house.hear_all()
    wecom_acts.leave(house.world, "WangFang", NEW, now=house.now())
    house.hear_all()

    with house.record() as session:
        contacts.want(session, house.contact(NEW), now=house.now())
    house.work()

    assert house.friends() == set()


def test_contact_of_somebody_who_is_no_guide_is_not_kept(house: House) -> None:
    with house.record() as session:
        session.delete(session.merge(house.guide("ZhaoLei")))
    wecom_acts.add(house.world, "ZhaoLei", NEW, now=house.now())

    house.hear_all()

    with house.record() as session:
        assert session.exec(select(Identity)).all() == []
        row = session.exec(select(InboundMessage)).one()
        assert row.state is InboundState.ANSWERED
        assert NEW not in str(row.payload)


def test_two_changes_of_one_second_are_both_seen(house: House) -> None:
    """They are told in the same words, so that the second looks like a repeat of the first."""
    wecom_acts.add(house.world, "WangFang", NEW, now=house.now())
    house.hear_all()
    second = house.now()

    for remark in ("李姐", "李女士"):
        wecom_acts.edit(house.world, "WangFang", NEW, Noted(remark), now=second)
        house.push_all()
        house.work()
    house.hear_all()

    assert house.contact(NEW).remark == "李女士"


def test_refused_transfer_is_heard(house: House) -> None:
    house.world.wecom.guides["WangFang"].left_at = house.now()
    wecom_acts.add(house.world, "WangFang", NEW, now=house.now() - timedelta(minutes=1))
    house.hear_all()
    with house.record() as session:
        contact = session.merge(house.contact(NEW))
        from_wang = contacts.of_pair(
            session, contact.guide_id, session.get_one(Identity, contact.identity_id)
        )
        transfer_id = _planned(session, from_wang, house.guide("ZhaoLei").id, house.now())
    house.move()

    corp_transfers.refuse(house.world, NEW, house.now())
    house.hear_all()

    with house.record() as session:
        transfer = session.get_one(Transfer, transfer_id)
        assert (transfer.state, transfer.failure) == ("refused", "customer_refused")


def _planned(session: Session, contact: Contact, taker_id: int, now: datetime) -> int:
    found = transfers.plan(session, contact, taker_id, has_left=True, now=now)
    assert found is not None
    return int(found)


def test_event_that_cannot_be_worked_on_is_given_up_in_the_end(house: House) -> None:
    wecom_acts.add(house.world, "WangFang", NEW, now=house.now())
    house.push_all()
    row = house.jobs.pop()[1]
    with house.record() as session:
        session.get_one(InboundMessage, row).payload = {"change": "add_external_contact", "at": "?"}

    for _ in range(12):
        house.ahead += timedelta(hours=6)
        try:
            house.hear(row)
        except ValueError:
            continue

    with house.record() as session:
        assert session.get_one(InboundMessage, row).state is InboundState.FAILED


# Any order of the words about one pair, any number of times.
_WORDS = st.lists(
    st.tuples(st.sampled_from(["met", "guide", "customer", "transfer"]), st.integers(0, 3)),
    max_size=6,
)


@given(words=_WORDS, shuffle=st.randoms(use_true_random=False))
def test_words_about_a_contact_give_the_same_in_any_order(
    session: Session, words: list[tuple[str, int]], shuffle: object
) -> None:
    told = [*words, *words[:2]]
    shuffle.shuffle(told)  # type: ignore[attr-defined]  # a random.Random

    in_order = _tell(session, sorted(words, key=lambda word: (word[1], word[0] != "met")))

    assert _tell(session, told) == in_order


def _tell(session: Session, words: list[tuple[str, int]]) -> tuple[object, ...]:
    guide, customer = a_guide(session), a_visitor(session)
    identity = an_identity(session, customer, channel=IdentityChannel.WECOM, account="ww1")
    contact = contacts.of_pair(session, guide.id, identity)
    for word, minute in words:
        at = NOW + timedelta(minutes=minute)
        if word == "met":
            contacts.met(session, contact, identity, at=at)
        else:
            contacts.ended(session, contact, identity, by=EndedBy(word), at=at)
    open_ones = session.exec(
        select(Friendship).where(Friendship.guide_id == guide.id, col(Friendship.until).is_(None))
    ).all()
    # Friendship and contact say the same.
    is_open = contact.changed_at is not None and contact.ended_by is None
    assert len(open_ones) == int(is_open)
    return contact.changed_at, contact.ended_by


def test_guide_who_left_is_not_welcomed_for(house: House) -> None:
    """A code outlives its guide; whoever comes by it is greeted by whom it leads to now."""
    config_id = _code(house, SceneKind.GUIDE, "WangFang")
    with house.record() as session:
        session.merge(house.guide("WangFang")).status = GuideStatus.LEFT
    ways.renew_due(house.database, now=house.now())
    house.work()

    assert wecom_acts.scan(house.world, config_id, NEW, now=house.now()) == "ZhaoLei"
    house.hear_all()
    with house.record() as session:
        assert guide_of(session, house.member_id(NEW)) is None
