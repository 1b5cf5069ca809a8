"""Codes that a till scans, drawn as SVG inside the page."""

import segno
from markupsafe import Markup

_INK = "#111"
# Code 128 (ISO/IEC 15417): the widths of three bars and three spaces for each value, in a row.
_WIDTHS = (
    "212222 222122 222221 121223 121322 131222 122213 122312 132212 221213 221312 231212 112232"
    " 122132 122231 113222 123122 123221 223211 221132 221231 213212 223112 312131 311222 321122"
    " 321221 312212 322112 322211 212123 212321 232121 111323 131123 131321 112313 132113 132311"
    " 211313 231113 231311 112133 112331 132131 113123 113321 133121 313121 211331 231131 213113"
    " 213311 213131 311123 311321 331121 312113 312311 332111 314111 221411 431111 111224 111422"
    " 121124 121421 141122 141221 112214 112412 122114 122411 142112 142211 241211 221114 413111"
    " 241112 134111 111242 121142 121241 114212 124112 124211 411212 421112 421211 212141 214121"
    " 412121 111143 111341 131141 114113 114311 411113 411311 113141 114131 311141 411131"
)
_WIDTH = 7
_START_B, _START_C, _MODULUS = 104, 105, 103
_STARTS = {_START_B: "211214", _START_C: "211232"}
_STOP = "2331112"
# Set B begins at the blank.
_BLANK = 32


def qr(text: str) -> Markup:
    """`text` as a QR code that fits its box; letters and digits of ours need no escaping."""
    drawn = segno.make_qr(text, error="m").svg_inline(dark=_INK, border=0, omitsize=True)
    return Markup(drawn)  # noqa: S704 -- drawn by segno, holds no text of a person


def bars(text: str) -> Markup:
    """Plain letters and digits as a Code 128 barcode that fills the width of its box."""
    widths = "".join(_words(text))
    x, drawn = 0, []
    for place, width in enumerate(map(int, widths)):
        if place % 2 == 0:
            drawn.append(f"M{x} 0h{width}v1h-{width}z")
        x += width
    path = f'<path fill="{_INK}" d="{"".join(drawn)}"/>'
    frame = f'class="bars" viewBox="0 0 {x} 1" preserveAspectRatio="none" role="img"'
    # Crisp edges: a scanner reads where black ends.
    svg = f'<svg {frame} shape-rendering="crispEdges">{path}</svg>'
    return Markup(svg)  # noqa: S704 -- the text became widths, nothing of it is left


def _words(text: str) -> list[str]:
    start, values = _values(text)
    check = start + sum(place * value for place, value in enumerate(values, start=1))
    return [_STARTS[start], *map(_word, [*values, check % _MODULUS]), _STOP]


def _values(text: str) -> tuple[int, list[int]]:
    """The start and the values: pairs of digits (set C) are half as wide as letters (set B)."""
    if text.isdecimal() and len(text) % 2 == 0:
        return _START_C, [int(text[at : at + 2]) for at in range(0, len(text), 2)]
    return _START_B, [ord(letter) - _BLANK for letter in text]


def _word(value: int) -> str:
    return _WIDTHS[value * _WIDTH : (value + 1) * _WIDTH].strip()
