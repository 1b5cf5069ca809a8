"""Content pieces: what may stand in one, and that each ready one fits every member."""

from dataclasses import replace
from datetime import datetime
from string import Formatter

import pytest
from sqlalchemy import func
from sqlmodel import Session, select

from content import pieces, ready_pieces
from content.pieces import MAX_BYTES, VARIABLES, BadPiece, MemberVariables, PieceForm
from content.ready_pieces import READY_PIECES
from store.pieces import ContentPiece
from store.touches import Category

LI = MemberVariables(
    name="李雨桐",
    guide="王芳",
    shop="城西店",
    level="金卡",
    points=1280,
    days_since=23,
    category="牛奶",
    product="鲜牛奶",
    coupon="老友券",
    link="https://guide.example/m/picks/abc",
)
NEWCOMER = replace(LI, level="", points=0, days_since=None, product="", coupon="")


def a_form(**facts: str) -> PieceForm:
    usual = {"code": "spring", "title": "春日", "purpose": "care", "text": "{{ name }}您好"}
    return PieceForm(category=Category.CARE, **(usual | facts))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{{ mobile }}", "unknown variable 'mobile'; known are name, guide, shop"),
        ("{% if vip %}您好{% endif %}", "unknown variable 'vip'"),
        ("您好\n{{ name", "line 2: "),
        ("{% if name %}您好", "line 1: "),
        ("{{ name | shout }}", "line 1: only variables and conditions"),
        ("{{ " + "(" * 900 + "name" + ")" * 900 + " }}", "nested too deeply"),
        ("{% if name %}" * 150 + "您好" + "{% endif %}" * 150, "nested too deeply"),
        ("很" * 2731, "longer than 8192 bytes"),
        ("很" * 683, "more than 2048 bytes"),
        ("", "renders to nothing"),
        ("{% if coupon %}送您{{ coupon }}{% endif %}", "renders to nothing"),
        ("{% if days_since > 14 %}好久不见{% else %}您好{% endif %}", "cannot be rendered"),
        ("{{ name is shouted }}", "cannot be rendered"),
    ],
)
def test_a_text_that_would_fail_some_member_is_refused(text: str, problem: str) -> None:
    with pytest.raises(BadPiece) as refused:
        pieces.check(text)

    assert problem in refused.value.problem


@pytest.mark.parametrize(
    "text",
    [
        "{{ name.__class__ }}",
        "{{ name['__class__'] }}",
        "{{ name.upper() }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ range(9) }}",
        "{{ self }}",
        "{{ name | attr('__class__') }}",
        "{{ name * 99999999 }}",
        "{{ name ~ name }}",
        "{{ [name] }}",
        "{% for c in name %}{{ c }}{% endfor %}",
        "{% set x = name %}{{ x }}",
        "{% include 'secret' %}",
        "{% import 'secret' as s %}您好",
        "{% extends 'secret' %}",
        "{% macro m() %}您好{% endmacro %}{{ m() }}",
        "{% block b %}您好{% endblock %}",
        "{% filter upper %}您好{% endfilter %}",
    ],
)
def test_a_text_reaches_for_nothing_but_its_variables(text: str) -> None:
    with pytest.raises(BadPiece):
        pieces.check(text)


@pytest.mark.parametrize("name", VARIABLES)
def test_every_variable_can_be_used(name: str) -> None:
    pieces.check(f"您好{{% if {name} is not none and {name} %}}{{{{ {name} }}}}{{% endif %}}")


def test_words_are_trimmed_and_whole(session: Session) -> None:
    del session
    text = "{% if points >= 100 %}{{ name }}有 {{ points }} 积分{% else %}您好{% endif %}\n\n"

    assert pieces.render(text, LI) == "李雨桐有 1280 积分"
    assert pieces.render(text, NEWCOMER) == "您好"


def test_words_of_exactly_the_limit_fit() -> None:
    assert len(pieces.render("a" * MAX_BYTES, LI)) == MAX_BYTES


def test_what_a_member_is_called_is_never_read_as_a_template() -> None:
    assert pieces.render("{{ name }}您好", replace(LI, name="{{ mobile }}")) == "{{ mobile }}您好"


@pytest.mark.parametrize("member", [LI, NEWCOMER], ids=["all facts", "none"])
@pytest.mark.parametrize("piece", READY_PIECES, ids=lambda piece: piece.code)
def test_a_ready_piece_fits_every_member(piece: PieceForm, member: MemberVariables) -> None:
    pieces.check(piece.text)

    words = pieces.render(piece.text, member)

    assert member.link in words
    assert not {"{", "}", "None", "%"} & set(words.split())
    assert list(Formatter().parse(words)) != []
    assert ("老友券" in words) is bool(member.coupon)


def test_publishing_again_changes_the_words_of_the_same_piece(
    session: Session, now: datetime
) -> None:
    first = pieces.publish(session, a_form(), now=now)

    again = pieces.publish(session, a_form(text="{{ name }}，周末见"), now=now)

    assert again.id == first.id
    assert [piece.text for piece in pieces.all_pieces(session)] == ["{{ name }}，周末见"]


def test_a_bad_piece_is_not_written(session: Session, now: datetime) -> None:
    with pytest.raises(BadPiece):
        pieces.publish(session, a_form(text="{{ mobile }}"), now=now)

    assert session.exec(select(func.count()).select_from(ContentPiece)).one() == 0


def test_ready_pieces_are_put_in_once_and_leave_edited_ones_alone(
    session: Session, now: datetime
) -> None:
    ready_pieces.seed(session, now=now)
    edited = replace(READY_PIECES[0], text="{{ name }}，好久不见")
    pieces.publish(session, edited, now=now)

    ready_pieces.seed(session, now=now)

    texts = {piece.code: piece.text for piece in pieces.all_pieces(session)}
    assert texts == {piece.code: piece.text for piece in (edited, *READY_PIECES[1:])}
