"""Which encoding a CSV file has: UTF-8, or the GBK that Excel writes in China."""

import codecs
from pathlib import Path

from store.errors import Refusal

ENCODING_NAMES = {"utf-8-sig": "UTF-8", "gb18030": "GBK"}
_CHUNK_BYTES = 1 << 20
_SHEET_MARKS = {
    b"PK\x03\x04": "an Excel workbook",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
}


class UnreadableFile(Refusal):
    """The file as a whole is not a CSV file that can be read."""


def encoding_of(path: Path) -> str:
    """UTF-8 (with or without a mark) or GB18030, which holds GBK; a mix goes by its majority."""
    try:
        with path.open("rb") as stream:
            head = stream.read(4)
    except OSError as error:
        raise UnreadableFile(f"{path} cannot be read: {error.strerror}.") from None
    for mark, what in _SHEET_MARKS.items():
        if head.startswith(mark):
            raise UnreadableFile(f"{path.name} is {what}, not CSV; save it as 'CSV UTF-8'.")
    if not head:
        raise UnreadableFile(f"{path.name} is empty.")
    return "utf-8-sig" if _is_utf8(path) else _by_majority(path)


def _is_utf8(path: Path) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as stream:
        try:
            while chunk := stream.read(_CHUNK_BYTES):
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False
    return True


def _by_majority(path: Path) -> str:
    """The encoding that most non-ASCII lines have; a line of broken bytes votes for nobody."""
    votes = {"utf-8-sig": 0, "gb18030": 0}
    first_broken = 0
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            if line.isascii():
                continue
            encoding = next((name for name in votes if _decodes(line, name)), None)
            if encoding:
                votes[encoding] += 1
            first_broken = first_broken or number
    if not any(votes.values()):
        raise UnreadableFile(
            f"Row {first_broken} of {path.name} is neither UTF-8 nor GBK text;"
            " save it as 'CSV UTF-8'."
        )
    return max(votes, key=lambda name: votes[name])


def _decodes(line: bytes, encoding: str) -> bool:
    try:
        line.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True
