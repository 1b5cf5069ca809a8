"""The classic case (design.md §2), played once through the doors that real people use.

HQ, guides, members and the till act over HTTP; the database is only read, to know who they are and
whether what they wait for has happened. How often people open, ask and buy is made up and said so;
what every run has to show (a sale, a gift, a fallback, a silence) is left to no dice.
"""

import json
from typing import Any

from sqlmodel import select

from sandbox import world_reads as reads
from sandbox.actors import log_in
from sandbox.guides_play import guides_work
from sandbox.members_play import members_act
from sandbox.scene import Case
from sandbox.stage import LOGIN
from store import clock
from store.campaigns import Campaign, CampaignState

# Guides get a minute and then another for so many tasks, before the forgotten ones fall back.
_TASKS_A_MINUTE = 200
_HOLDOUT_PERCENT = 20
_CARE_AUDIENCE = {
    "all": [
        {"fact": "r_score", "op": ">=", "value": 3},
        {"fact": "m_score", "op": ">=", "value": 4},
        {"fact": "days_since_touch", "op": ">=", "value": 7},
    ]
}
# Everybody whom something reached within the last day.
_AGAIN_AUDIENCE = {"not": {"fact": "days_since_touch", "op": ">=", "value": 1}}


def play(case: Case, *, audience: int) -> None:
    """The whole case with one care campaign and a second one that the gate holds back."""
    with case.step("launch", "HQ picks an audience by recency, frequency and money and launches"):
        campaign_id = launch(case, "秋日老客关怀", audience=audience)
    with case.step("guides", "guides open their cards, edit, send or skip; one does nothing"):
        forgotten = guides_work(case, campaign_id)
    with case.step("delivery", "guides confirm in WeCom, results are polled"):
        _settle(case, campaign_id)
    with case.step("members", "members open the list, ask the bot, give coupons away, buy"):
        members_act(case, campaign_id, forgotten)
    with case.step("fallback", "the deadline passes: who was forgotten falls back"):
        _wait_for_fallback(case, campaign_id)
    with case.step("second_campaign", "a second campaign the same day meets the gate"):
        second = launch(
            case,
            "周末加推",
            audience=max(audience // 4, 4),
            tree=_AGAIN_AUDIENCE,
            holdout_percent=0,
            days=2,
        )
        guides_work(case, second, only=3)


def launch(
    case: Case,
    name: str,
    *,
    audience: int,
    tree: dict[str, Any] = _CARE_AUDIENCE,
    holdout_percent: int = _HOLDOUT_PERCENT,
    days: int = 0,
) -> int:
    """Write, preview, forecast and launch a campaign in the console; gives its id."""
    chosen = {
        "name": name,
        "audience_json": json.dumps(tree),
        "audience_limit": audience,
        "holdout_percent": holdout_percent,
        "deadline_minutes": days * 24 * 60 or 1 + audience // _TASKS_A_MINUTE,
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
        "fallback_channels": ["wechat_service", "wechat_notice"],
    }


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


def _wait_for_fallback(case: Case, campaign_id: int) -> None:
    """The deadline is minutes away; then the forgotten tasks move and their touches settle."""
    with case.reading() as session:
        deadline_at = session.get_one(Campaign, campaign_id).deadline_at
    case.sleep((deadline_at - clock.now()).total_seconds())
    forgotten = (
        "SELECT count(*) FROM care_tasks WHERE campaign_id = :id"
        " AND state IN ('planned', 'assigned', 'seen', 'edited')"
    )
    case.wait("the fallback", forgotten, id=campaign_id)
    leaving = (
        "SELECT count(*) FROM touches WHERE campaign_id = :id AND state IN ('reserved', 'sending')"
    )
    case.wait("fallback touches", leaving, id=campaign_id)
