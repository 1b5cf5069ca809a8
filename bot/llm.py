"""A language model for words that nothing else understands, bounded in time and turns (§10).

It speaks the protocol of OpenAI's chat completions; what it may look at is in `bot.model_tools`.
"""

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from httpx import HTTPError
from openai import AsyncOpenAI, OpenAIError
from openai.types.chat import (
    ChatCompletionAssistantMessageParam,
    ChatCompletionMessage,
    ChatCompletionMessageFunctionToolCall,
    ChatCompletionMessageParam,
)

from bot.late import Maker
from bot.limits import TEXT_BYTES, clip_bytes
from bot.messages import Answer, Reply, Turn
from bot.model_tools import Decided, Tools
from bot.router import Handler
from content import model_words, phrases, prompts
from content.messages import MessageKind, render
from content.phrases import Intent
from store.db import Database

_log = logging.getLogger(__name__)

_MOST_CALLS_A_TURN = 3
# A mobile as people write it: with the country before it, in groups, in full-width digits.
_GAP = r"[\s.\-\u2010-\u2015\uff0d]?"
_MOBILE = re.compile(
    rf"(?<!\d)((?:(?:00)?86{_GAP})?[1\uff11]\d{{2}}){_GAP}\d{{4}}{_GAP}(\d{{4}})(?!\d)"
)
# A number of an order, a person or a card, an extension with its city, an address of mail: no tool
# needs one.
_OTHER_NUMBER = re.compile(r"(?<!\d)(?:\d[ \-]?){8,}[\dXx](?![\dXx])")
_MAIL = re.compile(r"[\w.+\-]+@[\w\-]+(?:\.[\w\-]+)+", re.ASCII)
_SHOWN_DIGITS = 4
_MASK = "****"
# A long answer of a model has some kilobytes.
_MOST_BYTES = 256 * 1024
# A server that asks for no key is sent one all the same: the client insists.
_NO_KEY = "none"


@dataclass(frozen=True)
class ModelAccess:
    """Where the model is, and how long and how often it may be asked for one answer."""

    base_url: str
    model: str
    api_key: str = field(default="", repr=False)
    seconds: float = 15.0
    turns: int = 4
    # A chat needs a few sentences; more costs time and money.
    most_tokens: int = 300


class _NothingSaid(Exception):  # noqa: N818 -- no answer is no fault of ours
    """The model gave no words, or went on asking."""


def maker(database: Database, access: ModelAccess, handlers: Mapping[Intent, Handler]) -> Maker:
    """Who makes the answers that `free_words.ASK_MODEL` promises; it always gives one in time."""

    def make(turn: Turn, now: datetime) -> Answer:
        tools = Tools(database, handlers, turn, now)
        try:
            return Reply(asyncio.run(_talk(access, tools, turn.words)), is_ai=True)
        except Decided as decided:
            return decided.answer
        # A ValueError is what came and is no completion, and so is what is nested without an end.
        except (
            OpenAIError,
            HTTPError,
            TimeoutError,
            ValueError,
            RecursionError,
            _NothingSaid,
        ) as fault:
            _log.warning("The language model gave no answer: %s.", type(fault).__name__)
            return Reply(render(MessageKind.HELP))

    return make


async def _talk(access: ModelAccess, tools: Tools, words: str) -> str:
    """The model's words with their label, inside the time whatever the server does."""
    said: list[ChatCompletionMessageParam] = [
        {"role": "system", "content": prompts.assistant()},
        {"role": "user", "content": _masked(words)},
    ]
    told: list[str] = []
    key = access.api_key or _NO_KEY
    async with (
        asyncio.timeout(access.seconds),
        AsyncOpenAI(base_url=access.base_url, api_key=key, max_retries=0) as client,
    ):
        for _ in range(access.turns):
            message = await _asked(client, access, tools, said)
            calls = _calls(message)
            if not calls:
                return _labelled(message.content, told)
            said.append(_repeated(message, calls))
            for call in calls:
                told.append(tools.use(call.function.name))
                said.append({"role": "tool", "tool_call_id": call.id, "content": told[-1]})
    raise _NothingSaid


async def _asked(
    client: AsyncOpenAI,
    access: ModelAccess,
    tools: Tools,
    said: list[ChatCompletionMessageParam],
) -> ChatCompletionMessage:
    asking = client.chat.completions.with_streaming_response.create(
        model=access.model,
        messages=said,
        tools=tools.offered(),
        max_tokens=access.most_tokens,
        temperature=0,
        timeout=access.seconds,
    )
    async with asking as answer:
        came = await _body(answer.iter_bytes())
    # The client would take anything for a completion.
    match json.loads(came):
        case {"choices": [{"message": dict(message)}, *_]}:
            return ChatCompletionMessage.model_validate(message)
        case _:
            raise _NothingSaid


async def _body(parts: AsyncIterator[bytes]) -> bytes:
    """What came, if it is no longer than an answer can be."""
    body = b""
    async for part in parts:
        body += part
        if len(body) > _MOST_BYTES:
            raise _NothingSaid
    return body


def _calls(message: ChatCompletionMessage) -> list[ChatCompletionMessageFunctionToolCall]:
    calls = [call for call in message.tool_calls or [] if call.type == "function"]
    return calls[:_MOST_CALLS_A_TURN]


def _repeated(
    message: ChatCompletionMessage, calls: list[ChatCompletionMessageFunctionToolCall]
) -> ChatCompletionAssistantMessageParam:
    """The model's own message, as it must stand before the answers to its calls."""
    return {
        "role": "assistant",
        "content": message.content or "",
        "tool_calls": [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.function.name, "arguments": "{}"},
            }
            for call in calls
        ],
    }


def _labelled(words: str | None, told: Sequence[str]) -> str:
    said = model_words.plain(words or "")
    if not said or not model_words.is_founded(said, told):
        raise _NothingSaid
    label = f"\n{phrases.AI_LABEL}"
    # Words that are cut to what a message holds must not lose their label.
    return clip_bytes(said, TEXT_BYTES - len(label.encode())) + label


def _masked(words: str) -> str:
    """The words without what names a person."""
    said = _MAIL.sub(_MASK, _MOBILE.sub(rf"\1{_MASK}\2", words))
    return _OTHER_NUMBER.sub(_last_digits, said)


def _last_digits(number: re.Match[str]) -> str:
    return _MASK + re.sub(r"[ \-]", "", number[0])[-_SHOWN_DIGITS:]
