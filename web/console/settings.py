"""How a campaign works, as filled in: who speaks, what comes after, the load, and who earns.

What is left blank is as `CampaignForm` has it.
"""

from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field

from guide_tasks.campaigns import CampaignForm
from store.campaigns import Campaign, CampaignMode, CommissionTo
from store.touches import Channel

# The brand can speak by the account itself; a broadcast is laid before a guide first.
BY_ACCOUNT = (Channel.WECHAT_SERVICE, Channel.WECHAT_NOTICE)
FALLBACKS = (Channel.WECOM_BROADCAST, *BY_ACCOUNT)
_FEN = 100
_BASIS_POINTS = 100


def _without_blanks(values: Any) -> Any:
    return [value for value in values if value] if isinstance(values, list) else values


Codes = Annotated[list[str], BeforeValidator(_without_blanks)]


def _usual(name: str) -> Any:
    return CampaignForm.model_fields[name].default


class SettingFields(BaseModel):
    """The settings of a campaign, typed; money in yuan, shares in percent."""

    mode: CampaignMode = _usual("mode")
    fallback_channels: Codes = []
    fallback_hours: int = Field(default=_usual("fallback_hours"), ge=1, le=720)
    tasks_per_day: int | None = Field(default=None, ge=1, le=1000)
    commission_percent: Decimal = Field(default=Decimal(2), ge=0, le=100, decimal_places=2)
    commission_cap_yuan: Decimal | None = Field(default=None, ge=0, le=1_000_000, decimal_places=2)
    commission_to: CommissionTo = _usual("commission_to")

    def settings(self) -> dict[str, Any]:
        """The same as facts of a `CampaignForm`."""
        cap = self.commission_cap_yuan
        return {
            "mode": self.mode,
            "fallback_channels": self.channels(),
            "fallback_hours": self.fallback_hours,
            "tasks_per_day": self.tasks_per_day,
            "commission_bp": int(self.commission_percent * _BASIS_POINTS),
            "commission_cap_fen": None if cap is None else int(cap * _FEN),
            "commission_to": self.commission_to,
        }

    def channels(self) -> tuple[Channel, ...]:
        """Each channel once, in the order chosen."""
        return tuple(Channel(name) for name in dict.fromkeys(self.fallback_channels))

    def wrong_channels(self) -> str:
        """What cannot be meant about the fallback, by name; blank when nothing is wrong."""
        if not set(self.fallback_channels) <= set(FALLBACKS):
            return "unknown"
        is_mute = not set(BY_ACCOUNT) & set(self.fallback_channels)
        return "needs_account" if self.mode is CampaignMode.DIRECT and is_mute else ""


def filled_from_settings(campaign: Campaign) -> dict[str, Any]:
    """The fields that make these settings."""
    cap = campaign.commission_cap_fen
    return {
        "mode": campaign.mode,
        "fallback_channels": campaign.fallback_channels or [""],
        "fallback_hours": str(campaign.fallback_hours),
        "tasks_per_day": str(campaign.tasks_per_day or ""),
        "commission_percent": f"{campaign.commission_bp / _BASIS_POINTS:g}",
        "commission_cap_yuan": "" if cap is None else f"{Decimal(cap) / _FEN:f}",
        "commission_to": campaign.commission_to,
    }
