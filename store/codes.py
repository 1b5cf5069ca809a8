"""SMS codes: six digits that prove who holds a mobile.

The record keeps neither the mobile nor the code, only keyed hashes of both. Asking tells nobody
whether the mobile is a member's: every mobile gets its code.
"""

import math
import secrets
from datetime import datetime, timedelta

from sqlalchemy import CheckConstraint, ColumnElement, Index, delete
from sqlmodel import Field, SQLModel, col, func, select

from store import members
from store.columns import big_key, link
from store.db import Session
from store.errors import Exhausted, Refusal
from store.members import BadMobile
from store.tokens import fingerprint

DIGITS = 6
LIFE = timedelta(minutes=5)
MOST_TRIES = 5
PAUSE = timedelta(minutes=1)
# The providers' own cap is 50 a day and 10 a minute (reference sms_rules.json); nobody needs a
# tenth code, and an eleventh would cost money and annoy whoever owns the mobile.
MOST_PER_DAY = 10
_DAY = timedelta(days=1)


class SmsCode(SQLModel, table=True):
    """One code sent for an identity; only the newest of an identity counts, once, for its life."""

    __tablename__ = "sms_codes"
    __table_args__ = (
        CheckConstraint(f"tries BETWEEN 0 AND {MOST_TRIES}", name="ck_sms_codes_tries"),
        Index("ix_sms_codes_identity", "identity_id", "asked_at"),
        Index("ix_sms_codes_mobile", "mobile_hash", "asked_at"),
    )
    id: int = big_key()
    identity_id: int = link("identities.id", index=False)
    mobile_hash: str
    code_hash: str
    tries: int = Field(default=0)
    asked_at: datetime
    expires_at: datetime
    used_at: datetime | None = None


class CodeNotSent(Refusal):
    """The provider did not take the message, or there is none."""

    def __init__(self) -> None:
        super().__init__("The code was not sent.")


class CodeWrong(Refusal):
    """Wrong, used, too old or tried too often: which of them would help only a guesser."""

    def __init__(self) -> None:
        super().__init__("The code is wrong or has ended.")


class CodeTooSoon(Exhausted):
    """A code was asked for less than a minute ago."""

    def __init__(self, seconds: int) -> None:
        self.seconds = seconds
        super().__init__(f"Ask for the next code in {seconds} seconds.")


class TooManyCodes(Exhausted):
    """The day's codes of this person or mobile are used up."""

    def __init__(self) -> None:
        self.limit = MOST_PER_DAY
        super().__init__(f"There are at most {MOST_PER_DAY} codes a day.")


def issue(
    session: Session, identity_id: int, mobile: str, *, secret_key: str, now: datetime
) -> tuple[SmsCode, str]:
    """A fresh code for this person and mobile, shown only here; at most one a minute for each.

    Commit before it is sent: the pause between two codes holds also when the sending hangs.
    """
    if not members.is_mobile(mobile):
        raise BadMobile
    mobile_hash = fingerprint(secret_key, mobile)
    # Always in this order, so that two who ask cannot wait for each other.
    members.take_turns(session, f"code:{identity_id}")
    members.take_turns(session, f"code:{mobile_hash}")
    for asked_by in (
        col(SmsCode.identity_id) == identity_id,
        col(SmsCode.mobile_hash) == mobile_hash,
    ):
        _need_pause(session, asked_by, now)
    code = f"{secrets.randbelow(10**DIGITS):0{DIGITS}}"
    row = SmsCode(
        identity_id=identity_id,
        mobile_hash=mobile_hash,
        code_hash=_hash(secret_key, identity_id, mobile, code),
        asked_at=now,
        expires_at=now + LIFE,
    )
    session.add(row)
    session.flush()
    return row, code


def take_back(session: Session, code_id: int) -> None:
    """Forget a code that surely was not sent: the person may ask again at once."""
    session.execute(delete(SmsCode).where(col(SmsCode.id) == code_id))


def is_right(
    session: Session, identity_id: int, mobile: str, code: str, *, secret_key: str, now: datetime
) -> bool:
    """Whether this is the newest code of the person, for this mobile; a right one is used up.

    A wrong try is counted: no exception, so that the caller commits the count.
    """
    row = _newest(session, identity_id)
    if row is None or row.used_at or row.expires_at <= now or row.tries >= MOST_TRIES:
        return False
    row.tries += 1
    given = _hash(secret_key, identity_id, mobile, code)
    if secrets.compare_digest(row.code_hash, given):
        row.used_at = now
    session.add(row)
    session.flush()
    return row.used_at is not None


def expire_due(session: Session, now: datetime) -> int:
    """Forget the codes that no limit looks at any more; gives how many."""
    query = delete(SmsCode).where(col(SmsCode.asked_at) <= now - _DAY)
    return len(session.execute(query.returning(col(SmsCode.id))).all())


def _newest(session: Session, identity_id: int) -> SmsCode | None:
    """The code that counts, locked: it is looked at by one page at a time."""
    query = select(SmsCode).where(SmsCode.identity_id == identity_id)
    newest = query.order_by(col(SmsCode.id).desc()).limit(1).with_for_update()
    return session.exec(newest.execution_options(populate_existing=True)).first()


def _need_pause(session: Session, asked_by: ColumnElement[bool], now: datetime) -> None:
    query = select(func.count(), func.max(SmsCode.asked_at)).where(
        asked_by, col(SmsCode.asked_at) > now - _DAY
    )
    asked, newest = session.exec(query).one()
    if asked >= MOST_PER_DAY:
        raise TooManyCodes
    if asked and now - newest < PAUSE:
        raise CodeTooSoon(math.ceil((newest + PAUSE - now).total_seconds()))


def _hash(secret_key: str, identity_id: int, mobile: str, code: str) -> str:
    """Of a million codes one could try them all, so the hash is keyed."""
    return fingerprint(secret_key, f"{identity_id}:{mobile}:{code}")
