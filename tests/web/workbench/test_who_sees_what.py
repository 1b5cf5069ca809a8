"""Every page and act of the workbench, tried by every role; a new route has to join the table."""

from dataclasses import dataclass
from datetime import timedelta

import pytest
from fastapi.routing import iter_route_contexts
from sqlmodel import Session, select

from store.audit import AuditEntry
from store.campaigns import Assignment, CareTask, TaskState
from store.handovers import Handover, HandoverLine, Side
from store.members import Member
from store.notes import Note
from store.orders import Order
from store.organisation import Brand, Guide, GuideRole, Region, Shop
from store.relations import Friendship, Ownership
from store.tags import Tag
from tests.web.scene import (
    Scene,
    a_member,
    a_sale,
    a_task,
    an_assignment,
    an_identity,
    leave,
)
from web.app import create_app

OWNER, COLLEAGUE, MANAGER, REGION, HQ = "owner", "colleague", "manager", "region", "hq"
ELSEWHERE, ABROAD, DEPARTED = "manager elsewhere", "another brand's HQ", "departed"
ROLES = (OWNER, COLLEAGUE, MANAGER, REGION, HQ, ELSEWHERE, ABROAD, DEPARTED)
LEADERS = frozenset({MANAGER, REGION, HQ, ELSEWHERE, ABROAD})
ABOVE = frozenset({MANAGER, REGION, HQ})
ALL = frozenset(ROLES) - {DEPARTED}

NAME, MOBILE = "李雨桐", "17100000001"
LOGIN, OK, NOT_HERE, NOT_YOURS = 303, (200, 204, 303), 404, 403


@dataclass(frozen=True)
class Line:
    """A route of the table: who gets in, what is posted, and whether it shows the customer."""

    who: frozenset[str]
    post: dict[str, str] | None = None
    shows: bool = True
    # Pages that everybody has, with only the own things on them.
    is_own: bool = False
    refused: int = NOT_HERE


ONE, SEEN = frozenset({OWNER}), frozenset({OWNER}) | ABOVE
TABLE: dict[tuple[str, str], Line] = {
    ("GET", "/guide"): Line(ONE, is_own=True),
    # Wang's customer has a task already; whose customers it shows has a test of its own.
    ("GET", "/guide/opportunities"): Line(frozenset(), is_own=True),
    ("GET", "/guide/shop"): Line(frozenset(), is_own=True),
    ("GET", "/guide/a/{token}"): Line(ONE),
    ("GET", "/guide/t/{token}"): Line(ONE),
    ("POST", "/guide/t/{token}/send"): Line(ONE, {}, shows=False),
    ("POST", "/guide/t/{token}/told"): Line(ONE, {}, shows=False),
    ("POST", "/guide/t/{token}/edit"): Line(ONE, {"text": "x"}, shows=False),
    ("POST", "/guide/t/{token}/keep"): Line(ONE, {"text": "x"}, shows=False),
    ("POST", "/guide/t/{token}/tone"): Line(ONE, {"tone": "brief"}, shows=False),
    ("POST", "/guide/t/{token}/skip"): Line(ONE, {"why": "other"}, shows=False),
    ("POST", "/guide/t/{token}/snooze"): Line(ONE, {"pause": "two_hours"}, shows=False),
    ("GET", "/guide/t/{token}/picks"): Line(ONE, shows=False),
    ("GET", "/guide/customers"): Line(frozenset({OWNER, MANAGER}), is_own=True),
    ("POST", "/guide/customers"): Line(SEEN, {"words": NAME[:2]}, is_own=True),
    ("GET", "/guide/c/{card_no}"): Line(SEEN),
    ("POST", "/guide/c/{card_no}/mobile"): Line(ABOVE, {}),
    ("POST", "/guide/c/{card_no}/tags"): Line(SEEN, {"code": "vip", "on": "true"}, shows=False),
    ("POST", "/guide/c/{card_no}/remark"): Line(SEEN, {"remark": "x"}, shows=False),
    ("GET", "/guide/c/{card_no}/notes"): Line(SEEN),
    ("POST", "/guide/c/{card_no}/notes"): Line(SEEN, {"text": "x"}, shows=False),
    ("POST", "/guide/c/{card_no}/notes/keep"): Line(SEEN, {"text": "x"}, shows=False),
    # Who may see a note may still not take it away from its author.
    ("POST", "/guide/c/{card_no}/notes/{token}/delete"): Line(ONE, {}, shows=False),
    ("GET", "/guide/talks"): Line(SEEN, is_own=True),
    ("GET", "/guide/talks/{token}"): Line(SEEN),
    ("POST", "/guide/talks/{token}/answer"): Line(SEEN, {"text": "x"}, shows=False),
    ("POST", "/guide/talks/{token}/release"): Line(SEEN, {}, shows=False),
    # Who may not see a friend of a chat sees an unknown one.
    ("GET", "/guide/sidebar"): Line(frozenset(), is_own=True),
    ("GET", "/guide/sidebar/with/{external_userid}"): Line(SEEN, is_own=True),
    ("POST", "/guide/sidebar/{token}/send"): Line(ONE, {}, shows=False),
    ("POST", "/guide/sidebar/{token}/told"): Line(ONE, {"how": "cancel"}, shows=False),
    ("GET", "/guide/results"): Line(ONE, is_own=True),
    ("GET", "/guide/results/steps/{step}"): Line(ONE, is_own=True),
    ("GET", "/guide/results/sale"): Line(SEEN),
    ("GET", "/guide/team"): Line(LEADERS, shows=False, refused=NOT_YOURS),
    ("GET", "/guide/team/{userid}"): Line(ABOVE),
    ("POST", "/guide/team/{userid}/nudge"): Line(ABOVE, {}, shows=False),
    ("POST", "/guide/team/{userid}/leave"): Line(
        ABOVE, {"first": "2026-03-05", "last": "2026-03-06"}, shows=False
    ),
    ("POST", "/guide/team/{userid}/reassign"): Line(ABOVE, {"to": "SunLi"}, shows=False),
}
# Whoever may take a task of the shop is tried by itself: its task has no guide.
APART = {
    ("POST", "/guide/t/{token}/take"),
    ("GET", "/guide/login/back"),
    # It shows a signature, and asks WeCom for it.
    ("GET", "/guide/sidebar/sign"),
    # They show nothing: a post that had to log in comes back as a read.
    ("GET", "/guide/t/{token}/{act}"),
    ("GET", "/guide/c/{card_no}/{act}"),
    ("GET", "/guide/c/{card_no}/notes/{rest:path}"),
    ("GET", "/guide/talks/{token}/{act}"),
    ("GET", "/guide/team/{userid}/{act}"),
}


