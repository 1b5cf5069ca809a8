"""What members say about themselves: the name to be called by, and the birthday."""

from datetime import date, datetime, timedelta

from store import members
from store.db import Session
from store.errors import NotAllowed, Refusal
from store.members import Member

# A birthday brings presents, so it does not move from month to month.
BIRTHDAY_STAYS = timedelta(days=365)
NAME_LETTERS = 20
_OLDEST_YEARS = 120


class BadBirthday(Refusal):
    """A day in the future, or longer ago than anybody lives."""

    def __init__(self) -> None:
        super().__init__("A birthday is a day of the last 120 years.")


class BirthdayFixed(NotAllowed):
    """The birthday was set less than a year ago."""

    def __init__(self, until: datetime) -> None:
        self.until = until
        super().__init__(f"The birthday can be changed again from {until.isoformat()}.")


class BadName(Refusal):
    """An empty name, or one that fits no card."""

    def __init__(self) -> None:
        self.most = NAME_LETTERS
        super().__init__(f"A name has 1 to {NAME_LETTERS} characters.")


def set_birthday(
    session: Session, member_id: int, birthday_on: date, *, today: date, now: datetime
) -> Member:
    """Set the birthday; by the person once a year. The same day again changes nothing.

    `today` is the day where the person is. What came with an import may be put right at once.
    """
    if not is_birthday(birthday_on, today=today):
        raise BadBirthday
    member = members.lock(session, member_id)
    if member.birthday_on == birthday_on:
        return member
    until = free_from(member)
    if until is not None and now < until:
        raise BirthdayFixed(until)
    member.birthday_on, member.birthday_set_at = birthday_on, now
    session.flush()
    return member


def is_birthday(day: date, *, today: date) -> bool:
    """Whether somebody who lives can have been born on this day."""
    return today.year - _OLDEST_YEARS <= day.year and day <= today


def free_from(member: Member) -> datetime | None:
    """From when on the birthday can be changed; None when it was never set by the person."""
    return member.birthday_set_at + BIRTHDAY_STAYS if member.birthday_set_at else None


def rename(session: Session, member_id: int, name: str) -> Member:
    """Set the name that the person wants to be called by."""
    name = " ".join(name.split())
    if not 1 <= len(name) <= NAME_LETTERS or not name.isprintable():
        raise BadName
    member = members.lock(session, member_id)
    member.name = name
    session.flush()
    return member
