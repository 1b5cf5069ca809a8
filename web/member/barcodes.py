"""Codes that a till scans, drawn as SVG inside the page."""

import segno
from markupsafe import Markup

_INK = "#111"


def qr(text: str) -> Markup:
    """`text` as a QR code that fits its box; letters and digits of ours need no escaping."""
    drawn = segno.make_qr(text, error="m").svg_inline(dark=_INK, border=0, omitsize=True)
    return Markup(drawn)  # noqa: S704 -- drawn by segno, holds no text of a person
