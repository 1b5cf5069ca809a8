"""`make bench NAME=callback`: an encrypted question about points, beside two encrypted echoes.

Ours verifies, decrypts, writes the message down once, reads the member's points, keeps the reply
and encrypts it. The peers verify, decrypt and encrypt the same words. One process each, 16
connections, every message another one, in turns on the same machine.
"""

import sys
import time
from collections import defaultdict
from statistics import median

import click
import httpx
from sqlalchemy import text
from sqlmodel import Session

from bench import showing, wrk
from bench.ground import Ground, prepared
from bench.pushes import AES_KEY, APP_ID, openid, push, register, write
from bot.fields import parse, text_of
from sandbox.crypto import unseal
from sandbox.processes import Crew, free_port
from store import clock, members, points
from store.members import IdentityChannel

WORDS = "我的积分"
_FOLLOWERS = 2_000
_CONNECTIONS, _SECONDS, _ROUNDS = 16, 5, 5
_MOST_PER_SECOND = 12_000
_PORT = 8301
_SECRET = "the key of a bench"  # noqa: S105 -- it opens a database that is dropped at the end


def run() -> None:
    """Print the table and the figures."""
    with prepared() as ground, Crew(ground.folder / "log", click.echo) as crew:
        with ground.database.transaction() as session:
            _settle(session)
        doors = _serve(crew, ground)
        for name, url in doors.items():
            _exchange(name, url)
        loads = _measure(doors, ground)
        _check(ground, sum(load.requests for load in loads["zhiyin"]))
        _tell(loads)


def _settle(session: Session) -> None:
    """An account, and followers who are members with points."""
    now = clock.now()
    brand_id = register(session, "none", secret_key=_SECRET, now=now)
    for number in range(_FOLLOWERS):
        identity = members.meet(
            session,
            channel=IdentityChannel.WECHAT,
            account=APP_ID,
            outside_id=openid(number),
            brand_id=brand_id,
            now=now,
        )
        for entry in range(3):
            points.adjust(
                session,
                identity.member_id,
                100,
                reason="bench",
                source_id=f"{number}-{entry}",
                now=now,
            )


def _serve(crew: Crew, ground: Ground) -> dict[str, str]:
    """Start the three doors, one process each, and give where they listen."""
    python = sys.executable
    commands = {
        "zhiyin": (["-m", "web.cli", "serve", "--port"], "/wechat/bench", "/healthz"),
        "werobot": (
            ["-m", "gunicorn", "-w1", "-k", "sync", "bench.peers.werobot_echo:app", "-b"],
            "/",
            "/",
        ),
        "starlette": (
            ["-m", "uvicorn", "--no-access-log", "bench.peers.starlette_echo:app", "--port"],
            "/echo",
            "/",
        ),
    }
    doors = {}
    for name, (command, door, health) in commands.items():
        port = free_port(_PORT)
        where = f"127.0.0.1:{port}" if command[-1] == "-b" else str(port)
        secret = {"ZHIYIN_SECRET_KEY": _SECRET}
        crew.start(name, [python, *command, where], ground.environment() | secret)
        crew.wait_until_answers(f"http://127.0.0.1:{port}{health}", 60)
        doors[name] = f"http://127.0.0.1:{port}{door}"
    return doors


def _exchange(name: str, url: str) -> None:
    """One real exchange, decrypted and read: a server that answers nonsense is not measured."""
    query, body = push(WORDS, sender=openid(0), msg_id=0, timestamp=int(time.time()))
    answer = httpx.post(f"{url}?{query}", content=body, trust_env=False)
    sealed = text_of(parse(answer.content), "Encrypt")
    said = text_of(parse(unseal(sealed, aes_key=AES_KEY).text.encode()), "Content")
    expected = "300" if name == "zhiyin" else WORDS
    assert expected in said, f"{name} answered {said!r}"


def _measure(doors: dict[str, str], ground: Ground) -> dict[str, list[wrk.Load]]:
    loads: dict[str, list[wrk.Load]] = defaultdict(list)
    first = 1
    with click.progressbar(range(_ROUNDS * len(doors)), label="measuring", file=sys.stderr) as bar:
        for step in bar:
            name = list(doors)[step % len(doors)]
            ids = range(first, first + _SECONDS * _MOST_PER_SECOND)
            first = ids.stop
            path = ground.folder / "pushes.tsv"
            write(path, WORDS, ids=ids, followers=_FOLLOWERS, timestamp=int(time.time()))
            load = wrk.fire(doors[name], path, connections=_CONNECTIONS, seconds=_SECONDS)
            if load.failed:
                raise click.ClickException(f"{name}: {load.failed} requests failed.")
            loads[name].append(load)
    return loads


def _check(ground: Ground, sent: int) -> None:
    """Every answered message stands in the database, answered; wrk may have cut off the last."""
    with ground.database.transaction() as session:
        query = "SELECT count(*) FROM inbound_messages WHERE state = 'answered'"
        kept = session.connection().execute(text(query)).scalar_one()
    assert kept >= sent, f"{sent} messages were answered and {kept} are in the database."


def _tell(loads: dict[str, list[wrk.Load]]) -> None:
    showing.table(
        f"Encrypted callbacks, {_CONNECTIONS} connections, one process each",
        ["server", "messages a second", "p50 ms", "p99 ms"],
        [
            [
                name,
                showing.middle([load.per_second for load in runs]),
                showing.middle([load.p50_ms for load in runs]),
                showing.middle([load.p99_ms for load in runs]),
            ]
            for name, runs in loads.items()
        ],
    )
    showing.figures(
        "callback",
        {
            "vs_werobot": _ratio(loads, "werobot"),
            "vs_starlette": _ratio(loads, "starlette"),
            "p99_ms": median(load.p99_ms for load in loads["zhiyin"]),
        },
    )


def _ratio(loads: dict[str, list[wrk.Load]], other: str) -> float:
    """Round by round: what slowed one of a round down slowed the other as well."""
    pairs = zip(loads["zhiyin"], loads[other], strict=True)
    return median(ours.per_second / theirs.per_second for ours, theirs in pairs)
