"""Answers on paper: how one is kept with its message, and the XML it goes back as."""

import json
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from bot.fields import cdata
from bot.limits import clip_bytes
from bot.messages import Answer, Card, Choices, Later, Prompt, Reply, Silence, Transfer
from store import accounts

_KINDS: dict[str, type[Answer]] = {
    "text": Reply,
    "card": Card,
    "choices": Choices,
    "later": Later,
    "transfer": Transfer,
    "silence": Silence,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}


@dataclass(frozen=True)
class Spoken:
    """What a callback is answered with: the same since that second, however often it comes."""

    answer: Prompt | Transfer
    at: int


def kept(answer: Answer, secret_key: str, *, now: datetime) -> dict[str, Any]:
    """The answer as JSON; what a private one says is sealed."""
    if isinstance(answer, Reply):
        answer = replace(answer, text=clip_bytes(answer.text))
    head = {"kind": _NAMES[type(answer)], "at": int(now.timestamp())}
    facts = dict(vars(answer))
    if facts.get("is_private"):
        return head | {"sealed": accounts.seal(secret_key, json.dumps(facts))}
    return head | facts


def read(reply: dict[str, Any], secret_key: str) -> Answer:
    """The answer that was kept."""
    facts = {name: value for name, value in reply.items() if name not in {"kind", "at", "sealed"}}
    if "sealed" in reply:
        facts = json.loads(accounts.unseal(secret_key, reply["sealed"]))
    if "items" in facts:
        facts["items"] = tuple((key, text) for key, text in facts["items"])
    return _KINDS[reply["kind"]](**facts)


def at_once(reply: dict[str, Any], secret_key: str) -> Spoken | None:
    """What the callback itself is answered with; none when nothing is, or not yet."""
    if not reply:
        return None
    answer = read(reply, secret_key)
    return Spoken(answer, reply["at"]) if isinstance(answer, Prompt | Transfer) else None


def xml(spoken: Spoken, *, to: str, sender: str) -> str:
    """The passive reply: a text, or one article, the most that words may be answered with."""
    return (
        f"<xml><ToUserName>{cdata(to)}</ToUserName><FromUserName>{cdata(sender)}</FromUserName>"
        f"<CreateTime>{spoken.at}</CreateTime>{_content(spoken.answer)}</xml>"
    )


def _content(answer: Prompt | Transfer) -> str:
    match answer:
        case Reply(text=words):
            return f"<MsgType>{cdata('text')}</MsgType><Content>{cdata(words)}</Content>"
        case Card() as card:
            return f"<MsgType>{cdata('news')}</MsgType>{_article(card)}"
        case Transfer():
            return f"<MsgType>{cdata('transfer_customer_service')}</MsgType>"


def _article(card: Card) -> str:
    return (
        f"<ArticleCount>1</ArticleCount><Articles><item><Title>{cdata(card.title)}</Title>"
        f"<Description>{cdata(card.description)}</Description><PicUrl></PicUrl>"
        f"<Url>{cdata(card.url)}</Url></item></Articles>"
    )
