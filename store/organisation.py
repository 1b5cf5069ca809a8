"""The organisation: brands, regions, shops, guides and HQ operators (design.md §4, §6).

An operator's password is kept as `scrypt$salt$hash`, both in hex.
"""

import hashlib
import secrets
from datetime import datetime, time
from enum import StrEnum

from sqlalchemy import CheckConstraint, UniqueConstraint
from sqlmodel import Field, Session, SQLModel, select

from store.columns import big_key, link, one_of, status
from store.errors import NotAllowed, NotFound, Refusal
from store.tokens import digest

MIN_PASSWORD = 8
# OWASP's least cost for scrypt with 16 MiB: one check takes about 50 ms.
_COST = {"n": 2**14, "r": 8, "p": 5}
_SALT_BYTES = 16
_MARK_DIGITS = 16


class GuideStatus(StrEnum):
    """Whether a guide is in post."""

    ACTIVE = "active"
    LEFT = "left"


class GuideRole(StrEnum):
    """What a person may see: a guide own customers, a manager the shop, a region its shops, HQ all.

    The region is that of the person's own shop, and all is the brand.
    """

    GUIDE = "guide"
    MANAGER = "manager"
    REGION = "region"
    HQ = "hq"


class HumanDesk(StrEnum):
    """Who answers a member who asks for a person: the guides here, or agents in WeChat's tool."""

    GUIDE = "guide"
    WECHAT = "wechat"


class OperatorRole(StrEnum):
    """What a person at HQ may do: look, run campaigns, or also rule the gate and see mobiles."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


class Brand(SQLModel, table=True):
    """A business line of the group."""

    __tablename__ = "brands"
    id: int = big_key()
    code: str = Field(unique=True)
    name: str
    timezone: str = "Asia/Shanghai"


class Region(SQLModel, table=True):
    """A sales region of a brand."""

    __tablename__ = "regions"
    __table_args__ = (UniqueConstraint("brand_id", "code", name="uq_regions_brand_code"),)
    id: int = big_key()
    brand_id: int = link("brands.id", index=False)
    code: str
    name: str


class Shop(SQLModel, table=True):
    """A street store. `store` is the database; a place that sells is a shop.

    Hours are on the brand's clock: a shop that closes before it opens closes after midnight, and
    one that opens and closes at the same minute never closes. `latitude` and `longitude` are
    degrees as WeChat's own map gives them (GCJ-02).
    """

    __tablename__ = "shops"
    __table_args__ = (
        CheckConstraint(
            "(latitude IS NULL) = (longitude IS NULL)"
            " AND latitude BETWEEN -90 AND 90 AND longitude BETWEEN -180 AND 180",
            name="ck_shops_place",
        ),
    )
    id: int = big_key()
    brand_id: int = link("brands.id")
    region_id: int | None = link("regions.id", default=None, nullable=True)
    code: str = Field(unique=True)
    name: str
    city: str = ""
    district: str = ""
    address: str = ""
    phone: str = ""
    latitude: float | None = None
    longitude: float | None = None
    opens_at: time = time(10, 0)
    closes_at: time = time(22, 0)


class Guide(SQLModel, table=True):
    """A shop guide, known to WeCom by `userid`; a manager is a guide with that role.

    `contact_url` is the link behind the guide's own WeCom code: whoever opens it adds the guide.
    """

    __tablename__ = "guides"
    __table_args__ = (
        one_of("status", GuideStatus, "guides"),
        one_of("role", GuideRole, "guides"),
    )
    id: int = big_key()
    shop_id: int = link("shops.id")
    userid: str = Field(unique=True)
    name: str
    contact_url: str = ""
    role: GuideRole = status(GuideRole, default=GuideRole.GUIDE)
    status: GuideStatus = status(GuideStatus, default=GuideStatus.ACTIVE)
    left_at: datetime | None = None


class Operator(SQLModel, table=True):
    """A person at HQ who logs in to the console."""

    __tablename__ = "operators"
    __table_args__ = (one_of("role", OperatorRole, "operators"),)
    id: int = big_key()
    login: str = Field(unique=True)
    name: str
    password_hash: str
    role: OperatorRole = status(OperatorRole, default=OperatorRole.OPERATOR)
    is_active: bool = True
    sessions_since: datetime | None = None

    @property
    def mark(self) -> str:
        """What a session shows besides the id; a new password or a log-out makes it another."""
        since = f" {self.sessions_since.timestamp()}" if self.sessions_since else ""
        return digest(self.password_hash + since)[:_MARK_DIGITS]


class WeakPassword(Refusal):
    """A password that is too short to keep anybody out."""

    def __init__(self) -> None:
        self.least = MIN_PASSWORD
        super().__init__(f"A password needs at least {MIN_PASSWORD} characters.")


class RoleTooLow(NotAllowed):
    """An operator asked for what only a higher role may do."""

    def __init__(self, needed: OperatorRole) -> None:
        self.needed = needed
        super().__init__(f"This needs the role {needed}.")


def operator_with(session: Session, operator_id: int, mark: str) -> Operator | None:
    """The operator, while active and with the mark that the session was opened with."""
    operator = session.get(Operator, operator_id)
    is_in = operator is not None and operator.is_active and operator.mark == mark
    return operator if is_in else None


def log_out(session: Session, operator_id: int, mark: str, *, now: datetime) -> None:
    """End every session of the operator whose session this is; one that is over ends nothing."""
    operator = operator_with(session, operator_id, mark)
    if operator is not None:
        operator.sessions_since = now
        session.flush()


def operator_left(session: Session, login: str) -> Operator:
    """Shut the console for a person, also where they are logged in; `add_operator` opens it."""
    operator = session.exec(select(Operator).where(Operator.login == login)).first()
    if operator is None:
        raise NotFound(f"There is no operator {login}.")
    operator.is_active = False
    session.flush()
    return operator


def add_operator(
    session: Session, login: str, name: str, password: str, *, role: OperatorRole | None = None
) -> Operator:
    """Let a person into the console; a login that is known gets the new name and password.

    Without a `role` a known login keeps its own; the first of a deployment rules it, later ones
    run campaigns. Sessions with an older password end.
    """
    if len(password) < MIN_PASSWORD:
        raise WeakPassword
    operator = session.exec(select(Operator).where(Operator.login == login)).first()
    if operator is None:
        is_first = session.exec(select(Operator.id).limit(1)).first() is None
        usual = OperatorRole.ADMIN if is_first else OperatorRole.OPERATOR
        operator = Operator(login=login, name=name, password_hash="", role=usual)
    operator.role, operator.is_active = role or operator.role, True
    operator.name, operator.password_hash = name, _hash(password, secrets.token_bytes(_SALT_BYTES))
    session.add(operator)
    session.flush()
    return operator


def check_password(session: Session, login: str, password: str) -> Operator | None:
    """The active operator whose password this is; an unknown login takes just as long."""
    operator = session.exec(select(Operator).where(Operator.login == login)).first()
    known = operator.password_hash if operator is not None else _NOBODY
    salt = bytes.fromhex(known.split("$")[1])
    is_right = secrets.compare_digest(_hash(password, salt), known)
    return operator if operator is not None and operator.is_active and is_right else None


def _hash(password: str, salt: bytes) -> str:
    digest = hashlib.scrypt(password.encode(), salt=salt, **_COST)
    return f"scrypt${salt.hex()}${digest.hex()}"


# What an unknown login is compared with: no password has this hash.
_NOBODY = f"scrypt${'00' * _SALT_BYTES}${'00' * 64}"
