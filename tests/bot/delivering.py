"""A brand that delivers touches to Li, with a time that the test moves."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlmodel import Session

from bot import delivery
from bot.addresses import address_of
from bot.channels.base import Cause, Channel, ChannelError, Outgoing, Receipt
from bot.channels.recording import RecordingChannel
from bot.sending import Ready
from fatigue import gate
from fatigue.gate import Ask
from store import consents, relations
from store.consents import Purpose
from store.db import Database
from store.grants import Trigger, open_window
from store.jobs import Job
from store.members import Identity, IdentityChannel, Member
from store.organisation import Brand, Guide, Shop
from store.touches import Category, Touch
from store.touches import Channel as ChannelName
from tests.bot.builders import APP_ID, CORP_ID, LI

SERVICE, BROADCAST = ChannelName.WECHAT_SERVICE, ChannelName.WECOM_BROADCAST


@dataclass
class House:
    """A brand with Li, who may be touched, and her guide Wang; tests move the time."""

    database: Database
    now: datetime
    nudged: list[tuple[Job, int]]
    li: int = 0
    wang: int = 0
    asked: int = 0
    service: RecordingChannel = field(default_factory=RecordingChannel)

    def clock(self) -> datetime:
        """The present."""
        return self.now

    @property
    def channels(self) -> dict[ChannelName, Channel]:
        """The ways out."""
        return {SERVICE: self.service}

    def ask(self, channel: ChannelName = SERVICE, **facts: Any) -> int:
        """Ask the gate for a touch of Li; gives its id."""
        self.asked += 1
        usual: dict[str, Any] = {"member_id": self.li, "guide_id": self.wang, "text": "您好"}
        usual |= {"category": Category.CARE, "brand_id": 1, **facts}
        wish = Ask(key=f"touch-{self.asked}", channels=(channel,), **usual)
        with self.database.transaction() as session:
            return gate.ask(session, wish, now=self.now).id

    def touch(self, touch_id: int) -> Touch:
        """The touch as it stands."""
        with self.database.transaction() as session:
            return session.get_one(Touch, touch_id)

    def ready(self, touch: Touch) -> Ready:
        """The touch with its address, as a call has it."""
        with self.database.transaction() as session:
            return Ready(touch, address_of(session, touch))

    def deliver(self, touch_id: int, channels: dict[ChannelName, Channel] | None = None) -> None:
        """Do the job."""
        delivery.deliver(self.database, channels or self.channels, touch_id, clock=self.clock)

    def sweep(self) -> None:
        """Do the sweeper's job."""
        delivery.sweep(self.database, now=self.now)


def a_guide_wang(session: Session, brand: Brand) -> int:
    """Wang, who speaks to Li."""
    shop = Shop(brand_id=brand.id, code="s1", name="Shop")
    session.add(shop)
    session.flush()
    wang = Guide(shop_id=shop.id, userid="wang", name="Wang")
    session.add(wang)
    session.flush()
    return wang.id


def the_member_li(
    session: Session, brand: Brand, guide_id: int, now: datetime, *, number: int | None = None
) -> int:
    """Li, who follows the account, is her guide's friend and agreed to both; or one like her."""
    mark = "" if number is None else f"-{number}"
    li = Member(
        brand_id=brand.id,
        mobile=f"1380000{5678 if number is None else number:04}",
        name="Li",
        created_at=now,
    )
    session.add(li)
    session.flush()
    for channel, account, outside_id in (
        (IdentityChannel.WECHAT, APP_ID, LI + mark),
        (IdentityChannel.WECOM, CORP_ID, f"wm-li{mark}"),
    ):
        session.add(
            Identity(
                member_id=li.id,
                channel=channel,
                account=account,
                outside_id=outside_id,
                created_at=now,
            )
        )
    for way in (SERVICE, BROADCAST):
        consents.state(
            session,
            li.id,
            way,
            Purpose.CARE,
            is_granted=True,
            text_version="1",
            source="test",
            now=now,
        )
    open_window(session, li.id, Trigger.MESSAGE, account=APP_ID, source_id=f"w1{mark}", now=now)
    relations.befriend(session, guide_id, f"wm-li{mark}", member_id=li.id, now=now)
    return li.id


def failing(cause: Cause, *, is_unsure: bool = False) -> Callable[[Outgoing], Receipt]:
    """What a channel does that always fails so."""

    def react(_out: Outgoing) -> Receipt:
        raise ChannelError(cause, is_unsure=is_unsure)

    return react
