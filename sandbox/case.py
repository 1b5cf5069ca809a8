"""The classic case (design.md §2), played once through the doors that real people use.

HQ, guides, members and the till act over HTTP; the database is only read, to know who they are and
whether what they wait for has happened. How often people open, ask and buy is made up and said so.
"""

import html
import itertools
import json
import random
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from sqlmodel import Session, select

from sandbox import world_reads as reads
from sandbox.actors import ActorStuck, Browser, World, card_of, log_in, tasks_on
from sandbox.stage import LOGIN, NOTICE_TEMPLATE_ID
from sandbox.world_reads import Patron, Shelf
from store import clock
from store.campaigns import Campaign, CampaignState
from store.db import Database

Say = Callable[[str], None]
_HANDS = 4
_POLL_SECONDS = 0.5
_PATIENCE_SECONDS = 120
# Made-up habits of the demo's people, the same in every run.
_EDITS, _SKIPS = 0.2, 0.06
_OPENS, _ASKS, _BUYS_AFTER_CARE, _BUYS_ANYWAY = 0.5, 0.25, 0.22, 0.08
_GIFTS = 3
# Guides get a minute and then another for so many tasks, before the forgotten ones fall back.
_TASKS_A_MINUTE = 200
_CARE_AUDIENCE = {
    "all": [
        {"fact": "r_score", "op": ">=", "value": 3},
        {"fact": "m_score", "op": ">=", "value": 4},
        {"fact": "days_since_touch", "op": ">=", "value": 7},
    ]
}
# Everybody whom something reached within the last day.
_AGAIN_AUDIENCE = {"not": {"fact": "days_since_touch", "op": ">=", "value": 1}}
_GIFT_LINK = re.compile(r"https?://[^\s\"'<>]+/m/gift/[\w-]+")
_PICKS_LINK = re.compile(r"https?://[^\s\"'<>]+/m/picks/[\w-]+")


