"""Windows of questions with their contexts: no token is lost, and every answer is at its place."""

import unicodedata
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from transformers import AutoTokenizer

from tests.tiny import ARCHITECTURES, tiny_checkpoint
from warmstart.config import DataConfig
from warmstart.data.answers.answer_columns import REFERENCE_TYPE, REFERENCES
from warmstart.data.answers.answer_places import answer_places
from warmstart.data.answers.contexts import Contexts, contexts_of
from warmstart.data.answers.question_windows import EncodedQuestions, encode_questions
from warmstart.data.examples import long_texts
from warmstart.data.examples.targets import NO_LABEL
from warmstart.data.table import SourceFile, Table
from warmstart.errors import ConfigError

WORDS = "the cat saw my red house and her story was very old when we read it".split()
LONG = " ".join(WORDS[n % len(WORDS)] for n in range(120))
ASKED = "where was John?"


@pytest.fixture(scope="module", params=ARCHITECTURES)
def tokenizer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp(request.param)
    tiny_checkpoint(folder, request.param)
    return AutoTokenizer.from_pretrained(folder)


def table_of(*rows: tuple[str, str, list[str]]) -> Table:
    """Rows of question, context and answers; each answer is at its last place in the context."""
    answers = [
        [{"text": text, "start": context.rindex(text)} for text in found]
        for _, context, found in rows
    ]
    columns = pa.table(
        {
            "question": [question for question, _, _ in rows],
            "context": [context for _, context, _ in rows],
            REFERENCES: pa.array(answers, REFERENCE_TYPE),
        }
    )
    count = len(rows)
    files = (SourceFile("a", "", None, count),)
    return Table(columns, np.arange(count), files, np.zeros(count, np.int32), np.arange(count))


def encoded(
    tokenizer: Any, table: Table, max_tokens: int = 40, overlap: int | None = None
) -> EncodedQuestions:
    data = DataConfig(train="x", text="question", text_pair="context", overlap_tokens=overlap)
    places = answer_places(table, contexts_of(table, data))
    return encode_questions(table, data, places, tokenizer, max_tokens)


def spans(found: EncodedQuestions, window: int) -> list[tuple[int, int]]:
    """Start and end in the context of every context token of a window."""
    windows, source = found.targets.windows, found.targets.source
    own = slice(windows.first[window], windows.first[window] + windows.counts[window])
    return list(zip(source.starts[own].tolist(), source.ends[own].tolist(), strict=True))


def test_a_short_row_is_what_transformers_makes_of_the_pair(tokenizer: Any) -> None:
    rows = [(ASKED, "John was in the red house.", ["red house"]), ("who?", LONG[:60], [])]
    found = encoded(tokenizer, table_of(*rows), max_tokens=64)
    for window, (question, context, _) in enumerate(rows):
        expected = tokenizer(question, context, return_token_type_ids=True)
        assert found.tokens.ids_of(window).tolist() == expected["input_ids"]
        if found.tokens.token_type_ids is not None:
            own = slice(*found.tokens.offsets[window : window + 2])
            assert found.tokens.token_type_ids[own].tolist() == expected["token_type_ids"]
        sides = expected.sequence_ids()
        windows = found.targets.windows
        assert windows.begins[window] == sides.index(1)
        assert windows.counts[window] == sides.count(1)
    assert found.notes() == ()


def test_every_context_token_is_in_a_window_and_the_overlap_is_shared(tokenizer: Any) -> None:
    found = encoded(tokenizer, table_of((ASKED, LONG, ["old"])), overlap=6)
    windows = found.targets.windows
    assert len(found.tokens) > 3
    assert (found.tokens.lengths <= 40).all()
    assert not found.tokens.truncated.any()
    assert windows.first[0] == 0
    ends = windows.first + windows.counts
    assert ends[-1] == len(found.targets.source.starts)
    assert (ends[:-1] - windows.first[1:] == 6).all()
    assert (found.tokens.rows == 0).all()
    whole = len(tokenizer(ASKED, LONG)["input_ids"])
    assert found.targets.document_lengths(found.tokens).tolist() == [whole]
    assert "1 of 1 question has a context that does not fit into one window" in found.notes()[0]


def test_targets_are_the_tokens_of_the_answer(tokenizer: Any) -> None:
    answers = ["old", "very old when we read", "read it"]
    rows = [(ASKED, LONG, [answer]) for answer in answers]
    found = encoded(tokenizer, table_of(*rows), overlap=12)
    seen = set()
    for window, (first, last) in enumerate(found.targets.values.tolist()):
        question = int(found.targets.windows.questions[window])
        start = LONG.rindex(answers[question])
        inside = spans(found, window)
        if (first, last) == (0, 0):
            fits = inside[0][0] <= start and inside[-1][1] >= start + len(answers[question])
            assert not fits
            continue
        seen.add(question)
        begins = int(found.targets.windows.begins[window])
        assert inside[first - begins][0] == start
        assert inside[last - begins][1] == start + len(answers[question])
    assert seen == {0, 1, 2}
    assert found.lost == 0


