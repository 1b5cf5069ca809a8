"""The ground of a measurement: servers, and a migrated database that is dropped afterwards."""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from sqlalchemy import make_url, text

from store import migrate
from store.db import Database, make_engine
from store.embedded import hold_servers
from store.settings import Settings


@dataclass(frozen=True)
class Ground:
    """Where a measurement stands; `folder` is gone when it ends."""

    database: Database
    database_url: str
    redis_url: str
    folder: Path

    def environment(self) -> dict[str, str]:
        """The settings that lead a process of the product here."""
        return {
            "ZHIYIN_DATABASE_URL": self.database_url,
            "ZHIYIN_REDIS_URL": self.redis_url,
            "ZHIYIN_VAR_DIR": str(self.folder / "var"),
        }


@contextmanager
def prepared() -> Iterator[Ground]:
    """Servers of the settings, else embedded ones, and an empty database of our own on them."""
    with TemporaryDirectory(prefix="zhiyin-bench-") as name:
        folder = Path(name)
        settings = Settings(var_dir=folder / "servers")
        with hold_servers(settings, _say) as held, _made(held.database_url) as url:
            engine = make_engine(url)
            # As every process of the product does once it is ready.
            gc.collect()
            gc.freeze()
            yield Ground(Database(engine), url, held.redis_url, folder)
            engine.dispose()


def _say(sentence: str) -> None:
    click.echo(sentence, err=True)


@contextmanager
def _made(server_url: str) -> Iterator[str]:
    name = f"zhiyin_bench_{os.getpid()}"
    engine = make_engine(server_url, pool_size=1).execution_options(isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f'CREATE DATABASE "{name}" TEMPLATE template0 ENCODING UTF8'))
        try:
            url = make_url(server_url).set(database=name).render_as_string(hide_password=False)
            migrate.upgrade(url)
            yield url
        finally:
            connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))
    engine.dispose()
