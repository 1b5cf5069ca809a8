"""Two phones bind the same mobile at once: one member, one joining gift."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlmodel import Session, select

from store import binding, codes, members, points
from store.binding import Binding, Bound
from store.db import Database
from store.members import Member
from tests.builders import NOW, a_brand, a_mobile, a_visitor, an_identity
from tests.races.racing import race, waiting, winners

KEY = "the secret of the tests"


def two_phones(database: Database) -> tuple[list[int], str]:
    """Two visitors, a mobile, and fifty points for whoever joins."""
    with database.transaction() as session:
        binding.offer(session, a_brand(session).id, points=50)
        return [a_visitor(session).id for _ in range(2)], a_mobile()


def binds(member_id: int, mobile: str) -> Callable[[Session], Bound]:
    return lambda session: binding.bind(
        session, member_id, mobile, text_version="v1", secret_key=KEY, now=NOW
    )


def outcome(database: Database, mobile: str) -> tuple[int, int]:
    """How many members have the mobile, and how many joining gifts it brought."""
    with database.transaction() as session:
        held = session.exec(
            select(Member.id).where(Member.mobile == mobile, Member.status == "active")
        ).all()
        gifts = [one for one in session.exec(select(Binding)) if one.is_gifted]
        assert sum(points.balance(session, one) for one in held) == 50 * len(gifts)
        return len(held), len(gifts)


def test_two_phones_that_bind_one_mobile_become_one_member_with_one_gift(
    database: Database,
) -> None:
    people, mobile = two_phones(database)

    found = race(database, [binds(one, mobile) for one in people])

    assert len(winners(found)) == 2
    assert len({one.member.id for one in found}) == 1
    assert sorted(one.gift is not None for one in found) == [False, True]
    assert outcome(database, mobile) == (1, 1)


def test_without_turns_one_of_two_phones_is_left_outside(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The unlocked twin: both find the mobile free, and only the index keeps the second out."""
    people, mobile = two_phones(database)
    monkeypatch.setattr(members, "take_turns", lambda *_: None)
    monkeypatch.setattr(members, "by_mobile", waiting(2, members.by_mobile))

    found = race(database, [binds(one, mobile) for one in people])

    assert len(winners(found)) == 1


def test_without_turns_and_index_two_phones_get_two_gifts(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the index of the gift is for: without it and the turns a mobile brings two."""
    people, mobile = two_phones(database)
    with database.transaction() as session:
        session.connection().exec_driver_sql("DROP INDEX uq_bindings_gift, uq_members_mobile")
    monkeypatch.setattr(members, "take_turns", lambda *_: None)
    monkeypatch.setattr(binding, "_had_gift", waiting(2, binding._had_gift))
    try:
        race(database, [binds(one, mobile) for one in people])

        assert outcome(database, mobile) == (2, 2)
    finally:
        _put_back(database)


def _put_back(database: Database) -> None:
    with database.transaction() as session:
        run = session.connection().exec_driver_sql
        run("TRUNCATE bindings, members CASCADE")
        run("CREATE UNIQUE INDEX uq_bindings_gift ON bindings (mobile_hash) WHERE is_gifted")
        run("CREATE UNIQUE INDEX uq_members_mobile ON members (mobile) WHERE status = 'active'")


@pytest.mark.parametrize("is_locked", [True, False])
def test_two_phones_that_ask_for_a_code_of_one_mobile_get_one(
    database: Database, monkeypatch: pytest.MonkeyPatch, *, is_locked: bool
) -> None:
    people, mobile = two_phones(database)
    with database.transaction() as session:
        phones = [an_identity(session, session.get_one(Member, one)).id for one in people]
    if not is_locked:
        monkeypatch.setattr(members, "take_turns", lambda *_: None)
        monkeypatch.setattr(codes, "_need_pause", waiting(2, codes._need_pause))

    def asks(phone: int) -> Callable[[Session], Any]:
        return lambda session: codes.issue(session, phone, mobile, secret_key=KEY, now=NOW)

    found = race(database, [asks(phone) for phone in phones])

    assert len(winners(found)) == (1 if is_locked else 2)


@pytest.mark.parametrize("is_locked", [True, False])
def test_code_typed_on_two_pages_at_once_counts_once(
    database: Database, monkeypatch: pytest.MonkeyPatch, *, is_locked: bool
) -> None:
    people, mobile = two_phones(database)
    with database.transaction() as session:
        phone = an_identity(session, session.get_one(Member, people[0])).id
        _, code = codes.issue(session, phone, mobile, secret_key=KEY, now=NOW)
    if not is_locked:
        monkeypatch.setattr(codes, "_newest", waiting(2, _newest_unlocked))

    def types(session: Session) -> bool:
        return codes.is_right(session, phone, mobile, code, secret_key=KEY, now=NOW)

    found = race(database, [types, types])

    assert sorted(found) == ([False, True] if is_locked else [True, True])


def _newest_unlocked(session: Session, identity_id: int) -> codes.SmsCode | None:
    return session.exec(
        select(codes.SmsCode).where(codes.SmsCode.identity_id == identity_id)
    ).first()
