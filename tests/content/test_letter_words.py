"""Every way in which a message can get lost has words for whoever decides about it."""

from bot import delivery_reports, sending
from bot.channels import base, sms, wechat_codes, wecom_broadcast, wecom_codes, wecom_welcome
from bot.channels.base import Cause
from content.letter_words import REASONS, reason_words


def _causes() -> set[str]:
    modules = (base, sending, sms, wechat_codes, wecom_broadcast, wecom_codes, wecom_welcome)
    found = [value for module in modules for value in vars(module).values()]
    tables = [value for value in found if isinstance(value, dict)]
    causes = [*found, *(cause for table in tables for cause in table.values())]
    return {cause.reason for cause in causes if isinstance(cause, Cause)}


def test_every_reason_of_a_channel_has_words() -> None:
    own = {"no_account", "no_identity", "no_friendship", "silent", "provider_limit"}
    reasons = _causes() | set(delivery_reports._FAILURES.values()) | own

    # What is never written to a touch, or is no reason of a failure.
    assert reasons - REASONS.keys() <= {"too_early", "no_address"}


def test_reason_that_nobody_foresaw_stands_as_it_is() -> None:
    assert reason_words("brand_new") == "brand_new"
