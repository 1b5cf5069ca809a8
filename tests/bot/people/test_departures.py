"""A guide leaves: members, tasks, codes and customers go on, at WeCom's pace and by its rules."""

from collections import Counter
from datetime import timedelta

import pytest
from sqlmodel import col, select

from bot.people import moving, ways
from guide_tasks import departures as engine
from sandbox import wecom_acts
from sandbox.state import Guide as CorpGuide
from sandbox.state import Switch
from store import clock, contacts, departures, relations, scenes, transfers
from store.accounts import Platform
from store.campaigns import CareTask, TaskState
from store.contacts import Contact, EndedBy
from store.departures import BadSuccessor, Departure
from store.jobs import Job
from store.members import Member
from store.notices import Notice
from store.organisation import Guide, GuideRole, GuideStatus
from store.relations import GuideNotInPost
from store.scene_subjects import SceneKind, subject
from store.transfers import Transfer, TransferState
from tests.bot.people.corp import House
from tests.builders import a_campaign, a_care_task

_CUSTOMERS = [f"wm{number}" for number in range(3)]


@pytest.fixture
def wang(house: House) -> Guide:
    """Wang, whose three customers belong to her, too."""
    for customer in _CUSTOMERS:
        wecom_acts.add(house.world, "WangFang", customer, now=house.now() - timedelta(minutes=5))
    house.hear_all()
    with house.record() as session:
        for customer in _CUSTOMERS:
            guide, member = house.guide(), house.member_id(customer)
            session.get_one(Member, member).shop_id = guide.shop_id
            relations.own(session, member, guide.id, now=house.now())
    return house.guide()


def _depart(house: House, wang: Guide, *, to: str | None = None) -> int:
    wecom_acts.resign(house.world, "WangFang", now=house.now())
    house.world.wecom.pushes.clear()
    with house.record() as session:
        successor = house.guide(to).id if to else None
        departure = departures.begin(
            session, wang.id, successor_id=successor, actor="hq", now=house.now()
        )
    house.work()
    return departure.id


def _transfers(house: House) -> list[tuple[TransferState, str]]:
    with house.record() as session:
        rows = session.exec(select(Transfer).order_by(col(Transfer.id))).all()
        return [(row.state, row.failure) for row in rows]


def _complete(house: House) -> None:
    """A day passes; the sandbox's own clock stands still."""
    for handing in house.world.wecom.corp.handings:
        handing.takeover_at = clock.now()
    house.ahead += timedelta(hours=25)
    house.move()


def test_departure_hands_everything_to_the_successor(house: House, wang: Guide) -> None:
    departure_id = _depart(house, wang, to="ZhaoLei")
    house.move()
    begun = _transfers(house)
    _complete(house)
    house.hear_all()

    assert begun == [(TransferState.WAITING, "")] * 3
    assert _transfers(house) == [(TransferState.DONE, "")] * 3
    assert house.friends() == set()
    assert house.friends("ZhaoLei") == set(_CUSTOMERS)
    with house.record() as session:
        owners = {
            guide.userid
            for one in _CUSTOMERS
            if (guide := relations.guide_of(session, house.member_id(one))) is not None
        }
        departure = session.get_one(Departure, departure_id)
    assert owners == {"ZhaoLei"}
    assert (departure.members, departure.contacts, departure.nobody) == (3, 3, 0)
    assert house.contact(_CUSTOMERS[0]).ended_by is EndedBy.TRANSFER


