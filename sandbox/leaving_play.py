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
_NOTE = "老顾客"
_UNKNOWN = """
    SELECT count(*) FROM friendships f JOIN guides g ON g.id = f.guide_id
    WHERE g.userid = :userid AND f.until IS NULL AND NOT EXISTS (
        SELECT FROM contacts c JOIN identities i ON i.id = c.identity_id
        WHERE c.guide_id = g.id AND i.outside_id = f.external_userid AND c.changed_at IS NOT NULL)
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


def guide_prepares(case: Case, leaver: Busy) -> None:
    """A guide who is about to leave notes for every customer whose it is, so that we know them.

    What was only imported is no contact in WeCom's eyes, until a walk or an event brings it.
    """
    with case.reading() as session:
        customers = reads.customers_of(session, leaver.userid)
    for customer in customers:
        who = {"userid": leaver.userid, "external_userid": customer}
        case.world.tell("wecom/edit", **who, remark=_NOTE)
    _have_code_made(case, leaver.userid)


def guide_leaves(case: Case, leaver: Busy) -> None:
    """Hand over everything of a guide whom WeCom's directory shows no more."""
    case.wait("the customers of who leaves", _UNKNOWN, userid=leaver.userid)
    _wait_for_code(case, leaver.userid, is_theirs=True)
    case.world.tell("wecom/resign", userid=leaver.userid)
    case.move_clock(_BREAK)
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


def _wait_for_code(case: Case, userid: str, *, is_theirs: bool) -> None:
    case.wait("a guide's code", _CODE, userid=userid, who=userid, is_theirs=is_theirs)
