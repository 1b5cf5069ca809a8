"""The guides of the case: each opens the card and edits, sends or skips; a few do nothing."""

import html
import random
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import httpx

from sandbox import world_reads as reads
from sandbox.actors import ActorStuck, Browser, card_of, tasks_on
from sandbox.scene import Case
from sandbox.world_reads import Busy

_HANDS = 4
# Made-up habits of the demo's guides.
_EDITS, _SKIPS = 0.2, 0.06
# One of whom the brand can reach at last, one whom it cannot.
_FORGOTTEN = 2


def guides_work(case: Case, campaign_id: int, *, only: int | None = None) -> list[int]:
    """Guides work through their cards; gives the members of those who do nothing.

    With `only` it is the first so many who work, and none of them skips a member.
    """
    with case.reading() as session:
        busy = reads.guides_with_work(session, campaign_id)
        idle = _idle(busy)
        forgotten = [m for guide in idle for m in reads.members_of(session, guide.assignment)]
    at_work = busy[:only] if only else busy[len(idle) :]
    with ThreadPoolExecutor(_HANDS) as hands:
        try:
            for done in [hands.submit(_work, case, guide, skips=not only) for guide in at_work]:
                done.result()
        except BaseException:
            # Whoever has not begun need not: the case is over.
            hands.shutdown(wait=False, cancel_futures=True)
            raise
    return forgotten


def _idle(busy: Sequence[Busy]) -> list[Busy]:
    """The guide with the most followers; in a small slice, as many as have two of them."""
    idle: list[Busy] = []
    for guide in busy:
        if sum(one.followers for one in idle) >= _FORGOTTEN:
            break
        idle.append(guide)
    return idle


def _work(case: Case, guide: Busy, *, skips: bool) -> None:
    dice = random.Random(f"{guide.userid}-{guide.assignment}")
    card = card_of(case.world, guide.userid, guide.assignment)
    if card is None:
        raise ActorStuck(f"The guide {guide.userid} got no card for an assignment.")
    with Browser(case.world, guide.userid) as browser:
        for task in tasks_on(browser.open(card)):
            fate = dice.uniform(0.0 if skips else _SKIPS, 1.0)
            _do_task(browser, f"{case.world.product}/guide/t/{task}", fate)


def _do_task(browser: Browser, url: str, fate: float) -> None:
    page = browser.open(url)
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
