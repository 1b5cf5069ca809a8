"""What a new deployment is told once, at the command line."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlmodel import select

from store.accounts import Account, CallbackMode
from store.binding import JoiningOffer
from store.coupons import CouponKind, CouponPlan
from store.db import Database
from store.organisation import Brand, check_password
from store.pieces import ContentPiece
from web.cli import main

_KEY = "A" * 43


@pytest.fixture
def run(database_url: str, redis_url: str, tmp_path: Path) -> "Run":
    return Run(database_url, redis_url, tmp_path)


class Run:
    """Runs `zhiyin` against the database of the test."""

    def __init__(self, database_url: str, redis_url: str, var_dir: Path) -> None:
        self._settings = {
            "ZHIYIN_DATABASE_URL": database_url,
            "ZHIYIN_REDIS_URL": redis_url,
            "ZHIYIN_VAR_DIR": str(var_dir),
        }

    def __call__(self, *words: str) -> Result:
        """Run one command."""
        return CliRunner().invoke(main, list(words), env=self._settings)


def _rows(database: Database, table: type[Any]) -> list[Any]:
    with database.transaction() as session:
        return list(session.exec(select(table)).all())


def test_brand_comes_with_pieces_and_a_policy(run: Run, fresh_database: Database) -> None:
    result = run("brand", "zw", "知味")

    assert result.exit_code == 0
    assert len(_rows(fresh_database, ContentPiece)) > 0


def test_brand_is_refused_when_it_is_there(run: Run, fresh_database: Database) -> None:
    run("brand", "zw", "知味")

    result = run("brand", "zw", "别名")

    assert result.exit_code == 1
    assert "The brand zw is there already." in result.output
    assert [brand.name for brand in _rows(fresh_database, Brand)] == ["知味"]


def test_operator_can_log_in_with_the_password_given(run: Run, fresh_database: Database) -> None:
    assert run("operator", "hq", "小王", "--password", "correct horse").exit_code == 0

    with fresh_database.transaction() as session:
        assert check_password(session, "hq", "correct horse") is not None
        assert check_password(session, "hq", "wrong horse") is None


def test_operator_who_left_gets_in_no_more(run: Run, fresh_database: Database) -> None:
    run("operator", "hq", "小王", "--password", "correct horse")

    assert run("operator-left", "hq").exit_code == 0
    assert "There is no operator nobody." in run("operator-left", "nobody").output

    with fresh_database.transaction() as session:
        assert check_password(session, "hq", "correct horse") is None


def test_account_names_its_door_and_keeps_its_secret_sealed(
    run: Run, fresh_database: Database
) -> None:
    run("brand", "zw", "知味")

    result = run(*_account("brand", "zw", _KEY))

    assert "/wechat/brand" in result.output
    with fresh_database.transaction() as session:
        account = session.exec(select(Account)).one()
        assert "top-secret" not in account.secret_sealed
    assert "top-secret" not in result.output


@pytest.mark.parametrize(
    ("options", "mode"),
    [([], CallbackMode.SAFE), (["--mode", "compatible"], CallbackMode.COMPATIBLE)],
)
def test_account_is_heard_in_the_mode_that_is_said(
    run: Run, fresh_database: Database, options: list[str], mode: CallbackMode
) -> None:
    run("brand", "zw", "知味")

    run(*_account("brand", "zw", _KEY), *options)

    assert [account.mode for account in _rows(fresh_database, Account)] == [mode]


@pytest.mark.parametrize(
    ("brand", "key", "sentence"),
    [("nobody", _KEY, "There is no brand nobody"), ("zw", "short", "aes_key")],
)
def test_account_is_refused_with_the_field_that_is_wrong(
    run: Run, fresh_database: Database, brand: str, key: str, sentence: str
) -> None:
    run("brand", "zw", "知味")

    result = run(*_account("brand", brand, key))

    assert result.exit_code == 1
    assert sentence in result.output
    assert _rows(fresh_database, Account) == []


def _account(code: str, brand: str, key: str) -> list[str]:
    words = ["account", "wechat", code, "--name", "会员中心", "--brand", brand, "--app-id", "wx1"]
    return [*words, "--secret", "top-secret", "--token", "t0ken", "--aes-key", key]


def test_joining_gift_is_set_changed_and_ended(run: Run, database: Database) -> None:
    run("brand", "zhiwei", "知味")
    with database.transaction() as session:
        plan = CouponPlan(code="new", name="迎新券", kind=CouponKind.AMOUNT_OFF, value=1000)
        session.add(plan)

    said = run("joining-gift", "zhiwei", "--plan", "new", "--points", "100").output
    given = _rows(database, JoiningOffer)
    ended = run("joining-gift", "zhiwei").output

    assert said == "Who joins zhiwei gets a coupon of new and 100 points.\n"
    assert [(one.coupon_plan_id, one.points) for one in given] == [(plan.id, 100)]
    assert ended == "Who joins zhiwei gets nothing.\n"
    assert [(one.coupon_plan_id, one.points) for one in _rows(database, JoiningOffer)] == [
        (None, 0)
    ]


@pytest.mark.parametrize("wrong", [("nobody",), ("zhiwei", "--plan", "none")])
def test_joining_gift_of_an_unknown_brand_or_plan_is_refused(
    run: Run, wrong: tuple[str, ...]
) -> None:
    run("brand", "zhiwei", "知味")

    answer = run("joining-gift", *wrong)

    assert answer.exit_code == 1
    assert "There is no" in answer.output


@pytest.mark.parametrize(
    "words",
    [
        ("brand", "b", "B", "--timezone", "Asia"),
        ("joining-gift", "b", "--points", "99999999999"),
        ("letters", "list", "--limit", "-1"),
        ("serve", "--port", "99999"),
        ("sandbox", "--port", "99999"),
        ("brand", "", ""),
        ("brand", "b", " "),
        ("operator", "", "B", "--password", "correct horse"),
        ("api-key", ""),
    ],
)
def test_a_number_or_name_that_cannot_be_is_refused_in_a_sentence(
    run: Run, words: tuple[str, ...]
) -> None:
    result = run(*words)

    assert (result.exit_code, type(result.exception)) == (2, SystemExit)
    assert "Invalid value" in result.output


def test_a_database_that_is_not_there_is_told_in_a_sentence(redis_url: str, tmp_path: Path) -> None:
    result = Run("postgresql://postgres@127.0.0.1:1/none", redis_url, tmp_path)("migrate")

    assert (result.exit_code, type(result.exception)) == (1, SystemExit)
    assert "The database cannot be used" in result.output


def test_a_word_that_is_no_text_is_refused_in_a_sentence(run: Run) -> None:
    result = run("brand", "b", b"\xb5\xea".decode(errors="surrogateescape"))

    assert (result.exit_code, type(result.exception)) == (2, SystemExit)
    assert "An argument is not UTF-8" in result.output


@pytest.mark.parametrize("command", ["cron", "doctor", "migrate"])
@pytest.mark.parametrize("url", ["garbage", "redis://127.0.0.1:port/0"])
def test_an_address_of_redis_that_is_none_is_told_in_a_sentence(
    database_url: str, tmp_path: Path, command: str, url: str
) -> None:
    result = Run(database_url, url, tmp_path)(command)

    assert (result.exit_code, type(result.exception)) == (2, SystemExit)
    assert "ZHIYIN_REDIS_URL" in result.output
