"""Bubbles as a page shows them: texts cut into words and links, cards into plain values."""

import re
from dataclasses import dataclass, field
from html import unescape
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit
from zoneinfo import ZoneInfo

from sandbox.state import Bubble

_CHINA = ZoneInfo("Asia/Shanghai")
# WeChat shows `<a href>` in texts and makes bare addresses clickable; everything else is plain.
_LINK = re.compile(
    r"<a\s[^>]*?href=[\"'](?P<href>[^\"']+)[\"'][^>]*>(?P<label>.*?)</a>"
    r"|(?P<url>https?://[^\s<>\"'，。；！？）】」]+)",
    re.DOTALL,
)
_CHANNELS = {
    "wechat_reply": "公众号回复",
    "wechat_custom": "公众号客服消息",
    "wechat_notice": "订阅通知",
    "wechat_template": "模板消息",
    "wechat_system": "微信提示",
    "wecom_broadcast": "导购 · 企业群发",
    "wecom_chat": "导购 · 单聊",
    "wecom": "企业微信应用",
    "wecom_reply": "企业微信应用回复",
}


@dataclass(frozen=True)
class Piece:
    """A stretch of text, and where it leads if it is a link."""

    text: str
    href: str = ""
    menu_id: str = ""
    says: str = ""


@dataclass(frozen=True)
class Item:
    """An article, an attachment, a row or a button with its link."""

    title: str
    text: str = ""
    href: str = ""
    key: str = ""


@dataclass(frozen=True)
class Shown:
    """One bubble for a template."""

    time: str
    channel: str
    is_own: bool
    kind: str
    pieces: list[Piece]
    href: str = ""
    description: str = ""
    task_id: str = ""
    items: list[Item] = field(default_factory=list)
    buttons: list[Item] = field(default_factory=list)


def shown(bubble: Bubble, person: str) -> Shown:
    """The bubble as this person sees it; every link opens as them."""
    facts = bubble.facts
    card = facts.get("card") or {}
    rows = [
        Item(str(row.get("keyname", "")), str(row.get("value", "")), be(person, row.get("url")))
        for row in card.get("horizontal_content_list") or []
    ]
    return Shown(
        time=bubble.at.astimezone(_CHINA).strftime("%m-%d %H:%M"),
        channel=_CHANNELS.get(bubble.channel, bubble.channel),
        is_own=bubble.is_own,
        kind=bubble.kind,
        pieces=pieces(bubble.text, person),
        href=be(person, facts.get("url")),
        description=str(facts.get("description") or _card_description(card)),
        task_id=str(facts.get("task_id") or ""),
        items=[*rows, *articles(facts, person), *attachments(facts, person)],
        buttons=[*_buttons(card, person), *_jumps(card, person)],
    )


def pieces(text: str, person: str) -> list[Piece]:
    """A text cut into plain stretches and links."""
    found: list[Piece] = []
    end = 0
    for match in _LINK.finditer(text):
        found.append(Piece(text[end : match.start()]))
        found.append(_linked(unescape(match["href"] or match["url"]), match["label"], person))
        end = match.end()
    return [piece for piece in [*found, Piece(text[end:])] if piece.text]


def _linked(href: str, label: str | None, person: str) -> Piece:
    """A link to a page, or one that says something to the account (wechat-oa.md §5.2)."""
    if href.startswith("weixin://bizmsgmenu?"):
        asked = dict(parse_qsl(urlsplit(href).query))
        says = asked.get("msgmenucontent", "")
        return Piece(label or says, "", asked.get("msgmenuid", ""), says)
    return Piece(label or href, be(person, href))


def be(person: str, url: object) -> str:
    """The way to an address that makes the browser this person first."""
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        return ""
    return "/sandbox/be?" + urlencode({"who": person, "next": url})


def _card_description(card: dict[str, Any]) -> str:
    emphasis = card.get("emphasis_content") or {}
    parts = [
        (card.get("main_title") or {}).get("desc"),
        " ".join(str(emphasis[name]) for name in ("title", "desc") if emphasis.get(name)),
        card.get("sub_title_text"),
        (card.get("quote_area") or {}).get("quote_text"),
    ]
    return "\n".join(str(part) for part in parts if part)


def articles(facts: dict[str, Any], person: str) -> list[Item]:
    """The articles of a passive answer."""
    return [
        Item(one.get("Title", ""), one.get("Description", ""), be(person, one.get("Url")))
        for one in facts.get("items") or []
    ]


def attachments(facts: dict[str, Any], person: str) -> list[Item]:
    """What hangs on a broadcast."""
    contents = [one.get(one.get("msgtype")) or {} for one in facts.get("attachments") or []]
    return [
        Item(
            str(one.get("title") or "附件"), str(one.get("desc") or ""), be(person, one.get("url"))
        )
        for one in contents
    ]


def _buttons(card: dict[str, Any], person: str) -> list[Item]:
    return [
        Item(
            str(button.get("text")),
            "",
            be(person, button.get("url")),
            str(button.get("key") or ""),
        )
        for button in card.get("button_list") or []
    ]


def _jumps(card: dict[str, Any], person: str) -> list[Item]:
    return [
        Item(str(jump.get("title")), "", be(person, jump.get("url")))
        for jump in card.get("jump_list") or []
    ]
