"""The XML of callbacks becomes plain fields, or is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.fields import BadCallback, cdata, many, parse, required, text_of


def test_fields_keep_text_as_it_was_written() -> None:
    assert parse(b"<xml><A><![CDATA[ a <b> ]]></A><B/><C>1</C></xml>") == {
        "A": " a <b> ",
        "B": "",
        "C": "1",
    }


def test_repeated_and_nested_fields_come_as_lists() -> None:
    fields = parse(b"<xml><L><I><N>1</N></I><I><N>2</N></I></L></xml>")

    assert many(fields, "L") == [{"I": [{"N": "1"}, {"N": "2"}]}]
    assert many(many(fields, "L")[0], "I") == [{"N": "1"}, {"N": "2"}]


@pytest.mark.parametrize(
    "xml",
    [
        b"",
        b"{}",
        b"<xml>",
        b"<xml>text</xml>",
        b"<xml/>",
        b'<!DOCTYPE xml [<!ENTITY a "b">]><xml><A>&a;</A></xml>',
        b"<!DOCTYPE xml><xml><A>1</A></xml>",
        b"<xml><A>" + b"<B>" * 20 + b"</B>" * 20 + b"</A></xml>",
        b"<xml>" + b"<B/>" * 2000 + b"</xml>",
        b"<xml><A>\xff</A></xml>",
        b'<?xml version="1.0" encoding="no-such"?><xml><A>1</A></xml',
    ],
)
def test_what_is_no_callback_is_refused(xml: bytes) -> None:
    with pytest.raises(BadCallback):
        parse(xml)


@pytest.mark.parametrize("xml", [b"<xml><A>1</A><A>2</A></xml>", b"<xml><A><B>1</B></A></xml>"])
def test_field_that_is_not_one_text_is_refused(xml: bytes) -> None:
    with pytest.raises(BadCallback, match="one text"):
        text_of(parse(xml), "A")


def test_missing_field_is_refused() -> None:
    with pytest.raises(BadCallback, match="missing"):
        required({"A": " "}, "A")


@given(st.binary(max_size=200))
def test_any_bytes_are_fields_or_refused(xml: bytes) -> None:
    try:
        fields = parse(xml)
    except BadCallback:
        return
    assert fields


@given(st.text(st.characters(min_codepoint=32, exclude_categories=["Cs", "Cn"])))
def test_any_text_comes_back_out_of_cdata(text: str) -> None:
    xml = f"<xml><A>{cdata(text)}</A><B>1</B></xml>"

    assert parse(xml.encode()) == {"A": text, "B": "1"}


def test_what_xml_cannot_hold_is_dropped() -> None:
    assert cdata("a\x00\ud800b\U0001f600") == "<![CDATA[ab\U0001f600]]>"
