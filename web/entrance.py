"""How every command begins: settings that can be read, servers that answer, a migrated database."""

from collections.abc import Iterator
from contextlib import contextmanager

import click

from store import migrate
from store.db import Database, make_engine
from store.embedded import Servers, hold_servers
from store.settings import Settings
from web import doctor


def read_settings() -> Settings:
    """The settings, or one sentence per setting that cannot be read."""
    try:
        return Settings()
    except (ValueError, KeyError) as fault:
        raise click.UsageError(doctor.explain_settings(fault)) from fault


@contextmanager
def servers(settings: Settings) -> Iterator[Servers]:
    """The servers of the settings or embedded ones; what takes time is said on standard error."""
    with hold_servers(settings, lambda sentence: click.echo(sentence, err=True)) as held:
        yield held


@contextmanager
def record(settings: Settings) -> Iterator[Database]:
    """The database at its newest revision, without a queue: nudges are left to the sweeper."""
    with servers(settings) as held:
        migrate.upgrade(held.database_url)
        engine = make_engine(held.database_url)
        try:
            yield Database(engine)
        finally:
            engine.dispose()
