"""`zhiyin import` at the command line: what it says, and what it leaves unsaid."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlmodel import select

from store import clock, consents, erasure
from store.db import Database
from store.members import Member
from web.entrance import read_settings
from web.imports import import_

_HEADER = "external_id,mobile,name,birthday,shop_code,guide_userid,joined_on,points,tags\n"


@pytest.fixture
def file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database_url: str, redis_url: str
) -> Path:
    """A members file with a good row and one whose mobile stands in the wrong column."""
    monkeypatch.setenv("ZHIYIN_DATABASE_URL", database_url)
    monkeypatch.setenv("ZHIYIN_REDIS_URL", redis_url)
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "members.csv"
    path.write_text(_HEADER + "M1,13800138000,李雷,,,,,,\nM2,13900139000,韩梅,13700137000,,,,,\n")
    return path


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(import_, [str(argument) for argument in arguments])


def test_import_says_what_landed_and_where_the_rest_is(file: Path) -> None:
    result = run("members", file)

    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "Done: 1 members added, 0 updated, 0 unchanged; 1 of 2 rows refused.",
        '  Row 3: birthday "137****7000" is not a date such as 2026-03-01.',
        f"The refused rows are in {file}.errors.csv; mend them and import that file.",
    ]


def test_import_shows_no_whole_mobile_and_plain_progress_without_a_terminal(file: Path) -> None:
    result = run("members", file)

    assert "members: read 100%" in result.stderr.splitlines()
    assert not any(mobile in result.output for mobile in ("13800138000", "13700137000"))


def test_dry_run_says_that_nothing_was_written_and_a_clean_file_ends_well(file: Path) -> None:
    file.write_text(_HEADER + "M1,13800138000,李雷,,,,,,\n")

    dry, real = run("members", file, "--dry-run"), run("members", file)

    assert (dry.exit_code, real.exit_code) == (0, 0)
    assert dry.stdout == (
        "Dry run, nothing was written; this would be:"
        " 1 members added, 0 updated, 0 unchanged; 0 of 1 rows refused.\n"
    )
    assert real.stdout == "Done: 1 members added, 0 updated, 0 unchanged; 0 of 1 rows refused.\n"


def test_erased_person_stays_silent_when_a_file_brings_the_mobile_back(
    file: Path, database: Database
) -> None:
    secret = read_settings().secret
    run("members", file)
    with database.transaction() as session:
        first_id = session.exec(select(Member.id)).one()
        erasure.erase(session, first_id, secret_key=secret, now=clock.now())

    run("members", file)

    with database.transaction() as session:
        back = session.exec(select(Member).where(Member.status == "active")).one()
        stops = consents.stops(session, back.id, clock.now())
    assert (back.id != first_id, [stop.reason for stop in stops]) == (True, ["erased"])
