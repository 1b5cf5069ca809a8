"""Whatever the console may have to name, it has a word for."""

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from guide_tasks import audience_facts
from store.campaigns import CampaignMode, CampaignState, CommissionTo, TaskState
from web.console.forms import CATEGORIES, Preset
from web.console.settings import FALLBACKS
from web.pages import make_templates

TEMPLATE = "console/_words.html"


@pytest.fixture(scope="module")
def words() -> Any:
    """The template of words as a module."""
    return make_templates(ZoneInfo("Asia/Shanghai")).get_template(TEMPLATE).module


@pytest.mark.parametrize(
    ("table", "names"),
    [
        ("CAMPAIGN_STATES", set(CampaignState)),
        ("TASK_STATES", set(TaskState)),
        ("PRESETS", set(Preset)),
        ("CHANNELS", set(FALLBACKS)),
        ("MODES", set(CampaignMode)),
        ("COMMISSION_TO", set(CommissionTo)),
    ],
)
def test_table_of_words_is_complete(words: Any, table: str, names: set[str]) -> None:
    assert set(getattr(words, table)) == names


def test_every_category_of_a_campaign_has_a_word(words: Any) -> None:
    assert set(CATEGORIES) <= set(words.CATEGORIES)


@pytest.mark.parametrize(
    "fact", [*audience_facts.NUMBERS, *audience_facts.DAYS, *audience_facts.SCORES]
)
def test_every_number_of_an_audience_has_a_word(words: Any, fact: str) -> None:
    sentence = words.sentence({"fact": fact, "op": ">=", "value": 3}, {})

    assert fact not in sentence


@pytest.mark.parametrize("fact", [*audience_facts.CLAIMS, *audience_facts.WORDS])
def test_every_claim_and_list_of_an_audience_has_a_word(words: Any, fact: str) -> None:
    value = True if fact in audience_facts.CLAIMS else ["x"]

    sentence = words.sentence({"fact": fact, "op": "=", "value": value}, {})

    assert fact not in sentence


def test_tree_reads_as_a_sentence(words: Any) -> None:
    either = {
        "any": [
            {"fact": "level", "op": "in", "value": ["gold"]},
            {"fact": "spent_365_fen", "op": ">=", "value": 100_000},
        ]
    }
    tree = {"all": [{"fact": "recency_days", "op": "<=", "value": 30}, either]}

    sentence = words.sentence(tree, {"gold": "金卡"})

    assert sentence == "最近 30 天内来过，并且（等级是「金卡」，或者近一年消费至少 1,000 元）"
