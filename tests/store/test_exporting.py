"""The export: every table that knows the person is in it, and nobody else's rows are."""

import json
from typing import Any

from sqlmodel import Session

from content.export_words import SECTIONS, row_in_words
from store import exporting
from store.personal import PARTS
from tests.builders import a_coupon, a_member
from tests.store.full import KEY, MOBILE, NAME, OPENID, WORDS, a_full_member
from tests.times import SHANGHAI


def export(session: Session, member_id: int) -> dict[str, list[dict[str, Any]]]:
    return exporting.export(session, member_id, secret_key=KEY)


def test_export_of_a_member_who_did_everything_has_every_table(session: Session) -> None:
    """A new table with a person fails here until its rows are made and shown."""
    member = a_full_member(session)

    assert export(session, member.id).keys() == {part.table for part in PARTS}


def test_every_table_of_an_export_has_a_name_for_people() -> None:
    assert {part.table for part in PARTS} == SECTIONS.keys()


def test_export_tells_the_persons_own_words_and_facts(session: Session) -> None:
    found = export(session, a_full_member(session).id)

    assert found["members"][0]["name"] == NAME
    assert {one["outside_id"] for one in found["identities"]} > {OPENID}
    assert found["inbound_messages"][0]["payload"] == {"content": WORDS}
    assert found["order_lines"][0]["product"] == "茉莉花茶"
    assert MOBILE in json.dumps(found["members"], default=str)


def test_export_holds_no_inside_key_and_no_hash(session: Session) -> None:
    found = export(session, a_full_member(session).id)

    names = {name for rows in found.values() for row in rows for name in row}

    assert not {name for name in names if name.endswith(("_hash", "_sealed")) or name == "id"}
    assert {name for name in names if name.endswith("_id")} == {
        "external_id",
        "outside_id",
        "source_id",
        "provider_id",
        "template_id",
    }


def test_export_leaves_other_people_out(session: Session) -> None:
    member, zhao = a_full_member(session), a_member(session, name="赵磊")
    coupon = a_coupon(session, zhao)

    words = json.dumps(export(session, member.id), default=str, ensure_ascii=False)

    assert NAME in words
    for trace in ("赵磊", str(zhao.mobile), coupon.code):
        assert trace not in words


def test_rows_are_told_in_words_without_what_is_empty(session: Session) -> None:
    found = export(session, a_full_member(session).id)

    said = row_in_words(found["members"][0], SHANGHAI)

    assert (said["姓名"], said["手机号"], said["生日"]) == (NAME, MOBILE, "1990-03-08")
    assert "" not in said.values()


def test_rows_tell_messages_and_states_without_the_codes_of_programs() -> None:
    card = '{"title": "\\u9001\\u4f60\\u4e00\\u5f20\\u5238", "url": "https://a.example"}'
    row = {
        "state": "replied",
        "source": "import:journey",
        "payload": {"content": "open"},
        "reply": {"kind": "text", "at": 1795401856, "text": card},
    }

    said = row_in_words(row, SHANGHAI)

    assert said == {
        "状态": "您回复了",
        "来源": "资料导入",
        "原文": "open",
        "我们的回复": "送你一张券；url：https://a.example",
    }
