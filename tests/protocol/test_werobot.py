"""WeRoBot as an independent encoder and decoder: it and we read the same, a thousand times."""

import random
from xml.sax.saxutils import escape

import pytest
from werobot.crypto import MessageCrypt
from werobot.parser import parse_user_msg, parse_xml
from werobot.replies import TextReply

from bot import answers
from bot.answers import Spoken
from bot.envelope import open_body, seal_reply, sign
from bot.fields import parse
from bot.messages import Card, Reply, Text
from bot.wechat.parsing import read
from tests.bot.builders import AES_KEY, APP_ID, LI, ORIGINAL_ID, TOKEN, credentials
from tests.times import at

_NOW = at("2026-03-01 14:00")
_STAMP = str(int(_NOW.timestamp()))
_MESSAGES = 1000
# What breaks XML, CDATA, UTF-8 and blocks of 32 bytes, among what people write.
_PIECES = (
    "]]>", "<![CDATA[", "]]", ">", "<", "&", "&amp;", "</xml>", '"', "'", "\n", " ", "\t", "　",
    "😀", "👨‍👩‍👧", "🇨🇳", "👍🏽", "積分", "我的积分", "龘", "é", "e\u0301", "\u200b", "ﷺ",
    "a", "0", "{}", "%s", "\ufffd", "𠮷",
)  # fmt: skip


def _words(seed: int) -> str:
    draw = random.Random(seed)  # noqa: S311 -- the same messages in every run
    pieces = (
        draw.choice(_PIECES) if draw.random() < 0.8 else chr(draw.randrange(0x20, 0xD7FF))
        for _ in range(draw.randrange(1, 40))
    )
    # An XML reader makes one line end of all, and WeRoBot's drops the blanks around a text.
    return "".join(pieces).strip()


@pytest.fixture(scope="module")
def werobot() -> MessageCrypt:
    """WeRoBot's cipher, with the keys of the tests' account."""
    return MessageCrypt(TOKEN, AES_KEY, APP_ID)


def test_push_that_werobot_sealed_says_the_same_to_us(werobot: MessageCrypt) -> None:
    account = credentials()
    differing = []
    for seed in range(_MESSAGES):
        words = _words(seed)
        xml = (
            f"<xml><ToUserName>{ORIGINAL_ID}</ToUserName><FromUserName>{LI}</FromUserName>"
            f"<CreateTime>{_STAMP}</CreateTime><MsgType>text</MsgType>"
            f"<Content>{escape(words)}</Content><MsgId>{seed}</MsgId></xml>"
        )
        sealed = werobot.encrypt_message(xml, _STAMP, str(seed))
        signature = parse(sealed.encode())["MsgSignature"]
        query = {"msg_signature": signature, "timestamp": _STAMP, "nonce": str(seed)}

        said = read(open_body(account, query, sealed.encode(), now=_NOW).plain)

        if (said.sender, said.message) != (LI, Text(words)):
            differing.append(words)

    assert differing == []


def test_reply_that_we_sealed_says_the_same_to_werobot(werobot: MessageCrypt) -> None:
    differing = []
    for seed in range(_MESSAGES):
        words = _words(seed)

        message = parse_user_msg(_opened(werobot, Spoken(Reply(words), int(_STAMP)), str(seed)))

        found = (message.type, message.target, message.source, message.content or "")
        if found != ("text", LI, ORIGINAL_ID, words):
            differing.append(words)

    assert differing == []


def test_card_that_we_sealed_has_one_article_for_werobot(werobot: MessageCrypt) -> None:
    for seed in range(_MESSAGES // 10):
        title, words = _words(seed), _words(seed + _MESSAGES)
        url = f"https://x.example/m/gift?a={seed}&b=%5D%5D%3E"

        card = Card(title, words, url)
        fields = parse_xml(_opened(werobot, Spoken(card, int(_STAMP)), str(seed)))

        article = fields["Articles"]["item"]
        assert (fields["MsgType"], fields["ArticleCount"]) == ("news", "1")
        assert (article["Title"] or "", article["Description"] or "") == (title, words)
        assert article["Url"] == url


def test_reply_that_werobot_writes_is_read_by_our_parser(werobot: MessageCrypt) -> None:
    for seed in range(_MESSAGES // 10):
        # WeRoBot does not mend `]]>` in what it writes.
        words = _words(seed).replace("]]>", "")
        reply = TextReply(target=LI, source=ORIGINAL_ID, content=words, time=int(_STAMP))
        sealed = werobot.encrypt_message(reply, _STAMP, str(seed))
        fields = parse(sealed.encode())
        plain = werobot.decrypt_message(
            _STAMP, str(seed), fields["MsgSignature"], fields["Encrypt"]
        )

        assert parse(plain.strip())["Content"] == words


def _opened(werobot: MessageCrypt, spoken: Spoken, nonce: str) -> bytes:
    """What WeRoBot finds in our answer to a push."""
    account = credentials()
    xml = answers.xml(spoken, to=LI, sender=ORIGINAL_ID)
    opened = open_body(account, *_a_push(werobot, nonce), now=_NOW)
    fields = parse(seal_reply(account, opened, xml, now=_NOW).encode())
    assert fields["MsgSignature"] == sign(TOKEN, _STAMP, nonce, fields["Encrypt"])
    found: bytes = werobot.decrypt_message(
        fields["TimeStamp"], fields["Nonce"], fields["MsgSignature"], fields["Encrypt"]
    )
    return found


def _a_push(werobot: MessageCrypt, nonce: str) -> tuple[dict[str, str], bytes]:
    sealed = werobot.encrypt_message("<xml/>", _STAMP, nonce).encode()
    signature = parse(sealed)["MsgSignature"]
    return {"msg_signature": signature, "timestamp": _STAMP, "nonce": nonce}, sealed
