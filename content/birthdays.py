"""A birthday in a person's own words: 1990年3月8日, 1990-3-8, 1990.03.08 or 19900308."""

import re
import unicodedata
from datetime import date

_FORMS = (
    re.compile(r"(?<!\d)(\d{4})\s*[年\-./]\s*(\d{1,2})\s*[月\-./]\s*(\d{1,2})(?!\d)"),
    re.compile(r"(?<!\d)((?:19|20)\d{2})(\d{2})(\d{2})(?!\d)"),
)

_NUMBER = "[0-9\u3007零一二三四五六七八九十廿初]{1,8}"
_NEARLY = re.compile(
    r"(?:我|的|生日|是|在|公历|阳历|农历|阴历)*"
    rf"(?:{_NUMBER}\s*[年月日号.\-/]?\s*){{1,3}}(?:生日|出生|生|的)*[。!~]*"
)


def is_nearly_one(words: str) -> bool:
    """Whether the words are nothing but a day, or a part of one, however it is written."""
    return _NEARLY.fullmatch(unicodedata.normalize("NFKC", words).strip()) is not None


def has_all_parts(words: str) -> bool:
    """Whether year, month and day are named, though no calendar may have the day."""
    folded = unicodedata.normalize("NFKC", words)
    return any(form.search(folded) for form in _FORMS)


def birthday_in(words: str) -> date | None:
    """The one day that is named with its year; None for no day, or one that no calendar has."""
    folded = unicodedata.normalize("NFKC", words)
    for form in _FORMS:
        found = form.search(folded)
        if found is not None:
            return _day(*(int(part) for part in found.groups()))
    return None


def _day(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None
