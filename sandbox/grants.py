"""The windows in which a customer-service message may be sent (wechat-oa.md §5.1, in force since
2023-06-12).
"""

from datetime import datetime, timedelta
from enum import StrEnum

from sandbox.refusals import ApiError
from sandbox.state import Follower, Grant


class Trigger(StrEnum):
    """What a person does that opens a window."""

    MESSAGE = "message"
    MENU = "menu"
    FOLLOW = "follow"
    SCAN = "scan"


_SIZES: dict[Trigger, tuple[int, timedelta]] = {
    Trigger.MESSAGE: (5, timedelta(hours=48)),
    Trigger.MENU: (3, timedelta(minutes=1)),
    Trigger.FOLLOW: (3, timedelta(minutes=1)),
    Trigger.SCAN: (3, timedelta(minutes=1)),
}

# Only these menu types open a window; a tap on a link or a mini program opens none.
TRIGGER_OF_EVENT: dict[str, Trigger] = {
    "subscribe": Trigger.FOLLOW,
    "SCAN": Trigger.SCAN,
    "CLICK": Trigger.MENU,
    "scancode_push": Trigger.MENU,
    "scancode_waitmsg": Trigger.MENU,
}


def open_window(follower: Follower, trigger: Trigger, *, now: datetime) -> None:
    """Set the window of this trigger to its maximum; windows of one trigger do not add up."""
    count, length = _SIZES[trigger]
    follower.grants[trigger] = Grant(count, now + length)


def close_windows(follower: Follower) -> None:
    """Take all windows away, as unfollowing does."""
    follower.grants.clear()


def spend(follower: Follower, *, now: datetime) -> None:
    """Use one message up. Refuses 45015 without a live window, 45047 with only empty ones.

    The window that ends first is debited first; the platform does not say which it takes.
    """
    living = [grant for grant in follower.grants.values() if grant.until > now]
    if not living or not follower.is_subscribed:
        raise ApiError(45015)
    usable = [grant for grant in living if grant.left > 0]
    if not usable:
        raise ApiError(45047)
    min(usable, key=lambda grant: grant.until).left -= 1
