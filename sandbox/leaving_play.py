"""A guide leaves in the middle of the case; a day later colleagues have the customers.

Tasks and members go over at once. WeCom brings the customers after a day in which none of them has
refused, so the clock is moved.
"""

from datetime import timedelta

from sandbox import world_reads as reads
from sandbox.actors import ActorStuck, Browser
from sandbox.scene import Case
from sandbox.world_reads import Busy

# Longer than a run of the product waits after a failure, and than it holds what it has begun.
_BREAK = timedelta(minutes=6)
_A_MINUTE = timedelta(minutes=1)
# WeCom's day of waiting, and a little more.
_A_DAY = timedelta(hours=24, minutes=5)
_SYNCS = """
    SELECT count(*) FROM sync_runs WHERE finished_at IS NULL AND kind IN ('directory', 'contacts')
"""
_LEAVING = """
    SELECT count(*) FROM guides g WHERE g.userid = :userid AND NOT EXISTS (
        SELECT FROM departures d WHERE d.guide_id = g.id AND d.finished_at IS NOT NULL)
"""
_MOVING = """
    SELECT count(*) FROM transfers t JOIN guides g ON g.id = t.giver_id
    WHERE g.userid = :userid AND t.state = ANY(:states)
"""
_CODE = """
    SELECT count(*) FROM scenes s JOIN guides g ON g.id = s.guide_id
    WHERE g.userid = :userid AND s.state <> 'refused'
      AND NOT (s.state = 'ready' AND jsonb_exists(s.userids, :who) = :is_theirs)
"""


def guide_leaves(case: Case, leaver: Busy) -> None:
    """Hand over everything of a guide whom WeCom's directory shows no more."""
    case.move_clock(_BREAK)
    _have_code_made(case, leaver.userid)
    case.wait("the look at WeCom's directory and customers", _SYNCS)
    case.world.tell("wecom/resign", userid=leaver.userid)
    case.wait("the departure", _LEAVING, userid=leaver.userid)
    case.move_clock(_A_MINUTE)
    _wait_for_customers(case, leaver.userid, ["planned", "asking"])


def day_passes(case: Case, leaver: Busy) -> None:
    """The next day: the customers and the code are with the colleagues."""
    case.move_clock(_A_DAY)
    _wait_for_customers(case, leaver.userid, ["planned", "asking", "waiting"])
    if leaver.has_colleague:
        _wait_for_code(case, leaver.userid, is_theirs=False)


def heirs_work(case: Case, campaign_id: int) -> list[str]:
    """Whoever has the tasks now sends them; gives their userids."""
    with case.reading() as session:
        handed = reads.handed_over(session, campaign_id)
    for one in handed:
        with Browser(case.world, one.userid) as browser:
            url = f"{case.world.product}/guide/t/{one.task}"
            browser.open(url)
            browser.post(f"{url}/send")
    return sorted({one.userid for one in handed})


def _wait_for_customers(case: Case, userid: str, states: list[str]) -> None:
    case.wait("the customers to move in WeCom", _MOVING, userid=userid, states=states)


def _have_code_made(case: Case, userid: str) -> None:
    """IT has a code made that leads to the guide, as the one on a name tag does."""
    answer = case.world.control.post(
        f"{case.world.product}/api/v1/scenes",
        json={"scenes": [{"kind": "guide", "key": userid, "platform": "wecom"}]},
        headers={"Authorization": f"Bearer {case.till_key}"},
    )
    if answer.is_error:
        raise ActorStuck(f"A code for a guide was answered {answer.status_code}.")
    _wait_for_code(case, userid, is_theirs=True)


def _wait_for_code(case: Case, userid: str, *, is_theirs: bool) -> None:
    case.wait("a guide's code", _CODE, userid=userid, who=userid, is_theirs=is_theirs)
