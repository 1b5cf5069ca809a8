"""Products: what the brand sells, known by the brand's own `external_id` (SKU)."""

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel

from store.columns import big_key


class Product(SQLModel, table=True):
    """A thing on the shelf."""

    __tablename__ = "products"
    id: int = big_key()
    external_id: str = Field(unique=True)
    name: str
    department: str = Field(default="", index=True)
    category: str = Field(default="", index=True)
    price_fen: int | None = Field(default=None, sa_type=BigInteger)
    is_active: bool = True
