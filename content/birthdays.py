"""A birthday in a person's own words: 1990年3月8日, 1990-3-8, 1990.03.08 or 19900308."""

import re
import unicodedata
from datetime import date

_FORMS = (
    re.compile(r"(?<!\d)(\d{4})\s*[年\-./]\s*(\d{1,2})\s*[月\-./]\s*(\d{1,2})(?!\d)"),
    re.compile(r"(?<!\d)((?:19|20)\d{2})(\d{2})(\d{2})(?!\d)"),
)


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
