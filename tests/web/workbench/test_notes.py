"""Notes on the page of a customer: written, kept while one writes, handed on with the customer."""

import re

import pytest
from sqlmodel import select

from store.members import Member
from store.organisation import Guide
from store.relations import Friendship
from tests.queries import counted
from tests.web.scene import Scene, a_member
from web.workbench import notes_page


def _place(member: Member) -> str:
    return f"/guide/c/{member.card_no}"


def _write(scene: Scene, member: Member, words: str, guide: Guide | None = None) -> str:
    browser = scene.guide(guide)
    answer = browser.post(f"{_place(member)}/notes", data={"text": words})
    return browser.follow(answer).text


def _words(page: str) -> list[str]:
    return re.findall('<p class="words">([^<]*)</p>', page)


def _hand_over(scene: Scene, member: Member, taker: Guide) -> None:
    with scene.database.transaction() as session:
        query = select(Friendship).where(Friendship.member_id == member.id)
        for friendship in session.exec(query):
            friendship.guide_id = taker.id


def test_note_stands_on_the_customers_page_newest_first(scene: Scene) -> None:
    member = a_member(scene)
    _write(scene, member, "对坚果过敏")

    page = _write(scene, member, "周末带孩子来")

    assert _words(page) == ["周末带孩子来", "对坚果过敏"]
    assert "王芳（我）" in page
    assert "记好了" in page


def test_note_is_shown_as_it_was_written(scene: Scene) -> None:
    page = _write(scene, a_member(scene), "<b>胖</b>\r\n第二行")

    assert "&lt;b&gt;胖&lt;/b&gt;\n第二行" in page


@pytest.mark.parametrize(("words", "said"), [("字" * 501, "最多记 500 个字"), (" ", "还是空的")])
def test_words_that_are_no_note_come_back_to_be_mended(scene: Scene, words: str, said: str) -> None:
    member = a_member(scene)

    answer = scene.guide().post(f"{_place(member)}/notes", data={"text": words})

    assert answer.status_code == 422
    assert said in answer.text
    assert words.strip() in answer.text
    assert _words(scene.guide().get(_place(member)).text) == []


def test_draft_is_found_again_by_its_author_only(scene: Scene) -> None:
    member = a_member(scene)
    kept = scene.guide().post(f"{_place(member)}/notes/keep", data={"text": "写到一半"})
    assert kept.status_code == 204
    assert "写到一半</textarea>" in scene.guide().get(_place(member)).text

    _hand_over(scene, member, scene.sun)

    assert "写到一半" not in scene.guide(scene.sun).get(_place(member)).text


def test_after_a_hand_over_the_next_guide_reads_who_wrote_and_cannot_delete_it(
    scene: Scene,
) -> None:
    member = a_member(scene)
    _write(scene, member, "对坚果过敏")
    _hand_over(scene, member, scene.sun)

    page = scene.guide(scene.sun).get(_place(member)).text

    assert _words(page) == ["对坚果过敏"]
    assert "王芳 ·" in page
    assert "删除" not in page
    assert scene.guide().get(_place(member)).status_code == 404


def test_own_note_is_deleted_with_the_button_beside_it(scene: Scene) -> None:
    member = a_member(scene)
    page = _write(scene, member, "对坚果过敏")
    action = re.findall('action="([^"]+/delete)"', page)[0]

    browser = scene.guide()
    answer = browser.post(action)

    assert _words(browser.follow(answer).text) == []


def test_older_notes_are_paged(scene: Scene) -> None:
    member = a_member(scene)
    for number in range(5):
        _write(scene, member, f"第 {number} 条")
    browser = scene.guide()
    page = browser.get(_place(member)).text
    rest = re.findall('class="more" href="([^"]+/notes[^"]+)"', page)[0]

    assert _words(page) == ["第 4 条", "第 3 条", "第 2 条"]
    assert _words(browser.get(rest).text) == ["第 1 条", "第 0 条"]


def test_post_that_had_to_log_in_first_comes_back_to_the_customer(scene: Scene) -> None:
    answer = scene.guide().get("/guide/c/123/notes/keep")

    assert answer.headers["location"] == "/guide/c/123#notes"


def test_customer_asks_as_many_queries_with_three_notes_as_with_one(scene: Scene) -> None:
    member, browser = a_member(scene), scene.guide()
    _write(scene, member, "一")
    with counted(scene.database.engine) as one:
        browser.get(_place(member))
    for words in ("二", "三"):
        _write(scene, member, words)
    with counted(scene.database.engine) as three:
        browser.get(_place(member))

    assert len(three) == len(one)


def test_page_of_notes_says_so_where_there_are_none(scene: Scene) -> None:
    page = scene.guide().get(f"{_place(a_member(scene))}/notes").text

    assert "还没有记事" in page
    assert '<textarea id="note"' in page


def test_older_pages_show_notes_and_the_way_back_instead_of_the_form(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notes_page, "PAGE_SIZE", 2)
    member = a_member(scene)
    for number in range(3):
        _write(scene, member, f"第 {number} 条")
    browser = scene.guide()
    first = browser.get(f"{_place(member)}/notes").text
    rest = re.findall('class="more" href="([^"]+after[^"]+)"', first)[0]

    page = browser.get(rest).text

    assert _words(page) == ["第 0 条"]
    assert "<textarea" not in page
    assert f'href="{_place(member)}/notes"' in page


def test_draft_is_named_as_one_without_scripts_too(scene: Scene) -> None:
    member, browser = a_member(scene), scene.guide()
    browser.post(f"{_place(member)}/notes/keep", data={"text": "写到一半"})

    assert "上次没写完，接着写" in browser.get(f"{_place(member)}/notes").text
