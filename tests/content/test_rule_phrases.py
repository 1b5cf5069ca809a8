"""Every silence of the gate can be said in Chinese."""

from content.rule_phrases import CAUSE_PHRASES, rule_phrase
from fatigue.default_rules import BROADCAST_RULES
from fatigue.gate import Cause
from fatigue.policies import DEFAULT_RULES
from fatigue.rules import REASONS


def test_every_rule_and_reason_has_words_of_its_own() -> None:
    rules = [*DEFAULT_RULES, *BROADCAST_RULES.values()]
    names = {rule.name for rule in rules} | REASONS

    wordless = {name for name in names if rule_phrase(name) == name}

    assert wordless == set()


def test_rule_of_the_house_keeps_its_name() -> None:
    assert rule_phrase("新店开业期") == "新店开业期"


def test_silence_without_a_rule_says_so() -> None:
    assert rule_phrase("") == "原因没有记录"


def test_every_cause_of_a_silence_has_words() -> None:
    assert CAUSE_PHRASES.keys() == {cause.value for cause in Cause}
