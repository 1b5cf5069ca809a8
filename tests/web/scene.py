"""A shop to look at through the pages: Wang and Sun are its guides, Li and the others its members.

Everything is committed to a database of the test's own; the app is the real one with real parts.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import Any, TypeVar

from pydantic import SecretStr
from redis import Redis
from sqlmodel import Session, select

from bot.wechat.client import WechatClients
from bot.wecom.client import WecomClients
from store import accounts
from store.accounts import AccountForm, Platform
from store.attributions import Attribution, Commission
from store.campaigns import Assignment, Campaign, CampaignState, CareTask, TaskState
from store.consents import Consent, Purpose
from store.coupons import Coupon, CouponKind, CouponPlan
from store.db import Database
from store.levels import Level
from store.members import Identity, IdentityChannel, Member
from store.orders import MemberFacts, Order, OrderLine
from store.organisation import Brand, Guide, GuideStatus, Operator, Shop
from store.pieces import ContentPiece
from store.products import Product
from store.relations import Friendship
from store.settings import Settings
from store.touches import Category, Channel, Evidence, Touch, TouchState
from tests.sandbox.builders import AES_KEY, AGENT, APPID, CORPID
from tests.web.browser import Browser
from web.app import create_app
from web.parts import Parts
from web.sessions import Door, Sessions

HOST = "http://shop.test:8000"
_numbers = count(1)
Row = TypeVar("Row", CareTask, Assignment, Coupon)


@dataclass
class Scene:
    """The shop with its two guides, and browsers that look at it at the instant `now`."""

    database: Database
    parts: Parts
    now: datetime
    brand: Brand
    shop: Shop
    wang: Guide
    sun: Guide
    campaign: Campaign

    def browser(self) -> Browser:
        """A browser that nobody has logged in with."""
        return Browser(create_app(self.parts), HOST)

    def at_door(self, door: Door, person_id: int) -> Browser:
        """A browser with a session."""
        browser = self.browser()
        cookie = self.parts.sessions.ticket(door, person_id, mark=self._mark(door, person_id))
        browser.cookies.set(f"zhiyin_{door}", cookie, domain="shop.test", path=f"/{door}")
        return browser

    def _mark(self, door: Door, person_id: int) -> str:
        if door is not Door.CONSOLE:
            return ""
        with self.database.transaction() as session:
            return session.get_one(Operator, person_id).mark

    def guide(self, guide: Guide | None = None) -> Browser:
        """The browser of a guide; Wang's if not said."""
        return self.at_door(Door.WORKBENCH, (guide or self.wang).id)

    def phone(self, identity: Identity) -> Browser:
        """The phone of a member who has logged in."""
        return self.at_door(Door.MEMBER, identity.id)

    def add(self, row: Any) -> Any:
        """Put a row into the record."""
        with self.database.transaction() as session:
            session.add(row)
            session.flush()
        return row

    def fresh(self, row: Row) -> Row:
        """A row as the record has it now."""
        with self.database.transaction() as session:
            return session.get_one(type(row), row.id)

    def touches(self, task: CareTask) -> list[Touch]:
        """The touches that were made for a task."""
        with self.database.transaction() as session:
            return list(session.exec(select(Touch).where(Touch.care_task_id == task.id)).all())


def parts_of(settings: Settings, database: Database, redis: Redis, now: datetime) -> Parts:
    """The real parts, with a clock that stands still."""
    return Parts(
        settings=settings,
        database=database,
        redis=redis,
        sessions=Sessions(settings.secret, is_https=False),
        clock=lambda: now,
        wechat=WechatClients(settings.wechat_api_url, redis, settings.secret),
        wecom=WecomClients(settings.wecom_api_url, redis, settings.secret),
    )


