"""`make bench NAME=workbench`: a guide's morning, in a database of a million members.

One guide has 2,000 customers and 200 open tasks; one process serves the pages, one person asks
for them, one after the other, as a phone does. Beside today's page: the same for a colleague with
a single task, one task, and the list of customers. `--members` makes a smaller database.
"""

import sys
from time import perf_counter

import click
import httpx
from sqlalchemy import text

from bench import showing, town
from bench.ground import Ground, prepared
from sandbox.processes import Crew, free_port
from store import clock
from web.sessions import Door, Sessions

MEMBERS = 1_000_000
_CUSTOMERS, _TASKS = 2_000, 200
_ROUNDS, _WARM = 300, 30
_PORT = 8311
_SECRET = "the key of a bench"  # noqa: S105 -- it opens a database that is dropped at the end
_BUSY, _CALM = 1, 2
_SHARE = 20

# The first customers of the town become the busy guide's, besides the own ones.
_MINE = """
    UPDATE {table} SET guide_id = :guide WHERE member_id <= :customers
"""
_GIVE = text("""
    INSERT INTO care_tasks (token, campaign_id, guide_id, member_id, state, state_reason, reason,
        draft, picks, deadline_at, created_at, moved_at)
    SELECT 'bench-' || :guide || '-' || n, :campaign, :guide, n, 'assigned', '',
        'A reason in one line, as long as they are', repeat('Some words. ', 30), '[1, 2, 3, 4]',
        CAST(:now AS timestamptz) + interval '1 hour' * (1 + n % 40), :now, :now
    FROM generate_series(CAST(:first AS int), :last) AS n
""")
# The other tasks of the campaign: as many as a launch to a fifth of the members leaves behind.
_OTHERS = text("""
    INSERT INTO care_tasks (token, campaign_id, guide_id, member_id, state, state_reason, reason,
        draft, picks, deadline_at, created_at, moved_at, sent_at)
    SELECT 'other-' || m.id, :campaign, o.guide_id, m.id, 'sent', '', 'A reason', 'Some words',
        '[1, 2]', CAST(:now AS timestamptz) + interval '2 days', :now,
        CAST(:now AS timestamptz) - interval '2 days', CAST(:now AS timestamptz) - interval '2 days'
    FROM members m JOIN ownerships o ON o.member_id = m.id
    WHERE m.id > :customers AND m.id % :share = 0
""")


def run(members: int = MEMBERS) -> None:
    """Print the table and the figures."""
    with prepared() as ground, Crew(ground.folder / "log", click.echo) as crew:
        _settle(ground, members)
        url = _serve(crew, ground)
        times = {name: _measured(url, guide, path) for name, (guide, path) in _PAGES.items()}
    showing.table(
        f"The workbench, {members:,} members, one process; milliseconds",
        ["page", "p50", "p95", "longest"],
        [
            [name, f"{_at(found, 0.5):.1f}", f"{_at(found, 0.95):.1f}", f"{found[-1]:.1f}"]
            for name, found in times.items()
        ],
    )
    today = times["today, 200 tasks"]
    figures = {"p95_ms": _at(today, 0.95), "p50_ms": _at(today, 0.5), "members": members}
    showing.figures("workbench", figures)


_PAGES = {
    "today, 200 tasks": (_BUSY, "/guide"),
    "today, 1 task": (_CALM, "/guide"),
    "one task": (_BUSY, f"/guide/t/bench-{_BUSY}-1"),
    "2,000 customers": (_BUSY, "/guide/customers"),
    "opportunities": (_BUSY, "/guide/opportunities"),
    "results": (_BUSY, "/guide/results"),
}


def _settle(ground: Ground, members: int) -> None:
    """The town, the busy guide's customers and tasks, and what a campaign left behind."""
    now = clock.now()
    place = town.found(ground.database, now)
    with click.progressbar(length=members, label="making members", file=sys.stderr) as bar:
        place.grow(members, bar.update)
    campaign = place.campaign()
    facts = {"campaign": campaign, "now": now, "customers": _CUSTOMERS, "share": _SHARE}
    with ground.database.transaction() as session:
        connection = session.connection()
        for table in ("ownerships", "friendships"):
            statement = text(_MINE.format(table=table))
            connection.execute(statement, {"guide": _BUSY, "customers": _CUSTOMERS})
        connection.execute(_GIVE, facts | {"guide": _BUSY, "first": 1, "last": _TASKS})
        calm = {"guide": _CALM, "first": _TASKS + 1, "last": _TASKS + 1}
        connection.execute(_GIVE, facts | calm)
        connection.execute(_OTHERS, facts)
    engine = ground.database.engine.execution_options(isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("VACUUM ANALYZE"))


def _serve(crew: Crew, ground: Ground) -> str:
    port = free_port(_PORT)
    command = [sys.executable, "-m", "web.cli", "serve", "--port", str(port)]
    crew.start("zhiyin", command, ground.environment() | {"ZHIYIN_SECRET_KEY": _SECRET})
    crew.wait_until_answers(f"http://127.0.0.1:{port}/healthz", 60)
    return f"http://127.0.0.1:{port}"


def _measured(url: str, guide: int, path: str) -> list[float]:
    """Milliseconds of each answer, sorted; an answer that is no page is not measured."""
    ticket = str(Sessions(_SECRET, is_https=False)._signer(Door.WORKBENCH).dumps(guide))
    found = []
    cookies = {f"zhiyin_{Door.WORKBENCH}": ticket}
    with httpx.Client(base_url=url, cookies=cookies, trust_env=False, timeout=60) as client:
        for _ in range(_WARM + _ROUNDS):
            began = perf_counter()
            answer = client.get(path)
            found.append((perf_counter() - began) * 1000)
            if answer.status_code != httpx.codes.OK:
                raise click.ClickException(f"{path} answered {answer.status_code}.")
    return sorted(found[_WARM:])


def _at(found: list[float], share: float) -> float:
    return found[min(len(found) - 1, int(len(found) * share))]
