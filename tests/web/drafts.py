"""The form of a campaign, as an operator fills it in, and the draft that it becomes."""

from typing import Any

from sqlmodel import col, select

from store.campaigns import Campaign
from tests.web.browser import Browser
from tests.web.scene import Scene

FORM: dict[str, Any] = {
    "name": "三月老客回访",
    "category": "care",
    "piece_code": "care_picks",
    "deadline": "2026-03-02T20:00",
    "holdout_percent": "0",
    "commission_percent": "2.5",
    "attribution_days": "7",
    "fallback_channels": ["wechat_service", ""],
    "recency_days_max": "30",
    "action": "save",
}


def save(browser: Browser, **more: object) -> str:
    """The address of the draft that was saved."""
    answer = browser.post("/hq/campaigns/new", data=FORM | more)
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


def saved(scene: Scene) -> Campaign:
    """The newest campaign."""
    with scene.database.transaction() as session:
        found = session.exec(select(Campaign).order_by(col(Campaign.id).desc())).first()
    assert found is not None
    return found
