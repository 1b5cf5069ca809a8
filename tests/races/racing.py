"""How races are run: every act in a thread and transaction of its own, started together."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any, TypeVar

from sqlalchemy.exc import IntegrityError
from sqlmodel import Session

from store.db import Database
from store.errors import Refusal

# Far more than is needed: fifty threads on a busy machine take long.
SECONDS = 120
Act = Callable[[Session], Any]
Outcome = TypeVar("Outcome")


def race(database: Database, acts: list[Act]) -> list[Any]:
    """What each act gave, or the refusal (or breach of a promise) it met, in their order."""
    start = Barrier(len(acts))

    def run(act: Act) -> Any:
        start.wait(SECONDS)
        try:
            with database.transaction() as session:
                return act(session)
        except (Refusal, IntegrityError) as refusal:
            return refusal

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts, timeout=SECONDS))


def winners(outcomes: list[Any]) -> list[Any]:
    """The outcomes that are no refusal."""
    return [found for found in outcomes if not isinstance(found, Exception)]


def waiting(racers: int, step: Callable[..., Outcome]) -> Callable[..., Outcome]:
    """The same step, but nobody goes on before every racer has taken it.

    Put between reading and writing where a lock was taken away: all have read the same by then.
    """
    taken = Barrier(racers)

    def taken_by_all(*args: Any, **facts: Any) -> Outcome:
        outcome = step(*args, **facts)
        taken.wait(SECONDS)
        return outcome

    return taken_by_all
