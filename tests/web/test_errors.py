"""What breaks is answered, and logged by kind and place: its words may hold a phone number."""

import logging
from datetime import datetime

import pytest
from fastapi import FastAPI
from redis import Redis
from sqlalchemy import text
from sqlalchemy.exc import DataError

from store.db import Database
from store.settings import Settings
from tests.web.browser import Browser
from tests.web.scene import parts_of
from web.app import create_app

_MOBILE, _TOKEN = "17100000001", "a-token-of-a-gift"


@pytest.fixture
def app(settings: Settings, fresh_database: Database, redis: Redis, now: datetime) -> FastAPI:
    """The app with two doors that break, one in the database."""
    app = create_app(parts_of(settings, fresh_database, redis, now))

    @app.get("/m/broken/{token}")
    def break_down(token: str) -> None:
        raise ValueError(f"the mobile {_MOBILE} and {token}")

    @app.get("/api/broken/{token}")
    def break_in_the_database(token: str) -> None:
        with fresh_database.transaction() as session:
            values = {"mobile": _MOBILE, "token": token}
            session.execute(text("SELECT :mobile, :token FROM nowhere"), values)

    return app


@pytest.mark.parametrize("place", ["/m/broken", "/api/broken"])
def test_a_fault_is_logged_by_kind_and_place_and_goes_no_further(
    app: FastAPI, caplog: pytest.LogCaptureFixture, place: str
) -> None:
    # The client of the tests logs what it asks for, at a lower level.
    with caplog.at_level(logging.WARNING):
        answer = Browser(app, "http://shop.test").get(f"{place}/{_TOKEN}")

    assert answer.status_code == 500
    assert f"request failed: GET {place}/{{token}}: " in caplog.text
    assert "test_errors.py:" in caplog.text
    for secret in (_MOBILE, _TOKEN):
        assert secret not in caplog.text + answer.text


@pytest.mark.parametrize("place", ["/m/picks/%00", "/hq/login?next=%00"])
def test_a_text_that_cannot_be_kept_is_no_fault(
    app: FastAPI, caplog: pytest.LogCaptureFixture, place: str
) -> None:
    with caplog.at_level(logging.ERROR):
        answer = Browser(app, "http://shop.test").get(place)

    assert answer.status_code < 500
    assert caplog.text == ""


def test_a_form_that_cannot_be_kept_is_no_fault(
    app: FastAPI, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        answer = Browser(app, "http://shop.test").post(
            "/hq/login", data={"login": f"{_TOKEN}\0", "password": _TOKEN}
        )

    assert answer.status_code == 422
    assert "有一项填得不对" in answer.text
    assert "refused by the database" in caplog.text
    assert _TOKEN not in caplog.text + answer.text


def test_an_error_of_the_database_shows_no_parameters(fresh_database: Database) -> None:
    query = text("SELECT :mobile, 1 / 0")

    with (
        pytest.raises(DataError, match="division by zero") as raised,
        fresh_database.transaction() as session,
    ):
        session.execute(query, {"mobile": _MOBILE})

    assert _MOBILE not in str(raised.value)
