"""The birthday in the chat: told, asked for, confirmed, set; the rest of the profile is a page."""

from datetime import date, datetime

from sqlmodel import Session

from bot.dialogue import stay
from bot.messages import Answer, Reply, Turn
from content.birthdays import birthday_in, has_all_parts
from content.messages import MessageKind, render
from store import inbound, profile
from store.members import Member

ASK = "profile_ask"
SURE = "profile_sure"


def show(turn: Turn, session: Session, now: datetime) -> Answer:
    """What is known; a date in the same words is taken for the birthday."""
    if birthday_in(turn.words) is not None:
        return propose(turn, session, now)
    member = session.get_one(Member, turn.member_id)
    free_from = profile.free_from(member)
    is_fixed = free_from is not None and now < free_from
    if not is_fixed:
        inbound.begin_talk(session, turn.identity_id, ASK, facts={}, now=now)
    text = render(
        MessageKind.PROFILE,
        name=member.name,
        birthday_on=member.birthday_on,
        free_from=turn.day(free_from) if is_fixed and free_from else None,
        url=turn.page("profile"),
    )
    return Reply(text)


def propose(turn: Turn, session: Session, now: datetime) -> Answer:
    """A day was named: ask once more, because it cannot be changed for a year."""
    birthday_on = birthday_in(turn.words)
    if birthday_on is None:
        raise profile.BadBirthday
    if not profile.is_birthday(birthday_on, today=turn.day(now)):
        return ask_how(turn, session, now)
    facts = {"birthday_on": birthday_on.isoformat()}
    inbound.begin_talk(session, turn.identity_id, SURE, facts=facts, now=now)
    return Reply(render(MessageKind.BIRTHDAY_SURE, birthday_on=birthday_on))


def ask_how(turn: Turn, session: Session, now: datetime) -> Answer:
    """A day that cannot be one, or a part of one: say how to write it, and go on asking."""
    inbound.begin_talk(session, turn.identity_id, ASK, facts={}, now=now)
    return Reply(render(MessageKind.BIRTHDAY_HOW, has_all_parts=has_all_parts(turn.words)))


def ask_again(turn: Turn, session: Session, now: datetime) -> Answer:
    """The talk has gone elsewhere meanwhile: repeat the question."""
    stay(turn, session, now)
    return Reply(render(MessageKind.BIRTHDAY_SURE, birthday_on=_named(turn)))


def confirm(turn: Turn, session: Session, now: datetime) -> Answer:
    """Set it."""
    birthday_on = _named(turn)
    profile.set_birthday(session, turn.member_id, birthday_on, today=turn.day(now), now=now)
    inbound.end_talk(session, turn.identity_id)
    return Reply(render(MessageKind.BIRTHDAY_SET, birthday_on=birthday_on))


def cancel(turn: Turn, session: Session, _now: datetime) -> Answer:
    """Leave it as it is."""
    inbound.end_talk(session, turn.identity_id)
    return Reply(render(MessageKind.BIRTHDAY_LEFT))


def _named(turn: Turn) -> date:
    return date.fromisoformat(turn.facts["birthday_on"])
