"""The keyring: opened credentials, kept for a moment so that not every push opens them anew."""

import time

from store.accounts import Credentials

# An account that was changed or withdrawn is noticed this late, at most.
_KEEP_SECONDS = 5.0
# New keys are noticed this late: a flood of forged pushes must not become one of the database.
_JUST_SECONDS = 1.0


class Keyring:
    """Accounts by code, as they were at most a few seconds ago."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[float, Credentials]] = {}

    def get(self, code: str) -> Credentials | None:
        """The account, unless it is unknown here or kept for too long."""
        at, account = self._kept.get(code, (0.0, None))
        return account if time.monotonic() - at < _KEEP_SECONDS else None

    def is_just_read(self, code: str) -> bool:
        """The account was read so short a time ago that its keys are hardly others by now."""
        at, _ = self._kept.get(code, (float("-inf"), None))
        return time.monotonic() - at < _JUST_SECONDS

    def put(self, account: Credentials) -> None:
        """Keep an account that was just read; only accounts that there are come here."""
        self._kept[account.code] = (time.monotonic(), account)
