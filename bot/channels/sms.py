"""SMS through any provider: one signed HTTP request, one table of what the answers mean.

The brand's provider, or a few lines in front of it, takes `POST …/v1/messages` with
{"id", "to", "kind", "text"} and answers {"code": "OK", "id": …}. Signed is what cannot be changed
on the way: method, path, time, nonce and the digest of the body. `id` makes a repeat harmless.
"""

import hashlib
import hmac
import json
import logging
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from bot.calls import TIMEOUT, answered, http_session
from bot.channels import base
from bot.channels.base import Address, Cause, ChannelError, Outgoing, Receipt, spoken
from store.touches import Evidence

_log = logging.getLogger(__name__)
_PATH = "/v1/messages"
_OK = "OK"


class SmsKind(StrEnum):
    """Which rules of the provider apply (reference sms_rules.json); codes may go at any hour."""

    CODE = "verification"
    NOTICE = "notification"
    MARKETING = "marketing"


# The provider's answer, for all of `code`; an unknown one is temporary and logged.
CAUSES: Mapping[str, Cause] = {
    "BAD_KEY": base.MISCONFIGURED,
    "BAD_SIGNATURE": base.MISCONFIGURED,
    "STALE": base.MISCONFIGURED,
    "NO_BALANCE": base.MISCONFIGURED,
    "NO_BRAND": base.MISCONFIGURED,
    "BAD_NUMBER": base.GONE,
    "NO_SUCH_NUMBER": base.GONE,
    "OPTED_OUT": Cause("opted_out", is_gone=True),
    "BAD_TEXT": base.BAD_CONTENT,
    "FORBIDDEN": base.FORBIDDEN,
    "TOO_FAST": base.TOO_FAST,
    "DAY_FULL": base.QUOTA,
    "BUSY": base.BUSY,
}


@dataclass(frozen=True)
class SmsAccess:
    """Where the provider is, and the key that it knows us by."""

    url: str
    key_id: str
    secret: str = field(repr=False)
    # How the brand is called in the brackets that every SMS in China begins with.
    signature: str


class Sms:
    """One provider. The signature is put in front here, so that no text can be sent without it."""

    def __init__(self, access: SmsAccess, timeout: tuple[float, float] = TIMEOUT) -> None:
        self._access = access
        parts = urlsplit(access.url)
        self._path = f"{parts.path.rstrip('/')}{_PATH}"
        self._host = f"{parts.scheme}://{parts.netloc}"
        self._http = http_session(self._host, self._host, timeout)

    def send(self, out: Outgoing, to: Address, *, kind: SmsKind) -> Receipt:
        """Send once; raises `ChannelError` and nothing else. `to` is a mobile."""
        message = {
            "id": out.key,
            "to": to.outside_id,
            "kind": kind,
            "text": f"【{self._access.signature}】{out.text}",
        }
        found = spoken(lambda: answered(lambda: self._post(message)), {})
        code = str(found.get("code", ""))
        if code == _OK:
            return Receipt(str(found.get("id") or "") or None, evidence=Evidence.EVENT)
        cause = CAUSES.get(code, base.UNKNOWN)
        if cause in {base.UNKNOWN, base.MISCONFIGURED}:
            known = code if code in CAUSES else "an unknown code"
            _log.error("The SMS provider answered %s: %s.", known, cause.reason)
        raise ChannelError(cause, code=code if code in CAUSES else None)

    def _post(self, message: Mapping[str, Any]) -> Any:
        body = json.dumps(message, ensure_ascii=False).encode()
        headers = {"Content-Type": "application/json", **self._signed(body)}
        return self._http.post(f"{self._host}{self._path}", data=body, headers=headers).json()

    def _signed(self, body: bytes) -> dict[str, str]:
        moment, nonce = str(int(time.time())), secrets.token_hex(8)
        return {
            "X-Sms-Key": self._access.key_id,
            "X-Sms-Time": moment,
            "X-Sms-Nonce": nonce,
            "X-Sms-Signature": self._mark(self._path, moment, nonce, body),
        }

    def knows(self, headers: Mapping[str, str], path: str, body: bytes) -> bool:
        """Whether the provider signed this, with our key and in the same way as we do."""
        secret, key_id = self._access.secret, self._access.key_id
        moment, nonce = headers.get("x-sms-time", ""), headers.get("x-sms-nonce", "")
        shown = headers.get("x-sms-signature", "").encode()
        is_ours = headers.get("x-sms-key", "") == key_id and bool(secret)
        return is_ours and hmac.compare_digest(
            self._mark(path, moment, nonce, body).encode(), shown
        )

    def _mark(self, path: str, moment: str, nonce: str, body: bytes) -> str:
        digest = hashlib.sha256(body).hexdigest()
        text = "\n".join(("POST", path, moment, nonce, digest))
        return hmac.new(self._access.secret.encode(), text.encode(), "sha256").hexdigest()
