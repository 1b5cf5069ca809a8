"""Other tones for a draft: the same facts about a member, said shorter, warmer or more formally."""

from enum import StrEnum

from content.pieces import MemberVariables, render

BIRTHDAY = "birthday"


class Tone(StrEnum):
    """How a guide wants to sound."""

    BRIEF = "brief"
    WARM = "warm"
    FORMAL = "formal"


_TEXTS: dict[Tone, str] = {
    Tone.BRIEF: "{{ name }}，{{ guide }}给您挑了几样{{ category }}：{{ link }}"
    "{% if coupon %}\n「{{ coupon }}」也给您留着。{% endif %}",
    Tone.WARM: "{{ name }}，我是{{ shop }}的{{ guide }}，这几天一直惦记着您～"
    "{% if product %}看到{{ product }}，第一个想到的就是您。{% endif %}"
    "照着您喜欢的{{ category }}挑了一份，有空慢慢看：\n{{ link }}\n"
    "{% if coupon %}还给您悄悄留了一张「{{ coupon }}」。{% endif %}想要哪样，跟我说一声就好。",
    Tone.FORMAL: "尊敬的{{ name }}，您好。我是{{ shop }}的导购{{ guide }}。"
    "根据您以往的选购，为您整理了一份{{ category }}清单，敬请参考：\n{{ link }}\n"
    "{% if coupon %}您名下另有一张「{{ coupon }}」可以使用。{% endif %}如需预留，请随时告知。",
}
_WISHES: dict[Tone, str] = {
    Tone.BRIEF: "生日快乐！",
    Tone.WARM: "生日快乐呀，愿您天天开心！",
    Tone.FORMAL: "谨祝您生日快乐。",
}


def words(tone: Tone, variables: MemberVariables, *, purpose: str) -> str:
    """The words for one member in this tone; a birthday is wished whatever the tone."""
    said = render(_TEXTS[tone], variables)
    return f"{_WISHES[tone]}{said}" if purpose == BIRTHDAY else said
