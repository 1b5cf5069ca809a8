"""What of a language model's words may reach a person: plain text that says what tools have told.

A model invents amounts, addresses and numbers to call, and a tag of its own can be a link that
speaks for whoever taps it (wechat-oa.md §5.2): nothing of that is passed on.
"""

import re
import unicodedata
from collections.abc import Sequence

# What a model thinks before it speaks; cut off in the middle it never spoke.
_THOUGHTS = re.compile(r"(?is)^.*</think>|<think>.*$")
_TAG = re.compile(r"</?[A-Za-z!][^<>]*>")
_MARKS = re.compile(r"(?m)\*\*|__|`+|^#{1,6} +")
_MANY_LINES = re.compile(r"\n\s*\n")
# Neither their own meaning nor a place in a database has: all but line breaks, joiners of emoji.
_KEPT = frozenset("\n\u200d")
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})

_LINK = re.compile(r"(?i)[a-z][a-z0-9+.\-]*://[!-'*+\--:=?-~]+|[\w.+\-]+@[\w\-]+\.\w+|weixin:")
_HOST = re.compile(r"(?i)(?<![a-z0-9\-.])(?:[a-z0-9\-]+\.)+[a-z]{2,}(?![a-z0-9\-])")
# Grouped as people write a long one, and each part by itself.
_NUMBER = re.compile(r"\d(?:[\d,.\s\-]*\d)?")
_PIECE = re.compile(r"\d+(?:\.\d+)?")
_GROUPS = re.compile(r"[,\s\-]")
# As long as a number to call.
_LONG = 7
# One digit counts the lines of an answer; before or after these it is an amount.
_AMOUNT = re.compile(r"\d(?:元|块|折|角|倍|积分|%|分(?!钟|店))|[¥$]\d")


def plain(words: str) -> str:
    """The words without thoughts, tags, marks of a typesetter, and what nobody can see."""
    said = _TAG.sub("", _THOUGHTS.sub("", words))
    said = "".join(c for c in said if c in _KEPT or unicodedata.category(c) not in _UNSEEN)
    # What is still left of a tag must not become one.
    said = _MARKS.sub("", said).translate({ord("<"): "\uff1c", ord(">"): "\uff1e"})
    return _MANY_LINES.sub("\n", said).strip()


def is_founded(words: str, told: Sequence[str]) -> bool:
    """Whether every address, number and amount in the words stands in what the tools told."""
    said, known = _folded(words), _folded("\n".join(told))
    if not (_addresses(said) <= _addresses(known) and _amounts(said) <= _amounts(known)):
        return False
    whole, pieces = _joined(known), set(_PIECE.findall(known))
    return all(number in whole or len(number) < _LONG for number in _joined(said)) and all(
        piece in pieces | whole or len(piece) == 1 for piece in _PIECE.findall(said)
    )


def _addresses(text: str) -> set[str]:
    links = {link.rstrip(".:?!'") for link in _LINK.findall(text)}
    return links | set(_HOST.findall(text))


def _amounts(text: str) -> set[str]:
    return set(_AMOUNT.findall("".join(text.split())))


def _joined(text: str) -> set[str]:
    """The numbers as digits alone, however they are grouped."""
    return {_GROUPS.sub("", number) for number in _NUMBER.findall(text)}


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text)
