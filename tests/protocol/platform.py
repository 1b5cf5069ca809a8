"""The platform's side of a callback over HTTP, sealed and opened by WeRoBot instead of by us."""

import secrets
from dataclasses import dataclass
from typing import Any

import httpx
from werobot.crypto import MessageCrypt
from werobot.parser import parse_xml
from werobot.utils import get_signature

from store import clock
from tests.bot.builders import AES_KEY, APP_ID, TOKEN

_SECONDS = 20.0


@dataclass(frozen=True)
class Answered:
    """What a door said: the status, and the plain fields of the reply if there was one."""

    status: int
    raw: bytes
    reply: dict[str, Any] | None


class Platform:
    """Pushes to doors as WeChat does in safe mode."""

    def __init__(self) -> None:
        self._crypt = MessageCrypt(TOKEN, AES_KEY, APP_ID)
        # A proxy of the environment must not stand between us and our own server.
        self._http = httpx.Client(timeout=_SECONDS, trust_env=False)

    def close(self) -> None:
        """Hang up."""
        self._http.close()

    def seal(self, xml: str) -> tuple[dict[str, str], bytes]:
        """Query and body of a push; each try of one message is sealed anew."""
        stamp, nonce = str(int(clock.now().timestamp())), str(secrets.randbelow(10**10))
        fields = parse_xml(self._crypt.encrypt_message(xml, stamp, nonce))
        query = {
            "signature": get_signature(TOKEN, stamp, nonce),
            "timestamp": stamp,
            "nonce": nonce,
            "encrypt_type": "aes",
            "msg_signature": fields["MsgSignature"],
        }
        sealed = fields["Encrypt"]
        return query, f"<xml><ToUserName>gh</ToUserName><Encrypt>{sealed}</Encrypt></xml>".encode()

    def push(self, door: str, xml: str) -> Answered:
        """One try of one message."""
        query, body = self.seal(xml)
        return self.knock(door, query, body)

    def knock(self, door: str, query: dict[str, str], body: bytes) -> Answered:
        """Bring anything to a door."""
        answer = self._http.post(door, params=query, content=body)
        return Answered(answer.status_code, answer.content, self._opened(answer.content))

    def _opened(self, raw: bytes) -> dict[str, Any] | None:
        if not raw.startswith(b"<xml>"):
            return None
        outer = parse_xml(raw.decode())
        sealed = (outer["TimeStamp"], outer["Nonce"], outer["MsgSignature"], outer["Encrypt"])
        inner = parse_xml(self._crypt.decrypt_message(*sealed))
        inner.pop("raw")
        return dict(inner)
