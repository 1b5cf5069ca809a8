"""Bring a file in as text or bytes, and ask the record what came of it."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import CursorResult, text

from store.db import Database
from store.imports.run import Options, Report, import_file
from tests.store.imports.bringing import ACCOUNTS, Bring, Look


@pytest.fixture
def bring(database: Database, tmp_path: Path, now: datetime) -> Bring:
    """Import a file of this kind with this content."""

    def bring(
        kind: str, content: str | bytes, *, options: Options = ACCOUNTS, name: str = "file.csv"
    ) -> Report:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return import_file(
            database, kind, path, options=options, progress=lambda *_step: None, now=now
        )

    return bring


@pytest.fixture
def look(database: Database) -> Look:
    """The rows of a statement, as tuples; none for one that gives no rows."""

    def look(query: str) -> list[tuple[Any, ...]]:
        with database.transaction() as session:
            result = session.execute(text(query))
            assert isinstance(result, CursorResult)
            return [tuple(row) for row in result] if result.returns_rows else []

    return look


@pytest.fixture
def shop_floor(bring: Callable[..., Report]) -> None:
    """Two shops, a guide in each, two products: what members and orders refer to."""
    bring("shops", "code,name,city,region,address,opens_at,closes_at\nS1,一店,,,,,\nS2,二店,,,,,\n")
    bring("guides", "userid,name,shop_code,role\nwang,王姐,S1,guide\nzhao,赵姐,S2,\n")
    bring("products", "external_id,name,department,category,price\nP1,牛奶,,,3\nP2,面包,,,5\n")
