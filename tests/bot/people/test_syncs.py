"""Keeping in step by asking: what callbacks did not bring is found, from wherever a run stopped."""

from datetime import timedelta

import pytest
from sqlmodel import Session, col, select

from bot.people import syncs
from bot.wecom import broadcasts as corp_broadcast_api
from bot.wecom import contacts as api_contacts
from bot.wecom.client import WeComApi
from bot.wecom.contacts import Page
from sandbox import broadcasts as corp_broadcasts
from sandbox import wecom_acts
from sandbox.state import Broadcast, BroadcastTask, Outcome, Switch
from sandbox.state import Guide as CorpGuide
from store import departures, directory, members, relations, sync_runs
from store.departures import Departure
from store.members import Identity, IdentityChannel, Member
from store.organisation import Guide, GuideRole, GuideStatus, Shop
from store.relations import Friendship
from store.sync_runs import SyncKind, SyncRun
from store.touches import Channel, Evidence, Touch, TouchState
from tests.bot.people.corp import NEW, House
from tests.builders import a_touch
from tests.sandbox.builders import CORPID, LI_EXTERNAL, LI_UNION, ZHOU_EXTERNAL


def _begin(house: House, kind: SyncKind) -> int:
    with house.record() as session:
        run_id = sync_runs.begin(session, house.api._account.account_id, kind, now=house.now())
    assert run_id is not None
    return run_id


def _run(house: House, kind: SyncKind) -> SyncRun:
    """A whole run, with the steps that follow from it."""
    run_id = _begin(house, kind)
    house.work()
    with house.record() as session:
        return session.get_one(SyncRun, run_id)


def _all_friends(house: House) -> set[tuple[str, str]]:
    return {(userid, one) for userid in ("WangFang", "ZhaoLei") for one in house.friends(userid)}


def test_walk_finds_all_customers_and_who_they_are(house: House) -> None:
    run = _run(house, SyncKind.CONTACTS)

    assert _all_friends(house) == {
        ("WangFang", LI_EXTERNAL),
        ("WangFang", ZHOU_EXTERNAL),
        ("ZhaoLei", LI_EXTERNAL),
    }
    assert (run.counts["customers"], run.counts["guides"]) == (3, 2)
    assert run.finished_at is not None
    with house.record() as session:
        found = select(Identity.unionid).where(Identity.outside_id == LI_EXTERNAL)
        assert session.exec(found).one() == LI_UNION


def test_second_walk_changes_nothing_and_asks_after_nobody(house: House) -> None:
    _run(house, SyncKind.CONTACTS)
    before = len(_reads(house))

    run = _run(house, SyncKind.CONTACTS)

    assert run.counts["changed"] == 0
    assert len(_reads(house)) == before
    with house.record() as session:
        assert len(session.exec(select(Friendship)).all()) == 3


def _reads(house: House) -> list[object]:
    path = "cgi-bin/externalcontact/get"
    return [one for one in house.world.journal.entries if one.get("path") == path]


def test_walk_ends_what_is_no_contact_any_more(house: House) -> None:
    _run(house, SyncKind.CONTACTS)
    wecom_acts.delete(house.world, "WangFang", ZHOU_EXTERNAL, now=house.now())
    house.world.wecom.pushes.clear()

    _run(house, SyncKind.CONTACTS)

    assert house.friends() == {LI_EXTERNAL}


def test_walk_leaves_alone_who_became_a_friend_meanwhile(house: House) -> None:
    """A page may have been read before the callback came."""
    _run(house, SyncKind.CONTACTS)
    run_id = _begin(house, SyncKind.CONTACTS)
    wecom_acts.add(house.world, "WangFang", NEW, now=house.now())
    house.push_all()
    later = [job for job in house.jobs if job[1] == run_id]
    house.jobs[:] = [job for job in house.jobs if job not in later]
    house.work()
    del house.world.wecom.customers[NEW].links["WangFang"]
    house.world.wecom.contacts_of["WangFang"].remove(NEW)

    house.jobs += later
    house.work()

    assert NEW in house.friends()


def test_walk_doubts_that_a_guide_has_lost_everybody_at_once(house: House) -> None:
    for number in range(6):
        wecom_acts.add(house.world, "ZhaoLei", f"wm{number}", now=house.now())
    house.world.wecom.pushes.clear()
    _run(house, SyncKind.CONTACTS)
    house.world.wecom.contacts_of["ZhaoLei"].clear()

    _run(house, SyncKind.CONTACTS)

    assert len(house.friends("ZhaoLei")) == 7


