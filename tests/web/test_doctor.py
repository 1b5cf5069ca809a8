"""The doctor's answers, each against real servers."""

from datetime import datetime, timedelta

import pytest
from pydantic import SecretStr, ValidationError

from store import accounts, circuits, clock, letters, migrate
from store.accounts import AccountForm, Platform
from store.circuits import Way
from store.db import Database
from store.embedded import Servers
from store.organisation import Brand
from store.settings import Settings
from store.touches import Channel
from tests.builders import a_member, a_touch
from web import doctor
from web.doctor import Finding

_SECRET = "s" * 32


@pytest.fixture
def own_servers(servers: Servers, database_url: str) -> Servers:
    """The servers of this run, with the database of this test."""
    return Servers(database_url, servers.redis_url, embedded=False)


def _answers(servers: Servers, *, secret: str = _SECRET, late: int = 0) -> dict[str, Finding]:
    settings = Settings(secret_key=secret)
    moved = timedelta(seconds=late)
    findings = doctor.check_servers(settings, servers, lambda: clock.now() + moved)
    return {finding.subject: finding for finding in findings}


def test_doctor_is_content_when_all_is_well(own_servers: Servers) -> None:
    answers = _answers(own_servers)

    assert [one for one in answers.values() if not one.is_ok] == []
    assert list(answers) == [
        *("redis", "postgresql", "migrations", "credentials", "clock", "letters")
    ]


def test_doctor_sends_for_migrations_when_the_database_is_new(
    servers: Servers, own_servers: Servers
) -> None:
    unmigrated = Servers(servers.database_url, own_servers.redis_url, embedded=False)

    told = _answers(unmigrated)["migrations"]

    assert told == Finding(
        "migrations",
        is_ok=False,
        says=f"at nothing, the code is at {migrate.heads()[0]}; run `zhiyin migrate`.",
    )


def test_doctor_names_the_setting_when_a_server_does_not_answer() -> None:
    nowhere = Servers(
        "postgresql://postgres@127.0.0.1:1/none", "redis://127.0.0.1:1", embedded=False
    )

    answers = _answers(nowhere)

    assert [(name, one.is_ok) for name, one in answers.items()] == [
        ("redis", False),
        ("postgresql", False),
    ]
    assert "ZHIYIN_REDIS_URL" in answers["redis"].says
    assert "ZHIYIN_DATABASE_URL" in answers["postgresql"].says


def test_doctor_sees_clocks_that_are_apart(own_servers: Servers) -> None:
    assert not _answers(own_servers, late=3)["clock"].is_ok


@pytest.mark.parametrize(
    ("changes", "subject"),
    [
        ({"secret_key": "short"}, "secret"),
        ({"public_url": "shop.example"}, "public url"),
        ({"public_url": "http://shop.example"}, "public url"),
        ({"sms_api_url": "https://sms.example", "sms_key_id": "k", "sms_secret": "s"}, "sms"),
        ({"llm_base_url": "http://127.0.0.1:9000/v1"}, "model"),
    ],
)
def test_doctor_sees_a_setting_that_will_not_do(
    settings: Settings, changes: dict[str, str], subject: str
) -> None:
    findings = doctor.check_settings(settings.model_copy(update=changes))

    assert [one.subject for one in findings if not one.is_ok] == [subject]


def test_unreadable_setting_is_named_as_in_the_environment() -> None:
    with pytest.raises(ValidationError) as fault:
        Settings.model_validate({"var_dir": 5})

    told = doctor.explain_settings(fault.value)

    assert told.startswith("ZHIYIN_VAR_DIR: Input is not a valid path")


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        (
            "database_url",
            "mysql://shop@10.0.0.5/zhiyin",
            "ZHIYIN_DATABASE_URL: write it as postgresql://user:password@host:5432/name.",
        ),
        (
            "redis_url",
            "10.0.0.5:6379",
            "ZHIYIN_REDIS_URL: write it as redis://host:6379/0, rediss://… or unix://….",
        ),
    ],
)
def test_address_of_a_server_that_will_not_do_is_answered_with_the_way_out(
    name: str, value: str, told: str
) -> None:
    with pytest.raises(ValidationError) as fault:
        Settings.model_validate({name: value})

    assert doctor.explain_settings(fault.value) == told


def test_short_name_of_postgresql_is_understood() -> None:
    found = Settings(database_url="postgres://zhiyin@db.example/zhiyin")

    assert found.database_url == "postgresql://zhiyin@db.example/zhiyin"


def test_doctor_sees_credentials_that_another_secret_sealed(
    own_servers: Servers, database: Database, now: datetime
) -> None:
    with database.transaction() as session:
        brand = Brand(code="li", name="Li")
        session.add(brand)
        session.flush()
        for platform in Platform:
            accounts.register(session, _form(brand, platform), secret_key=_SECRET, now=now)

    ours = _answers(own_servers)["credentials"]
    others = _answers(own_servers, secret="t" * 32)["credentials"]

    assert (ours.is_ok, ours.says) == (True, "accounts that open: 1 wechat, 1 wecom.")
    assert (others.is_ok, others.says) == (
        False,
        "2 cannot be opened: set the ZHIYIN_SECRET_KEY that sealed them.",
    )


def test_doctor_sees_a_paused_channel_and_a_message_that_waits(
    own_servers: Servers, database: Database, now: datetime
) -> None:
    with database.transaction() as session:
        lost = a_touch(session, a_member(session), now=now)
        letters.write(session, {lost.id: "bad_content"}, now=now)
        circuits.failed(session, Way("wx1", Channel.SMS), reason="busy", failures=5, now=now)

    answers = _answers(own_servers)

    assert answers["channel"].says == "sms of wx1 is paused (busy); it tries by itself."
    assert answers["letters"].says.startswith("1 messages wait for a decision")
    assert not answers["letters"].is_ok


def _form(brand: Brand, platform: Platform) -> AccountForm:
    return AccountForm(
        brand_id=brand.id,
        platform=platform,
        code=platform.value,
        name="Li",
        app_id="app",
        secret=SecretStr("secret"),
        token=SecretStr("token"),
        aes_key=SecretStr("k" * 43),
    )
