"""SMS codes: once, for five minutes, five tries; one a minute, ten a day."""

from datetime import timedelta

import pytest
from sqlmodel import Session, select

from store import codes
from store.codes import CodeTooSoon, SmsCode, TooManyCodes
from store.members import BadMobile
from tests.builders import NOW, a_mobile, a_visitor, an_identity

KEY = "the secret of the tests"
MINUTE = timedelta(minutes=1)


def person(session: Session) -> int:
    return an_identity(session, a_visitor(session)).id


def asked(session: Session, who: int, mobile: str, now: object = NOW) -> str:
    assert now is not None
    return codes.issue(session, who, mobile, secret_key=KEY, now=now)[1]  # type: ignore[arg-type]  # a test instant


def is_right(session: Session, who: int, mobile: str, code: str, *, after: timedelta) -> bool:
    return codes.is_right(session, who, mobile, code, secret_key=KEY, now=NOW + after)


def test_code_is_right_once_within_its_life(session: Session) -> None:
    who, mobile = person(session), a_mobile()
    code = asked(session, who, mobile)

    tries = [is_right(session, who, mobile, code, after=4 * MINUTE) for _ in range(2)]

    assert (len(code), tries) == (6, [True, False])


def test_code_ends_after_five_minutes(session: Session) -> None:
    who, mobile = person(session), a_mobile()
    code = asked(session, who, mobile)

    assert not is_right(session, who, mobile, code, after=codes.LIFE)


def test_fifth_try_still_counts_and_the_sixth_does_not(session: Session) -> None:
    one, other, mobile = person(session), person(session), a_mobile()
    first = asked(session, one, mobile)
    for _ in range(4):
        is_right(session, one, mobile, "wrong", after=MINUTE)
    fifth = is_right(session, one, mobile, first, after=MINUTE)
    second = asked(session, other, mobile, NOW + MINUTE)
    for _ in range(5):
        is_right(session, other, mobile, "wrong", after=MINUTE)
    sixth = is_right(session, other, mobile, second, after=MINUTE)

    assert (fifth, sixth) == (True, False)


def test_newer_code_ends_the_older(session: Session) -> None:
    who, mobile = person(session), a_mobile()
    old = asked(session, who, mobile)
    new = asked(session, who, mobile, NOW + MINUTE)

    assert old == new or not is_right(session, who, mobile, old, after=MINUTE)
    assert is_right(session, who, mobile, new, after=MINUTE)


@pytest.mark.parametrize("shared", ["person", "mobile"])
def test_person_and_mobile_each_wait_a_minute(session: Session, shared: str) -> None:
    who, mobile = person(session), a_mobile()
    asked(session, who, mobile)
    other = (who, a_mobile()) if shared == "person" else (person(session), mobile)

    with pytest.raises(CodeTooSoon) as refused:
        asked(session, *other, NOW + timedelta(seconds=59))
    asked(session, *other, NOW + MINUTE)

    assert refused.value.seconds <= 2


@pytest.mark.parametrize("shared", ["person", "mobile"])
def test_person_and_mobile_each_have_ten_codes_a_day(session: Session, shared: str) -> None:
    who, mobile = person(session), a_mobile()
    for n in range(codes.MOST_PER_DAY):
        other = (who, a_mobile()) if shared == "person" else (person(session), mobile)
        asked(session, *other, NOW + n * MINUTE)

    with pytest.raises(TooManyCodes):
        asked(session, who, mobile, NOW + timedelta(hours=23))
    asked(session, who, mobile, NOW + timedelta(days=1))


def test_record_keeps_neither_code_nor_mobile(session: Session) -> None:
    who, mobile = person(session), a_mobile()
    code = asked(session, who, mobile)

    row = session.exec(select(SmsCode)).one().model_dump_json(exclude={"id", "identity_id"})

    assert mobile not in row
    assert code not in row.replace(NOW.isoformat(), "")


def test_codes_that_no_limit_looks_at_are_forgotten(session: Session) -> None:
    who, mobile = person(session), a_mobile()
    asked(session, who, mobile)

    early = codes.expire_due(session, NOW + timedelta(hours=23))
    late = codes.expire_due(session, NOW + timedelta(days=1))

    assert (early, late) == (0, 1)


def test_what_is_no_mobile_gets_no_code(session: Session) -> None:
    with pytest.raises(BadMobile):
        asked(session, person(session), "12345")
