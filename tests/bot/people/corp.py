"""A corp in the sandbox and a brand in the record, with the jobs done as the worker does them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from pydantic import SecretStr
from redis import Redis
from sqlmodel import Session, col, select

from bot import delivery, scene_codes
from bot.channels.wecom_welcome import WecomWelcome
from bot.inbox import Desk
from bot.people import cards, events, moving, steps, syncs, ways
from bot.wecom import inbound as door
from bot.wecom.client import WeComApi, WecomClients
from guide_tasks import departures, next_in_line
from sandbox import ids
from sandbox.push import encode
from sandbox.state import World
from store import accounts, clock, contacts
from store.accounts import Account, AccountForm, Platform
from store.contacts import Contact
from store.db import Database
from store.jobs import Job
from store.members import Identity, IdentityChannel
from store.organisation import Brand, Guide, Shop
from store.relations import Friendship
from store.touches import Channel
from tests.sandbox.builders import AES_KEY, AGENT, CORPID

SECRET_KEY = "a key of the tests"
NEW = ids.external_userid(CORPID, "new")


@dataclass
class House:
    """The product beside the sandbox: its record, its door, its worker."""

    database: Database
    world: World
    clients: WecomClients
    jobs: list[tuple[Job, int]] = field(default_factory=list)
    # How far the product's clock is ahead of the sandbox's.
    ahead: timedelta = timedelta(0)

    def now(self) -> datetime:
        """The present."""
        return clock.now() + self.ahead

    @property
    def desk(self) -> Desk:
        """The desk of the door."""
        return Desk(self.database, SECRET_KEY, "https://x.example", ZoneInfo("Asia/Shanghai"))

    @property
    def api(self) -> WeComApi:
        """The client of the app."""
        with self.database.transaction() as session:
            return self.clients.of(session.exec(select(Account)).one())

    def push_all(self) -> int:
        """Bring every callback of the sandbox to the door; gives how many."""
        with self.world.wecom.lock:
            pushes, self.world.wecom.pushes = self.world.wecom.pushes, []
        for push in pushes:
            query, body = encode(push.door, sender=push.sender, xml=push.xml)
            answer = door.receive(self.desk, "guides", query, body, now=self.now())
            assert answer == door.NOTHING_TO_SAY
        return len(pushes)

    def work(self) -> None:
        """Do every job that waits, and those that follow from it."""
        for _ in range(200):
            if not self.jobs:
                return
            job, row = self.jobs.pop(0)
            self.do(job, row)
        raise AssertionError("The jobs never end.")

    def make(self, scene_id: int) -> None:
        """Have a code made."""
        makers = {Platform.WECOM: ways.maker(self.clients)}
        scene_codes.make(self.database, makers, scene_id, clock=self.now)

    def do(self, job: Job, row: int) -> None:
        """Do one job."""
        acts = {
            Job.HEAR_WECOM: lambda: self.hear(row),
            Job.STEP_CONTACT: lambda: steps.step(self.database, self.clients, row, clock=self.now),
            Job.SYNC: lambda: syncs.run(self.database, self.clients, row, clock=self.now),
            Job.MAKE_SCENE: lambda: self.make(row),
            Job.CHANGE_CARD: lambda: cards.change(self.database, self.clients, row, clock=self.now),
            Job.HAND_OVER: lambda: departures.hand_over(self.database, row, now=self.now()),
            Job.DELIVER_TOUCH: lambda: self.deliver(row),
        }
        acts[job]()

    def hear(self, row: int) -> None:
        """Work on a callback, and deliver the welcome that follows from it."""
        url = "https://x.example"
        welcome = events.hear(self.database, row, public_url=url, clock=self.now)
        if welcome is not None:
            self.deliver(welcome)

    def deliver(self, touch_id: int) -> None:
        """Deliver one touch."""
        channels = {Channel.WECOM_WELCOME: WecomWelcome(self.clients)}
        delivery.deliver(self.database, channels, touch_id, clock=self.now)

    def move(self) -> None:
        """Move the customers that are to be moved, at the pace of the job."""
        next_in_line.plan_again(self.database, public_url="https://x.example", now=self.now())
        moving.move_due(self.database, self.clients, clock=self.now)

    def hear_all(self) -> None:
        """All callbacks, and all work that follows from them, also that of a sweep soon after."""
        while self.push_all():
            self.work()
        self.work()
        ahead = self.ahead
        self.ahead += timedelta(seconds=3)
        self.sweep()
        self.ahead = ahead

    def sweep(self) -> None:
        """Nudge for the contacts that have come due, as the clock of the house does."""
        with self.record() as session:
            due = session.exec(contacts.waiting(self.now())).all()
        self.jobs += [(Job.STEP_CONTACT, contact_id) for contact_id in due]
        self.work()

    @contextmanager
    def record(self) -> Iterator[Session]:
        """The record."""
        with self.database.transaction() as session:
            yield session

    def guide(self, userid: str = "WangFang") -> Guide:
        """A guide."""
        with self.record() as session:
            return session.exec(select(Guide).where(Guide.userid == userid)).one()

    def friends(self, userid: str = "WangFang") -> set[str]:
        """Customers who are a guide's contacts by our record."""
        with self.record() as session:
            query = select(Friendship.external_userid).join(Guide)
            open_ones = query.where(Guide.userid == userid, col(Friendship.until).is_(None))
            return set(session.exec(open_ones).all())

    def contact(self, external_userid: str, userid: str = "WangFang") -> Contact:
        """The contact of a pair."""
        with self.record() as session:
            query = select(Contact).join(Guide).join(Identity)
            return session.exec(
                query.where(Guide.userid == userid, Identity.outside_id == external_userid)
            ).one()

    def member_id(self, external_userid: str) -> int:
        """Who a customer is."""
        with self.record() as session:
            return session.exec(
                select(Identity.member_id).where(
                    Identity.outside_id == external_userid,
                    Identity.channel == IdentityChannel.WECOM,
                )
            ).one()


def a_house(database: Database, world: World, url: str, redis: Redis) -> House:
    """A shop with Wang and Zhao, and the app that speaks to them."""
    jobs: list[tuple[Job, int]] = []
    clients = WecomClients(f"{url}/wecom", redis, SECRET_KEY, (10.0, 20.0))
    house = House(Database(database.engine, jobs.append), world, clients, jobs)
    with house.record() as session:
        brand = Brand(code="zhiwei", name="知味")
        session.add(brand)
        session.flush()
        shop = Shop(brand_id=brand.id, code="s1", name="中山路店")
        session.add(shop)
        session.flush()
        for userid, name in (("WangFang", "王芳"), ("ZhaoLei", "赵磊")):
            session.add(Guide(shop_id=shop.id, userid=userid, name=name))
        accounts.register(session, an_app_form(brand.id), secret_key=SECRET_KEY, now=clock.now())
    return house


def an_app_form(brand_id: int) -> AccountForm:
    """The app of the sandbox, as IT enters it."""
    return AccountForm(
        brand_id=brand_id,
        platform=Platform.WECOM,
        code="guides",
        name="工作台",
        app_id=CORPID,
        agent_id=AGENT,
        secret=SecretStr("care"),
        token=SecretStr("sandboxToken"),
        aes_key=SecretStr(AES_KEY),
    )
