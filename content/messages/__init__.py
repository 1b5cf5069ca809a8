"""The bot's replies: one Jinja text per kind, rendered with facts that must all be there."""

from datetime import date, datetime
from enum import StrEnum
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template


class MessageKind(StrEnum):
    """Every reply the bot can give; the value names the file."""

    WELCOME = "welcome"
    WELCOME_SHOP = "welcome_shop"
    WELCOME_GUIDE = "welcome_guide"
    WELCOME_CAMPAIGN = "welcome_campaign"
    HELP = "help"
    LET_BE = "let_be"
    NOT_AT_ALL = "not_at_all"
    POINTS = "points"
    POINTS_SHOP = "points_shop"
    ORDERS = "orders"
    COUPONS = "coupons"
    CARD = "card"
    GUIDE = "guide"
    GIFT_CHOOSE = "gift_choose"
    GIFT_CONFIRM = "gift_confirm"
    GIFT_TITLE = "gift_title"
    GIFT_OFFERED = "gift_offered"
    GIFT_CLAIMED = "gift_claimed"
    GIFT_TAKEN_BACK = "gift_taken_back"
    GIFT_NONE = "gift_none"
    GIFT_CANCELLED = "gift_cancelled"
    STOPPED = "stopped"
    STILL_STOPPED = "still_stopped"
    RESUMED = "resumed"
    GUIDE_DESK = "guide_desk"
    PREFERENCES_CHANGED = "preferences_changed"
    SHOPS = "shops"
    SHOPS_WHERE = "shops_where"
    HANDED_OVER = "handed_over"
    HANDOVER_NOBODY = "handover_nobody"
    HANDOVER_MUTED = "handover_muted"
    HANDOVER_ENDED = "handover_ended"
    FEEDBACK_ASK = "feedback_ask"
    FEEDBACK_GIVEN = "feedback_given"
    FEEDBACK_KEPT = "feedback_kept"
    ATTACHMENT = "attachment"
    TALK_LEFT = "talk_left"
    SMS_CODE = "sms_code"
    BIND_TITLE = "bind_title"
    BIND = "bind"
    BOUND = "bound"
    PROFILE = "profile"
    BIRTHDAY_SURE = "birthday_sure"
    BIRTHDAY_SET = "birthday_set"
    BIRTHDAY_LEFT = "birthday_left"
    BIRTHDAY_HOW = "birthday_how"
    PRIVACY_TITLE = "privacy_title"
    PRIVACY = "privacy"


def _day(value: date) -> str:
    return f"{value.year}年{value.month}月{value.day}日"


def _moment(value: datetime) -> str:
    return f"{value.month}月{value.day}日 {value:%H:%M}"


def _yuan(fen: int) -> str:
    return f"{fen / 100:.2f}".removesuffix(".00")


_TEXTS = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
    autoescape=False,  # noqa: S701 -- chat text, not HTML
)
_TEXTS.filters.update(day=_day, moment=_moment, yuan=_yuan)


def render(kind: MessageKind, **facts: object) -> str:
    """The text of a reply."""
    return _template(kind).render(facts).strip()


@cache
def _template(kind: MessageKind) -> Template:
    template = _TEXTS.get_template(f"{kind}.txt")
    # As a plain dict: Jinja copies its chain of maps for each text, which costs more than the text.
    template.globals = dict(template.globals)
    return template
