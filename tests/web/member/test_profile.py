"""The profile page and the birthday."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.web.member.binding import member_of
from tests.web.scene import Scene, a_member, an_identity


def test_member_sets_name_and_birthday(scene: Scene) -> None:
    li = an_identity(scene, a_member(scene))
    phone = scene.phone(li)

    saved = phone.follow(
        phone.post("/m/profile", data={"name": " 李 姐 ", "birthday": "1988-02-29"})
    )

    member = member_of(scene, li)
    assert (member.name, str(member.birthday_on)) == ("李 姐", "1988-02-29")
    assert "保存好了" in saved.text
    assert 'value="1988-02-29"' in saved.text


def test_birthday_changes_once_a_year(scene: Scene) -> None:
    li = an_identity(scene, a_member(scene))
    named = {"name": "李雨桐"}
    scene.phone(li).post("/m/profile", data={"birthday": "1988-02-29", **named})

    refused = scene.phone(li).post("/m/profile", data={"birthday": "1988-03-01", "name": "新名"})
    a_year_later = scene.now + timedelta(days=365)
    later = replace(scene, parts=replace(scene.parts, clock=lambda: a_year_later))
    changed = later.phone(li).post("/m/profile", data={"birthday": "1988-03-01", **named})

    assert (refused.status_code, changed.status_code) == (422, 303)
    assert "2027年03月01日 以后可以再改" in refused.text
    member = member_of(scene, li)
    assert (str(member.birthday_on), member.name) == ("1988-03-01", "李雨桐")


@pytest.mark.parametrize("typed", ["2999-01-01", "1800-01-01", "1989-02-29", "soon", "1989-13-01"])
def test_what_is_no_birthday_is_refused(scene: Scene, typed: str) -> None:
    li = an_identity(scene, a_member(scene))

    answer = scene.phone(li).post("/m/profile", data={"birthday": typed, "name": "李雨桐"})

    assert answer.status_code == 422
    assert member_of(scene, li).birthday_on is None


@pytest.mark.parametrize("name", ["", " ", "名" * 21, "a\x00b", "李\u202e明"])
def test_what_is_no_name_is_refused(scene: Scene, name: str) -> None:
    li = an_identity(scene, a_member(scene))

    answer = scene.phone(li).post("/m/profile", data={"name": name})

    assert answer.status_code == 422
    assert member_of(scene, li).name == "李雨桐"


def test_what_was_typed_is_still_there_when_one_thing_will_not_do(scene: Scene) -> None:
    li = an_identity(scene, a_member(scene))

    page = scene.phone(li).post("/m/profile", data={"name": "小雨", "birthday": "2999-01-01"}).text

    assert 'value="小雨"' in page
    assert 'value="2999-01-01"' in page
    assert member_of(scene, li).name == "李雨桐"
