"""Which words, taps and events lead to which handler, for the members' bot."""

from bot import dialogue, talks
from bot import router as r
from bot.handlers import (
    bind,
    card,
    coupons,
    follow,
    free_words,
    gift,
    guide,
    orders,
    points,
    points_shop,
    preferences,
    privacy,
    profile,
    shops,
    welcome,
)
from content import phrases
from content.birthdays import birthday_in, is_nearly_one
from content.phrases import Intent

# Who serves a wish: said in a word, tapped, understood, or asked for by a language model.
HANDLERS: dict[Intent, r.Handler] = {
    Intent.POINTS: points.show,
    Intent.POINTS_SHOP: points_shop.show,
    Intent.ORDERS: orders.show,
    Intent.COUPONS: coupons.show,
    Intent.GIFT: gift.start,
    Intent.CARD: card.show,
    Intent.BIND: bind.show,
    Intent.GUIDE: guide.show,
    Intent.PROFILE: profile.show,
    Intent.PRIVACY: privacy.show,
    Intent.STOP: preferences.stop,
    Intent.RESUME: preferences.resume,
    Intent.HELP: welcome.help_out,
    Intent.GREETING: welcome.help_out,
    **talks.HANDLERS,
    Intent.THANKS: welcome.not_at_all,
    Intent.CANCEL: welcome.let_be,
}


def build() -> r.Router:
    """The router of the official account."""
    router = r.Router(otherwise=follow.stay_silent)
    free = free_words.answering(HANDLERS)
    talks.add_first(router)
    _add_gift_talk(router)
    _add_birthday_talk(router)
    talks.add_talks(router)
    router.on(r.says_exactly(phrases.TAKE_BACK), gift.take_back)
    for intent, handler in HANDLERS.items():
        router.on(r.wants(intent), handler)
    router.on(r.FOLLOWS, follow.greet)
    router.on(r.SCANS, follow.scan)
    talks.add_last(router)
    # Only now: someone in a conversation may ask for the points and then go on.
    router.on(r.talking(gift.CHOOSE) | r.talking(gift.CONFIRM), gift.ask_again)
    where, yes = shops.answering(free), r.says(Intent.CONFIRM)
    router.on(r.talking(shops.WHERE) & yes, free_words.agreeing(HANDLERS, otherwise=where))
    router.on(r.talking(shops.WHERE), where)
    router.on(yes, free_words.agreeing(HANDLERS, otherwise=free))
    router.on(r.TYPED, free)
    router.on(r.EXPECTS_ANSWER, welcome.help_out)
    return router


def _add_gift_talk(router: r.Router) -> None:
    in_gift = r.talking(gift.CHOOSE) | r.talking(gift.CONFIRM)
    router.on(in_gift & r.says(Intent.CANCEL), gift.cancel)
    router.on(r.talking(gift.CHOOSE) & r.NUMBER, gift.choose)
    sure = dialogue.confirmed(gift.confirm, gift.ask_again)
    router.on(r.talking(gift.CONFIRM) & r.says(Intent.CONFIRM), sure)


def _add_birthday_talk(router: r.Router) -> None:
    names_a_day = r.Filter(lambda turn: birthday_in(turn.words) is not None)
    in_talk = r.talking(profile.ASK) | r.talking(profile.SURE)
    router.on(in_talk & names_a_day, profile.propose)
    router.on(in_talk & r.Filter(lambda turn: is_nearly_one(turn.words)), profile.ask_how)
    router.on(in_talk & r.says(Intent.CANCEL), profile.cancel)
    agree = free_words.agreeing(HANDLERS, otherwise=profile.ask_again)
    sure = dialogue.confirmed(profile.confirm, agree)
    router.on(r.talking(profile.SURE) & r.says(Intent.CONFIRM), sure)
