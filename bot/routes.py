"""Which words, taps and events lead to which handler, for the members' bot."""

from bot import router as r
from bot.handlers import card, coupons, follow, gift, guide, points, preferences, welcome
from content import phrases
from content.phrases import Intent


def build() -> r.Router:
    """The router of the official account."""
    router = r.Router(otherwise=follow.stay_silent)
    # A clear "stop" counts even in the middle of a conversation.
    router.on(r.says_exactly(phrases.HARD_STOPS), preferences.stop)
    _add_gift_talk(router)
    router.on(r.wants(Intent.STOP), preferences.stop)
    router.on(r.wants(Intent.RESUME), preferences.resume)
    router.on(r.wants(Intent.GIFT), gift.start)
    router.on(r.wants(Intent.COUPONS), coupons.show)
    router.on(r.wants(Intent.POINTS), points.show)
    router.on(r.wants(Intent.CARD), card.show)
    router.on(r.wants(Intent.GUIDE), guide.show)
    router.on(r.FOLLOWS, follow.greet)
    router.on(r.UNFOLLOWS, follow.part)
    # Only now: someone in a conversation may ask for the points and then go on.
    router.on(r.talking(gift.CHOOSE) | r.talking(gift.CONFIRM), gift.ask_again)
    router.on(r.wants(Intent.HELP) | r.SCANS | r.EXPECTS_ANSWER, welcome.help_out)
    return router


def _add_gift_talk(router: r.Router) -> None:
    in_gift = r.talking(gift.CHOOSE) | r.talking(gift.CONFIRM)
    router.on(in_gift & r.says(Intent.CANCEL), gift.cancel)
    router.on(r.talking(gift.CHOOSE) & r.NUMBER, gift.choose)
    router.on(r.talking(gift.CONFIRM) & r.says(Intent.CONFIRM), gift.confirm)
