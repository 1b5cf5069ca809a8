"""API keys of integrators; only a digest is kept."""

from datetime import datetime

from sqlmodel import Field, Session, SQLModel, select

from store.columns import big_key
from store.tokens import digest, new_token


class ApiKey(SQLModel, table=True):
    """A key shown in `Authorization: Bearer …`; `source` names its system in orders."""

    __tablename__ = "api_keys"
    id: int = big_key()
    source: str = Field(unique=True)
    key_hash: str = Field(unique=True)
    created_at: datetime
    revoked_at: datetime | None = None


def issue(session: Session, source: str, *, now: datetime) -> str:
    """Issue a key to the system `source` in place of an earlier one; it is shown only here."""
    key = f"zy_{new_token()}"
    row = session.exec(select(ApiKey).where(ApiKey.source == source)).first()
    row = row or ApiKey(source=source, key_hash="", created_at=now)
    row.key_hash, row.created_at, row.revoked_at = digest(key), now, None
    session.add(row)
    return key


def holder(session: Session, key: str) -> ApiKey | None:
    """The live API key that `key` opens."""
    row = session.exec(select(ApiKey).where(ApiKey.key_hash == digest(key))).first()
    return row if row and row.revoked_at is None else None
