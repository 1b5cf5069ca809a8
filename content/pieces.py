"""Content pieces: words for one purpose with typed variables, rendered for one member.

A piece may use only the variables of `MemberVariables`; anything else is refused when written.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from operator import attrgetter

from jinja2 import (
    Environment,
    StrictUndefined,
    Template,
    TemplateError,
    TemplateSyntaxError,
    nodes,
)
from jinja2.sandbox import ImmutableSandboxedEnvironment
from sqlmodel import Session, select

from store.errors import Refusal
from store.pieces import ContentPiece
from store.touches import Category

# WeCom's broadcast text holds 4,000 bytes and a customer-service message 2,048 (wecom.md §5.1,
# wechat-oa.md §4): the shorter one, so that a draft can travel on every channel.
MAX_BYTES = 2048
_MAX_SOURCE_BYTES = 4 * MAX_BYTES
_ENVIRONMENT: Environment = ImmutableSandboxedEnvironment(
    undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)


@dataclass(frozen=True, slots=True)
class MemberVariables:
    """What a piece may say about a member. Money is whole yuan, `days_since` whole days."""

    name: str
    guide: str
    shop: str
    level: str
    points: int
    days_since: int | None
    category: str
    product: str
    coupon: str
    link: str


VARIABLES = tuple(field.name for field in fields(MemberVariables))
_IN_ORDER = attrgetter(*VARIABLES)
# PostgreSQL keeps no text with a NUL.
_END = "\0"
_LINK = "https://example.com/m/picks/0123456789abcdefghijkl"
_TRIALS = (
    MemberVariables("名字", "导购", "门店", "等级", 1000, 30, "品类", "商品", "优惠券", _LINK),
    MemberVariables("顾客", "小知", "品牌", "", 0, None, "好物", "", "", _LINK),
)
# No loops, attributes, calls, filters or sums: they could be endless, huge, or reach too far.
_PLAIN = (
    nodes.Output,
    nodes.TemplateData,
    nodes.Name,
    nodes.Const,
    nodes.If,
    nodes.CondExpr,
    nodes.Compare,
    nodes.Operand,
    nodes.Test,
    nodes.And,
    nodes.Or,
    nodes.Not,
)


@dataclass(frozen=True, slots=True)
class PieceForm:
    """A piece before it is in the record."""

    code: str
    title: str
    purpose: str
    category: Category
    text: str


class PieceFault(StrEnum):
    """Why a text cannot be sent: it is too much or nothing for somebody, or is written wrongly."""

    TOO_LONG = "too_long"
    EMPTY = "empty"
    UNREADABLE = "unreadable"


class BadPiece(Refusal):
    """A content piece that cannot be rendered for every member."""

    def __init__(self, problem: str, fault: PieceFault = PieceFault.UNREADABLE) -> None:
        self.problem, self.fault = problem, fault
        super().__init__(f"The text of the piece is not usable: {problem}")


def check(text: str) -> None:
    """Refuse a text that is not plain words, known variables and conditions, or that fails a trial.

    The trial is a member with every fact and one with none, so that a launch meets no surprise.
    """
    if len(text.encode()) > _MAX_SOURCE_BYTES:
        raise BadPiece(f"it is longer than {_MAX_SOURCE_BYTES} bytes", PieceFault.TOO_LONG)
    for node in _parse(text):
        _check_node(node)
    for member in _TRIALS:
        render(text, member)


def _check_node(node: nodes.Node) -> None:
    if not isinstance(node, _PLAIN):
        problem = "only variables and conditions can stand between the words"
        raise BadPiece(f"line {node.lineno}: {problem}")
    if isinstance(node, nodes.Name) and node.name not in VARIABLES:
        known = ", ".join(VARIABLES)
        raise BadPiece(f"line {node.lineno}: unknown variable {node.name!r}; known are {known}")


def _parse(text: str) -> list[nodes.Node]:
    """Everything that stands in a text, from the outside in."""
    try:
        return list(_ENVIRONMENT.parse(text).find_all(nodes.Node))
    except TemplateSyntaxError as error:
        raise BadPiece(f"line {error.lineno}: {error.message}") from error
    except RecursionError as error:
        raise BadPiece("it is nested too deeply") from error


def render(text: str, variables: MemberVariables) -> str:
    """The words for one member; refuses a result that is empty, too long or cannot be made."""
    try:
        words = _template(text).render(asdict(variables)).strip()
    except (TemplateError, TypeError) as error:
        raise BadPiece(f"it cannot be rendered: {error}") from error
    except (SyntaxError, RecursionError) as error:
        # Python itself takes only so many conditions inside each other.
        raise BadPiece("it is nested too deeply") from error
    if not words:
        raise BadPiece("it renders to nothing", PieceFault.EMPTY)
    if len(words.encode()) > MAX_BYTES:
        raise BadPiece(f"it renders to more than {MAX_BYTES} bytes", PieceFault.TOO_LONG)
    return words


def render_many(text: str, rows: Sequence[MemberVariables]) -> list[str | None]:
    """The words for many members, None where `render` would refuse; in a tenth of its time."""
    try:
        joined = _loop(text).render(rows=map(_IN_ORDER, rows))
    except (TemplateError, TypeError, SyntaxError, RecursionError):
        # One of them cannot be made, and the others can.
        return [_or_none(text, row) for row in rows]
    found = [words.strip() for words in joined.split(_END)[:-1]]
    return [words if 0 < len(words.encode()) <= MAX_BYTES else None for words in found]


def _or_none(text: str, variables: MemberVariables) -> str | None:
    try:
        return render(text, variables)
    except BadPiece:
        return None


@lru_cache(maxsize=64)
def _loop(text: str) -> Template:
    """The piece once for each of `rows`, each followed by an end that no text can hold."""
    tree = _ENVIRONMENT.parse(text)
    row = nodes.Tuple([nodes.Name(name, "store") for name in VARIABLES], "store")
    body = [*tree.body, nodes.Output([nodes.TemplateData(_END)])]
    tree.body = [nodes.For(row, nodes.Name("rows", "load"), body, [], None, False)]
    tree.set_lineno(1)
    code = _ENVIRONMENT.compile(tree)
    return Template.from_code(_ENVIRONMENT, code, _ENVIRONMENT.make_globals(None))


@lru_cache(maxsize=64)
def _template(text: str) -> Template:
    """A launch renders one piece for everybody, and compiling takes far longer than rendering."""
    return _ENVIRONMENT.from_string(text)


def publish(session: Session, form: PieceForm, *, now: datetime) -> ContentPiece:
    """Write the piece `form.code`, or change its words; drafts made earlier keep theirs."""
    check(form.text)
    piece = session.exec(select(ContentPiece).where(ContentPiece.code == form.code)).first()
    if piece is None:
        piece = ContentPiece(**asdict(form), created_at=now)
    piece.title, piece.purpose = form.title, form.purpose
    piece.category, piece.text = form.category, form.text
    session.add(piece)
    session.flush()
    return piece


def all_pieces(session: Session) -> list[ContentPiece]:
    """Every piece, by title."""
    return list(session.exec(select(ContentPiece).order_by(ContentPiece.title)).all())
