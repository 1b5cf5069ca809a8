"""Accounts: the brand's WeChat official account and its WeCom app, with encrypted credentials.

Secrets are sealed with a key made from the deployment's `ZHIYIN_SECRET_KEY` and are opened only
where they are used; nothing here shows one in a repr.
"""

import base64
import re
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import BaseModel, ConfigDict, SecretStr, field_validator
from pydantic import Field as FormField
from sqlmodel import Field, Session, SQLModel, col, select

from store.columns import big_key, link, one_of, status
from store.errors import NotFound, Refusal
from store.organisation import HumanDesk

# wechat-oa.md §1.1 and wecom.md §1.1: exactly 43 characters.
_AES_KEY = re.compile(r"[A-Za-z0-9]{43}")
_CODE = r"^[a-z0-9][a-z0-9_-]{0,31}$"


class Platform(StrEnum):
    """Whose account it is."""

    WECHAT = "wechat"
    WECOM = "wecom"


class CallbackMode(StrEnum):
    """How an official account's callbacks come, as set in its console (wechat-oa.md §1.3)."""

    PLAIN = "plain"
    COMPATIBLE = "compatible"
    SAFE = "safe"


class Account(SQLModel, table=True):
    """One account. `code` names its callback door; `*_sealed` need the deployment's secret.

    `app_id` is the appid (WeChat) or corp id (WeCom) and names the account in `identities` and
    `grants`; `original_id` is WeChat's gh_… id; `agent_id` is WeCom's.
    """

    __tablename__ = "accounts"
    __table_args__ = (
        one_of("platform", Platform, "accounts"),
        one_of("mode", CallbackMode, "accounts"),
        one_of("human_desk", HumanDesk, "accounts"),
    )
    id: int = big_key()
    brand_id: int = link("brands.id")
    platform: Platform = status(Platform)
    code: str = Field(unique=True)
    name: str
    mode: CallbackMode = status(CallbackMode, default=CallbackMode.SAFE)
    app_id: str
    original_id: str = ""
    agent_id: int | None = None
    secret_sealed: str
    token_sealed: str
    previous_token_sealed: str | None = None
    aes_key_sealed: str
    previous_aes_key_sealed: str | None = None
    notice_template_id: str = ""
    human_desk: HumanDesk = status(HumanDesk, default=HumanDesk.GUIDE)
    created_at: datetime


class AccountForm(BaseModel):
    """What IT enters for one account; an unusable callback key is refused here."""

    model_config = ConfigDict(frozen=True)

    brand_id: int
    platform: Platform
    code: str = FormField(pattern=_CODE)
    name: str
    mode: CallbackMode = CallbackMode.SAFE
    app_id: str = FormField(min_length=1)
    original_id: str = ""
    agent_id: int | None = None
    secret: SecretStr
    token: SecretStr
    aes_key: SecretStr
    notice_template_id: str = ""
    human_desk: HumanDesk = HumanDesk.GUIDE

    @field_validator("aes_key")
    @classmethod
    def _usable_key(cls, key: SecretStr) -> SecretStr:
        if not _AES_KEY.fullmatch(key.get_secret_value()):
            raise ValueError("EncodingAESKey has exactly 43 letters and digits.")
        return key


@dataclass(frozen=True)
class Credentials:
    """An account with its secrets open, for the moment of use."""

    account_id: int
    brand_id: int
    platform: Platform
    code: str
    app_id: str
    original_id: str
    agent_id: int | None
    secret: str = field(repr=False)
    token: str = field(repr=False)
    aes_key: str = field(repr=False)
    previous_aes_key: str | None = field(repr=False)
    previous_token: str | None = field(default=None, repr=False)
    mode: CallbackMode = CallbackMode.SAFE

    @property
    def tokens(self) -> tuple[str, ...]:
        """Tokens that may have signed a callback, the current one first."""
        return (self.token,) if self.previous_token is None else (self.token, self.previous_token)


class UnknownAccount(NotFound):
    """No account has this code, or the brand has none on the platform."""

    def __init__(self, wanted: str) -> None:
        self.wanted = wanted
        super().__init__(f"There is no account {wanted!r}; register it first.")