def test_guide_whom_the_app_does_not_see_keeps_the_friends(house: House) -> None:
    """wecom.md §2.3: 60111 says nothing about customers."""
    _run(house, SyncKind.CONTACTS)
    next(iter(house.world.wecom.apps.values())).visible_userids = ["ZhaoLei"]

    run = _run(house, SyncKind.CONTACTS)

    assert len(_all_friends(house)) == 3
    assert run.counts["guides_unseen"] == 1


def test_walk_goes_on_where_it_was_killed(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(230):
        customer = f"wm{number:03}"
        wecom_acts.add(house.world, "WangFang", customer, now=house.now())
    house.world.wecom.pushes.clear()
    run_id = _begin(house, SyncKind.CONTACTS)
    house.jobs.clear()
    real = api_contacts.page
    asked: list[tuple[str, str]] = []

    def dying(api: WeComApi, userid: str, cursor: str) -> Page:
        asked.append((userid, cursor))
        if len(asked) == 3:
            raise KeyboardInterrupt
        return real(api, userid, cursor)

    monkeypatch.setattr(syncs, "_STRETCH_SECONDS", 1000.0)
    monkeypatch.setattr(api_contacts, "page", dying)
    with pytest.raises(KeyboardInterrupt):
        syncs.run(house.database, house.clients, run_id, clock=house.now)
    house.jobs.clear()
    syncs.run(house.database, house.clients, run_id, clock=house.now)
    too_soon = len(asked) > 3
    house.ahead = sync_runs.LEASE
    syncs.run(house.database, house.clients, run_id, clock=house.now)

    assert not too_soon
    # The third page was asked for again, none of those before.
    cursors = [cursor for userid, cursor in asked if userid == "WangFang"]
    assert cursors == ["", "100", "200", "200"]
    assert len(house.friends()) == 232


def test_page_of_a_guide_who_left_meanwhile_is_not_the_next_ones(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cursor is one guide's own: from its place on, the next one's first customers are missed."""
    for number in range(120):
        for userid in ("WangFang", "ZhaoLei"):
            wecom_acts.add(house.world, userid, f"wm{userid}{number:03}", now=house.now())
    house.world.wecom.pushes.clear()
    _run(house, SyncKind.CONTACTS)
    house.ahead = timedelta(minutes=1)
    run_id = _begin(house, SyncKind.CONTACTS)
    with monkeypatch.context() as patched:
        patched.setattr(syncs, "_STRETCH_SECONDS", 0.0)
        syncs.run(house.database, house.clients, run_id, clock=house.now)
    with house.record() as session:
        departures.begin(session, house.guide().id, successor_id=None, actor="cli", now=house.now())

    syncs.run(house.database, house.clients, run_id, clock=house.now)

    assert len(house.friends("ZhaoLei")) == 121


def test_run_rests_while_wecom_is_busy_and_goes_on(house: House) -> None:
    path = "cgi-bin/externalcontact/batch/get_by_user"
    house.world.switches.append(Switch("wecom", path, "error", 1, 45033))
    run_id = _begin(house, SyncKind.CONTACTS)
    house.work()
    with house.record() as session:
        rests = session.get_one(SyncRun, run_id)

    house.ahead = timedelta(minutes=6)
    with house.record() as session:
        waiting = session.exec(sync_runs.waiting(house.now())).all()
    syncs.run(house.database, house.clients, run_id, clock=house.now)
    house.work()

    assert (rests.failure, rests.finished_at) == ("errcode 45033", None)
    assert waiting == [run_id]
    assert len(_all_friends(house)) == 3


def test_there_is_one_run_of_a_kind_at_a_time(house: House) -> None:
    syncs.begin_due(house.database, now=house.now())
    syncs.begin_due(house.database, now=house.now())
    first = list(house.jobs)
    house.work()
    syncs.begin_due(house.database, now=house.now())
    again = list(house.jobs)
    syncs.begin_due(house.database, now=house.now() + timedelta(hours=2))

    with house.record() as session:
        kinds = session.exec(select(SyncRun.kind).order_by(col(SyncRun.id))).all()
    assert (len(first), again) == (len(SyncKind), [])
    assert sorted(kinds[len(SyncKind) :]) == ["broadcasts", "directory", "tags"]


def _departments(house: House) -> None:
    """Department 17 is Wang's shop, 18 another one."""
    with house.record() as session:
        shop = session.get_one(Shop, house.guide().shop_id)
        other = Shop(brand_id=shop.brand_id, code="s2", name="湖滨店")
        session.add(other)
        session.flush()
        directory.stands_for(session, CORPID, 17, shop)
        directory.stands_for(session, CORPID, 18, other)


def test_directory_brings_names_shops_managers_and_newcomers(house: House) -> None:
    _departments(house)
    people = house.world.wecom.guides
    people["WangFang"].name, people["WangFang"].departments = "王小芳", [18]
    people["WangFang"].leads = [18]
    people["Chen"] = CorpGuide("Chen", "陈晨", departments=[17])
    people["Boss"] = CorpGuide("Boss", "老板", departments=[1])

    run = _run(house, SyncKind.DIRECTORY)

    wang, chen = house.guide(), house.guide("Chen")
    assert (wang.name, wang.role) == ("王小芳", GuideRole.MANAGER)
    assert (chen.name, chen.role) == ("陈晨", GuideRole.GUIDE)
    with house.record() as session:
        assert session.get_one(Shop, wang.shop_id).code == "s2"
        assert session.get_one(Shop, chen.shop_id).code == "s1"
    assert (run.counts["came"], run.counts["unplaced"]) == (1, 1)


def test_role_of_a_region_is_none_of_the_directorys(house: House) -> None:
    _departments(house)
    house.world.wecom.guides["WangFang"].departments = [17]
    with house.record() as session:
        session.merge(house.guide()).role = GuideRole.REGION

    _run(house, SyncKind.DIRECTORY)

    assert house.guide().role is GuideRole.REGION


def test_guide_who_is_not_shown_is_missed_and_has_not_left(house: House) -> None:
    """Somebody may have narrowed the app's range."""
    next(iter(house.world.wecom.apps.values())).visible_userids = ["ZhaoLei"]

    _run(house, SyncKind.DIRECTORY)

    with house.record() as session:
        missing = [guide.userid for guide, _ in directory.missing(session)]
    assert missing == ["WangFang"]
    assert house.guide().status is GuideStatus.ACTIVE
    next(iter(house.world.wecom.apps.values())).visible_userids = []
    _run(house, SyncKind.DIRECTORY)
    with house.record() as session:
        assert directory.missing(session) == []


def test_guide_who_left_customers_behind_has_left(house: House) -> None:
    _run(house, SyncKind.CONTACTS)
    wecom_acts.resign(house.world, "WangFang", now=house.now())

    house.hear_all()

    assert house.guide().status is GuideStatus.LEFT
    with house.record() as session:
        departure = session.exec(select(Departure)).one()
        assert (departure.actor, departure.finished_at is not None) == ("wecom", True)


@pytest.mark.parametrize(
    ("actor", "after"), [("wecom", GuideStatus.ACTIVE), ("cli", GuideStatus.LEFT)]
)
def test_guide_who_left_and_is_shown_again_is_back_unless_a_person_said_so(
    house: House, actor: str, after: GuideStatus
) -> None:
    _departments(house)
    house.world.wecom.guides["WangFang"].departments = [18]
    with house.record() as session:
        wang = house.guide().id
        departures.begin(session, wang, successor_id=None, actor=actor, now=house.now())
    house.work()

    _run(house, SyncKind.DIRECTORY)

    wang_now = house.guide()
    assert (wang_now.status, wang_now.left_at is None) == (after, after is GuideStatus.ACTIVE)
    with house.record() as session:
        code = "s2" if after is GuideStatus.ACTIVE else "s1"
        assert session.get_one(Shop, wang_now.shop_id).code == code


def test_many_who_leave_at_once_are_doubted(house: House) -> None:
    with house.record() as session:
        shop_id = house.guide().shop_id
        for number in range(4):
            session.add(Guide(shop_id=shop_id, userid=f"gone{number}", name="x"))
    for number in range(4):
        house.world.wecom.guides[f"gone{number}"] = CorpGuide(f"gone{number}", "x")
        wecom_acts.add(house.world, f"gone{number}", f"wm{number}", now=house.now())
        wecom_acts.resign(house.world, f"gone{number}", now=house.now())
    house.world.wecom.pushes.clear()

    run = _run(house, SyncKind.DIRECTORY)

    assert run.counts["doubted"] == 4
    assert house.guide("gone0").status is GuideStatus.ACTIVE


def test_broadcast_of_a_guides_own_counts_for_the_gate(house: House) -> None:
    _run(house, SyncKind.CONTACTS)
    made = corp_broadcasts.by_hand(
        house.world, "WangFang", [ZHOU_EXTERNAL], "新茶到了", now=house.now()
    )
    house.api.add_broadcast("WangFang", LI_EXTERNAL, {"text": {"content": "没人确认"}})

    for _ in range(2):
        _run(house, SyncKind.BROADCASTS)

    with house.record() as session:
        touch = session.exec(select(Touch)).one()
    assert (touch.channel, touch.state) == (Channel.WECOM_BROADCAST, TouchState.SENT)
    assert (touch.text, touch.evidence) == ("新茶到了", Evidence.SELF_REPORTED)
    assert touch.member_id == house.member_id(ZHOU_EXTERNAL)
    assert made.msgid in touch.key


def test_broadcast_that_cannot_be_read_keeps_no_other_from_being_counted(house: House) -> None:
    """Another app of the corp has made the first, the guide of the second is out of sight."""
    _run(house, SyncKind.CONTACTS)
    now, corp = house.now(), house.world.wecom
    part = {"WangFang": BroadcastTask("WangFang", {LI_EXTERNAL: Outcome()})}
    corp.broadcasts["x"] = Broadcast("x", f"{CORPID}:2", now, "别的应用", [], False, part)
    corp_broadcasts.by_hand(house.world, "ZhaoLei", [LI_EXTERNAL], "看不见", now=now)
    corp_broadcasts.by_hand(house.world, "WangFang", [ZHOU_EXTERNAL], "新茶到了", now=now)
    path = "cgi-bin/externalcontact/get_groupmsg_send_result"
    house.world.switches.append(Switch("wecom", path, "error", 1, 60111))

    run = _run(house, SyncKind.BROADCASTS)

    assert (run.counts["passed_over"], run.counts["touches"]) == (2, 1)
    assert run.finished_at is not None
    with house.record() as session:
        assert session.exec(select(Touch.text)).all() == ["新茶到了"]


def test_broadcast_to_many_is_written_down_page_by_page_and_once(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    customers = [f"wm{number}" for number in range(5)]
    for userid in ("WangFang", "ZhaoLei"):
        for customer in customers:
            wecom_acts.add(house.world, userid, f"{customer}{userid}", now=house.now())
    house.world.wecom.pushes.clear()
    _run(house, SyncKind.CONTACTS)
    for userid in ("WangFang", "ZhaoLei"):
        theirs = [f"{customer}{userid}" for customer in customers]
        corp_broadcasts.by_hand(house.world, userid, theirs, "新茶到了", now=house.now())
    monkeypatch.setattr(corp_broadcast_api, "_AT_ONCE", 2)
    monkeypatch.setattr(syncs, "_STRETCH_SECONDS", 0.0)

    runs = [_run(house, SyncKind.BROADCASTS) for _ in range(2)]

    assert [run.counts["touches"] for run in runs] == [10, 0]
    assert all(run.finished_at is not None for run in runs)


@pytest.mark.parametrize(
    ("state", "also"),
    [
        (TouchState.SENDING, 0),
        (TouchState.UNKNOWN, 0),
        (TouchState.SENT, 0),
        # A person has said that it did not go. It did.
        (TouchState.FAILED, 1),
    ],
)
def test_broadcast_of_ours_whose_answer_was_lost_is_not_one_of_others(
    house: House, state: TouchState, also: int
) -> None:
    _run(house, SyncKind.CONTACTS)
    with house.record() as session:
        li = session.get_one(Member, house.member_id(LI_EXTERNAL))
        facts = {"channel": Channel.WECOM_BROADCAST, "text": "新茶到了", "fenced_at": house.now()}
        a_touch(session, li, now=house.now(), state=state, **facts)
    house.api.add_broadcast("WangFang", LI_EXTERNAL, {"text": {"content": "新茶到了"}})
    (made,) = house.world.wecom.broadcasts.values()
    corp_broadcasts.confirm(house.world, made, "WangFang", now=house.now())

    _run(house, SyncKind.BROADCASTS)

    with house.record() as session:
        assert len(session.exec(select(Touch)).all()) == 1 + also


def test_imported_friend_gets_a_contact_by_the_walk(house: House) -> None:
    with house.record() as session:
        identity = members.meet(
            session,
            channel=IdentityChannel.WECOM,
            account=CORPID,
            outside_id=ZHOU_EXTERNAL,
            brand_id=1,
            now=house.now(),
        )
        _befriend(session, house, identity)

    _run(house, SyncKind.CONTACTS)

    assert house.contact(ZHOU_EXTERNAL).ended_by is None
    with house.record() as session:
        query = select(Friendship).where(Friendship.external_userid == ZHOU_EXTERNAL)
        assert len(session.exec(query).all()) == 1


def _befriend(session: Session, house: House, identity: Identity) -> None:
    relations.befriend(
        session,
        house.guide().id,
        identity.outside_id,
        member_id=identity.member_id,
        now=house.now() - timedelta(days=30),
    )
