"""The classic case (design.md §2), played once through the doors that real people use.

HQ, guides, members and the till act over HTTP; the database is only read, to know who they are and
whether what they wait for has happened. How often people open, ask and buy is made up and said so;
what every run has to show (a sale, a gift, a fallback, a silence) is left to no dice.
"""

import json
import math
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlmodel import select

from sandbox import leaving_play, members_play
from sandbox import world_reads as reads
from sandbox.actors import log_in
from sandbox.guides_play import Cast, guides_work, some_work
from sandbox.scene import Case
from sandbox.stage import LOGIN
from store import clock
from store.campaigns import Campaign, CampaignState

_HOLDOUT_PERCENT = 20
# A guide leaves meanwhile, and WeCom takes a day to bring the customers to others.
_CARE_HOURS = 24.5
# How long a broadcast of the brand waits for its guide; then the account speaks.
_FALLBACK_HOURS = 1
# The platform is told to stop a broadcast, and asked for its last word two minutes later.
_GRACE = timedelta(minutes=3)
_CARE_AUDIENCE = {
    "all": [
        {"fact": "r_score", "op": ">=", "value": 3},
        {"fact": "m_score", "op": ">=", "value": 3},
        {"fact": "days_since_touch", "op": ">=", "value": 7},
    ]
}
# Everybody whom something reached within the last day.
_AGAIN_AUDIENCE = {"not": {"fact": "days_since_touch", "op": ">=", "value": 1}}
_LEAVING = "SELECT count(*) FROM touches WHERE campaign_id = :id AND state = 'reserved'"
_WITH_GUIDES = """
    SELECT count(*) FROM touches t JOIN guides g ON g.id = t.guide_id
    WHERE t.campaign_id = :id AND t.state = 'sending' AND g.userid = ANY(:userids)
"""
_UNSTOPPED = """
    SELECT count(*) FROM touches t JOIN care_tasks k ON k.id = t.care_task_id
    WHERE t.campaign_id = :id AND t.state = 'sending' AND t.channel = 'wecom_broadcast'
      AND t.retry_at IS NULL AND coalesce(k.fallback_until, k.deadline_at) <= :now
"""
_ON_THEIR_WAY = (
    "SELECT count(*) FROM touches WHERE campaign_id = :id AND state IN ('reserved', 'sending')"
)