def set_up(parts: Parts, now: datetime) -> Scene:
    """The brand with its accounts, a shop, two guides and a running campaign."""
    with parts.database.transaction() as session:
        brand = _put(session, Brand(code="zx", name="知鲜"))
        _put_accounts(session, brand, parts.settings.secret, now)
        shop = _put(session, Shop(brand_id=brand.id, code="s1", name="城西店", address="西路 1 号"))
        wang = _put(session, Guide(shop_id=shop.id, userid="WangFang", name="王芳"))
        sun = _put(session, Guide(shop_id=shop.id, userid="SunLi", name="孙丽"))
        piece = ContentPiece(
            code="p", title="问候", purpose="care", category=Category.CARE, text="", created_at=now
        )
        campaign = a_campaign(brand, _put(session, piece), now)
        _put(session, campaign)
    return Scene(parts.database, parts, now, brand, shop, wang, sun, campaign)


def _put(session: Session, row: Any) -> Any:
    session.add(row)
    session.flush()
    return row


def _put_accounts(session: Session, brand: Brand, secret_key: str, now: datetime) -> None:
    keys: dict[str, Any] = {"token": SecretStr("sandboxToken"), "aes_key": SecretStr(AES_KEY)}
    wechat = AccountForm(
        brand_id=brand.id,
        platform=Platform.WECHAT,
        code="main",
        name="公众号",
        app_id=APPID,
        secret=SecretStr("s3cret"),
        **keys,
    )
    wecom = AccountForm(
        brand_id=brand.id,
        platform=Platform.WECOM,
        code="care",
        name="应用",
        app_id=CORPID,
        agent_id=AGENT,
        secret=SecretStr("care"),
        **keys,
    )
    for form in (wechat, wecom):
        accounts.register(session, form, secret_key=secret_key, now=now)


def a_campaign(brand: Brand, piece: ContentPiece, now: datetime) -> Campaign:
    """A care campaign that runs until eight in the evening."""
    return Campaign(
        brand_id=brand.id,
        name="老客关怀",
        category=Category.CARE,
        state=CampaignState.RUNNING,
        audience={},
        piece_id=piece.id,
        deadline_at=now + timedelta(hours=6),
        commission_bp=500,
        created_at=now - timedelta(hours=1),
        launched_at=now - timedelta(hours=1),
    )


def a_member(
    scene: Scene, name: str = "李雨桐", *, mobile: str = "17100000001", spent_fen: int = 100_00
) -> Member:
    """A member in gold who once bought, is Wang's friend in WeCom and agreed to hear from us."""
    number = next(_numbers)
    level = Level(code=f"gold{number}", name="金卡", rank=number)
    scene.add(level)
    member = Member(
        name=name,
        mobile=f"{mobile[:-4]}{number:04}",
        brand_id=scene.brand.id,
        shop_id=scene.shop.id,
        level_id=level.id,
        created_at=scene.now,
    )
    scene.add(member)
    last = scene.now - timedelta(days=9)
    scene.add(
        MemberFacts(
            member_id=member.id,
            orders_count=4,
            spent_365_fen=spent_fen,
            last_order_at=last,
            favourite_categories=["牛奶"],
            updated_at=last,
        )
    )
    _befriend(scene, member, f"wm{number:030}")
    return member


def _befriend(scene: Scene, member: Member, external_userid: str) -> None:
    since = scene.now - timedelta(days=90)
    scene.add(
        Friendship(
            guide_id=scene.wang.id,
            external_userid=external_userid,
            member_id=member.id,
            since=since,
        )
    )
    scene.add(
        Identity(
            member_id=member.id,
            channel=IdentityChannel.WECOM,
            account=CORPID,
            outside_id=external_userid,
            created_at=since,
        )
    )
    scene.add(
        Consent(
            member_id=member.id,
            channel=Channel.WECOM_BROADCAST,
            purpose=Purpose.CARE,
            is_granted=True,
            text_version="1",
            source="import",
            stated_at=since,
        )
    )


def an_identity(scene: Scene, member: Member, openid: str = "") -> Identity:
    """The member's WeChat."""
    identity = Identity(
        member_id=member.id,
        channel=IdentityChannel.WECHAT,
        account=APPID,
        outside_id=openid or f"o{next(_numbers):027}",
        created_at=scene.now,
    )
    scene.add(identity)
    return identity


