"""Notes about a customer: written once, kept as a draft, deleted by the author alone."""

from datetime import timedelta

import pytest
from sqlmodel import Session, select

from store import merges, notes
from store.notes import Note
from tests.builders import NOW, a_guide, a_member

_LATER = NOW + timedelta(hours=1)


def _texts(session: Session, member_id: int) -> list[str]:
    return [note.text for note, _ in notes.of_member(session, member_id, limit=50)]


def test_notes_come_newest_first_with_their_authors(session: Session) -> None:
    li, wang, sun = a_member(session), a_guide(session, name="王芳"), a_guide(session, name="孙丽")
    notes.write(session, li.id, wang.id, "不吃坚果", now=NOW)
    notes.write(session, li.id, sun.id, "周末来", now=_LATER)
    notes.write(session, a_member(session).id, sun.id, "别人的", now=_LATER)

    found = notes.of_member(session, li.id, limit=50)

    assert [(note.text, author) for note, author in found] == [
        ("周末来", "孙丽"),
        ("不吃坚果", "王芳"),
    ]


def test_pages_follow_each_other_without_a_gap(session: Session) -> None:
    li, wang = a_member(session), a_guide(session)
    # The first two stand in one moment, as a page may end between them.
    for number, at in enumerate([NOW, NOW, _LATER]):
        notes.write(session, li.id, wang.id, f"第 {number} 条", now=at)

    first = notes.of_member(session, li.id, limit=2)
    rest = notes.of_member(session, li.id, limit=2, after=first[-1][0].token)

    assert [note.text for note, _ in (*first, *rest)] == ["第 2 条", "第 1 条", "第 0 条"]


def test_form_that_is_sent_twice_is_one_note(session: Session) -> None:
    li, wang = a_member(session), a_guide(session)

    for _ in range(2):
        notes.write(session, li.id, wang.id, "不吃坚果", now=NOW)
    notes.write(session, li.id, wang.id, "不吃坚果", now=_LATER)

    assert _texts(session, li.id) == ["不吃坚果"] * 2


@pytest.mark.parametrize("words", ["", " \r\n\x00", "字" * 501])
def test_note_without_words_or_with_too_many_is_refused(session: Session, words: str) -> None:
    li, wang = a_member(session), a_guide(session)

    with pytest.raises(notes.BadNote):
        notes.write(session, li.id, wang.id, words, now=NOW)


def test_control_characters_are_left_out_and_lines_kept(session: Session) -> None:
    li, wang = a_member(session), a_guide(session)

    note = notes.write(session, li.id, wang.id, "一\x00\x07行\r\n二行\x1b ", now=NOW)

    assert note.text == "一行\n二行"


def test_draft_is_its_authors_alone_and_goes_when_the_note_is_written(session: Session) -> None:
    li, wang, sun = a_member(session), a_guide(session), a_guide(session)
    for words in ("不吃", "不吃坚"):
        notes.keep(session, li.id, wang.id, words, now=NOW)
    before = (notes.draft(session, li.id, wang.id), notes.draft(session, li.id, sun.id))

    notes.write(session, li.id, wang.id, "不吃坚果", now=NOW)

    assert before == ("不吃坚", "")
    assert notes.draft(session, li.id, wang.id) == ""
    assert _texts(session, li.id) == ["不吃坚果"]


def test_draft_that_comes_after_its_note_is_no_draft(session: Session) -> None:
    li, wang = a_member(session), a_guide(session)
    notes.write(session, li.id, wang.id, "不吃坚果", now=NOW)

    notes.keep(session, li.id, wang.id, "不吃坚果", now=NOW)

    assert notes.draft(session, li.id, wang.id) == ""


def test_draft_without_words_is_no_row(session: Session) -> None:
    li, wang = a_member(session), a_guide(session)
    notes.keep(session, li.id, wang.id, "不吃", now=NOW)

    notes.keep(session, li.id, wang.id, " ", now=NOW)

    assert session.exec(select(Note)).all() == []


def test_only_the_author_deletes_and_only_from_that_customer(session: Session) -> None:
    li, zhao, wang, sun = a_member(session), a_member(session), a_guide(session), a_guide(session)
    note = notes.write(session, li.id, wang.id, "不吃坚果", now=NOW)
    for member, guide in ((li, sun), (zhao, wang)):
        with pytest.raises(notes.NoteNotFound):
            notes.remove(session, member.id, guide.id, note.token)

    notes.remove(session, li.id, wang.id, note.token)

    assert _texts(session, li.id) == []


def test_two_drafts_of_one_guide_after_a_merge_are_forgotten_with_the_next_note(
    session: Session,
) -> None:
    kept, gone, wang = a_member(session), a_member(session), a_guide(session)
    for member, words in ((kept, "一"), (gone, "二")):
        notes.keep(session, member.id, wang.id, words, now=NOW)
    merges.merge(session, kept.id, gone.id, reason="test", now=NOW)
    assert notes.draft(session, kept.id, wang.id) == "二"

    notes.write(session, kept.id, wang.id, "三", now=_LATER)

    assert [note.text for note in session.exec(select(Note)).all()] == ["三"]
