"""The guides of the case: each opens the card and edits, sends or skips; a few do otherwise.

Some do nothing, one taps send and never confirms in WeCom, one writes by hand and says so, and one
has done half of it on the day of leaving. Who they are is left to no dice.
"""

import html
import random
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum, auto

import httpx

from sandbox import world_reads as reads
from sandbox.actors import ActorStuck, Browser, card_of, tasks_on
from sandbox.scene import Case
from sandbox.world_reads import Busy

_HANDS = 4
# Made-up habits of the demo's guides.
_EDITS, _SKIPS = 0.2, 0.06
# The words as they went, or did not go: the page of a task that is over.
_CLOSED = '<p class="said">'
# Of whom the brand can reach some at last, and some not; one guide confirms what the brand lays
# before them, one does not even that.
_FORGOTTEN, _IDLE = 2, 2


class Habit(Enum):
    """How a guide works."""

    USUAL = auto()
    NEVER_SKIPS = auto()
    BY_HAND = auto()
    LEAVES_HALFWAY = auto()


@dataclass(frozen=True, slots=True)
class Cast:
    """Who plays which part; where a slice has few guides nobody plays the last ones."""

    idle: Sequence[Busy]
    at_work: Mapping[Busy, Habit]
    never_confirms: Busy | None = None
    leaver: Busy | None = None

    def forgotten(self, case: Case) -> list[int]:
        """Members who hear nothing of their guides."""
        silent = [*self.idle, self.never_confirms]
        with case.reading() as session:
            return [
                member_id
                for guide in silent
                if guide is not None
                for member_id in reads.members_of(session, guide.assignment)
            ]

    def silent(self) -> list[str]:
        """Userids of those who do not confirm when the others do."""
        silent = [*self.idle, self.never_confirms]
        return [guide.userid for guide in silent if guide is not None]


def guides_work(case: Case, campaign_id: int) -> Cast:
    """Guides work through their cards."""
    with case.reading() as session:
        cast = _share_out(reads.guides_with_work(session, campaign_id))
    _all_work(case, cast.at_work)
    return cast


def some_work(case: Case, campaign_id: int, number: int) -> None:
    """The first few guides send to everybody on their cards."""
    with case.reading() as session:
        busy = reads.guides_with_work(session, campaign_id)
    _all_work(case, dict.fromkeys(busy[:number], Habit.NEVER_SKIPS))


def _share_out(busy: Sequence[Busy]) -> Cast:
    """The idle are those with the most followers; the first guide after them has no part."""
    idle = _idle(busy)
    rest = busy[len(idle) :]
    able = [guide for guide in rest if guide.friends][1:]
    # With a colleague in the shop there is somebody for the code of who leaves, too.
    able.sort(key=lambda guide: (guide.has_colleague, guide.friends), reverse=True)
    leaver, never_confirms, teller, *_ = [*able, None, None, None]
    at_work = dict.fromkeys(rest, Habit.USUAL)
    for guide, habit in (
        (leaver, Habit.LEAVES_HALFWAY),
        (never_confirms, Habit.NEVER_SKIPS),
        (teller, Habit.BY_HAND),
    ):
        if guide is not None:
            at_work[guide] = habit
    return Cast(idle, at_work, never_confirms, leaver)


def _idle(busy: Sequence[Busy]) -> list[Busy]:
    """The guides with the most followers; in a small slice, as many as have two of them."""
    idle: list[Busy] = []
    for guide in busy:
        if len(idle) >= _IDLE and sum(one.followers for one in idle) >= _FORGOTTEN:
            break
        idle.append(guide)
    return idle


def _all_work(case: Case, at_work: Mapping[Busy, Habit]) -> None:
    with ThreadPoolExecutor(_HANDS) as hands:
        try:
            for done in [hands.submit(_work, case, *one) for one in at_work.items()]:
                done.result()
        except BaseException:
            # Whoever has not begun need not: the case is over.
            hands.shutdown(wait=False, cancel_futures=True)
            raise


def _work(case: Case, guide: Busy, habit: Habit) -> None:
    dice = random.Random(f"{guide.userid}-{guide.assignment}")
    card = card_of(case.world, guide.userid, guide.assignment)
    if card is None:
        raise ActorStuck(f"The guide {guide.userid} got no card for an assignment.")
    with Browser(case.world, guide.userid) as browser:
        tasks = tasks_on(browser.open(card))
        if habit is Habit.LEAVES_HALFWAY:
            tasks = tasks[: len(tasks) // 2]
        for task in tasks:
            if habit is Habit.BY_HAND:
                _tell(case, browser, task)
                continue
            fate = dice.uniform(0.0 if habit is Habit.USUAL else _SKIPS, 1.0)
            _do_task(browser, _address(case, task), fate)


def _address(case: Case, task: str) -> str:
    return f"{case.world.product}/guide/t/{task}"


def _do_task(browser: Browser, url: str, fate: float) -> None:
    page = browser.open(url)
    if _CLOSED in page.text:
        # A card lists also members whom the gate lets nobody write to; their page says why.
        return
    if fate < _SKIPS:
        browser.post(f"{url}/skip", why="in_touch")
    elif fate < _SKIPS + _EDITS:
        browser.post(f"{url}/send", text=f"{_draft_on(page)}\n（今天店里人不多，随时欢迎您来）")
    else:
        browser.post(f"{url}/send")


def _tell(case: Case, browser: Browser, task: str) -> None:
    """Write to the customer in WeCom by hand and say so; to whom that cannot be done, as usual."""
    with case.reading() as session:
        customer = reads.customer_of(session, task)
    url = _address(case, task)
    if customer is None:
        browser.post(f"{url}/send")
        return
    words = _draft_on(browser.open(url))
    case.world.tell(f"guides/{browser.who}/chat", external_userid=customer, text=words)
    browser.post(f"{url}/told")


def _draft_on(page: httpx.Response) -> str:
    found = re.search(r"<textarea[^>]*>(.*?)</textarea>", page.text, re.DOTALL)
    if found is None:
        raise ActorStuck("A task page shows no draft.")
    return html.unescape(found[1]).strip()
