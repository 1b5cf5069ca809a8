"""Words that no rule knows: understood by meaning, handed to a language model, or met with help."""

from collections.abc import Mapping
from datetime import datetime

from sqlmodel import Session

from bot import understanding
from bot.handlers.welcome import help_out
from bot.messages import Answer, Choices, Later, Turn
from bot.router import Handler
from bot.understanding import Understood
from content import phrases
from content.phrases import INTENT_LABELS, Intent
from store import inbound

# Who makes the answer that a language model is asked for (`bot.llm`).
ASK_MODEL = "ask_model"
# These only show something; nothing else is shown to a language model.
SHOWS = frozenset(
    {Intent.POINTS, Intent.POINTS_SHOP, Intent.COUPONS, Intent.CARD, Intent.BIND, Intent.ORDERS}
    | {Intent.GUIDE, Intent.PREFERENCES, Intent.PAUSE, Intent.PRIVACY, Intent.HELP}
    | {Intent.GREETING, Intent.THANKS}
)
# These open a talk that asks before anything is done.
_OPENS_TALK = frozenset({Intent.GIFT, Intent.SHOPS, Intent.PROFILE, Intent.FEEDBACK})
# Nothing but these is done on a guess.
HARMLESS = SHOWS | _OPENS_TALK | {Intent.CANCEL}


def answering(handlers: Mapping[Intent, Handler]) -> Handler:
    """The handler of what is typed freely; what it understands goes to one of `handlers`."""

    def answer(turn: Turn, session: Session, now: datetime) -> Answer:
        found = understanding.understand(turn.words) if turn.wits.understands else Understood()
        wish = found.intent
        if wish is not None and wish in handlers:
            return handlers[wish](turn, session, now) if wish in HARMLESS else sure(wish)
        choices = [one for one in found.choices if one in handlers]
        if choices:
            return which(choices)
        return Later(ASK_MODEL) if turn.wits.asks_model else help_out(turn, session, now)

    return answer


def agreeing(handlers: Mapping[Intent, Handler], otherwise: Handler) -> Handler:
    """The handler of a typed yes: to the question that stands last in the chat, or `otherwise`."""

    def agree(turn: Turn, session: Session, now: datetime) -> Answer:
        keys = inbound.asked_last(session, turn.member_id, now=now)
        wish = next((one for one in phrases.SURE if _keys(sure(one)) == keys), None)
        return (handlers[wish] if wish else otherwise)(turn, session, now)

    return agree


def which(intents: list[Intent]) -> Choices:
    """Ask which of the wishes it is; nothing is a choice, too."""
    items = [(one.value, INTENT_LABELS[one]) for one in intents if one is not Intent.HELP]
    return Choices(phrases.WHICH, (*items, (Intent.HELP.value, phrases.NEITHER)))


def sure(intent: Intent) -> Choices:
    """Ask before something changes; a tap does it, or a yes as the very next words."""
    yes = (intent.value, INTENT_LABELS[intent])
    return Choices(phrases.SURE[intent], (yes, (Intent.CANCEL.value, phrases.RATHER_NOT)))


def _keys(question: Choices) -> list[str]:
    return [key for key, _ in question.items]
