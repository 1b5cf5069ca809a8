"""A stand-in for an SMS provider: `POST /sms/v1/messages`, signed; what arrives is on `/phone/sms`.

It enforces what the providers' rules have in common (reference sms_rules.json): a brand in
brackets, ten messages a minute and fifty a day to a number, four advertisements an hour, and no
advertisement to who answered R or without the words that say how.
"""

import hashlib
import hmac
import re
import time
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from sandbox.gateway import BrokenConnection
from sandbox.inboxes import show
from sandbox.state import Bubble, World
from store import clock

KEY_ID, SECRET = "sandbox", "sandbox-sms-secret"
CHANNEL = "sms"
_PATH = "v1/messages"
_MOBILE = re.compile(r"1[0-9]{10}")
_BRAND = re.compile(r"【[^【】]{2,16}】")
_HOW_TO_STOP = "拒收请回复R"
_FORBIDDEN = frozenset("¥★√※")
_MOST = ((10, timedelta(minutes=1), "TOO_FAST"), (50, timedelta(days=1), "DAY_FULL"))
_MOST_ADVERTISEMENTS = ((4, timedelta(hours=1), "TOO_FAST"),)
_STALE_SECONDS = 300


class SmsForm(BaseModel):
    """One message."""

    id: str
    to: str
    kind: str
    text: str


@dataclass
class SmsServer:
    """What the provider remembers: messages by id, when each number got what, who said R."""

    world: World
    seen: dict[str, str] = field(default_factory=dict)
    nonces: set[str] = field(default_factory=set)
    sent_at: dict[tuple[str, str], list[datetime]] = field(
        default_factory=lambda: defaultdict(list)
    )
    refused_by: set[str] = field(default_factory=set)

    def answer(self, headers: Any, path: str, body: bytes, *, now: datetime) -> dict[str, str]:
        """The provider's answer to one request."""
        problem = self._distrust(headers, path, body)
        if problem:
            return {"code": problem}
        try:
            form = SmsForm.model_validate_json(body)
        except ValueError:
            return {"code": "BAD_TEXT"}
        if form.id in self.seen:
            return {"code": "OK", "id": self.seen[form.id]}
        problem = _objection(form) or self._limit(form, now)
        return {"code": problem} if problem else self._deliver(form, now)

    def _distrust(self, headers: Any, path: str, body: bytes) -> str:
        moment, nonce = headers.get("x-sms-time", ""), headers.get("x-sms-nonce", "")
        if headers.get("x-sms-key") != KEY_ID:
            return "BAD_KEY"
        digest = hashlib.sha256(body).hexdigest()
        text = f"POST\n{path}\n{moment}\n{nonce}\n{digest}"
        mark = hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(mark, headers.get("x-sms-signature", "")):
            return "BAD_SIGNATURE"
        if abs(time.time() - int(moment)) > _STALE_SECONDS or nonce in self.nonces:
            return "STALE"
        self.nonces.add(nonce)
        return ""

    def _limit(self, form: SmsForm, now: datetime) -> str:
        if form.kind == "marketing" and form.to in self.refused_by:
            return "OPTED_OUT"
        caps = _MOST_ADVERTISEMENTS if form.kind == "marketing" else _MOST
        times = self.sent_at[form.to, form.kind]
        for most, span, code in caps:
            if sum(one > now - span for one in times) >= most:
                return code
        return ""

    def _deliver(self, form: SmsForm, now: datetime) -> dict[str, str]:
        self.seen[form.id] = f"sms-{len(self.seen) + 1}"
        self.sent_at[form.to, form.kind].append(now)
        show(self.world, form.to, Bubble(now, CHANNEL, False, "text", form.text))
        return {"code": "OK", "id": self.seen[form.id]}


def _objection(form: SmsForm) -> str:
    """What is wrong with the message itself."""
    if not _MOBILE.fullmatch(form.to):
        return "BAD_NUMBER"
    if not (_BRAND.match(form.text) or _BRAND.search(form.text[-20:])):
        return "NO_BRAND"
    if _FORBIDDEN & set(form.text):
        return "BAD_TEXT"
    lacks_stop = form.kind == "marketing" and not form.text.endswith(_HOW_TO_STOP)
    return "BAD_TEXT" if lacks_stop else ""


def sms_router(world: World) -> APIRouter:
    """The provider's one endpoint, and what a person and a test look at."""
    server = SmsServer(world)
    router = APIRouter()

    @router.post(f"/sms/{_PATH}", include_in_schema=False)
    async def take(request: Request) -> Response:
        switch = world.take_switch("sms", _PATH)
        if switch is not None and switch.how == "down":
            return Response("502 Bad Gateway", 502, media_type="text/plain")
        body = await request.body()
        now = clock.now()
        found = server.answer(request.headers, request.url.path, body, now=now)
        if switch is not None and switch.how == "drop":
            return BrokenConnection()
        if switch is not None and switch.how == "error":
            found = {"code": "BUSY"}
        world.journal.note("sms", now=now, code=found["code"])
        return JSONResponse(found)

    @router.get("/sandbox/sms", tags=["sandbox control"])
    async def read(to: str = "") -> dict[str, Any]:
        """The messages that arrived, oldest first; those to one mobile, or all."""
        return {"messages": [{"to": who, **one.as_dict()} for who, one in texts(world, to)]}

    @router.post("/sandbox/sms/refuse", tags=["sandbox control"])
    async def refuse(to: str) -> dict[str, bool]:
        """A person answers R: no advertisement reaches the number any more."""
        server.refused_by.add(to)
        return {"ok": True}

    return router


def texts(world: World, to: str = "") -> list[tuple[str, Bubble]]:
    """Each SMS with the mobile that it reached, oldest first."""
    found = [
        (person, bubble)
        for person, bubbles in world.inboxes.items()
        for bubble in bubbles
        if bubble.channel == CHANNEL and to in ("", person)
    ]
    return sorted(found, key=lambda pair: pair[1].at)