def test_an_answer_longer_than_the_overlap_may_be_lost_and_is_counted(tokenizer: Any) -> None:
    found = encoded(tokenizer, table_of((ASKED, LONG, [LONG[10:-10]])), overlap=4)
    assert found.lost == 1
    assert not found.targets.values.any()
    assert "1 answer longer than the overlap" in found.notes()[1]


def test_a_question_without_an_answer_has_the_first_token_as_target(tokenizer: Any) -> None:
    found = encoded(tokenizer, table_of((ASKED, LONG, [])))
    assert not found.targets.values.any()
    assert found.lost == 0
    data = DataConfig(train="x", text="question", text_pair="context")
    bare = encode_questions(table_of((ASKED, LONG, [])), data, None, tokenizer, 40)
    assert (bare.targets.values == NO_LABEL).all()


def test_a_long_question_is_cut_and_counted(tokenizer: Any) -> None:
    found = encoded(tokenizer, table_of((LONG, "my red house", ["red"])))
    assert found.cut == 1
    assert found.tokens.truncated.all()
    assert (found.tokens.lengths <= 40).all()
    assert "1 question longer than half" in found.notes()[-1]
    assert (found.targets.values > 0).all()


def test_a_context_is_tokenised_once(tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [(f"question {n}?", LONG if n % 2 else "my cat", ["cat"]) for n in range(6)]
    found = encoded(tokenizer, table_of(*rows))
    assert len(found.targets.source.contexts.texts) == 2
    single = encoded(tokenizer, table_of(rows[3]))
    of_row = found.tokens.rows == 3
    one = [found.tokens.ids_of(int(w)).tolist() for w in np.flatnonzero(of_row)]
    assert one == [single.tokens.ids_of(w).tolist() for w in range(len(single.tokens))]


def test_a_long_context_is_tokenised_in_pieces(
    tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = encoded(tokenizer, table_of((ASKED, LONG, ["old"])))
    monkeypatch.setattr(long_texts, "PIECE", 20)
    found = encoded(tokenizer, table_of((ASKED, LONG, ["old"])))
    assert (found.tokens.input_ids == whole.tokens.input_ids).all()
    assert (found.targets.source.starts == whole.targets.source.starts).all()
    assert (found.targets.source.ends == whole.targets.source.ends).all()


@pytest.mark.parametrize("context", [" \n ", "\u200b"])
def test_a_context_without_tokens_has_an_empty_window(tokenizer: Any, context: str) -> None:
    found = encoded(tokenizer, table_of((ASKED, context, [])))
    assert len(found.tokens) == 1


def test_offsets_count_characters_without_white_space(tokenizer: Any) -> None:
    context = "  my  São Paulo 😀 house\n"
    found = encoded(tokenizer, table_of((ASKED, context, ["house"])))
    places = spans(found, 0)
    text = "".join(context[start:end] for start, end in dict.fromkeys(places))
    assert text == "".join(context.split())


def test_normalised_contexts_keep_their_offsets(tokenizer: Any) -> None:
    context = unicodedata.normalize("NFD", "São Paulo red house")
    found = encoded(tokenizer, table_of((ASKED, context, ["red house"])))
    first, last = found.targets.values[0] - found.targets.windows.begins[0]
    places = spans(found, 0)
    assert context[places[first][0] : places[last][1]] == "red house"


def test_windows_that_are_too_short_are_refused(tokenizer: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        encoded(tokenizer, table_of((ASKED, LONG, ["old"])), max_tokens=10)
    assert "model.max_tokens is 10" in caught.value.found
    assert caught.value.expected.startswith("at least ")
    encoded(tokenizer, table_of((ASKED, LONG, ["old"])), int(caught.value.expected.split()[-1]))
    with pytest.raises(ConfigError) as caught:
        encoded(tokenizer, table_of((ASKED, LONG, ["old"])), overlap=39)
    assert "data.overlap_tokens" in str(caught.value)


def test_contexts_keep_the_order_of_their_first_rows() -> None:
    column = pa.chunked_array([["b", "a", "b"], ["a", "c"]])
    found = Contexts.of(column)
    assert found.texts.to_pylist() == ["b", "a", "c"]
    assert found.of_row.tolist() == [0, 1, 0, 1, 2]
    assert list(found) == ["b", "a", "b", "a", "c"]