@pytest.mark.parametrize("is_planned", [False, True])
def test_customers_whom_wecom_shows_no_more_before_we_know_are_handed_on(
    house: House, wang: Guide, is_planned: bool
) -> None:
    """Her contacts come into step after she has left: before her departure is heard of, or before
    WeCom is asked to hand on.
    """
    if is_planned:
        _depart(house, wang, to="ZhaoLei")
    else:
        wecom_acts.resign(house.world, "WangFang", now=house.now())
        house.world.wecom.pushes.clear()
    for customer in _CUSTOMERS:
        with house.record() as session:
            contact = session.get_one(Contact, house.contact(customer).id)
            contacts.want(session, contact, now=house.now())
    house.work()
    ended = {house.contact(customer).ended_by for customer in _CUSTOMERS}

    if not is_planned:
        _depart(house, wang, to="ZhaoLei")
    house.move()
    _complete(house)
    house.hear_all()

    assert ended == {EndedBy.PLATFORM}
    assert _transfers(house) == [(TransferState.DONE, "")] * 3
    assert house.friends("ZhaoLei") == set(_CUSTOMERS)


def test_open_tasks_go_on_and_sent_ones_stay(house: House, wang: Guide) -> None:
    with house.record() as session:
        campaign = a_campaign(session, now=house.now())
        members = [session.get_one(Member, house.member_id(one)) for one in _CUSTOMERS[:2]]
        now = house.now()
        open_one = a_care_task(session, members[0], campaign=campaign, guide=wang, now=now).id
        sent = a_care_task(
            session, members[1], campaign=campaign, guide=wang, state=TaskState.SENT, now=now
        ).id

    departure_id = _depart(house, wang, to="ZhaoLei")

    with house.record() as session:
        assert session.get_one(CareTask, open_one).guide_id == house.guide("ZhaoLei").id
        assert session.get_one(CareTask, sent).guide_id == wang.id
        assert session.get_one(Departure, departure_id).tasks == 1


