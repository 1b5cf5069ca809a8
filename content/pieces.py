"""Content pieces: words for one purpose with typed variables, rendered for one member.

A piece may use only the variables of `MemberVariables`; anything else is refused when written.
"""

from dataclasses import asdict, dataclass, fields
from datetime import datetime

from jinja2 import Environment, StrictUndefined, TemplateSyntaxError, meta
from jinja2.sandbox import ImmutableSandboxedEnvironment
from sqlmodel import Session, select

from store.errors import Refusal
from store.pieces import ContentPiece
from store.touches import Category

# WeCom's broadcast text holds 4,000 bytes and a customer-service message 2,048 (wecom.md §5.1,
# wechat-oa.md §4): the shorter one, so that a draft can travel on every channel.
MAX_BYTES = 2048
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


@dataclass(frozen=True, slots=True)
class PieceForm:
    """A piece before it is in the record."""

    code: str
    title: str
    purpose: str
    category: Category
    text: str


class BadPiece(Refusal):
    """A content piece that cannot be rendered for every member."""

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(f"The text of the piece is not usable: {problem}")


def check(text: str) -> None:
    """Refuse a text that does not parse or names an unknown variable."""
    try:
        named = meta.find_undeclared_variables(_ENVIRONMENT.parse(text))
    except TemplateSyntaxError as error:
        raise BadPiece(f"line {error.lineno}: {error.message}") from error
    unknown = sorted(named - set(VARIABLES))
    if unknown:
        raise BadPiece(f"unknown variable {unknown[0]!r}; known are {', '.join(VARIABLES)}")


def render(text: str, variables: MemberVariables) -> str:
    """The words for one member; refuses a result that is empty or over `MAX_BYTES`."""
    words = _ENVIRONMENT.from_string(text).render(asdict(variables)).strip()
    if not words:
        raise BadPiece("it renders to nothing")
    if len(words.encode()) > MAX_BYTES:
        raise BadPiece(f"it renders to more than {MAX_BYTES} bytes")
    return words


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
