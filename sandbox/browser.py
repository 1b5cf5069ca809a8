"""The browser of this machine, as journeys and pictures start it: quiet and without a screen."""

import os
from pathlib import Path

_PLACES = ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PHONE, DESK = (390, 844), (1280, 900)


def chromium_path() -> str | None:
    """The browser of `ZHIYIN_CHROMIUM`, or the system's; None when there is none."""
    named = os.environ.get("ZHIYIN_CHROMIUM")
    places = (named,) if named else _PLACES
    return next((place for place in places if Path(place).is_file()), None)
