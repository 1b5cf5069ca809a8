"""The stage of the demo: a brand, its accounts, an operator, words and a till's key."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from pydantic import SecretStr
from sqlmodel import Session, select

from content import ready_pieces
from content.phrases import Intent
from fatigue import policies
from store import accounts, api_keys, points_shop
from store.accounts import AccountForm, Platform
from store.binding import JoiningOffer
from store.coupons import CouponPlan
from store.organisation import Brand, Operator, add_operator
from store.settings import Settings

BRAND_CODE = "zhiwei"
BRAND_NAME = "知味"
WECHAT_CODE = "brand"
WECOM_CODE = "guides"
APP_ID = "wx5a9d0c1e7b3f2468"
ORIGINAL_ID = "gh_5a9d0c1e7b3f"
CORP_ID = "ww7c2e9a4b6d1f8035"
AGENT_ID = 1000002
NOTICE_TEMPLATE_ID = "Q2FyZVBpY2tzTm90aWNlVGVtcGxhdGVJZF9aaGl5aW4"
# What the template asks for: a type of WeChat's and a number (wechat-oa.md §6.3).
NOTICE_FIELDS = ["thing1", "thing2"]
# What the brand has set up in WeChat's console; the keys are those of the bot.
MENU = [
    {
        "name": "会员",
        "sub_button": [
            {"type": "click", "name": "会员卡", "key": Intent.CARD},
            {"type": "click", "name": "查积分", "key": Intent.POINTS},
            {"type": "click", "name": "积分商城", "key": Intent.POINTS_SHOP},
            {"type": "click", "name": "我的订单", "key": Intent.ORDERS},
            {"type": "click", "name": "绑定手机号", "key": Intent.BIND},
        ],
    },
    {
        "name": "优惠",
        "sub_button": [
            {"type": "click", "name": "我的优惠券", "key": Intent.COUPONS},
            {"type": "click", "name": "送券给朋友", "key": Intent.GIFT},
        ],
    },
    {
        "name": "服务",
        "sub_button": [
            {"type": "click", "name": "我的导购", "key": Intent.GUIDE},
            {"type": "click", "name": "附近门店", "key": Intent.SHOPS},
            {"type": "click", "name": "人工客服", "key": Intent.HUMAN},
            {"type": "click", "name": "意见反馈", "key": Intent.FEEDBACK},
            {"type": "click", "name": "少收一点", "key": Intent.PREFERENCES},
        ],
    },
]
_JOINING_PLAN, _JOINING_POINTS = "JOIN10", 100
# What points buy: plan, points, stock, how many a member may have.
_POINTS_SHOP = (("FRIEND8", 80, None, 3), ("COFFEE1", 150, 200, 1), ("FRESH20", 260, 12, 2))
LOGIN = "hq"
TILL = "pos"


@dataclass(frozen=True)
class Secrets:
    """Credentials of the demo's accounts, made from the deployment's own secret."""

    secret: str

    def make(self, name: str, length: int) -> str:
        """A stable secret of `length` letters and digits."""
        return hashlib.sha256(f"{self.secret}:{name}".encode()).hexdigest()[:length]

    def aes_key(self, name: str) -> str:
        """A stable EncodingAESKey; the last character leaves the spare bits of base64 empty."""
        return self.make(name, 42) + "A"


def set_up(session: Session, settings: Settings, *, now: datetime) -> Brand:
    """Make whatever of the stage is not there yet; a repeat changes nothing."""
    brand = session.exec(select(Brand).where(Brand.code == BRAND_CODE)).first()
    if brand is None:
        brand = Brand(code=BRAND_CODE, name=BRAND_NAME, timezone=settings.timezone)
        session.add(brand)
        session.flush()
    secrets = Secrets(settings.secret)
    for form in (_official_account(brand.id, secrets), _wecom_app(brand.id, secrets)):
        accounts.register(session, form, secret_key=settings.secret, now=now)
    ready_pieces.seed(session, now=now)
    policies.seed(session, now=now)
    if session.exec(select(Operator).where(Operator.login == LOGIN)).first() is None:
        add_operator(session, LOGIN, "总部运营", password(settings))
    return brand


def password(settings: Settings) -> str:
    """The demo operator's password, shown by the demo."""
    return Secrets(settings.secret).make("operator", 10)


