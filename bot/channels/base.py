"""The one contract of all channels (design.md §9): send what is given, say what came of it."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

from bot.calls import ApiError, Fate, NoToken, TooSoon
from store.accounts import Account, SealBroken
from store.touches import Category, Evidence
from store.touches import Channel as ChannelName

_log = logging.getLogger(__name__)
_Given = TypeVar("_Given")


@dataclass(frozen=True)
class Outgoing:
    """What leaves the house: words already rendered, and what a channel may add to them.

    `payload` may hold `title`, `url`, `rows` ([[label, value]]), `template_id`, `data` and
    `welcome_code`.
    """

    key: str
    text: str
    payload: dict[str, Any] = field(default_factory=dict)
    category: Category = Category.CARE


@dataclass(frozen=True)
class Address:
    """To whom: an openid, a guide's userid, a mobile, or a customer with the guide who speaks.

    No repr, and so no log, shows it.
    """

    outside_id: str = field(repr=False)
    sender: str = ""


@dataclass(frozen=True)
class Receipt:
    """The platform took it; one that is not final waits for a human and is polled."""

    provider_id: str | None = None
    evidence: Evidence | None = None
    is_final: bool = True
    # By which a card can be changed, once.
    response_code: str = field(default="", repr=False)
    # When it reached the recipient, where the platform says so.
    reached_at: datetime | None = None


@dataclass(frozen=True)
class Powers:
    """What a channel can do."""

    # A person has to confirm before anything goes out.
    needs_human: bool = False
    # The platform says afterwards whether it arrived.
    has_receipt: bool = False
    # For so long the platform drops a repeat of the same message.
    same_for: timedelta = timedelta(0)


@dataclass(frozen=True)
class Cause:
    """What one of a platform's codes means for a touch."""

    reason: str
    is_permanent: bool = True
    retry_after: int | None = None
    # Nothing will ever arrive at this address.
    is_gone: bool = False
    # Whoever had been asked for instead would have been refused as well.
    is_platforms: bool = False
    # A person can mend it, and then it can go.
    is_mendable: bool = False
    # The platform wants peace for `retry_after`.
    is_pause: bool = False


class ChannelError(Exception):
    """A touch did not go out, or may not have: then `is_unsure` and it must not be repeated."""

    def __init__(
        self, cause: Cause, *, code: int | str | None = None, is_unsure: bool = False
    ) -> None:
        self.cause = cause
        self.reason, self.permanent = cause.reason, cause.is_permanent
        self.retry_after, self.is_gone = cause.retry_after, cause.is_gone
        self.code, self.is_unsure = code, is_unsure
        shown = f" (errcode {code})" if code is not None else ""
        super().__init__(f"Not sent: {cause.reason}{shown}.")


class Channel(Protocol):
    """One way out."""

    name: ChannelName
    powers: Powers

    def send(self, out: Outgoing, to: Address, account: Account) -> Receipt:
        """Send once; raises `ChannelError` and nothing else."""
        ...


NO_ADDRESS = Cause("no_address", is_gone=True)
LOST = Cause("no_answer", is_permanent=False, is_platforms=True)
NOT_REACHED = Cause("not_reached", is_permanent=False, retry_after=30, is_platforms=True)
NO_TOKEN = Cause("no_token", is_permanent=False, retry_after=300, is_platforms=True)
UNKNOWN = Cause("unknown_code", is_permanent=False, retry_after=600, is_platforms=True)

BUSY = Cause("platform_busy", is_permanent=False, retry_after=2, is_platforms=True)
TOO_FAST = Cause("too_fast", is_permanent=False, retry_after=60, is_pause=True)
# The day's quota is used up; an hour later is soon enough to look again.
QUOTA = Cause("quota_used_up", is_permanent=False, retry_after=3600, is_pause=True)
# Somebody has to change a setting first; the touch itself is fine and may go then.
MISCONFIGURED = Cause(
    "account_misconfigured", is_permanent=False, retry_after=1800, is_platforms=True
)
BAD_CONTENT = Cause("bad_content", is_mendable=True)
FORBIDDEN = Cause("forbidden_by_platform", is_mendable=True)
GONE = Cause("recipient_gone", is_gone=True)


def table(*groups: tuple[Cause, tuple[int, ...]]) -> Mapping[int, Cause]:
    """Codes with their causes."""
    return {code: cause for cause, codes in groups for code in codes}


def spoken(act: Callable[[], _Given], causes: Mapping[int, Cause]) -> _Given:
    """Call the platform; its faults become a `ChannelError` by the channel's own table."""
    try:
        return act()
    except ApiError as error:
        fault = error
    except SealBroken as broken:
        # The call was not made: it can be once the deployment has its secret key again.
        _log.error("%s", broken)
        raise ChannelError(MISCONFIGURED) from None
    raise _translated(fault, causes)


def _translated(fault: ApiError, causes: Mapping[int, Cause]) -> ChannelError:
    if isinstance(fault, NoToken):
        known = causes.get(fault.code) if fault.code is not None else None
        return ChannelError(known or NO_TOKEN, code=fault.code)
    if isinstance(fault, TooSoon):
        return ChannelError(
            Cause(
                "provider_limit", is_permanent=False, retry_after=fault.retry_after, is_pause=True
            )
        )
    if fault.fate is Fate.LOST:
        return ChannelError(LOST, is_unsure=True)
    if fault.code is None:
        return ChannelError(NOT_REACHED)
    cause = causes.get(fault.code, UNKNOWN)
    if cause in {UNKNOWN, MISCONFIGURED}:
        _log.error("The platform answered errcode %s: %s.", fault.code, cause.reason)
    return ChannelError(cause, code=fault.code)
