"""Relations: one own guide at a time, and friendships that begin and end."""

from datetime import timedelta

import pytest
from sqlmodel import Session, select

from store import relations
from store.organisation import GuideStatus
from store.relations import GuideNotInPost, Ownership
from tests.builders import NOW, a_guide, a_member

LATER = NOW + timedelta(days=1)


def test_a_member_has_one_own_guide_at_a_time(session: Session) -> None:
    li, wang, zhou = a_member(session), a_guide(session), a_guide(session)

    first = relations.own(session, li.id, wang.id, now=NOW)
    same = relations.own(session, li.id, wang.id, now=LATER)
    relations.own(session, li.id, zhou.id, now=LATER)

    assert same == first
    assert (first.until, relations.guide_of(session, li.id)) == (LATER, zhou)
    assert len(session.exec(select(Ownership)).all()) == 2


def test_a_guide_who_left_looks_after_nobody(session: Session) -> None:
    li, wang = a_member(session), a_guide(session)
    relations.own(session, li.id, wang.id, now=NOW)
    wang.status = GuideStatus.LEFT
    session.flush()

    assert relations.guide_of(session, li.id) is None
    with pytest.raises(GuideNotInPost):
        relations.own(session, a_member(session).id, wang.id, now=NOW)


def test_a_friendship_begins_once_ends_and_begins_anew(session: Session) -> None:
    li, wang = a_member(session), a_guide(session)
    first = relations.befriend(session, wang.id, "wm1", member_id=li.id, now=NOW)
    same = relations.befriend(session, wang.id, "wm1", member_id=li.id, now=LATER)

    ended = relations.unfriend(session, wang.id, "wm1", now=LATER)
    anew = relations.befriend(session, wang.id, "wm1", member_id=li.id, now=LATER)

    assert first == same == ended
    assert (first.until, anew.until) == (LATER, None)
    assert relations.unfriend(session, wang.id, "wm2", now=LATER) is None


def test_friendship_is_not_ownership(session: Session) -> None:
    li, wang = a_member(session), a_guide(session)

    relations.befriend(session, wang.id, "wm1", member_id=li.id, now=NOW)

    assert relations.guide_of(session, li.id) is None