def test_departure_that_was_killed_goes_on(
    house: House, wang: Guide, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_CHUNK", 1)
    real, given = engine._give_member, []

    def dying(*args: object) -> None:
        given.append(args)
        if len(given) == 2:
            raise KeyboardInterrupt
        real(*args)  # type: ignore[arg-type]  # the same arguments

    monkeypatch.setattr(engine, "_give_member", dying)
    with pytest.raises(KeyboardInterrupt):
        _depart(house, wang, to="ZhaoLei")
    with house.record() as session:
        waiting = session.exec(departures.waiting()).all()
        half = len(departures.owned(session, wang.id, limit=10))
    house.jobs += [(Job.HAND_OVER, row) for row in waiting]
    house.work()

    assert (len(waiting), half) == (1, 2)
    with house.record() as session:
        assert departures.owned(session, wang.id, limit=10) == []
        assert session.exec(select(Departure.members)).one() == 3
    assert len(_transfers(house)) == 3


def test_without_a_successor_the_shop_shares_them_out(house: House, wang: Guide) -> None:
    with house.record() as session:
        session.add(Guide(shop_id=wang.shop_id, userid="Chen", name="陈晨"))
    house.world.wecom.guides["Chen"] = CorpGuide("Chen", "陈晨")

    _depart(house, wang)
    house.move()
    _complete(house)

    shares = sorted([len(house.friends("ZhaoLei")), len(house.friends("Chen"))])
    assert shares == [1, 2]


def test_with_nobody_in_the_shop_the_members_have_no_guide(house: House, wang: Guide) -> None:
    with house.record() as session:
        session.merge(house.guide("ZhaoLei")).status = GuideStatus.LEFT

    departure_id = _depart(house, wang)

    with house.record() as session:
        departure = session.get_one(Departure, departure_id)
        assert relations.guide_of(session, house.member_id(_CUSTOMERS[0])) is None
    assert (departure.members, departure.nobody) == (0, 3)
    assert departure.finished_at is not None
    assert _transfers(house) == []


def test_departure_said_twice_is_one(house: House, wang: Guide) -> None:
    first = _depart(house, wang, to="ZhaoLei")
    second = _depart(house, wang, to="ZhaoLei")

    assert first == second
    assert len(_transfers(house)) == 3


@pytest.mark.parametrize("userid", ["WangFang", "Gone"])
def test_who_cannot_take_over_is_refused(house: House, wang: Guide, userid: str) -> None:
    with house.record() as session:
        gone = Guide(shop_id=wang.shop_id, userid="Gone", name="x", status=GuideStatus.LEFT)
        session.add(gone)
    successor = house.guide(userid)

    with pytest.raises(BadSuccessor), house.record() as session:
        departures.begin(session, wang.id, successor_id=successor.id, actor="hq", now=house.now())

    assert house.guide().status is GuideStatus.ACTIVE


def test_nobody_is_given_to_who_has_left(house: House, wang: Guide) -> None:
    _depart(house, wang, to="ZhaoLei")

    with pytest.raises(GuideNotInPost), house.record() as session:
        relations.own(session, house.member_id(_CUSTOMERS[0]), wang.id, now=house.now())


def test_customer_who_refuses_stays_with_nobody_in_wecom(house: House, wang: Guide) -> None:
    """wecom.md §4.5: status 3, and the event says so as well."""
    from_corp = house.world.wecom.corp
    _depart(house, wang, to="ZhaoLei")
    house.move()
    from_corp.handings[0].status = 3
    _complete(house)

    assert sorted(_transfers(house)) == [
        (TransferState.DONE, ""),
        (TransferState.DONE, ""),
        (TransferState.REFUSED, "customer_refused"),
    ]
    assert len(house.friends("ZhaoLei")) == 2


def _others(house: House, wang: Guide, **roles: GuideRole) -> None:
    """Colleagues of Wang."""
    with house.record() as session:
        for userid, role in roles.items():
            session.add(Guide(shop_id=wang.shop_id, userid=userid, name=userid, role=role))
            house.world.wecom.guides[userid] = CorpGuide(userid, userid)


def _told(house: House) -> list[tuple[int, str]]:
    with house.record() as session:
        found = session.exec(select(Notice).order_by(col(Notice.id))).all()
        return [(one.guide_id, str(one.message["title"])) for one in found]


def test_customer_goes_on_to_the_next_when_the_taker_is_full(house: House, wang: Guide) -> None:
    """wecom.md §4.5: status 4."""
    _others(house, wang, Chen=GuideRole.GUIDE)
    house.world.wecom.guides["ZhaoLei"].most_customers = 2
    _depart(house, wang, to="ZhaoLei")
    house.move()
    _complete(house)
    house.move()
    _complete(house)
    house.hear_all()

    done, full = (TransferState.DONE, ""), (TransferState.FULL, "taker_full")
    assert _transfers(house) == [done, full, full, done, done]
    friends = house.friends("Chen")
    assert (len(house.friends("ZhaoLei")), len(friends)) == (1, 2)
    with house.record() as session:
        owners = [relations.guide_of(session, house.member_id(one)) for one in sorted(friends)]
    assert [owner.userid for owner in owners if owner] == ["Chen", "Chen"]
    assert _told(house) == []


def test_open_tasks_follow_the_customer_whom_the_taker_cannot_take(
    house: House, wang: Guide
) -> None:
    """Zhao's WeCom is full, Chen takes the customers: Chen can write to them, Zhao cannot."""
    _others(house, wang, Chen=GuideRole.GUIDE)
    house.world.wecom.guides["ZhaoLei"].most_customers = 0
    with house.record() as session:
        campaign = a_campaign(session, now=house.now())
        other = a_campaign(session, now=house.now())
        li = session.get_one(Member, house.member_id(_CUSTOMERS[0]))
        now = house.now()
        open_one = a_care_task(session, li, campaign=campaign, guide=wang, now=now).id
    _depart(house, wang, to="ZhaoLei")
    with house.record() as session:
        assert session.get_one(CareTask, open_one).guide_id == house.guide("ZhaoLei").id
        zhao = session.merge(house.guide("ZhaoLei"))
        li = session.merge(li)
        sent = a_care_task(
            session, li, campaign=other, guide=zhao, state=TaskState.SENT, now=now
        ).id

    for _ in range(2):
        house.move()
        _complete(house)
    house.hear_all()

    assert house.friends("Chen") == set(_CUSTOMERS)
    with house.record() as session:
        task = session.get_one(CareTask, open_one)
        assert (task.guide_id, task.state) == (house.guide("Chen").id, TaskState.REASSIGNED)
        assert task.state_reason == "taker_full"
        assert session.get_one(CareTask, sent).guide_id == zhao.id


def test_tasks_stay_with_a_taker_whom_the_customer_has_added(house: House, wang: Guide) -> None:
    house.world.wecom.guides["ZhaoLei"].most_customers = 0
    _others(house, wang, Chen=GuideRole.GUIDE)
    with house.record() as session:
        campaign, now = a_campaign(session, now=house.now()), house.now()
        li = session.get_one(Member, house.member_id(_CUSTOMERS[0]))
        open_one = a_care_task(session, li, campaign=campaign, guide=wang, now=now).id
        zhao = house.guide("ZhaoLei").id
        relations.befriend(session, zhao, _CUSTOMERS[0], member_id=li.id, now=now)
    _depart(house, wang, to="ZhaoLei")

    for _ in range(2):
        house.move()
        _complete(house)

    with house.record() as session:
        assert session.get_one(CareTask, open_one).guide_id == zhao


def _all_are_full(house: House, wang: Guide, **roles: GuideRole) -> None:
    """Everybody who could take over has too many; days pass."""
    _others(house, wang, **roles)
    for userid in ("ZhaoLei", *roles):
        house.world.wecom.guides[userid].most_customers = 0
    _depart(house, wang, to="ZhaoLei")
    for _ in range(4):
        house.move()
        _complete(house)


def test_each_is_asked_once_and_then_the_manager_is_told_once(house: House, wang: Guide) -> None:
    _all_are_full(house, wang, Lead=GuideRole.MANAGER)

    asked, left = (TransferState.FULL, "taker_full"), (TransferState.FULL, transfers.NOBODY)
    assert Counter(_transfers(house)) == {asked: 3, left: 3}
    assert _told(house) == [(house.guide("Lead").id, "3 位顾客还没有人接手")]


def test_manager_is_told_when_wecom_allows_no_third_try(house: House, wang: Guide) -> None:
    """wecom.md §4.5: 40128."""
    _all_are_full(house, wang, Chen=GuideRole.GUIDE, Lead=GuideRole.MANAGER)

    asked, left = (TransferState.FULL, "taker_full"), (TransferState.FAILED, transfers.NOBODY)
    assert Counter(_transfers(house)) == {asked: 6, left: 3}
    assert _told(house) == [(house.guide("Lead").id, "3 位顾客还没有人接手")]


def test_customer_is_moved_twice_in_ninety_days_at_most(house: House, wang: Guide) -> None:
    """wecom.md §4.5: 40128, and we do not even ask."""
    with house.record() as session:
        contact = session.merge(house.contact(_CUSTOMERS[0]))
        for _ in range(2):
            transfer_id = transfers.plan(
                session, contact, house.guide("ZhaoLei").id, has_left=False, now=house.now()
            )
            assert transfer_id is not None
            row = session.get_one(Transfer, transfer_id)
            due_at = house.now()
            transfers.move(row, TransferState.ASKING, due_at=due_at, now=house.now())
            transfers.move(row, TransferState.DONE, now=house.now())
            session.flush()

    _depart(house, wang, to="ZhaoLei")
    house.move()

    assert (TransferState.FAILED, "moved_too_often") in _transfers(house)
    path = "cgi-bin/externalcontact/resigned/transfer_customer"
    calls = [one for one in house.world.journal.entries if one.get("path") == path]
    # A call whose token was refused is made again, and does nothing the first time.
    asked = [one["body"] for one in calls if one["answer"]["errcode"] == 0]
    assert [len(body["external_userid"]) for body in asked] == [2]


def test_lost_answer_is_asked_after_before_anything_is_asked_again(
    house: House, wang: Guide
) -> None:
    path = "cgi-bin/externalcontact/resigned/transfer_customer"
    house.world.switches.append(Switch("wecom", path, "drop", 1))
    _depart(house, wang, to="ZhaoLei")
    house.move()
    unsure = {state for state, _ in _transfers(house)}

    house.ahead = moving._AGAIN + timedelta(seconds=1)
    house.move()

    assert unsure == {TransferState.ASKING}
    assert {state for state, _ in _transfers(house)} == {TransferState.WAITING}
    assert len(house.world.wecom.corp.handings) == 3


def test_call_that_never_arrived_is_made_again(house: House, wang: Guide) -> None:
    path = "cgi-bin/externalcontact/resigned/transfer_customer"
    house.world.switches.append(Switch("wecom", path, "down", 1))
    _depart(house, wang, to="ZhaoLei")
    house.move()

    for _ in range(2):
        house.ahead += moving._AGAIN + timedelta(seconds=1)
        house.move()

    assert {state for state, _ in _transfers(house)} == {TransferState.WAITING}
    assert len(house.world.wecom.corp.handings) == 3


@pytest.mark.parametrize("code", [45035, 45033, -1])
def test_call_that_is_refused_for_now_is_made_again(house: House, wang: Guide, code: int) -> None:
    path = "cgi-bin/externalcontact/resigned/transfer_customer"
    house.world.switches.append(Switch("wecom", path, "error", 1, code))
    _depart(house, wang, to="ZhaoLei")
    house.move()
    put_off = _transfers(house)

    house.ahead = moving._AGAIN + timedelta(seconds=1)
    house.move()

    assert put_off == [(TransferState.PLANNED, f"errcode {code}")] * 3
    assert {state for state, _ in _transfers(house)} == {TransferState.WAITING}


def test_who_is_said_to_have_left_and_is_still_there_gives_by_the_other_call(
    house: House, wang: Guide
) -> None:
    """wecom.md §2.3: 40097."""
    with house.record() as session:
        departures.begin(
            session, wang.id, successor_id=house.guide("ZhaoLei").id, actor="hq", now=house.now()
        )
    house.work()
    house.move()
    house.ahead = moving._AGAIN + timedelta(seconds=1)
    house.move()

    assert {state for state, _ in _transfers(house)} == {TransferState.WAITING}
    assert {one.has_left for one in house.world.wecom.corp.handings} == {False}
    assert "赵磊" in house.world.wecom.corp.handings[0].words


def test_code_of_who_has_left_leads_to_the_successor(house: House, wang: Guide) -> None:
    with house.record() as session:
        for kind, key in ((SceneKind.GUIDE, "WangFang"), (SceneKind.SHOP, "s1")):
            about = subject(session, kind, key)
            scenes.want(session, about, life_days=None, platform=Platform.WECOM, now=house.now())
    house.work()
    before = {way.config_id for way in house.world.wecom.corp.ways.values()}

    _depart(house, wang, to="ZhaoLei")
    ways.renew_due(house.database, now=house.now())
    house.work()

    found = house.world.wecom.corp.ways
    assert set(found) == before
    assert [way.userids for way in found.values()] == [["ZhaoLei"], ["ZhaoLei"]]


def test_member_has_one_transfer_under_way(house: House, wang: Guide) -> None:
    with house.record() as session:
        contact = session.merge(house.contact(_CUSTOMERS[0]))
        taker = house.guide("ZhaoLei").id
        first = transfers.plan(session, contact, taker, has_left=False, now=house.now())
        second = transfers.plan(session, contact, taker, has_left=False, now=house.now())

    assert first is not None
    assert second is None
    assert wang.userid == "WangFang"
