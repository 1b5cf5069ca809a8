"""XML as the two platforms write it, and a reader for what the product answers."""

import xml.etree.ElementTree as ET
from datetime import datetime


class BadXml(Exception):  # noqa: N818 -- it names what is seen, as the refusals of the house do
    """The text is not the XML that the platform would take."""


def leaf(name: str, value: str | int | float) -> str:
    """One element: numbers bare, texts as CDATA."""
    if isinstance(value, str):
        # The end mark of a CDATA section cannot stand inside one, so it is split over two.
        safe = value.replace("]]>", "]]]]><![CDATA[>")
        return f"<{name}><![CDATA[{safe}]]></{name}>"
    return f"<{name}>{value}</{name}>"


def node(name: str, *children: str) -> str:
    """One element with elements inside."""
    return f"<{name}>{''.join(children)}</{name}>"


def event_xml(event: str, *facts: str) -> str:
    """The part of an event after its head."""
    return leaf("MsgType", "event") + leaf("Event", event) + "".join(facts)


def wrap(body: str, *, to: str, sender: str, at: datetime) -> str:
    """A whole message: the four fields of every message first, then the rest."""
    head = leaf("ToUserName", to) + leaf("FromUserName", sender)
    return node("xml", head, leaf("CreateTime", int(at.timestamp())), body)


def read_xml(text: str) -> ET.Element:
    """The root `<xml>` of a document without a DTD. Refuses with `BadXml`."""
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise BadXml("A document type is not allowed.")
    try:
        root = ET.fromstring(text)  # noqa: S314 -- no DTD, so no entity can be declared
    except ET.ParseError as error:
        raise BadXml("It is not well-formed XML.") from error
    if root.tag != "xml":
        raise BadXml("The root is not <xml>.")
    return root