@dataclass
class Case:
    """One run of the case; `seconds` collects how long each step took."""

    database: Database
    world: World
    password: str
    till_key: str
    coupon_plan: str
    say: Say
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str, sentence: str) -> Iterator[None]:
        """Say what begins, and keep how long it took."""
        self.say(sentence)
        began = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - began

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A look at the database."""
        with self.database.transaction() as session:
            yield session

    def wait(self, what: str, sql: str, **values: object) -> None:
        """Wait until `sql` counts to zero; somebody is stuck after two minutes."""
        until = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < until:
            with self.reading() as session:
                if reads.count(session, sql, **values) == 0:
                    return
            time.sleep(_POLL_SECONDS)
        raise ActorStuck(f"Waited {_PATIENCE_SECONDS} s in vain for {what}.")


def play(case: Case, *, audience: int) -> None:
    """The whole case with one care campaign and a second one that the gate holds back."""
    with case.step("launch", "HQ picks an audience by recency, frequency and money and launches"):
        campaign_id = launch(case, "秋日老客关怀", audience=audience)
    with case.step("guides", "guides open their cards, edit, send or skip; one does nothing"):
        idle = guides_work(case, campaign_id)
    with case.step("delivery", "guides confirm in WeCom, results are polled"):
        _settle(case, campaign_id)
    with case.step("members", "members open the list, ask the bot, give coupons away, buy"):
        members_act(case, campaign_id, idle)
    with case.step("fallback", "the deadline passes: who was forgotten falls back"):
        _wait_for_fallback(case, campaign_id)
    with case.step("second_campaign", "a second campaign the same day meets the gate"):
        second = launch(
            case, "周末加推", audience=max(audience // 4, 4), tree=_AGAIN_AUDIENCE, days=2
        )
        guides_work(case, second, only=3)


def launch(
    case: Case,
    name: str,
    *,
    audience: int,
    tree: dict[str, Any] = _CARE_AUDIENCE,
    days: int = 0,
) -> int:
    """Write, preview, forecast and launch a campaign in the console; gives its id."""
    minutes = days * 24 * 60 or 1 + audience // _TASKS_A_MINUTE
    with log_in(case.world, LOGIN, case.password) as browser:
        page = browser.post(
            f"{case.world.product}/hq/campaigns/new", **_form(case, name, audience, tree, minutes)
        )
        token = page.url.path.rsplit("/", 1)[-1]
        browser.post(f"{case.world.product}/hq/campaigns/{token}/launch")
    with case.reading() as session:
        campaign = session.exec(select(Campaign).where(Campaign.token == token)).one()
    waiting = [CampaignState.LAUNCHING.value, CampaignState.DRAFT.value]
    sql = "SELECT count(*) FROM campaigns WHERE id = :id AND state = ANY(:states)"
    case.wait("the launch", sql, id=campaign.id, states=waiting)
    case.wait("the cards", "SELECT count(*) FROM notices WHERE state IN ('pending', 'sending')")
    return campaign.id


def _form(
    case: Case, name: str, audience: int, tree: dict[str, Any], minutes: int
) -> dict[str, Any]:
    return {
        "action": "save",
        "name": name,
        "category": "care",
        "audience_json": json.dumps(tree),
        "audience_limit": audience,
        "piece_code": "care_picks",
        "coupon_plan": case.coupon_plan,
        "holdout_percent": 20,
        "deadline_minutes": minutes,
        "attribution_days": 14,
        "commission_percent": 2,
        "fallback_channels": ["wechat_service", "wechat_notice"],
    }


def guides_work(case: Case, campaign_id: int, *, only: int | None = None) -> list[int]:
    """Every guide but the busiest works through the card; gives the members of the idle one."""
    with case.reading() as session:
        busy = reads.guides_with_work(session, campaign_id)
        idle = reads.members_of_assignment(session, busy[0][1]) if busy else []
    workers = busy[1:] if only is None else busy[:only]
    with ThreadPoolExecutor(_HANDS) as hands:
        for done in [hands.submit(_work, case, userid, token) for userid, token, _ in workers]:
            done.result()
    return idle


def _work(case: Case, userid: str, assignment: str) -> None:
    dice = random.Random(f"{userid}-{assignment}")
    card = card_of(case.world, userid, assignment)
    if card is None:
        raise ActorStuck(f"The guide {userid} got no card for an assignment.")
    with Browser(case.world, userid) as browser:
        for task in tasks_on(browser.open(card)):
            _do_task(browser, f"{case.world.product}/guide/t/{task}", dice)


def _do_task(browser: Browser, url: str, dice: random.Random) -> None:
    page = browser.open(url)
    fate = dice.random()
    if fate < _SKIPS:
        browser.post(f"{url}/skip", why="in_touch")
    elif fate < _SKIPS + _EDITS:
        browser.post(f"{url}/send", text=f"{_draft_on(page)}\n（今天店里人不多，随时欢迎您来）")
    else:
        browser.post(f"{url}/send")


def _draft_on(page: httpx.Response) -> str:
    found = re.search(r"<textarea[^>]*>(.*?)</textarea>", page.text, re.DOTALL)
    if found is None:
        raise ActorStuck("A task page shows no draft.")
    return html.unescape(found[1]).strip()


def _settle(case: Case, campaign_id: int) -> None:
    """Guides confirm every broadcast that waits in their WeCom, until no touch is on its way."""
    with case.reading() as session:
        userids = reads.guides_of(session, campaign_id)
    leaving = "SELECT count(*) FROM touches WHERE campaign_id = :id AND state = 'reserved'"
    case.wait("touches to leave", leaving, id=campaign_id)
    for userid in userids:
        case.world.tell(f"guides/{userid}/confirm", all=True)
    on_their_way = (
        "SELECT count(*) FROM touches WHERE campaign_id = :id AND state IN ('reserved', 'sending')"
    )
    case.wait("the results of broadcasts", on_their_way, id=campaign_id)


def members_act(case: Case, campaign_id: int, idle: list[int]) -> None:
    """Members read, ask, give and buy; some of the idle guide's write in, to be reached later."""
    dice = random.Random(campaign_id)
    with case.reading() as session:
        people = reads.patrons(session, campaign_id)
        reached = reads.reached(session, campaign_id)
    for member_id in reached:
        _answer(case, people[member_id], dice)
    followers = [p for m, p in people.items() if m in reached and p.openid]
    _give_coupons(case, followers)
    for place, member_id in enumerate(idle):
        _write_in(case, people[member_id], place)
    _buy(case, people, reached, dice)


