"""What people type, as it is kept."""

import unicodedata


def plain(words: str) -> str:
    """Lines without control characters, which PostgreSQL or a platform would refuse, and trimmed.

    A browser sends the line breaks of a text field as CR LF.
    """
    kept = (one for one in words if one == "\n" or unicodedata.category(one) != "Cc")
    return "".join(kept).strip()
