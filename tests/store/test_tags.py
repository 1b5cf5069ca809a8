"""Tags: put on, renewed, expired, taken off."""

from datetime import timedelta

import pytest
from sqlmodel import Session

from store import tags
from store.tags import TagNotFound, TagSource
from tests.builders import NOW, a_member, a_tag

LATER = NOW + timedelta(days=1)


def test_a_tag_is_on_a_member_until_it_expires_or_is_taken_off(session: Session) -> None:
    li, family, event = a_member(session), a_tag(session), a_tag(session)
    tags.put(session, li.id, family.code, source=TagSource.GIVEN, now=NOW)
    tags.put(session, li.id, event.code, source=TagSource.DERIVED, now=NOW, expires_at=LATER)

    before, after = tags.of_member(session, li.id, NOW), tags.of_member(session, li.id, LATER)
    tags.take_off(session, li.id, family.code, now=NOW)

    assert {tag.code for tag in before} == {family.code, event.code}
    assert after == [family]
    assert tags.of_member(session, li.id, LATER) == []


def test_a_tag_put_on_again_is_renewed(session: Session) -> None:
    li, family = a_member(session), a_tag(session)
    tags.put(session, li.id, family.code, source=TagSource.DERIVED, now=NOW, expires_at=LATER)

    worn = tags.put(session, li.id, family.code, source=TagSource.OBSERVED, now=LATER)

    assert (worn.source, worn.expires_at) == (TagSource.OBSERVED, None)
    assert tags.of_member(session, li.id, LATER) == [family]


def test_a_tag_that_nobody_made_is_refused(session: Session) -> None:
    with pytest.raises(TagNotFound):
        tags.put(session, a_member(session).id, "none", source=TagSource.GIVEN, now=NOW)
