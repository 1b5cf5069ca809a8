"""What the bot cannot read is answered with what it can do instead; a voice with words is words."""

from datetime import datetime

from sqlmodel import Session

from bot.messages import Answer, Other, Reply, Turn
from bot.router import Filter
from content import talk_words
from content.messages import MessageKind, render

_STICKER = "sticker"


def _kind(turn: Turn) -> str:
    match turn.message:
        case Other(kind=kind):
            return kind
        case _ if talk_words.is_sticker(turn.words):
            return _STICKER
        case _:
            return ""


ATTACHED = Filter(lambda turn: bool(_kind(turn)))


def explain(turn: Turn, _session: Session, _now: datetime) -> Answer:
    """What to do instead."""
    return Reply(render(MessageKind.ATTACHMENT, what=_kind(turn)))