class SealBroken(Refusal):
    """The sealed credentials were sealed with another secret key."""

    def __init__(self) -> None:
        super().__init__(
            "Credentials cannot be opened: ZHIYIN_SECRET_KEY is not the one that sealed them."
        )


def seal(secret_key: str, text: str) -> str:
    """Encrypt `text` with a key made from the deployment's secret."""
    return _fernet(secret_key).encrypt(text.encode()).decode()


def unseal(secret_key: str, sealed: str) -> str:
    """The text that `seal` took; refuses what another secret sealed."""
    try:
        return _fernet(secret_key).decrypt(sealed.encode()).decode()
    except InvalidToken:
        raise SealBroken from None


def by_code(session: Session, code: str) -> Account:
    """The account behind a callback door."""
    # An address may hold anything, also what a database cannot look for.
    is_code = re.fullmatch(_CODE, code) is not None
    account = session.exec(select(Account).where(Account.code == code)).first() if is_code else None
    if account is None:
        raise UnknownAccount(code)
    return account


def of_brand(session: Session, brand_id: int, platform: Platform) -> Account:
    """The brand's first account on a platform."""
    found = session.exec(
        select(Account)
        .where(Account.brand_id == brand_id, Account.platform == platform)
        .order_by(col(Account.id))
        .limit(1)
    ).one_or_none()
    if found is None:
        raise UnknownAccount(f"{platform} of brand {brand_id}")
    return found


def of_app(session: Session, app_id: str, platform: Platform) -> Account:
    """The first account with this appid or corp id: of a corp's apps the one that was first."""
    query = select(Account).where(Account.app_id == app_id, Account.platform == platform)
    found = session.exec(query.order_by(col(Account.id)).limit(1)).one_or_none()
    if found is None:
        raise UnknownAccount(f"{platform} {app_id}")
    return found


def opened(account: Account, *, secret_key: str) -> Credentials:
    """The account with its secrets open."""

    def optional(sealed: str | None) -> str | None:
        return unseal(secret_key, sealed) if sealed else None

    return Credentials(
        account_id=account.id,
        brand_id=account.brand_id,
        platform=account.platform,
        code=account.code,
        app_id=account.app_id,
        original_id=account.original_id,
        agent_id=account.agent_id,
        secret=unseal(secret_key, account.secret_sealed),
        token=unseal(secret_key, account.token_sealed),
        aes_key=unseal(secret_key, account.aes_key_sealed),
        previous_aes_key=optional(account.previous_aes_key_sealed),
        previous_token=optional(account.previous_token_sealed),
        mode=account.mode,
    )


def register(session: Session, form: AccountForm, *, secret_key: str, now: datetime) -> Account:
    """Add the account or bring it up to date; a changed key or token keeps the old one too."""
    account = session.exec(
        select(Account).where(Account.code == form.code).with_for_update()
    ).one_or_none()
    if account is None:
        account = Account(**_columns(form, secret_key), created_at=now)
    else:
        _change(account, form, secret_key)
    session.add(account)
    session.flush()
    return account


def _change(account: Account, form: AccountForm, secret_key: str) -> None:
    old_key, old_token = account.aes_key_sealed, account.token_sealed
    for name, value in _columns(form, secret_key).items():
        setattr(account, name, value)
    if unseal(secret_key, old_key) != form.aes_key.get_secret_value():
        account.previous_aes_key_sealed = old_key
    if unseal(secret_key, old_token) != form.token.get_secret_value():
        account.previous_token_sealed = old_token


def _columns(form: AccountForm, secret_key: str) -> dict[str, Any]:
    plain = form.model_dump(exclude={"secret", "token", "aes_key"})
    return plain | {
        "secret_sealed": seal(secret_key, form.secret.get_secret_value()),
        "token_sealed": seal(secret_key, form.token.get_secret_value()),
        "aes_key_sealed": seal(secret_key, form.aes_key.get_secret_value()),
    }


def _fernet(secret_key: str) -> Fernet:
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"zhiyin accounts v1").derive(
        secret_key.encode()
    )
    return Fernet(base64.urlsafe_b64encode(derived))