def play(case: Case, *, audience: int) -> None:
    """The whole case with one care campaign and a second one that the gate holds back."""
    with case.step("launch", "HQ picks an audience by recency, frequency and money and launches"):
        campaign_id = launch(case, "秋日老客关怀", audience=audience, hours=_CARE_HOURS)
    with case.step("guides", "guides open their cards, edit, send or skip; some do nothing"):
        cast = guides_work(case, campaign_id)
        if cast.leaver is not None:
            leaving_play.guide_prepares(case, cast.leaver)
    with case.step("delivery", "guides confirm in WeCom, results are polled; one never confirms"):
        _settle(case, campaign_id, besides=cast.silent())
    with case.step("members", "members open the list, ask the bot, give coupons away, buy"):
        members_play.members_act(case, campaign_id, cast.forgotten(case))
    with case.step("departure", "a guide leaves; a day later colleagues have the customers"):
        _hand_over(case, campaign_id, cast)
    with case.step("fallback", "the deadline passes: who was forgotten falls back"):
        _fall_back(case, campaign_id, cast)
    with case.step("second_campaign", "a second campaign the same day meets the gate"):
        second = launch(
            case,
            "周末加推",
            audience=max(audience // 4, 8),
            tree=_AGAIN_AUDIENCE,
            holdout_percent=0,
            hours=48,
        )
        some_work(case, second, 3)


def launch(
    case: Case,
    name: str,
    *,
    audience: int,
    tree: dict[str, Any] = _CARE_AUDIENCE,
    holdout_percent: int = _HOLDOUT_PERCENT,
    hours: float,
) -> int:
    """Write, preview, forecast and launch a campaign in the console; gives its id."""
    chosen = {
        "name": name,
        "audience_json": json.dumps(tree),
        "audience_limit": audience,
        "holdout_percent": holdout_percent,
        "deadline_minutes": round(hours * 60),
    }
    with log_in(case.world, LOGIN, case.password) as browser:
        page = browser.post(f"{case.world.product}/hq/campaigns/new", **_form(case), **chosen)
        token = page.url.path.rsplit("/", 1)[-1]
        browser.post(f"{case.world.product}/hq/campaigns/{token}/launch")
    with case.reading() as session:
        campaign = session.exec(select(Campaign).where(Campaign.token == token)).one()
    waiting = [CampaignState.LAUNCHING.value, CampaignState.DRAFT.value]
    sql = "SELECT count(*) FROM campaigns WHERE id = :id AND state = ANY(:states)"
    case.wait("the launch", sql, id=campaign.id, states=waiting)
    case.wait_for_notices("the cards")
    return campaign.id


def _form(case: Case) -> dict[str, Any]:
    return {
        "action": "save",
        "category": "care",
        "piece_code": "care_picks",
        "coupon_plan": case.coupon_plan,
        "attribution_days": 14,
        "commission_percent": 2,
        "fallback_channels": ["wecom_broadcast", "wechat_service", "wechat_notice"],
        "fallback_hours": _FALLBACK_HOURS,
    }


def _settle(case: Case, campaign_id: int, *, besides: Sequence[str]) -> None:
    """Guides confirm every broadcast that waits in their WeCom, until none is on its way."""
    with case.reading() as session:
        userids = [one for one in reads.guides_of(session, campaign_id) if one not in besides]
    _confirm(case, campaign_id, userids)


def _confirm(case: Case, campaign_id: int, userids: Sequence[str]) -> None:
    case.wait("touches to leave", _LEAVING, id=campaign_id)
    for userid in userids:
        case.world.tell(f"guides/{userid}/confirm", all=True)
    case.wait("the results of broadcasts", _WITH_GUIDES, id=campaign_id, userids=list(userids))


def _hand_over(case: Case, campaign_id: int, cast: Cast) -> None:
    """A guide leaves, and the day passes; in a slice without a leaver only the day."""
    if cast.leaver is None:
        return
    leaving_play.guide_leaves(case, cast.leaver)
    leaving_play.day_passes(case, cast.leaver)
    _confirm(case, campaign_id, leaving_play.heirs_work(case, campaign_id))


def _fall_back(case: Case, campaign_id: int, cast: Cast) -> None:
    """The deadline comes; of the idle the last one confirms at least what the brand prepared."""
    with case.reading() as session:
        deadline_at = session.get_one(Campaign, campaign_id).deadline_at
    case.move_clock(timedelta(seconds=math.ceil((deadline_at - clock.now()).total_seconds()) + 1))
    _wait_for_deadline(case, campaign_id)
    _confirm(case, campaign_id, [guide.userid for guide in cast.idle[-1:]])
    case.move_clock(timedelta(hours=_FALLBACK_HOURS))
    case.wait("broadcasts to be stopped", _UNSTOPPED, id=campaign_id, now=clock.now())
    case.move_clock(_GRACE)
    case.wait("fallback touches", _ON_THEIR_WAY, id=campaign_id)


def _wait_for_deadline(case: Case, campaign_id: int) -> None:
    """No task lies open any more, and what a guide did not confirm is stopped."""
    forgotten = (
        "SELECT count(*) FROM care_tasks WHERE campaign_id = :id"
        " AND state IN ('planned', 'assigned', 'seen', 'edited', 'snoozed', 'reassigned')"
    )
    case.wait("the fallback", forgotten, id=campaign_id)
    case.wait("broadcasts to be stopped", _UNSTOPPED, id=campaign_id, now=clock.now())
