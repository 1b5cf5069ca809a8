"""A chat on a consumer's phone as rows for a template: bubbles, cards, choices, grey lines."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sandbox import menus
from sandbox.phones.bubbles import Item, Piece, articles, attachments, be, pieces
from sandbox.phones.chats import Kept
from sandbox.state import Account, Bubble

_CHINA = ZoneInfo("Asia/Shanghai")
# A new time stands above a message that comes so long after the one before.
_PAUSE = timedelta(minutes=5)
_EVENTS = {
    "subscribe": "您关注了公众号",
    "unsubscribe": "您取消了关注",
    "SCAN": "您扫了二维码",
    "VIEW": "您从菜单打开了网页",
}
_NOTICES = frozenset({"notice", "template"})


@dataclass(frozen=True)
class Face:
    """A square with a letter in a colour of one's own, in place of a photograph."""

    letter: str
    hue: int


@dataclass(frozen=True)
class Row:
    """One thing in a chat; `kind` chooses how it is drawn."""

    key: str
    kind: str
    is_own: bool
    face: Face
    stamp: str = ""
    pieces: list[Piece] = field(default_factory=list)
    title: str = ""
    description: str = ""
    href: str = ""
    picture: str = ""
    items: list[Item] = field(default_factory=list)
    choices: list[dict[str, str]] = field(default_factory=list)
    tail: str = ""
    seconds: int = 0
    is_ai: bool = False


def face(name: str) -> Face:
    """The face of a name; the same name always has the same."""
    return Face(name[:1] or "客", sum(map(ord, name)) * 37 % 360)


def stamp(moment: datetime, now: datetime) -> str:
    """A time as WeChat writes it above messages."""
    local, today = moment.astimezone(_CHINA), now.astimezone(_CHINA).date()
    days = (today - local.date()).days
    if days == 0:
        return f"{local:%H:%M}"
    return f"昨天 {local:%H:%M}" if days == 1 else f"{local.month}月{local.day}日 {local:%H:%M}"


@dataclass(frozen=True)
class Chatting:
    """Whose phone it is, who is on the other side, and what the menu calls its keys."""

    person: str
    own: Face
    other: Face
    names: Mapping[str, str]
    now: datetime

    def rows(self, found: Iterable[Kept]) -> list[Row]:
        """The chat, oldest first."""
        rows, before = [], None
        for one in found:
            is_later = before is None or one.bubble.at - before > _PAUSE
            rows.append(self._row(one, stamp(one.bubble.at, self.now) if is_later else ""))
            before = one.bubble.at
        return rows

    def _row(self, one: Kept, stamp: str) -> Row:
        bubble = one.bubble
        drawn: dict[str, Any] = self._drawn(bubble)
        face = self.own if bubble.is_own else self.other
        is_ai = bubble.facts.get("is_ai") is True
        return Row(one.key, is_own=bubble.is_own, face=face, stamp=stamp, is_ai=is_ai, **drawn)

    def _drawn(self, bubble: Bubble) -> dict[str, Any]:
        facts = bubble.facts
        if bubble.kind in {"event", "system", "transfer_customer_service"}:
            return {"kind": "system", "title": self._grey(bubble)}
        if bubble.kind == "msgmenu" and "choices" in facts:
            head = pieces(str(facts["head"]), self.person)
            more = {"choices": facts["choices"], "tail": facts["tail"]}
            return {"kind": "choices", "pieces": head, **more}
        if bubble.kind == "news":
            return {"kind": "card", **self._card(bubble)}
        if bubble.kind in _NOTICES:
            lines = [Item(line) for line in bubble.text.split("\n")]
            return {"kind": "notice", "items": lines, "href": be(self.person, facts.get("url"))}
        return self._sent(bubble)

    def _sent(self, bubble: Bubble) -> dict[str, Any]:
        """What people send: words, a picture, a voice, a place."""
        if bubble.kind == "image":
            return {"kind": "image", "picture": str(bubble.facts.get("picture", ""))}
        if bubble.kind == "voice":
            return {
                "kind": "voice",
                "title": bubble.text,
                "seconds": int(bubble.facts.get("seconds", 1)),
            }
        if bubble.kind == "location":
            return {"kind": "location", "title": bubble.text}
        items = attachments(bubble.facts, self.person)
        return {"kind": "text", "pieces": pieces(bubble.text, self.person), "items": items}

    def _card(self, bubble: Bubble) -> dict[str, Any]:
        facts = bubble.facts
        if found := facts.get("items") or []:
            rest = articles({"items": found[1:]}, self.person)
            first = {"url": found[0].get("Url"), "description": found[0].get("Description")}
            facts = {**first, "picurl": found[0].get("PicUrl"), "rest": rest}
        return {
            "title": bubble.text,
            "description": str(facts.get("description") or ""),
            "href": be(self.person, facts.get("url")),
            "picture": str(facts.get("picurl") or ""),
            "items": facts.get("rest", []),
        }

    def _grey(self, bubble: Bubble) -> str:
        if bubble.kind == "transfer_customer_service":
            return "已为您转接人工客服"
        event, key = bubble.facts.get("event"), str(bubble.facts.get("key", ""))
        if event is None:
            return bubble.text
        if event == "CLICK":
            return f"您点了菜单“{self.names.get(key, key)}”"
        scene = key.removeprefix("qrscene_") if event in {"subscribe", "SCAN"} else ""
        label = _EVENTS.get(str(event), str(event))
        return f"{label}（场景 {scene}）" if scene else label


def names_of_keys(account: Account | None) -> dict[str, str]:
    """What the account's menu calls each of its keys."""
    buttons = menus.shown(account) if account else []
    everything = [*buttons, *(one for top in buttons for one in top.get("sub_button") or [])]
    return {str(one["key"]): str(one["name"]) for one in everything if one.get("key")}
