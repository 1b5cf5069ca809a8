"""The XML of callbacks as plain fields, and text on its way back into XML.

A parser of our own on expat, because a callback is small and flat: no DOCTYPE, few elements, little
depth, text kept as it was written (wechat-oa.md §13.6 lists what general parsers do with the rest).
"""

import re
from typing import Any
from xml.parsers import expat

# Text, or nested fields, or a list of either when a tag repeats.
Fields = dict[str, Any]

_MAX_DEPTH = 8
# The largest documented push, a mass-send report with eight articles, has about 120 elements.
_MAX_ELEMENTS = 500
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class BadCallback(Exception):  # noqa: N818 -- it says what came in, as the refusals of the house do
    """A callback that the platform did not send like this; the one answer to malformed input."""


def parse(xml: bytes) -> Fields:
    """The children of the root `<xml>`; anything that is not such a document is a `BadCallback`."""
    reader = _Reader()
    parser = expat.ParserCreate(encoding="utf-8")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = reader.doctype
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    try:
        parser.Parse(xml, True)
    except (expat.ExpatError, ValueError, LookupError):
        raise BadCallback("The body is not well-formed XML.") from None
    if not isinstance(reader.root, dict):
        raise BadCallback("The body has no fields.")
    return reader.root


def text_of(fields: Fields, name: str) -> str:
    """The text of a field: empty when it is missing; a repeated or nested field is refused."""
    value = fields.get(name, "")
    if not isinstance(value, str):
        raise BadCallback(f"The field {name} is not one text.")
    return value


def required(fields: Fields, name: str) -> str:
    """The text of a field that must be there."""
    value = text_of(fields, name).strip()
    if not value:
        raise BadCallback(f"The field {name} is missing.")
    return value


def many(fields: Fields, name: str) -> list[Fields]:
    """The nested fields under `name`, whether the tag came once or several times."""
    value = fields.get(name, [])
    found = value if isinstance(value, list) else [value]
    return [item for item in found if isinstance(item, dict)]


def cdata(text: str) -> str:
    """`text` as CDATA; a `]]>` inside cannot end it, and what XML cannot hold is dropped."""
    safe = _NOT_XML.sub("", text).replace("]]>", "]]]]><![CDATA[>")
    return f"<![CDATA[{safe}]]>"


class _Reader:
    """Builds fields while expat walks through the document."""

    def __init__(self) -> None:
        self.root: str | Fields | None = None
        self._open: list[tuple[str, Fields, list[str]]] = []
        self._elements = 0

    def doctype(self, *_: object) -> None:
        raise BadCallback("The body has a DOCTYPE.")

    def start(self, name: str, _attributes: dict[str, str]) -> None:
        self._elements += 1
        if self._elements > _MAX_ELEMENTS or len(self._open) >= _MAX_DEPTH:
            raise BadCallback("The body is larger or deeper than a callback.")
        self._open.append((name, {}, []))

    def end(self, _name: str) -> None:
        name, children, texts = self._open.pop()
        value: str | Fields = children or "".join(texts)
        if not self._open:
            self.root = value
            return
        siblings = self._open[-1][1]
        if name not in siblings:
            siblings[name] = value
        elif isinstance(siblings[name], list):
            siblings[name].append(value)
        else:
            siblings[name] = [siblings[name], value]

    def text(self, data: str) -> None:
        self._open[-1][2].append(data)
