"""A process of people at their phones: `python -m tests.chaos.life SANDBOX PEOPLE`.

Members write and allow notices, guides confirm their broadcasts, in an order that chance makes, and
they do not care whether the house is up. PEOPLE is a file with the openids of members and the
userids of guides. When every member has written once, a file beside it, `visited`, says so.
"""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import httpx

from sandbox import stage

_AT_ONCE = 6
_PAUSE_SECONDS = 0.05
# This guide, and every so many after, never confirms anything.
_LAZY_EVERY = 12
_WRITES, _ALLOWS = 0.5, 0.2
_PATIENCE_SECONDS = 20.0
# A word of the house's own, answered at once and without a model.
_WORDS = "积分"


def main(sandbox: str, people: Path) -> None:
    """Live until killed."""
    known = json.loads(people.read_text())
    members, guides = known["members"], known["guides"]
    busy = [guide for number, guide in enumerate(guides) if number % _LAZY_EVERY]
    with httpx.Client(
        base_url=f"{sandbox}/sandbox", timeout=_PATIENCE_SECONDS, trust_env=False
    ) as http:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(lambda one: _visit(http, one), members))
        people.with_name("visited").touch()
        dice = Random(1)  # noqa: S311 -- people, no secret
        while True:
            _live(http, dice, members, busy)
            time.sleep(_PAUSE_SECONDS)


def _visit(http: httpx.Client, openid: str) -> None:
    _write(http, openid)
    _allow(http, openid)


def _live(http: httpx.Client, dice: Random, members: list[str], guides: list[str]) -> None:
    chance = dice.random()
    if chance < _WRITES:
        _write(http, dice.choice(members))
    elif chance < _WRITES + _ALLOWS:
        _allow(http, dice.choice(members))
    else:
        _post(http, f"guides/{dice.choice(guides)}/confirm", all=True)


def _write(http: httpx.Client, openid: str) -> None:
    _post(http, "say", openid=openid, text=_WORDS)


def _allow(http: httpx.Client, openid: str) -> None:
    _post(http, "accept_notice", openid=openid, template_id=stage.NOTICE_TEMPLATE_ID)


def _post(http: httpx.Client, path: str, **body: object) -> None:
    try:
        http.post(path, json=body)
    except httpx.TransportError:
        return


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
