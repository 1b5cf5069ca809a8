"""What somebody says they do not want done: a model of meaning hears only what it is about."""

import re
import unicodedata

from content.phrases import Intent
from content.spelling import simplified

# Not "是不是", "要不要", which ask; nor "怎么还不", which complains.
_NOT = (
    "(?:(?<![是要想用需])不(?:要|想|用|必|需要|打算|是要)|(?:(?<=先)|(?<=暂时)|(?<=我))不"
    "|别|莫|甭|勿|唔(?:好|想|要|使))"
)
# "I never asked for it": it may have happened, so it is what has to be undone.
_NEVER_ASKED = "没有?(?:说过?|想过?|要求|同意|[让叫]你们?)"
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
_STOPPING = "(?:退订|退定|屏蔽|拒收)"
_UNDONE = (
    f"(?:取消|撤销|撤回|解除)(?:了|掉)?(?:我|之前|以前|上次|的)*{_STOPPING}"
    f"|把{_STOPPING}(?:给我|帮我)?(?:取消|撤)"
)
# It was stopped once, or is it? That is told or asked: where things stand is shown.
_TOLD = (
    "(?:已经?|早就?|之前|以前|上次|昨天|上个?[月周]|刚刚?|都)[^,，。!！?？]{0,6}"
    f"{_STOPPING}(?:了|过)|{_STOPPING}(?:成功|好)?(?:过|了(?:吗|没|吧))|回复?(?:r|td?)(?:了|过)"
)
_STILL_COMES = "还[在是]?(?:给我|老|一直)*(?:发|推|收到|有)|又(?:给我)?(?:发|推|收到)"
_WANTS_BACK = "恢复|后悔|现在|又想|还想|重新|回来|打开"
# To be sent nothing more is heard as wanting more; who tells what they once said does want it.
_SENT = (
    "(?:再|又|老|总|天天|继续|给[我俺]|[俾畀]我|[跟向]我)*(?:发(?!货|票)|推送|联系|打扰|骚扰|send)"
)
_SAID_ONCE = "[说讲]不|之前|以前|上次"
_FOR_NOW = "先|暂时|最近|这几|这段|这阵|这个?[周月]"
_IN_PINYIN = re.compile(r"\bbu ?(?:yao|xiang|yong) ?(?:tui ?ding|quxiao)")


def without(text: str, wish: Intent) -> Intent | None:
    """What the text asks for in place of a wish that it denies; none when it denies it not.

    To let things be is `CANCEL`.
    """
    said = _folded(text)
    if wish in {Intent.STOP, Intent.RESUME} and is_told(text):
        return Intent.PREFERENCES
    if wish is Intent.RESUME and not re.search(_WANTS_BACK, said):
        if re.search(f"{_STOPPING}.*(?:{_STILL_COMES})", said):
            return Intent.STOP
        if re.search(_NOT + _SENT, said) and not re.search(_SAID_ONCE, said):
            return Intent.PAUSE if re.search(_FOR_NOW, said) else Intent.STOP
    return _denied(said, wish)


def is_told(text: str) -> bool:
    """Whether it tells of a stop that was said before, and wants nothing changed by that."""
    said = _folded(text)
    return bool(re.search(_TOLD, said)) and not re.search(f"{_STILL_COMES}|{_WANTS_BACK}", said)


def _folded(text: str) -> str:
    return simplified(unicodedata.normalize("NFKC", text)).lower()


def _denied(said: str, wish: Intent) -> Intent | None:
    deeds = "|".join(_DEEDS[one] for one in (wish, _HEARD_AS.get(wish)) if one in _DEEDS)
    if deeds and re.search(f"{_NOT}{_BETWEEN}(?:{deeds})", said):
        return Intent.CANCEL
    if wish in _HEARD_AS and re.search(f"{_NEVER_ASKED}{_BETWEEN}(?:{deeds})", said):
        return Intent.RESUME
    if wish is not Intent.STOP:
        return None
    if re.search(_UNDONE, said):
        return Intent.RESUME
    return Intent.CANCEL if _IN_PINYIN.search(said) else None