def _answer(case: Case, patron: Patron, dice: random.Random) -> None:
    if patron.external_userid and dice.random() < _OPENS:
        seen = str(case.world.look(f"people/{patron.external_userid}/inbox"))
        link = _PICKS_LINK.search(seen)
        if link is None:
            raise ActorStuck("A member was reached, but there is no list in the message.")
        with Browser(case.world) as browser:
            browser.open(link[0])
    if patron.openid and dice.random() < _ASKS:
        answer = case.world.tell("say", openid=patron.openid, text="我有多少积分")
        if not answer["reply"]:
            raise ActorStuck(f"The bot gave no answer: {answer['notice'] or answer['problem']}.")


def _write_in(case: Case, patron: Patron, place: int) -> None:
    """Of the idle guide's members one third writes to the account, one third accepts a notice."""
    if patron.openid is None:
        return
    if place % 3 == 0:
        case.world.tell("say", openid=patron.openid, text="你们周末几点开门")
    elif place % 3 == 1:
        case.world.tell("accept_notice", openid=patron.openid, template_id=NOTICE_TEMPLATE_ID)


def _give_coupons(case: Case, followers: list[Patron]) -> None:
    """Some members give a coupon away; the next follower in line claims it."""
    for giver, friend in itertools.islice(itertools.pairwise(followers), _GIFTS):
        link = _gift_link(case, giver)
        if link is None:
            continue
        with Browser(case.world, friend.openid or "") as browser:
            browser.open(link)
            # The first tap leads through WeChat's log-in and back to the page, the second claims.
            browser.post(f"{link}/claim")
            browser.post(f"{link}/claim")


def _gift_link(case: Case, giver: Patron) -> str | None:
    """Talk to the bot until it hands out a link; none when it says that nothing can be given."""
    assert giver.openid
    for words in ("转赠优惠券", "1", "确认", "确认"):
        answer = case.world.tell("say", openid=giver.openid, text=words)
        found = _GIFT_LINK.search(answer["reply"] or "")
        if found:
            return found[0]
    return None


def _buy(
    case: Case, people: dict[int, Patron], reached: dict[int, list[int]], dice: random.Random
) -> None:
    """Baskets at the till: a few from everybody, more from those who were cared for."""
    baskets = []
    with case.reading() as session:
        for member_id, patron in people.items():
            if member_id in reached and dice.random() < _BUYS_AFTER_CARE:
                goods = reads.shelf(session, reached[member_id][:3])
            elif dice.random() < _BUYS_ANYWAY:
                goods = reads.usual(session, member_id)
            else:
                continue
            baskets.append(_basket(patron, goods, dice))
    _send_orders(case, baskets)
    case.wait("attribution", "SELECT count(*) FROM orders WHERE is_attribution_due")
    case.wait(
        "news to guides", "SELECT count(*) FROM notices WHERE state IN ('pending', 'sending')"
    )


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


def _wait_for_fallback(case: Case, campaign_id: int) -> None:
    """The deadline is minutes away; then the forgotten tasks move and their touches settle."""
    with case.reading() as session:
        deadline_at = session.get_one(Campaign, campaign_id).deadline_at
    time.sleep(max((deadline_at - clock.now()).total_seconds(), 0))
    forgotten = (
        "SELECT count(*) FROM care_tasks WHERE campaign_id = :id"
        " AND state IN ('planned', 'assigned', 'seen', 'edited')"
    )
    case.wait("the fallback", forgotten, id=campaign_id)
    leaving = (
        "SELECT count(*) FROM touches WHERE campaign_id = :id AND state IN ('reserved', 'sending')"
    )
    case.wait("fallback touches", leaving, id=campaign_id)
