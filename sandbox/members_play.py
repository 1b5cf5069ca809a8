"""The members of the case: they open their list, ask the bot, give coupons away and buy."""

import random
import re
from typing import Any

from sandbox import world_reads as reads
from sandbox.actors import ActorStuck, Browser
from sandbox.scene import Case
from sandbox.stage import NOTICE_TEMPLATE_ID
from sandbox.world_reads import Patron, Shelf
from store import clock

# Made-up habits of the demo's members.
_OPENS, _TAPS, _ASKS, _BUYS_AFTER_CARE, _BUYS_ANYWAY = 0.5, 0.6, 0.25, 0.22, 0.08
_GIFTS = 3
_GIFT_LINK = re.compile(r"https?://[^\s\"'<>]+/m/gift/[\w-]+")
_PICKS_LINK = re.compile(r"https?://[^\s\"'<>]+/m/picks/[\w-]+")
_GOOD = re.compile(r"/m/picks/[\w-]+/\d+")


def members_act(case: Case, campaign_id: int, forgotten: list[int]) -> None:
    """Members read, ask, give and buy; some of the forgotten write in, to be reached later."""
    dice = random.Random(campaign_id)
    with case.reading() as session:
        people = reads.patrons(session, campaign_id)
        reached = reads.reached(session, campaign_id)
    for member_id in reached:
        _answer(case, people[member_id], dice)
    followers = [patron for m, patron in people.items() if m in reached and patron.openid]
    waiting = [people[member_id] for member_id in forgotten if people[member_id].hears_brand]
    _give_coupons(case, (followers or waiting)[:_GIFTS])
    for place, patron in enumerate(waiting):
        _write_in(case, patron, place)
    _buy(case, people, reached, dice)


def _answer(case: Case, patron: Patron, dice: random.Random) -> None:
    if patron.external_userid and dice.random() < _OPENS:
        seen = str(case.world.look(f"people/{patron.external_userid}/inbox"))
        link = _PICKS_LINK.search(seen)
        if link is None:
            raise ActorStuck("A member was reached, but there is no list in the message.")
        with Browser(case.world) as browser:
            goods = _GOOD.findall(browser.open(link[0]).text)
            if not goods:
                raise ActorStuck("A member opened the list, but there is nothing in it to tap.")
            if dice.random() < _TAPS:
                browser.open(f"{case.world.product}{dice.choice(goods)}")
    if patron.openid and dice.random() < _ASKS:
        answer = case.world.tell("say", openid=patron.openid, text="我有多少积分")
        if not answer["reply"]:
            raise ActorStuck(f"The bot gave no answer: {answer['notice'] or answer['problem']}.")


def _write_in(case: Case, patron: Patron, place: int) -> None:
    """Of the forgotten one third writes to the account, one stays silent, one accepts a notice."""
    if place % 3 == 0:
        case.world.tell("say", openid=patron.openid, text="你们周末几点开门")
    elif place % 3 == 2:
        case.world.tell("accept_notice", openid=patron.openid, template_id=NOTICE_TEMPLATE_ID)


def _give_coupons(case: Case, givers: list[Patron]) -> None:
    """Some members give a coupon away, each to a friend who has had few."""
    with case.reading() as session:
        ids = [giver.member_id for giver in givers]
        friends = reads.friends(session, ids, case.coupon_plan, len(givers))
    for giver, friend in zip(givers, friends, strict=False):
        link = _gift_link(case, giver)
        if link is None:
            continue
        with Browser(case.world, friend) as browser:
            browser.open(link)
            browser.post(f"{link}/claim")


def _gift_link(case: Case, giver: Patron) -> str | None:
    """Talk to the bot until it hands out a link; none when it says that nothing can be given."""
    assert giver.openid
    for words in ("转赠优惠券", "1", "确认", "确认"):
        answer = case.world.tell("say", openid=giver.openid, text=words)
        found = _GIFT_LINK.search(str(answer["items"]))
        if found:
            return found[0]
    return None


def _buy(
    case: Case, people: dict[int, Patron], reached: dict[int, list[int]], dice: random.Random
) -> None:
    """Baskets at the till: a few from everybody, more from those who were cared for, one surely."""
    baskets = []
    sure = min(reached, default=None)
    with case.reading() as session:
        for member_id, patron in people.items():
            is_tempted = member_id == sure or dice.random() < _BUYS_AFTER_CARE
            if member_id in reached and is_tempted:
                goods = reads.shelf(session, reached[member_id][:3])
            elif dice.random() < _BUYS_ANYWAY:
                goods = reads.usual(session, member_id)
            else:
                continue
            baskets.append(_basket(patron, goods, dice))
    _send_orders(case, baskets)
    case.wait("attribution", "SELECT count(*) FROM orders WHERE is_attribution_due")
    case.wait_for_notices("news to guides")


def _basket(patron: Patron, goods: list[Shelf], dice: random.Random) -> dict[str, Any]:
    now = clock.now()
    lines = []
    for item in goods:
        quantity = dice.randint(1, 3)
        lines.append(
            {
                "product_external_id": item.external_id,
                "quantity": quantity,
                "amount_fen": quantity * item.price_fen,
            }
        )
    return {
        "external_id": f"{patron.external_id}-{now:%Y%m%d%H%M%S}",
        "paid_at": now.isoformat(),
        "shop_code": patron.shop_code,
        "member": {"external_id": patron.external_id},
        "lines": lines,
    }


def _send_orders(case: Case, baskets: list[dict[str, Any]]) -> None:
    answer = case.world.control.post(
        f"{case.world.product}/api/v1/orders",
        json={"orders": baskets},
        headers={"Authorization": f"Bearer {case.till_key}"},
    )
    if answer.is_error:
        raise ActorStuck(f"The till's orders were answered {answer.status_code}.")
    refused = [item for item in answer.json()["items"] if item["status"] == "refused"]
    if refused:
        raise ActorStuck(f"The till's order was refused: {refused[0]}")
