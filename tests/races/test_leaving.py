"""Who leaves or gives up a mobile while somebody else waits for the lock: what was read is old."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlmodel import Session, select

from store import erasure, members, merges
from store.db import Database
from store.members import Identity, Member, MemberStatus
from tests.builders import NOW, a_member, a_mobile, a_visitor, an_identity

pytestmark = pytest.mark.race

KEY = "the secret of the tests"
Act = Callable[[Session], Any]


def overtaken(database: Database, lock: Callable[..., Any], act: Act) -> Callable[..., Any]:
    """The same lock, had only after somebody else's `act` is committed, once."""
    acts = [act]

    def locked(*args: Any) -> Any:
        if acts:
            with database.transaction() as other:
                acts.pop()(other)
        return lock(*args)

    return locked


def two_visitors(database: Database) -> tuple[int, int]:
    """Visitors of two accounts: the older one, and who is about to leave the account `wx1`."""
    with database.transaction() as session:
        known, leaving = a_visitor(session), a_visitor(session)
        an_identity(session, known, account="wx2", outside_id="oLi2")
        an_identity(session, leaving, account="wx1", outside_id="oLi1")
        return known.id, leaving.id


def leaves(session: Session) -> None:
    erasure.forget_wechat(session, app_id="wx1", openid="oLi1", secret_key=KEY, now=NOW)


def left_over(database: Database, member_id: int) -> tuple[MemberStatus, int]:
    """What is left of the other account's visitor, and how many identities there are."""
    with database.transaction() as session:
        identities = session.exec(select(Identity)).all()
        return session.get_one(Member, member_id).status, len(identities)


@pytest.mark.parametrize("is_read_anew", [True, False])
def test_who_leaves_one_account_while_being_merged_is_still_known_to_the_other(
    database: Database, monkeypatch: pytest.MonkeyPatch, *, is_read_anew: bool
) -> None:
    known, leaving = two_visitors(database)
    if not is_read_anew:
        monkeypatch.setattr(
            members, "lock_behind", lambda session, one: members.lock(session, one.member_id)
        )

    def merged(session: Session) -> None:
        merges.merge(session, known, leaving, reason="unionid", now=NOW)

    monkeypatch.setattr(members, "lock", overtaken(database, members.lock, merged))
    with database.transaction() as session:
        leaves(session)

    kept = (MemberStatus.ACTIVE, 1)
    assert left_over(database, known) == (kept if is_read_anew else (MemberStatus.ERASED, 0))


def test_who_leaves_twice_at_once_is_forgotten_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, _ = two_visitors(database)

    monkeypatch.setattr(members, "lock", overtaken(database, members.lock, leaves))
    with database.transaction() as session:
        leaves(session)

    assert left_over(database, known) == (MemberStatus.ACTIVE, 1)


def _as_read(session: Session, *ids: int) -> tuple[Member, ...]:
    return tuple(session.get_one(Member, one) for one in ids)


@pytest.mark.parametrize("is_locked", [True, False])
def test_mobile_that_its_owner_is_giving_up_becomes_that_of_who_binds_it(
    database: Database, monkeypatch: pytest.MonkeyPatch, *, is_locked: bool
) -> None:
    mobile, other_mobile = a_mobile(), a_mobile()
    with database.transaction() as session:
        owner, newcomer = a_member(session, mobile=mobile).id, a_visitor(session).id

    def changes(session: Session) -> None:
        members.bind_mobile(session, owner, other_mobile, now=NOW)

    lock = members.lock_both if is_locked else _as_read
    monkeypatch.setattr(members, "lock_both", overtaken(database, lock, changes))
    with database.transaction() as session:
        bound = members.bind_mobile(session, newcomer, mobile, now=NOW)

    expected = (newcomer, mobile) if is_locked else (owner, other_mobile)
    assert (bound.id, bound.mobile) == expected
    with database.transaction() as session:
        assert session.get_one(Member, owner).mobile == other_mobile
