"""Understanding, measured on sentences that it has never seen."""

import numpy as np
import pytest
from click.testing import CliRunner

from bot import sentences, understanding
from content import exemplars
from content.keywords import normal
from content.phrases import Intent
from tests.understanding import measure
from web.cli import main

_SAID = measure.utterances("utterances")


def _plain(texts: list[str]) -> set[str]:
    return {normal(text) or text for text in texts}


def test_labelled_set_is_large_mixed_and_rightly_labelled() -> None:
    kinds = {one.kind for one in _SAID}
    labels = {label for one in _SAID for label in one.intents}

    assert len(_plain([one.text for one in _SAID])) == len(_SAID) >= 400
    assert kinds == {
        *("plain", "typo", "dialect", "pinyin", "traditional", "emoji", "two", "chatty"),
        *("off_topic", "hostile", "injection"),
    }
    answers = {Intent.CONFIRM, Intent.CANCEL}
    assert labels == {*Intent, measure.OUT_OF_SCOPE} - answers


def test_labelled_set_shares_no_sentence_with_what_was_learnt_from() -> None:
    known = _plain([one.text for one in exemplars.load()])
    tuned_on = _plain([one.text for one in measure.utterances("development")])

    measured = _plain([one.text for one in _SAID])

    assert measured & known == set()
    assert measured & tuned_on == set()


def test_sentences_are_understood() -> None:
    judgements = measure.judged(_SAID)

    figures = measure.figures(judgements)
    print(f"\n{measure.table(judgements)}\n{figures}")  # noqa: T201 -- the confusions are asked for
    assert figures.right_of_answered >= 0.97
    assert figures.handed <= 0.08


def test_vectors_on_file_are_those_of_the_exemplars() -> None:
    texts = [exemplar.text for exemplar in exemplars.load()]
    some = texts[::100]

    assert sentences.not_on_file(texts) == []
    cosines = (sentences.kept_vectors(some) * sentences.vectors(some)).sum(axis=1)
    assert np.all(cosines > 0.99)


def test_two_wishes_at_once_are_both_offered() -> None:
    found = understanding.understand("查一下快递，顺便看看积分")

    assert (found.intent, found.choices) == (None, (Intent.ORDERS, Intent.POINTS))


def test_only_wishes_are_offered_to_tap() -> None:
    offered = {wish for one in _SAID for wish in understanding.understand(one.text).choices}

    assert len(offered) > 5
    assert offered & {Intent.GREETING, Intent.THANKS, Intent.CANCEL, Intent.HELP} == set()


def test_wish_that_the_words_deny_is_not_offered_beside_another() -> None:
    assert understanding.understand("别给我退订少发几条").intent is Intent.PREFERENCES


def test_courtesy_before_a_wish_is_no_second_wish() -> None:
    assert understanding.understand("你好，我的快递到哪了，谢谢").intent is Intent.ORDERS


@pytest.mark.parametrize(
    ("text", "intent"),
    [
        *(("别给我退订", Intent.CANCEL), ("我不想退订", Intent.CANCEL)),
        *(("不要取消", Intent.CANCEL), ("唔好幫我退訂", Intent.CANCEL)),
        *(("不要暂停发送", Intent.CANCEL), ("不要恢复接收", Intent.CANCEL)),
        *(("不用转人工，我自己看", Intent.CANCEL), ("wo bu xiang tuiding", Intent.CANCEL)),
        *(("我没说要退订啊", Intent.RESUME), ("不要退订，查一下积分", Intent.POINTS)),
    ],
)
def test_what_is_denied_is_not_offered(text: str, intent: Intent) -> None:
    assert understanding.understand(text).intent is intent


@pytest.mark.parametrize(
    ("text", "intent"),
    [
        *(("我早就退订了呀", Intent.PREFERENCES), ("退订成功了吗", Intent.PREFERENCES)),
        *(("我回复TD了", Intent.PREFERENCES), ("昨天退订了，帮我查一下积分", Intent.POINTS)),
        *(("之前退订了，现在又想订回来", Intent.RESUME), ("帮我取消之前的退订", Intent.RESUME)),
        *(("没让你们停发消息", Intent.RESUME), ("先不退订", Intent.CANCEL)),
    ],
)
def test_stop_that_is_told_of_is_not_asked_for_again(text: str, intent: Intent) -> None:
    assert understanding.understand(text).intent is intent


@pytest.mark.parametrize(
    ("text", "intent"),
    [
        *(("以后甭给我发消息了", Intent.STOP), ("请不要给我继续推送", Intent.STOP)),
        *(("退订了好几次了还给我发", Intent.STOP), ("已经退订了又给我发", Intent.STOP)),
        *(("这几天不要给我发消息", Intent.PAUSE), ("别停，继续给我发消息", Intent.RESUME)),
    ],
)
def test_who_wants_nothing_sent_is_not_asked_to_have_it_back(text: str, intent: Intent) -> None:
    assert understanding.understand(text).intent is intent


@pytest.mark.parametrize(
    "text", ["怎么还不给我退订", "我不想取消关注，别发消息了", "要不要退订呢烦死了别发了"]
)
def test_stop_in_a_sentence_with_another_no_is_still_a_stop(text: str) -> None:
    found = understanding.understand(text)

    assert Intent.STOP in {found.intent, *found.choices}


@pytest.mark.parametrize("text", ["12315等着瞧吧", "咱们12315见", "那就工商局见吧"])
def test_threat_with_an_office_is_a_complaint(text: str) -> None:
    assert understanding.understand(text).intent is Intent.FEEDBACK


@pytest.mark.parametrize("text", ["12345", "A1231500", "明天见"])
def test_mere_number_or_farewell_is_no_complaint(text: str) -> None:
    assert understanding.understand(text).intent is None


@pytest.mark.parametrize("text", ["", " ", "\0", "😀" * 300, "积分" * 5000, "a" * 20000, "\u202e"])
def test_odd_text_is_no_fault(text: str) -> None:
    assert isinstance(understanding.understand(text), understanding.Understood)


def test_command_prints_intent_score_and_runner_up() -> None:
    told = [
        CliRunner().invoke(main, ["understand", words]).output
        for words in ("积分还剩几多呀", "积分", "快递和积分", "给我讲讲昨晚的球赛")
    ]

    assert told[0].startswith("points  score 1.")
    assert "runner-up points_shop" in told[0]
    assert told[1] == "points  score 1.00\n"
    assert told[2].startswith("asks which of: orders, points")
    assert told[3].startswith("nothing that is done here")
