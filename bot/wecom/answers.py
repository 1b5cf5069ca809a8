"""What WeCom's answers hold, read without trust: a wrong shape is an answer that was lost."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from bot.calls import ApiError, Fate
from bot.wecom.client import WeComApi

_Read = TypeVar("_Read")
Answer = Mapping[str, Any]

# A cursor that never ends is a fault of the platform, not work for ever.
_MOST_PAGES = 10_000


def shaped(found: Answer, shape: Callable[[Answer], _Read]) -> _Read:
    """The answer as a plain value."""
    try:
        return shape(found)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, OSError):
        pass
    # Raised out here, so that its context holds nothing of a person.
    raise ApiError(Fate.LOST)


def pages(api: WeComApi, path: str, body: Answer) -> Iterator[dict[str, Any]]:
    """All pages of an endpoint that is read by cursor; an empty `next_cursor` is the end."""
    cursor = ""
    for _ in range(_MOST_PAGES):
        found = api.post(path, {**body, "cursor": cursor})
        yield found
        cursor = str(found.get("next_cursor") or "")
        if not cursor:
            return
    raise ApiError(Fate.LOST)


def listed(found: Answer, name: str) -> list[Any]:
    """A list of the answer, empty when it is missing."""
    value = found.get(name) or []
    if not isinstance(value, list):
        raise ApiError(Fate.LOST)
    return value


def moment(seconds: Any) -> datetime:
    """A time that WeCom tells in seconds since 1970."""
    return datetime.fromtimestamp(int(seconds), UTC)
