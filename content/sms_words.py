"""What every SMS says besides its words (reference sms_rules.json)."""

from content import wishes
from content.keywords import means
from content.phrases import Intent
from store.consents import WishKind

# The providers take exactly this form, at the end, and nothing like it on a code or a notice.
WAY_OUT = "拒收请回复R"


def with_way_out(words: str) -> str:
    """The words of an advertisement, and how to get no more of them."""
    plain = words.rstrip()
    return plain if plain.endswith(WAY_OUT) else f"{plain} {WAY_OUT}"


def says_stop(words: str) -> bool:
    """Whether an answer asks for no more SMS: R, TD, the words of the chat, or a whole sentence."""
    asked = wishes.read(words)
    return means(words, Intent.STOP) or (asked is not None and asked.kind is WishKind.NEVER)
