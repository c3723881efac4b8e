"""Every answer of XQuAD is found in its context, in two languages."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.data.reading_helpers import table
from warmstart.config import DataConfig
from warmstart.data.answers.answer_columns import answer_table
from warmstart.data.answers.answer_places import answer_places
from warmstart.data.answers.contexts import contexts_of


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_answer_is_at_its_offset(shared_data: Callable[[str], Path], language: str) -> None:
    data = DataConfig(train="unused", text="question", text_pair="context")
    file = table(shared_data(f"xquad/xquad.{language}.json"))
    rows, counts = answer_table(file, data, labelled=True)
    assert (len(rows), sum(counts.values())) == (1190, 0)
    contexts = contexts_of(rows, data)
    assert len(contexts.texts) == 240
    found = answer_places(rows, contexts)
    assert found.unit == "characters"
    assert found.repaired == ()
    assert len(found.texts) == 1190
