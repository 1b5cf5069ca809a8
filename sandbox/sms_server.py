"""A stand-in for an SMS provider: `POST /sms/v1/messages`, signed; what arrives is on `/phone/sms`.

It enforces what the providers' rules have in common (reference sms_rules.json): a brand in
brackets, ten messages a minute and fifty a day to a number, four advertisements an hour, and no
advertisement to who answered R or without the words that say how. Once it is told the product's
door, it reports there what became of each message, and brings what a person answers.
"""

import asyncio
import hashlib
import hmac
import json
import re
import secrets
import time
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx
from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from sandbox.gateway import BrokenConnection
from sandbox.inboxes import show
from sandbox.push import new_client
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
_TRIES = 3
_BUSY = -1


class SmsForm(BaseModel):
    """One message."""

    id: str
    to: str
    kind: str
    text: str


class SmsDoor(BaseModel):
    """Where the product hears from the provider."""

    url: str


class SmsAnswer(BaseModel):
    """What a person writes back from a mobile."""

    mobile: str
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
    # Where reports and answers go.
    door: str = ""
    reported: set[str] = field(default_factory=set)

    async def tell(self, facts: dict[str, str]) -> bool:
        """Bring one report or answer to the door, three times if need be; whether it was taken."""
        body = json.dumps({"id": secrets.token_hex(8), **facts}, ensure_ascii=False).encode()
        path = urlsplit(self.door).path
        async with new_client() as client:
            for _ in range(_TRIES):
                try:
                    answer = await client.post(self.door, content=body, headers=_signed(path, body))
                except httpx.HTTPError:
                    continue
                if answer.is_success:
                    return True
        return False

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


def _signed(path: str, body: bytes) -> dict[str, str]:
    moment, nonce = str(int(clock.now().timestamp())), secrets.token_hex(8)
    text = f"POST\n{path}\n{moment}\n{nonce}\n{hashlib.sha256(body).hexdigest()}"
    mark = hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()
    return {
        "X-Sms-Key": KEY_ID,
        "X-Sms-Time": moment,
        "X-Sms-Nonce": nonce,
        "X-Sms-Signature": mark,
    }


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


def _report_later(
    carrying: set[asyncio.Task[Any]], server: SmsServer, body: bytes, message: str
) -> None:
    """A moment after the answer, as the networks do."""
    server.reported.add(message)
    ref = SmsForm.model_validate_json(body).id
    facts = {"kind": "report", "ref": ref, "message": message, "status": "delivered"}
    task = asyncio.create_task(server.tell(facts))
    carrying.add(task)
    task.add_done_callback(carrying.discard)


def sms_router(world: World) -> APIRouter:
    """The provider's one endpoint, and what steers it."""
    server = SmsServer(world)
    router = APIRouter()

    @router.post(f"/sms/{_PATH}", include_in_schema=False)
    async def take(request: Request) -> Response:
        switch, body = world.take_switch("sms", _PATH), await request.body()
        how = switch.how if switch else ""
        if switch is not None and how in {"slow", "hang"}:
            await asyncio.sleep(switch.seconds)
        if how in {"hang", "down"}:
            return BrokenConnection() if how == "hang" else _bad_gateway()
        now = clock.now()
        if switch is not None and how == "error":
            found = {"code": "BUSY" if switch.code == _BUSY else f"E{switch.code}"}
        else:
            found = server.answer(request.headers, request.url.path, body, now=now)
        world.journal.note("sms", now=now, path=_PATH, code=found["code"])
        if server.door and found["code"] == "OK" and found["id"] not in server.reported:
            _report_later(request.app.state.carrying, server, body, found["id"])
        return BrokenConnection() if how == "drop" else JSONResponse(found)

    _add_control(router, server)
    return router


def _add_control(router: APIRouter, server: SmsServer) -> None:
    """What a person and a test do and look at."""

    @router.post("/sandbox/sms/door", tags=["sandbox control"])
    async def open_door(form: SmsDoor) -> dict[str, bool]:
        """The product's door, where reports and answers go from now on."""
        server.door = form.url
        return {"ok": True}

    @router.post("/sandbox/sms/reply", tags=["sandbox control"])
    async def reply(form: SmsAnswer) -> dict[str, bool]:
        """A person answers an SMS; the provider itself obeys R, and tells the product."""
        if form.text.strip().upper() == "R":
            server.refused_by.add(form.mobile)
        facts = {"kind": "reply", "from": form.mobile, "text": form.text}
        return {"ok": bool(server.door) and await server.tell(facts)}

    @router.get("/sandbox/sms", tags=["sandbox control"])
    async def read(to: str = "") -> dict[str, Any]:
        """The messages that arrived, oldest first; those to one mobile, or all."""
        return {"messages": [{"to": who, **one.as_dict()} for who, one in texts(server.world, to)]}

    @router.post("/sandbox/sms/refuse", tags=["sandbox control"])
    async def refuse(to: str) -> dict[str, bool]:
        """A person answers R: no advertisement reaches the number any more."""
        server.refused_by.add(to)
        return {"ok": True}


def _bad_gateway() -> Response:
    return Response("502 Bad Gateway", 502, media_type="text/plain")


def texts(world: World, to: str = "") -> list[tuple[str, Bubble]]:
    """Each SMS with the mobile that it reached, oldest first."""
    found = [
        (person, bubble)
        for person, bubbles in world.inboxes.items()
        for bubble in bubbles
        if bubble.channel == CHANNEL and to in ("", person)
    ]
    return sorted(found, key=lambda pair: pair[1].at)
