"""The organisation: brands, regions, shops, guides 导购 and HQ operators (design.md §4, §6)."""

from datetime import datetime, time
from enum import StrEnum

from sqlalchemy import UniqueConstraint
from sqlmodel import Field, SQLModel

from store.columns import big_key, link, one_of, status


class GuideStatus(StrEnum):
    """Whether a guide is in post."""

    ACTIVE = "active"
    LEFT = "left"


class GuideRole(StrEnum):
    """What a person in a shop may see: a guide the own customers, a manager the shop."""

    GUIDE = "guide"
    MANAGER = "manager"


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
    """A street store. `store` is the database; a place that sells is a shop."""

    __tablename__ = "shops"
    id: int = big_key()
    brand_id: int = link("brands.id")
    region_id: int | None = link("regions.id", default=None, nullable=True)
    code: str = Field(unique=True)
    name: str
    city: str = ""
    address: str = ""
    opens_at: time = time(10, 0)
    closes_at: time = time(22, 0)


class Guide(SQLModel, table=True):
    """A shop guide 导购, known to WeCom by `userid`; a manager is a guide with that role."""

    __tablename__ = "guides"
    __table_args__ = (
        one_of("status", GuideStatus, "guides"),
        one_of("role", GuideRole, "guides"),
    )
    id: int = big_key()
    shop_id: int = link("shops.id")
    userid: str = Field(unique=True)
    name: str
    role: GuideRole = status(GuideRole, default=GuideRole.GUIDE)
    status: GuideStatus = status(GuideStatus, default=GuideStatus.ACTIVE)
    left_at: datetime | None = None


class Operator(SQLModel, table=True):
    """A person at HQ who logs in to the console."""

    __tablename__ = "operators"
    id: int = big_key()
    login: str = Field(unique=True)
    name: str
    password_hash: str
    is_active: bool = True
