"""Accounts keep their secrets sealed, and the previous callback key when the key is changed."""

from datetime import datetime

import pytest
from pydantic import ValidationError
from sqlmodel import Session

from store import accounts
from store.accounts import Platform, SealBroken, UnknownAccount
from store.organisation import Brand
from tests.bot.builders import AES_KEY, OTHER_AES_KEY, SECRET_KEY, TOKEN, an_account


@pytest.fixture
def brand(session: Session) -> Brand:
    """A brand without accounts."""
    brand = Brand(code="zhiwei", name="Zhiwei")
    session.add(brand)
    session.flush()
    return brand


def test_account_opens_with_the_key_that_sealed_it(
    session: Session, brand: Brand, now: datetime
) -> None:
    account = an_account(session, brand, now=now)

    opened = accounts.opened(account, secret_key=SECRET_KEY)

    assert (opened.token, opened.aes_key, opened.previous_aes_key) == (TOKEN, AES_KEY, None)
    assert TOKEN not in str(account)
    with pytest.raises(SealBroken):
        accounts.opened(account, secret_key="another key")


def test_changed_callback_key_keeps_the_previous_one(
    session: Session, brand: Brand, now: datetime
) -> None:
    first = an_account(session, brand, now=now)
    an_account(session, brand, aes_key=OTHER_AES_KEY, now=now)
    again = an_account(session, brand, aes_key=OTHER_AES_KEY, now=now)

    opened = accounts.opened(again, secret_key=SECRET_KEY)

    assert again.id == first.id
    assert (opened.aes_key, opened.previous_aes_key) == (OTHER_AES_KEY, AES_KEY)


@pytest.mark.parametrize("key", ["", AES_KEY[:42], AES_KEY + "=", AES_KEY[:42] + "$"])
def test_unusable_callback_key_is_refused_when_it_is_entered(
    session: Session, brand: Brand, now: datetime, key: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        an_account(session, brand, aes_key=key, now=now)

    assert "43 letters and digits" in str(caught.value)
    assert not key or key not in str(caught.value)


def test_brand_without_an_account_is_refused(session: Session, brand: Brand) -> None:
    with pytest.raises(UnknownAccount):
        accounts.of_brand(session, brand.id, Platform.WECOM)
    with pytest.raises(UnknownAccount):
        accounts.by_code(session, "nobody")
