"""Members whom the gate lets through, and asks about them; one obvious default each."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from sqlmodel import Session, select

from fatigue.gate import Ask
from store.campaigns import Campaign
from store.consents import Consent, Purpose
from store.grants import Grant
from store.members import Identity, IdentityChannel, Member
from store.organisation import Brand, Guide, Shop
from store.pieces import ContentPiece
from store.relations import Friendship
from store.touches import Category, Channel

TO_MEMBERS = (Channel.WECOM_BROADCAST, Channel.WECHAT_SERVICE, Channel.WECHAT_NOTICE)
LONG_AGO = timedelta(days=400)
_number = count(1)


def a_house(session: Session) -> tuple[Brand, Guide]:
    """The one brand, and the guide Wang in its one shop."""
    brand = session.exec(select(Brand)).first()
    if brand is None:
        brand = Brand(code="zhiwei", name="知味")
        session.add(brand)
        session.flush()
        shop = Shop(brand_id=brand.id, code="s1", name="知味 · 中山路店")
        session.add(shop)
        session.flush()
        session.add(Guide(shop_id=shop.id, userid="wang", name="王芳"))
        session.flush()
    return brand, session.exec(select(Guide)).one()


def a_member(
    session: Session,
    *,
    now: datetime,
    consents: bool = True,
    friend: bool = True,
    timezone: str | None = None,
) -> Member:
    """A member who follows the account, knows Wang and said yes to everything long ago."""
    brand, guide = a_house(session)
    number = next(_number)
    member = Member(mobile=f"100{number:08}", brand_id=brand.id, created_at=now, timezone=timezone)
    session.add(member)
    session.flush()
    for channel in IdentityChannel:
        session.add(
            Identity(
                member_id=member.id,
                channel=channel,
                account="a",
                outside_id=f"{channel}-{number}",
                created_at=now,
            )
        )
    if friend:
        session.add(
            Friendship(
                guide_id=guide.id,
                external_userid=f"wm{number}",
                member_id=member.id,
                since=now - LONG_AGO,
            )
        )
    if consents:
        consent_to_all(session, member.id, now=now - LONG_AGO)
    session.flush()
    return member


def consent_to_all(
    session: Session,
    member_id: int,
    *,
    channels: Sequence[Channel] = TO_MEMBERS,
    now: datetime,
) -> None:
    """Yes to marketing and care on every channel."""
    for channel in channels:
        for purpose in Purpose:
            session.add(
                Consent(
                    member_id=member_id,
                    channel=channel,
                    purpose=purpose,
                    is_granted=True,
                    text_version="1",
                    source="test",
                    stated_at=now,
                )
            )


def a_grant(
    session: Session,
    member_id: int,
    *,
    channel: Channel = Channel.WECHAT_SERVICE,
    allowance: int = 5,
    hours: int | None = 48,
    template_id: str = "",
    now: datetime,
) -> Grant:
    """The member wrote to the account at `now`."""
    grant = Grant(
        member_id=member_id,
        channel=channel,
        account="a",
        template_id=template_id,
        allowance=allowance,
        opened_at=now,
        expires_at=None if hours is None else now + timedelta(hours=hours),
        source_id=f"grant-{next(_number)}",
    )
    session.add(grant)
    session.flush()
    return grant


def a_campaign(session: Session, *, now: datetime) -> Campaign:
    """A marketing campaign of a month."""
    brand, _ = a_house(session)
    piece = ContentPiece(
        code=f"piece-{next(_number)}",
        title="上新",
        purpose="new",
        category=Category.MARKETING,
        text="新品到店",
        created_at=now,
    )
    session.add(piece)
    session.flush()
    campaign = Campaign(
        brand_id=brand.id,
        name="三月上新",
        category=Category.MARKETING,
        audience={},
        piece_id=piece.id,
        deadline_at=now + timedelta(days=30),
        created_at=now,
    )
    session.add(campaign)
    session.flush()
    return campaign


def an_ask(session: Session, member: Member, **facts: Any) -> Ask:
    """Wang wants to tell this member about something."""
    brand, guide = a_house(session)
    usual: dict[str, Any] = {
        "key": f"ask-{next(_number)}",
        "member_id": member.id,
        "channels": (Channel.WECOM_BROADCAST,),
        "category": Category.MARKETING,
        "brand_id": brand.id,
        "guide_id": guide.id,
        "text": "新品到店",
    }
    return Ask(**(usual | facts))
