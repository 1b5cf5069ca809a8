"""The welcome message: once, within 20 seconds of what brought its code (wecom.md §4.2)."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from bot.wecom.client import WeComApi

LIFE = timedelta(seconds=20)
TEXT_BYTES = 4000
MOST_ATTACHMENTS = 9
# Another app of the corp is sending one right now: whether it will is not known yet.
BEING_SENT = 41096
# It was sent, or the two have begun to chat.
ALREADY_WELCOMED = 41051
CODE_OVER = 41050


def send(
    api: WeComApi, welcome_code: str, text: str, attachments: Sequence[dict[str, Any]] = ()
) -> None:
    """Welcome a new customer; the text and each attachment arrive as bubbles of their own."""
    body: dict[str, Any] = {"welcome_code": welcome_code, "text": {"content": text}}
    if attachments:
        body["attachments"] = list(attachments)[:MOST_ATTACHMENTS]
    api.post("externalcontact/send_welcome_msg", body)
