"""Advice for a model that is not clearly better than its baselines; each command is tried."""

import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.report.example_run import example_run
from tests.runs_in_memory import settings
from warmstart import cli, config_file
from warmstart.data.checking.label_messages import Finding
from warmstart.data.checking.language import ENGLISH_ONLY
from warmstart.metrics.scores import Score
from warmstart.preparation.prepare import prepare
from warmstart.report.html import write_report
from warmstart.runs.advice import advice
from warmstart.runs.run_record import EvaluationRecord, RunRecord, read_record
from warmstart.training.train_run import train_run


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> RunRecord:
    return read_record(example_run(tmp_path_factory.mktemp("runs") / "run", rows=64))


def score(value: float) -> Score:
    return Score(value, value - 0.05, value + 0.05, 1500, higher_is_better=True)


def scored(
    record: RunRecord, value: float, details: dict[str, Any] | None = None, **baselines: float
) -> RunRecord:
    rivals = {name.replace("_", "-"): {"accuracy": score(v)} for name, v in baselines.items()}
    found = {"accuracy": score(value)}
    evaluation = EvaluationRecord("test", 1043, "rows", None, found, details or {}, rivals)
    return replace(record, evaluations={"test": evaluation})


def test_a_clear_lead_needs_no_advice(record: RunRecord) -> None:
    assert advice(scored(record, 0.8, tfidf=0.6)) is None
    assert advice(scored(record, 0.8)) is None


def test_an_unfinished_run_gets_none(record: RunRecord) -> None:
    assert advice(replace(scored(record, 0.5, tfidf=0.6), finish={})) is None


def test_one_answer_for_every_row_is_named(record: RunRecord) -> None:
    details = {"labels": ["bad", "good"], "confusion_matrix": [[0, 40], [0, 60]]}
    found = advice(scored(record, 0.6, details, majority=0.6))
    assert found is not None
    assert found.failed
    assert found.reasons[0] == ("The model predicts “good” for every row: it has learned nothing.")
    assert found.settings == ("train.learning_rate=auto", "train.epochs=auto")
    chosen = replace(record, chosen=("train.learning_rate", "train.epochs"))
    again = advice(scored(chosen, 0.6, details, majority=0.6))
    assert again is not None
    assert again.settings == (f"train.seed={record.config.train.seed + 1}",)
    twice = advice(
        scored(replace(chosen, start={**record.start, "attempt": 2}), 0.6, details, majority=0.6)
    )
    assert twice is not None
    assert twice.settings == (f"train.seed={record.config.train.seed + 2}",)


@pytest.mark.parametrize(
    ("minutes", "advised"), [(3.0, "train.budget_minutes=7.2"), (60.0, "train.budget_minutes=144")]
)
def test_a_budget_that_was_too_short_is_named(
    record: RunRecord, minutes: float, advised: str
) -> None:
    train = record.config.train.model_copy(update={"budget_minutes": minutes})
    short = replace(
        record,
        config=record.config.model_copy(update={"train": train}),
        start={**record.start, "steps": 20},
        steps=record.steps[:1] * 10,
        finish={**record.finish, "out_of_time": True},
    )
    found = advice(scored(short, 0.6, tfidf=0.7))
    assert found is not None
    assert found.reasons == ("The budget ended training after 10 of 20 steps.",)
    assert found.settings == (advised,)
    in_time = replace(short, finish={**short.finish, "out_of_time": False})
    other = advice(scored(in_time, 0.6, tfidf=0.7))
    assert other is not None
    assert not any("budget" in setting for setting in other.settings)


def test_a_model_without_any_label_is_named(record: RunRecord) -> None:
    details = {"labels": ["a", "b"], "per_class": [{"f1": 0.0}, {"f1": None}]}
    found = advice(scored(record, 0.0, details, tfidf=0.2))
    assert found is not None
    assert "no label correctly in any row" in found.reasons[0]


def test_a_loss_at_chance_is_named(record: RunRecord) -> None:
    details = {"labels": ["bad", "good"], "confusion_matrix": [[10, 30], [10, 50]]}
    stuck = replace(record, checks=tuple(replace(c, train_loss=0.69) for c in record.checks))
    found = advice(scored(stuck, 0.6, details, majority=0.6))
    assert found is not None
    assert "stayed at 0.690, that of guessing" in found.reasons[0]
    learned = replace(record, checks=tuple(replace(c, train_loss=0.3) for c in record.checks))
    assert not advice(scored(learned, 0.6, details, majority=0.6)).failed  # type: ignore[union-attr]


def test_a_linear_probe_that_is_better_asks_for_a_smaller_rate(record: RunRecord) -> None:
    found = advice(scored(record, 0.5, linear_probe=0.7))
    assert found is not None
    highest = max(step.learning_rate for step in record.steps)
    (setting,) = found.settings
    assert float(setting.removeprefix("train.learning_rate=")) == pytest.approx(highest / 3, 0.2)


def test_a_score_that_still_rose_asks_for_more_epochs(record: RunRecord) -> None:
    checks = (*record.checks[:-1], replace(record.checks[-1], best=True))
    rising = replace(record, checks=checks, start={**record.start, "epochs": 3})
    found = advice(scored(rising, 0.5, tfidf=0.7))
    assert found is not None
    assert found.settings == ("train.epochs=6",)


def test_another_language_is_no_reason_for_an_english_model(record: RunRecord) -> None:
    assert record.findings is not None
    model = record.config.model.model_copy(update={"name": "bundled/minilm-l6"})
    config = record.config.model_copy(update={"model": model})
    falling = (*record.checks[:-1], replace(record.checks[-1], best=False))
    english = replace(record, config=config, checks=falling)
    found = advice(scored(english, 0.5, tfidf=0.7))
    assert found is not None
    assert found.settings[0] == "model.name=google-bert/bert-base-uncased"
    warned = Finding("warning", f"the texts look like Chinese, but the model {ENGLISH_ONLY}")
    chinese = replace(english, findings=replace(record.findings, messages=(warned,)))
    found = advice(scored(chinese, 0.5, tfidf=0.7))
    assert found is not None
    assert found.settings == ()


def test_the_command_that_is_printed_can_be_typed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that learns nothing, and the advice at the end of it."""
    content = settings(tmp_path, epochs=2, learning_rate=1e-9)
    (tmp_path / "config.yaml").write_text(json.dumps(content))
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", "config.yaml", "--output", "run"]) == 0
    printed = capsys.readouterr()
    text = " ".join(line.strip() for line in printed.err.splitlines())
    assert "it has learned nothing. Probably train.learning_rate=1e-09 and train.epochs=2" in text
    (line,) = (line for line in printed.out.splitlines() if line.startswith("next "))
    words = shlex.split(line.removeprefix("next "))
    assert cli.main([*words[1:], "--dry-run"]) == 0
    page = (tmp_path / "run" / "report.html").read_text()
    assert "it has learned nothing" in page
    assert "--set train.learning_rate=auto" in page


def test_a_finished_run_knows_what_was_chosen(tmp_path: Path) -> None:
    content = settings(tmp_path, epochs=1, head_start="auto")
    del content["train"]["learning_rate"]
    train_run(prepare(config_file.load(content)), tmp_path / "run")
    assert read_record(tmp_path / "run").chosen == (
        "model.pooling",
        "train.learning_rate",
        "train.head_start",
    )
    page = write_report(tmp_path / "run").read_text()
    assert "Chosen for this model and these rows: <code>model.pooling</code>, <code>" in page
