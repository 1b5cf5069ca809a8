"""Text cut to what a platform takes, never in the middle of a character."""

# custom/send answers 45002 above this; a longer passive reply simply fails (wechat-oa.md §4, §5).
TEXT_BYTES = 2048
_MORE = "…"


def clip_bytes(text: str, limit: int = TEXT_BYTES) -> str:
    """`text` in at most `limit` bytes of UTF-8, an ellipsis at the end when something is gone."""
    raw = text.encode()
    if len(raw) <= limit:
        return text
    return raw[: limit - len(_MORE.encode())].decode(errors="ignore") + _MORE


def clip(text: str, limit: int) -> str:
    """`text` in at most `limit` characters, an ellipsis at the end when something is gone."""
    return text if len(text) <= limit else text[: limit - len(_MORE)] + _MORE