def a_task(
    scene: Scene,
    member: Member | None = None,
    *,
    guide: Guide | None = None,
    state: TaskState = TaskState.ASSIGNED,
    **more: Any,
) -> CareTask:
    """A care task of Wang's for a member, with a draft and a reason."""
    member = member or a_member(scene)
    facts: dict[str, Any] = {
        "reason": "上次是 9 天前",
        "draft": "李雨桐您好，\n这周牛奶很新鲜。",
        "deadline_at": scene.campaign.deadline_at,
        "created_at": scene.now,
        "moved_at": scene.now,
    }
    task = CareTask(
        campaign_id=scene.campaign.id,
        guide_id=(guide or scene.wang).id,
        member_id=member.id,
        state=state,
        **facts | more,
    )
    scene.add(task)
    return task


def an_assignment(scene: Scene, guide: Guide | None = None) -> Assignment:
    """The share of a guide in the campaign."""
    assignment = Assignment(
        campaign_id=scene.campaign.id, guide_id=(guide or scene.wang).id, created_at=scene.now
    )
    scene.add(assignment)
    return assignment


def a_product(scene: Scene, name: str = "鲜牛奶", *, category: str = "牛奶") -> Product:
    """A thing on the shelf for 12.90 yuan."""
    product = Product(
        external_id=f"p{next(_numbers)}", name=name, category=category, price_fen=1290
    )
    scene.add(product)
    return product


def an_order(scene: Scene, member: Member, *, amount_fen: int = 88_60) -> Order:
    """An order of one product, paid an hour ago."""
    number = next(_numbers)
    order = Order(
        source="test",
        external_id=f"o{number}",
        member_id=member.id,
        shop_id=scene.shop.id,
        amount_fen=amount_fen,
        paid_at=scene.now - timedelta(hours=1),
        created_at=scene.now,
    )
    scene.add(order)
    product = a_product(scene, f"商品{number}")
    scene.add(
        OrderLine(
            order_id=order.id, line_no=1, product_id=product.id, quantity=1, amount_fen=amount_fen
        )
    )
    return order


def a_sale(scene: Scene, task: CareTask, *, amount_fen: int = 88_60) -> Attribution:
    """An order that is credited to a task, with five per cent of commission."""
    with scene.database.transaction() as session:
        member = session.get_one(Member, task.member_id)
    order = an_order(scene, member, amount_fen=amount_fen)
    touch = Touch(
        key=f"sale-{order.id}",
        member_id=member.id,
        channel=Channel.WECOM_BROADCAST,
        category=Category.CARE,
        brand_id=scene.brand.id,
        care_task_id=task.id,
        guide_id=task.guide_id,
        state=TouchState.SENT,
        asked_at=scene.now - timedelta(days=40),
        counted_at=scene.now - timedelta(days=40),
    )
    scene.add(touch)
    credit = Attribution(
        order_id=order.id,
        campaign_id=task.campaign_id,
        care_task_id=task.id,
        touch_id=touch.id,
        guide_id=task.guide_id,
        evidence=Evidence.PLATFORM,
        amount_fen=amount_fen,
        attributed_at=scene.now,
    )
    scene.add(credit)
    assert task.guide_id is not None
    scene.add(
        Commission(
            attribution_id=credit.id,
            guide_id=task.guide_id,
            amount_fen=amount_fen // 20,
            confirms_at=scene.now + timedelta(days=7),
            created_at=scene.now,
        )
    )
    return credit


def a_coupon(scene: Scene, member: Member, *, code: str = "K7M2PQ9RTX4A") -> Coupon:
    """Ten yuan off fifty, good for twenty days."""
    number = next(_numbers)
    plan = CouponPlan(
        code=f"plan{number}",
        name="满50减10",
        kind=CouponKind.AMOUNT_OFF,
        value=10_00,
        min_spend_fen=50_00,
    )
    scene.add(plan)
    coupon = Coupon(
        plan_id=plan.id,
        member_id=member.id,
        code=code,
        reason="test",
        source_id=str(number),
        issued_at=scene.now,
        expires_at=scene.now + timedelta(days=20),
    )
    scene.add(coupon)
    return coupon


def leave(scene: Scene, guide: Guide) -> None:
    """The guide is no longer in post."""
    with scene.database.transaction() as session:
        session.get_one(Guide, guide.id).status = GuideStatus.LEFT
