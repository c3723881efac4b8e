"""The verdict claims no more than the intervals allow."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.report.example_run import example_run
from warmstart.config import DataConfig
from warmstart.data.checking.duplicates import Repeats
from warmstart.metrics.scores import Score
from warmstart.runs import words
from warmstart.runs.run_record import EvaluationRecord, RunRecord, read_record
from warmstart.tasks.text_ranking import TextRanking


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> RunRecord:
    return read_record(example_run(tmp_path_factory.mktemp("runs") / "run", rows=64))


def score(value: float | None, spread: float | None = 0.05, *, higher: bool = True) -> Score:
    if value is None or spread is None:
        return Score(value, None, None, 1500, higher)
    return Score(value, value - spread, value + spread, 1500, higher)


def verdict(record: RunRecord, model: Score, metric: str = "accuracy", **baselines: Score) -> str:
    beside = {name: {metric: found} for name, found in baselines.items()}
    evaluation = EvaluationRecord("test", 1043, "rows", None, {metric: model}, {}, beside)
    return words.verdict(replace(record, evaluations={"test": evaluation}))


def test_a_score_counts_what_its_task_scores(record: RunRecord) -> None:
    """A ranking has more rows than queries, and its scores are means over queries."""
    found = EvaluationRecord("test", 1043, "queries", None, {"map": score(0.5)}, {}, {})
    data = DataConfig(train="a.csv", text_pair="document")
    task = TextRanking(data, "query", "binary-cross-entropy")
    said = words.verdict(replace(record, task=task, evaluations={"test": found}))
    assert said.startswith("On 1,500 test queries the model reaches a MAP of 0.50")


def test_a_clear_lead(record: RunRecord) -> None:
    said = verdict(record, score(0.43, 0.08), majority=score(0.0, 0.0), tfidf=score(0.06, 0.03))
    assert said == (
        "On 1,500 test rows the model reaches an accuracy of 0.43 [0.35, 0.51]; TF-IDF with "
        "logistic regression reaches 0.06 [0.03, 0.09] and the majority class reaches 0. The model "
        "is clearly ahead of TF-IDF with logistic regression: their 95 % intervals do not overlap."
    )


@pytest.mark.parametrize(
    ("rows", "end"),
    [
        (
            1,
            " 1 of 516 test rows has the same text as a training row, so the score may be too ",
        ),
        (64, " 64 of 516 test rows have the same text as a training row, so the score may be too "),
    ],
)
@pytest.mark.parametrize("baselines", [{}, {"majority": Score(0.1, 0.0, 0.2, 1500, True)}])
def test_texts_of_training_in_the_scored_split_are_named(
    record: RunRecord, rows: int, end: str, baselines: dict[str, Score]
) -> None:
    assert record.findings is not None
    places = (("a.csv:2", "b.csv:3"),)
    among = [
        Repeats("validation", "train", 7, 0, places, ()),
        Repeats("test", "validation", 8, 0, places, ()),
        Repeats("test", "test", 9, 0, places, ()),
    ]
    plain = replace(record, findings=replace(record.findings, repeats=tuple(among)))
    assert "same text" not in verdict(plain, score(0.5), **baselines)
    leak = Repeats("test", "train", rows, 0, places, ())
    found = replace(record, findings=replace(record.findings, repeats=(*among, leak)))
    assert verdict(found, score(0.5), **baselines).startswith(
        verdict(plain, score(0.5), **baselines) + end
    )


@pytest.mark.parametrize(
    ("model", "baseline", "says"),
    [
        (score(0.50), score(0.45), "intervals overlap"),
        (score(0.50), score(0.50), "not better than the majority class"),
        (score(0.40), score(0.45), "not better than the majority class"),
        (score(0.60), score(0.75), "clearly behind the majority class"),
        (score(0.50), score(0.89), "far behind the majority class"),
        (score(0.50, None), score(0.40), "this may be due to chance"),
        (score(0.50), score(None), "cannot be compared"),
        (score(None), score(0.40), "no defined"),
        (score(0.30, higher=False), score(0.60, higher=False), "clearly ahead"),
        (score(0.60, higher=False), score(0.55, higher=False), "not better"),
        (score(0.60, higher=False), score(0.30, higher=False), "far behind"),
    ],
)
def test_what_is_said_of_a_doubtful_lead(
    record: RunRecord, model: Score, baseline: Score, says: str
) -> None:
    said = verdict(record, model, majority=baseline)
    assert says in said
    assert "reaches an undefined" not in said


def test_the_strongest_baseline_is_the_one_to_beat(record: RunRecord) -> None:
    said = verdict(record, score(0.5), majority=score(0.6), tfidf=score(0.1))
    assert "not better than the majority class" in said


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_any_number_has_a_short_form(value: float) -> None:
    assert 1 <= len(words.number(value)) <= 420
    assert "nan" not in words.number(value)
    assert "nan" not in words.decimals(value)


@given(st.floats(1e-9, 1e9))
def test_a_number_keeps_three_digits(value: float) -> None:
    assert float(words.number(value).replace(",", "")) == pytest.approx(value, rel=5e-3)


@pytest.mark.parametrize(
    ("seconds", "text"), [(59.96, "1 min 00 s"), (3599.7, "1 h 00 min"), (None, words.DASH)]
)
def test_durations_carry_over(seconds: float | None, text: str) -> None:
    assert words.duration(seconds) == text


def test_large_scores_are_short() -> None:
    assert words.decimals(-23607819478.4) == "−2.361e10"
    assert words.decimals(123456.7) == "123,457"
