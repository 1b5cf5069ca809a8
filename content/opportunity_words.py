"""Why a customer is worth contacting today, in the few words that a guide reads."""

_DAYS = {0: "今天", 1: "明天", 2: "后天"}


def birthday(days: int) -> str:
    """A birthday that comes."""
    return f"{ahead(days).strip()}生日"


def coupon_ends(days: int, name: str) -> str:
    """A coupon that the member would lose."""
    return f"「{name}」{ahead(days)}到期"


def points_end(days: int, points: int) -> str:
    """Points that the member would lose."""
    return f"{points} 积分{ahead(days)}到期"


def used_up(days: int, category: str, usual: int) -> str:
    """What the member buys again and again, and is about to need."""
    return f"{category}大约 {usual} 天买一次，上次是 {days} 天前"


def never_back(days: int) -> str:
    """A newcomer who has not come back."""
    return f"第一次买是 {days} 天前，还没有再来过"


def ahead(days: int) -> str:
    """A day that comes, as people say it."""
    return _DAYS.get(days) or f" {days} 天后"