@dataclass
class House:
    """Wang's customer, task, share, talk and sale; people of every role."""

    scene: Scene
    people: dict[str, Guide]
    member: Member
    task: CareTask
    sold: CareTask
    share: Assignment
    talk: Handover
    note: str
    order: str

    @property
    def friend(self) -> str:
        """What WeCom calls Wang's customer."""
        is_friend = Friendship.member_id == self.member.id
        with self.scene.database.transaction() as session:
            return session.exec(select(Friendship.external_userid).where(is_friend)).one()

    def address(self, path: str) -> str:
        """The path with Wang's own things in it."""
        token = self.task.token
        if path.startswith("/guide/a/"):
            token = self.share.token
        if "/notes/" in path:
            token = self.note
        if path.startswith("/guide/talks/"):
            token = self.talk.token
        own = {"card_no": self.member.card_no, "external_userid": self.friend}
        filled = path.format(token=token, userid="WangFang", step="sent", **own)
        return f"{filled}?order={self.order}" if path.endswith("/sale") else filled


@pytest.fixture
def house(scene: Scene) -> House:
    """The shop in the east; another region's shop, and another brand."""
    member = a_member(scene, NAME, mobile=MOBILE)
    scene.add(Tag(code="vip", name="常客"))
    scene.add(Ownership(member_id=member.id, guide_id=scene.wang.id, since=scene.now))
    share = an_assignment(scene)
    # The words hold no name: a page is known by the name on it.
    draft = "您好，http://shop.test:8000/m/picks/0123456789"
    task = a_task(scene, member, assignment_id=share.id, draft=draft)
    other = a_member(scene, NAME, mobile=MOBILE)
    sold = a_task(scene, other, state=TaskState.SENT, sent_at=scene.now)
    sale = a_sale(scene, sold)
    with scene.database.transaction() as session:
        order = _order_key(session, sale.order_id)
    note = scene.add(
        Note(
            member_id=member.id,
            guide_id=scene.wang.id,
            text="过敏，不吃坚果",
            created_at=scene.now,
            written_at=scene.now,
        )
    ).token
    people, talk = _people(scene), _talk(scene, member)
    return House(scene, people, member, task, sold, share, talk, note, order)


def _order_key(session: Session, order_id: int) -> str:
    order = session.get_one(Order, order_id)
    return f"{order.source}~{order.external_id}"


def _talk(scene: Scene, member: Member) -> Handover:
    identity = an_identity(scene, member)
    talk: Handover = scene.add(
        Handover(
            member_id=member.id,
            identity_id=identity.id,
            brand_id=scene.brand.id,
            guide_id=scene.wang.id,
            opened_at=scene.now,
            expires_at=scene.now + timedelta(hours=4),
        )
    )
    scene.add(HandoverLine(handover_id=talk.id, side=Side.MEMBER, words="在吗", said_at=scene.now))
    return talk


