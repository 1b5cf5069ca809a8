"""What somebody says they do not want done: a model of meaning hears only what it is about."""

import re
import unicodedata

from content.phrases import Intent
from content.spelling import simplified

# Not "是不是", "要不要", which ask.
_NOT = "(?:(?<![是要想用需])不(?:要|想|用|必|需要|打算|是要)|别|莫|甭|勿|唔(?:好|想|要|使))"
# "I never asked for it": it may have happened, so it is what has to be undone.
_NEVER_ASKED = "没有?(?:说过?|想过?|要求)"
_BETWEEN = "(?:再|又|把我|给我|帮我|替我|要|想|去|转|找|叫)*"
_DEEDS: dict[Intent, str] = {
    Intent.STOP: "退订|退定|取消(?!关注)",
    Intent.PAUSE: "暂停|停(?!车|业)",
    Intent.RESUME: "恢复",
    Intent.HUMAN: "(?:接)?人工",
    Intent.PRIVACY: "注销|销户",
}
# A pause is also heard as a stop.
_HEARD_AS = {Intent.STOP: Intent.PAUSE, Intent.PAUSE: Intent.STOP}
_IN_PINYIN = re.compile(r"\bbu ?(?:yao|xiang|yong) ?(?:tui ?ding|quxiao)")


def without(text: str, wish: Intent) -> Intent | None:
    """What the text asks for in place of a wish that it denies; none when it denies it not.

    To let things be is `CANCEL`.
    """
    said = simplified(unicodedata.normalize("NFKC", text)).lower()
    deeds = "|".join(_DEEDS[one] for one in (wish, _HEARD_AS.get(wish)) if one in _DEEDS)
    if not deeds:
        return None
    if re.search(f"{_NOT}{_BETWEEN}(?:{deeds})", said):
        return Intent.CANCEL
    if wish is not Intent.STOP:
        return None
    if re.search(f"{_NEVER_ASKED}{_BETWEEN}(?:{deeds})", said):
        return Intent.RESUME
    return Intent.CANCEL if _IN_PINYIN.search(said) else None
