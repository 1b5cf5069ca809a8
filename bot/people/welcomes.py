"""The welcome of a new friend: asked of the gate like every touch, and gone within 20 seconds."""

from dataclasses import dataclass, field
from datetime import datetime

from sqlmodel import Session

from bot.scenes import Came
from bot.wecom import welcome
from content.welcomes import Occasion, words
from fatigue import gate
from fatigue.gate import Ask
from store.jobs import Job, after_commit
from store.organisation import Guide, Shop
from store.touches import Category, Channel, TouchState

_LEASE_MINUTES = 1


@dataclass(frozen=True)
class Hello:
    """Who welcomes whom, by what they came, and with which code of which second."""

    event_id: int
    member_id: int
    guide: Guide
    came: Came
    code: str = field(repr=False)
    at: datetime


def ask(session: Session, hello: Hello, *, public_url: str, now: datetime) -> int | None:
    """Ask the gate for a welcome; gives the touch to deliver, none when it is too late by now."""
    deadline_at = hello.at + welcome.LIFE
    if deadline_at <= now:
        return None
    # Who stands behind a code of another shop welcomes to that one.
    shop = hello.came.shop or session.get_one(Shop, hello.guide.shop_id)
    link = f"{public_url}/m/card"
    wish = Ask(
        key=f"welcome-{hello.event_id}",
        member_id=hello.member_id,
        channels=(Channel.WECOM_WELCOME,),
        category=Category.SERVICE,
        brand_id=shop.brand_id,
        guide_id=hello.guide.id,
        text=words(
            session, _occasion(hello.came), guide=hello.guide.name, shop=shop.name, link=link
        ),
        payload={"welcome_code": hello.code},
        deadline_at=deadline_at,
    )
    touch = gate.ask(session, wish, now=now, lease_minutes=_LEASE_MINUTES)
    if touch.state is not TouchState.RESERVED:
        return None
    after_commit(session, Job.DELIVER_TOUCH, touch.id)
    return touch.id


def _occasion(came: Came) -> Occasion:
    if came.guide is not None:
        return Occasion.GUIDE
    return Occasion.PLAIN if came.shop is None else Occasion.SHOP
