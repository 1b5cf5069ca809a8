"""Wishes in any order: they only tighten, and taking them back gives back what they took."""

from collections.abc import Callable
from datetime import datetime, timedelta

from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlmodel import Session

from fatigue import desks, preferences
from fatigue.gate import Outcome
from fatigue.standing import question
from fatigue.verdict import verdict
from store import consents
from store.consents import EVERYWHERE, Purpose
from store.members import Member
from store.touches import Category, Channel
from tests.builders import a_touch
from tests.fatigue.people import TO_MEMBERS, a_grant, a_member, an_ask

Act = Callable[[Session, Member, datetime], None]
_STRICTNESS = {Outcome.OPEN: 0, Outcome.DEFER: 1, Outcome.WITHHOLD: 2}
_MINUTE = timedelta(minutes=1)
_PLACES = st.sampled_from([None, *TO_MEMBERS])


def _stop(place: Channel | None) -> Act:
    return lambda session, li, now: preferences.stop(
        session, li.id, reason="chat", channel=place, now=now
    )


def _pause(place: Channel | None, days: int) -> Act:
    return lambda session, li, now: preferences.pause(
        session, li.id, until=now + timedelta(days=days), reason="page", channel=place, now=now
    )


def _less(place: Channel | None) -> Act:
    return lambda session, li, now: preferences.less(session, li.id, channel=place, now=now)


def _resume(place: Channel | None) -> Act:
    return lambda session, li, now: preferences.resume(session, li.id, channel=place, now=now)


_TIGHTENING = st.one_of(
    st.builds(_stop, _PLACES),
    st.builds(_pause, _PLACES, st.integers(1, 90)),
    st.builds(_less, _PLACES),
)
_WISHES = st.lists(
    st.one_of(
        st.tuples(st.just("tighten"), _TIGHTENING),
        st.tuples(st.just("resume"), st.builds(_resume, _PLACES)),
    ),
    max_size=8,
)
_STATEMENTS = st.lists(
    st.tuples(st.sampled_from([EVERYWHERE, *TO_MEMBERS]), st.booleans()), max_size=5
)


def _verdicts(session: Session, li: Member, now: datetime) -> dict[tuple[Channel, Category], int]:
    """What each ask alone would come to; in one dry run they would count each other."""
    policy, standings = desks.look(session, [li.id], [], now=now)
    found = {}
    for channel in TO_MEMBERS:
        for category in Category:
            wish = an_ask(session, li, channels=(channel,), category=category)
            asked = question(policy, standings[li.id], wish, channel, now)
            outcome = verdict(policy, standings[li.id].recent, asked, now).outcome
            found[channel, category] = _STRICTNESS[outcome]
    return found


def _a_listener(
    session: Session, statements: list[tuple[str, bool]], touches: int, now: datetime
) -> Member:
    """Li, who said yes and no to marketing at several times, and was touched lately."""
    li = a_member(session, now=now - timedelta(days=30))
    a_grant(session, li.id, now=now)
    for number, (channel, is_granted) in enumerate(statements):
        consents.state(
            session,
            li.id,
            channel,
            Purpose.MARKETING,
            is_granted=is_granted,
            text_version="1",
            source="test",
            now=now - timedelta(days=20 - number),
        )
    for number in range(touches):
        at = now - timedelta(hours=1 + number)
        a_touch(session, li, now=at, channel=Channel.WECOM_BROADCAST)
    return li


@settings(max_examples=80)
@given(statements=_STATEMENTS, touches=st.integers(0, 3), wishes=_WISHES)
def test_no_sequence_of_wishes_loosens_anything(
    session: Session,
    now: datetime,
    statements: list[tuple[str, bool]],
    touches: int,
    wishes: list[tuple[str, Act]],
) -> None:
    """Never looser than without any wish; and looser than just before only by `resume`."""
    with session.begin_nested() as tried:
        li = _a_listener(session, statements, touches, now)
        before = at_first = _verdicts(session, li, now)
        for number, (kind, act) in enumerate(wishes):
            act(session, li, now + number * _MINUTE)
            after = _verdicts(session, li, now + number * _MINUTE)
            floor = before if kind == "tighten" else at_first
            assert all(after[key] >= floor[key] for key in after)
            before = after
        tried.rollback()
    session.expire_all()


@settings(max_examples=50)
@given(statements=_STATEMENTS, wishes=_WISHES)
# A no for one channel outlives "less" and "as before" for all of them.
@example(
    statements=[(EVERYWHERE, True), (Channel.WECOM_BROADCAST, False)],
    wishes=[("tighten", _less(None))],
)
def test_resume_gives_everything_back(
    session: Session,
    now: datetime,
    statements: list[tuple[str, bool]],
    wishes: list[tuple[str, Act]],
) -> None:
    with session.begin_nested() as tried:
        li = _a_listener(session, statements, 0, now)
        at_first = _verdicts(session, li, now)
        for number, (_, act) in enumerate(wishes):
            act(session, li, now + number * _MINUTE)
        end = now + len(wishes) * _MINUTE
        preferences.resume(session, li.id, now=end)
        assert _verdicts(session, li, end) == at_first
        tried.rollback()
    session.expire_all()


@settings(max_examples=25)
@given(wishes=_WISHES)
def test_every_wish_is_written_down_with_its_time(
    session: Session, now: datetime, wishes: list[tuple[str, Act]]
) -> None:
    with session.begin_nested() as tried:
        li = _a_listener(session, [], 0, now)
        for number, (_, act) in enumerate(wishes):
            act(session, li, now + number * _MINUTE)
        written = consents.wishes(session, li.id, limit=100)
        assert [wish.stated_at for wish in reversed(written)] == [
            now + number * _MINUTE for number in range(len(wishes))
        ]
        assert all(wish.text_version == preferences.TEXT_VERSION for wish in written)
        tried.rollback()
    session.expire_all()
