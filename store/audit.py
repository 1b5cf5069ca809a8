"""The audit log: who did what to whom, and when. Rows are only added."""

from datetime import datetime
from typing import Any

from sqlmodel import Field, Session, SQLModel

from store.columns import big_key, json_column


class AuditEntry(SQLModel, table=True):
    """One act. `subject` names a row as `noun:id`; `facts` hold no phone number and no secret."""

    __tablename__ = "audit_log"
    id: int = big_key()
    actor: str = Field(index=True)
    act: str
    subject: str = Field(index=True)
    facts: dict[str, Any] = json_column(default_factory=dict)
    at: datetime


def note(
    session: Session, actor: str, act: str, *, subject: str, now: datetime, **facts: Any
) -> None:
    """Add one line to the audit log."""
    session.add(AuditEntry(actor=actor, act=act, subject=subject, facts=facts, at=now))
