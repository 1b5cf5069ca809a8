"""The keyring: opened credentials, kept for a moment so that not every push opens them anew."""

import time

from store.accounts import Credentials

# An account that was changed or withdrawn is noticed this late, at most.
_KEEP_SECONDS = 5.0


class Keyring:
    """Accounts by code, as they were at most a few seconds ago."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[float, Credentials]] = {}

    def get(self, code: str) -> Credentials | None:
        """The account, unless it is unknown here or kept for too long."""
        at, account = self._kept.get(code, (0.0, None))
        return account if time.monotonic() - at < _KEEP_SECONDS else None

    def put(self, account: Credentials) -> None:
        """Keep an account that has just opened a push, which only its own keys do."""
        self._kept[account.code] = (time.monotonic(), account)