def till_key(session: Session, *, now: datetime) -> str:
    """A fresh API key for the demo's till."""
    return api_keys.issue(session, TILL, now=now)


def set_joining_gift(session: Session) -> None:
    """Whoever joins gets a coupon and some points; nothing where the plan was not loaded."""
    plan = session.exec(select(CouponPlan).where(CouponPlan.code == _JOINING_PLAN)).first()
    if plan is not None:
        brand = session.exec(select(Brand).where(Brand.code == BRAND_CODE)).one()
        offer = JoiningOffer(brand_id=brand.id, coupon_plan_id=plan.id, points=_JOINING_POINTS)
        session.merge(offer)


def stock_points_shop(session: Session) -> None:
    """Something to have for points; nothing where the plans were not loaded."""
    for code, cost, stock, limit in _POINTS_SHOP:
        plan = session.exec(select(CouponPlan).where(CouponPlan.code == code)).first()
        if plan is not None:
            points_shop.offer(
                session, code, plan.id, cost=cost, stock=stock, per_member_limit=limit
            )


def coupon_plan(session: Session) -> str:
    """The code of a coupon plan that the demo's campaign gives; blank for none."""
    plans = session.exec(select(CouponPlan).where(CouponPlan.is_active).order_by(CouponPlan.code))
    plan = plans.first()
    return plan.code if plan else ""


def _official_account(brand_id: int, secrets: Secrets) -> AccountForm:
    return AccountForm(
        brand_id=brand_id,
        platform=Platform.WECHAT,
        code=WECHAT_CODE,
        name=f"{BRAND_NAME}会员中心",
        app_id=APP_ID,
        original_id=ORIGINAL_ID,
        secret=SecretStr(secrets.make("wechat-secret", 32)),
        token=SecretStr(secrets.make("wechat-token", 24)),
        aes_key=SecretStr(secrets.aes_key("wechat-aes")),
        notice_template_id=NOTICE_TEMPLATE_ID,
    )


def _wecom_app(brand_id: int, secrets: Secrets) -> AccountForm:
    return AccountForm(
        brand_id=brand_id,
        platform=Platform.WECOM,
        code=WECOM_CODE,
        name="知音工作台",
        app_id=CORP_ID,
        agent_id=AGENT_ID,
        secret=SecretStr(secrets.make("wecom-secret", 43)),
        token=SecretStr(secrets.make("wecom-token", 24)),
        aes_key=SecretStr(secrets.aes_key("wecom-aes")),
    )


def platforms(settings: Settings, product_url: str) -> Mapping[str, object]:
    """The same accounts as the sandbox must know them: the body of its `register`."""
    secrets = Secrets(settings.secret)
    host = product_url.split("://", 1)[1]
    account = {
        "appid": APP_ID,
        "secret": secrets.make("wechat-secret", 32),
        "token": secrets.make("wechat-token", 24),
        "aes_key": secrets.aes_key("wechat-aes"),
        "original_id": ORIGINAL_ID,
        "door_url": f"{product_url}/wechat/{WECHAT_CODE}",
        "name": f"{BRAND_NAME}会员中心",
        "oauth_domain": host,
        "templates": {NOTICE_TEMPLATE_ID: NOTICE_FIELDS},
        "menu": MENU,
    }
    app = {
        "corpid": CORP_ID,
        "secret": secrets.make("wecom-secret", 43),
        "agentid": AGENT_ID,
        "token": secrets.make("wecom-token", 24),
        "aes_key": secrets.aes_key("wecom-aes"),
        "door_url": f"{product_url}/wecom/{WECOM_CODE}",
        "name": "知音工作台",
        "oauth_domain": host,
    }
    return {"accounts": [account], "apps": [app]}
