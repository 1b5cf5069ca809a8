"""Content pieces as the record keeps them: words for one purpose, with typed variables."""

from datetime import datetime

from sqlmodel import Field, SQLModel

from store.columns import big_key, one_of, status
from store.touches import Category


class ContentPiece(SQLModel, table=True):
    """A piece of copy; `text` names its variables as {{ variable }}."""

    __tablename__ = "content_pieces"
    __table_args__ = (one_of("category", Category, "content_pieces"),)
    id: int = big_key()
    code: str = Field(unique=True)
    title: str
    purpose: str
    category: Category = status(Category)
    text: str
    created_at: datetime
