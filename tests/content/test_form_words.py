"""Whatever is wrong with a campaign form has a sentence."""

from content import form_words
from content.form_words import AUDIENCE_FAULTS, PIECE_FAULTS, AudienceFault
from content.pieces import PieceFault


def test_every_fault_has_words() -> None:
    assert set(AUDIENCE_FAULTS) == set(AudienceFault)
    assert set(PIECE_FAULTS) == set(PieceFault)


def test_fault_says_where_and_how_it_is_right() -> None:
    where = "audience.any[2].not.all[0]"

    said = form_words.audience_fault(where, AudienceFault.MISSING, {"names": "op, value"})

    place = "any 的第 3 项 → not → all 的第 1 项"
    assert said == f"{place}：还缺 op, value，一个条件要写全 fact、op、value 三样。"
