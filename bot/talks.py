"""The routes of talks: with a person, about shops, feedback and how much a member wants to hear."""

from bot import dialogue
from bot import router as r
from bot.dialogue import HUMAN, at
from bot.handlers import attachments, feedback, handover, preferences, shops
from bot.messages import Menu, Place, Text, is_spoken
from content import keywords, talk_words
from content.phrases import Intent

# Who serves the wishes of this module.
HANDLERS: dict[Intent, r.Handler] = {
    Intent.SHOPS: shops.show,
    Intent.HUMAN: handover.start,
    Intent.PREFERENCES: preferences.show,
    Intent.PAUSE: preferences.offer_pause,
    Intent.FEEDBACK: feedback.start,
}
_TAPS = r.Filter(lambda turn: isinstance(turn.message, Menu))
_SPEAKS = r.Filter(lambda turn: is_spoken(turn.message))
_TYPES = r.Filter(lambda turn: isinstance(turn.message, Text))
_SENDS_PLACE = r.Filter(lambda turn: isinstance(turn.message, Place))
# "Complaint" in the middle of one is a part of it; "a person, please" is no opinion.
_ASKS_NOTHING = r.Filter(lambda turn: keywords.wish(turn.words) in {None, Intent.FEEDBACK})
_IN_WORDS = r.says_exactly(frozenset(talk_words.SCORE_WORDS))
_MAY_CANCEL = r.says(Intent.CANCEL) & r.says(Intent.STOP)
_HAS_NO_MORE = r.says_exactly(talk_words.NOTHING_TO_ADD)


def add_first(router: r.Router) -> None:
    """A clear no counts in every talk; while a person answers, nothing else does."""
    for_a_person = at(HUMAN) & r.says_exactly(talk_words.FOR_A_PERSON)
    router.on(for_a_person, handover.forward_doubtful)
    router.on(r.says_exactly(keywords.HARD_STOPS), preferences.stop)
    router.on(preferences.SAYS_NEVER, preferences.grant)
    router.on(at(HUMAN) & r.says_exactly(talk_words.RELEASE), handover.leave)
    router.on(at(HUMAN) & _SPEAKS, handover.forward)
    router.on(at(HUMAN) & _TAPS, handover.remind)


def add_talks(router: r.Router) -> None:
    """What is an answer inside a talk; before the wishes, after talks with their own last word."""
    router.on(dialogue.CANCELS, dialogue.leave)
    router.on(_MAY_CANCEL, preferences.cancel)
    router.on(at(feedback.WORDS) & _HAS_NO_MORE, dialogue.leave)
    router.on(at(feedback.SCORE) & (r.NUMBER | _IN_WORDS), feedback.score)
    router.on(dialogue.tapped(feedback.TAP), feedback.score)
    router.on(dialogue.tapped(preferences.PAUSE), preferences.pause)
    router.on(preferences.SAYS_WISH, preferences.grant)
    router.on(at(feedback.WORDS) & _TYPES & _ASKS_NOTHING, feedback.words)


def add_last(router: r.Router) -> None:
    """What no wish took: places, and what the bot cannot read."""
    router.on(_SENDS_PLACE, shops.near)
    router.on(attachments.ATTACHED, attachments.explain)
    router.on(at(feedback.SCORE) & _TYPES, feedback.start)