def _people(scene: Scene) -> dict[str, Guide]:
    east, west = (
        scene.add(Region(brand_id=scene.brand.id, code=code, name=code)) for code in ("e", "w")
    )
    with scene.database.transaction() as session:
        session.get_one(Shop, scene.shop.id).region_id = east.id
    second = scene.add(Shop(brand_id=scene.brand.id, region_id=east.id, code="s2", name="城东店"))
    third = scene.add(Shop(brand_id=scene.brand.id, region_id=west.id, code="s3", name="城北店"))
    brand = scene.add(Brand(code="other", name="别家"))
    abroad = scene.add(Shop(brand_id=brand.id, code="s4", name="别家店"))

    def somebody(userid: str, shop: Shop, role: GuideRole) -> Guide:
        guide: Guide = scene.add(Guide(shop_id=shop.id, userid=userid, name=userid, role=role))
        return guide

    gone = somebody("gone", scene.shop, GuideRole.HQ)
    leave(scene, gone)
    return {
        OWNER: scene.wang,
        COLLEAGUE: scene.sun,
        MANAGER: somebody("manager", scene.shop, GuideRole.MANAGER),
        REGION: somebody("region", second, GuideRole.REGION),
        HQ: somebody("hq", third, GuideRole.HQ),
        ELSEWHERE: somebody("elsewhere", second, GuideRole.MANAGER),
        ABROAD: somebody("abroad", abroad, GuideRole.HQ),
        DEPARTED: gone,
    }


def test_every_route_of_the_workbench_stands_in_the_table(scene: Scene) -> None:
    app = create_app(scene.parts)

    routes = {
        (method, str(route.path))
        for route in iter_route_contexts(app.routes)
        if str(route.path).startswith("/guide")
        for method in route.methods or ()
    }

    assert routes == set(TABLE) | APART


@pytest.mark.parametrize("role", ROLES)
def test_role_gets_into_what_it_may_see_and_nothing_else(house: House, role: str) -> None:
    browser = house.scene.guide(house.people[role])
    wrong = []

    for (method, path), line in TABLE.items():
        if method == "POST" and role in line.who:
            continue
        address = house.address(path)
        answer = browser.get(address) if method == "GET" else browser.post(address, data=line.post)
        seen = NAME in answer.text
        if answer.status_code not in _expected(role, line) or seen is not _is_shown(role, line):
            wrong.append((method, path, answer.status_code, seen))
        if MOBILE[:7] in answer.text:
            wrong.append((method, path, 0, True))

    assert wrong == []


def _expected(role: str, line: Line) -> tuple[int, ...]:
    if role == DEPARTED:
        return (LOGIN,)
    if line.is_own or role in line.who:
        return (200,)
    # A whole mobile is refused to a guide who may see the customer; strangers see no customer.
    return (line.refused, NOT_YOURS, NOT_HERE)


def _is_shown(role: str, line: Line) -> bool:
    return role in line.who and line.shows


@pytest.mark.parametrize(("method", "path"), [key for key in TABLE if key[0] == "POST"])
def test_act_is_open_to_each_who_may(house: House, method: str, path: str) -> None:
    line = TABLE[method, path]
    for role in sorted(line.who):
        answer = house.scene.guide(house.people[role]).post(house.address(path), data=line.post)

        assert answer.status_code in {*OK, 409}, (role, answer.status_code)
        assert "open.weixin" not in answer.headers.get("location", "")


def test_whoever_leaves_sees_nothing_from_that_moment(house: House) -> None:
    browser = house.scene.guide()
    assert NAME in browser.get(f"/guide/t/{house.task.token}").text

    leave(house.scene, house.scene.wang)

    for method, path in TABLE:
        line = TABLE[method, path]
        address = house.address(path)
        answer = browser.get(address) if method == "GET" else browser.post(address, data=line.post)
        assert (answer.status_code, NAME in answer.text) == (LOGIN, False), path


def test_look_at_a_mobile_is_audited_each_time(house: House) -> None:
    browser = house.scene.guide(house.people[MANAGER])
    for _ in range(2):
        answer = browser.post(f"/guide/c/{house.member.card_no}/mobile")
        assert str(house.member.mobile) in answer.text
        assert answer.headers["cache-control"] == "no-store"

    with house.scene.database.transaction() as session:
        looked = select(AuditEntry).where(AuditEntry.act == "member.see_mobile")
        found = session.exec(looked).all()
    assert [entry.actor for entry in found] == ["guide:manager"] * 2
