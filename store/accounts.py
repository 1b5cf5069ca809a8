"""Accounts: the brand's WeChat official account and its WeCom app, with encrypted credentials."""

from datetime import datetime
from enum import StrEnum

from sqlmodel import Field, SQLModel

from store.columns import big_key, link, one_of, status


class Platform(StrEnum):
    """Whose account it is."""

    WECHAT = "wechat"
    WECOM = "wecom"


class Account(SQLModel, table=True):
    """One account. `code` names its callback door; `*_sealed` are encrypted with the deployment's secret.

    `app_id` is the appid (WeChat) or corp id (WeCom); `original_id` is WeChat's gh_… id; `agent_id` is WeCom's.
    """

    __tablename__ = "accounts"
    __table_args__ = (one_of("platform", Platform, "accounts"),)
    id: int = big_key()
    brand_id: int = link("brands.id")
    platform: Platform = status(Platform)
    code: str = Field(unique=True)
    name: str
    app_id: str
    original_id: str = ""
    agent_id: int | None = None
    secret_sealed: str
    token_sealed: str
    aes_key_sealed: str
    previous_aes_key_sealed: str | None = None
    notice_template_id: str = ""
    created_at: datetime
