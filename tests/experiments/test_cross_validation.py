"""``cross-validate``: every row is held out once, and all predictions are scored together."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import warmstart
from tests.quick import slow_except
from tests.runs_in_memory import (
    number_settings,
    ranking_settings,
    settings,
    tagging_settings,
    topic_settings,
    write_reviews,
    writing_settings,
)
from warmstart.experiments import out_of_fold
from warmstart.experiments.experiment_page import score_pictures
from warmstart.metrics.classification_metrics import classification_scores
from warmstart.metrics.intervals import UnitSums
from warmstart.preparation.row_ids import ids_of_ranges
from warmstart.report.svg import drawing
from warmstart.runs.run_record import read_record

SPLIT = "out of fold"
METRIC = "matthews_correlation"


def made(folder: Path, config: dict[str, Any], **options: Any) -> warmstart.Experiment:
    """A cross-validation with two folds."""
    options = {"folds": 2, "progress": False, "output": folder / "cv", **options}
    return warmstart.cross_validate(config, **options)


def row_ids(run: warmstart.Run) -> dict[str, list[int]]:
    """The row ids of each split of a run."""
    content = json.loads((run.path / "data.json").read_text())
    return {name: ids_of_ranges(s["rows"]).tolist() for name, s in content["splits"].items()}


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The settings of a small run with groups and a test file."""
    folder: Path = tmp_path_factory.mktemp("folds")
    found = settings(folder, epochs=3, learning_rate=1e-2)
    data = Path(found["data"]["train"])
    lines = data.read_text().splitlines()
    grouped = [f"{line},g{number // 3}" for number, line in enumerate(lines[1:])]
    data.write_text("\n".join([f"{lines[0]},person", *grouped]) + "\n")
    found["data"]["test"] = str(write_reviews(folder / "test.csv", rows=30, seed=9))
    return found


@pytest.fixture(scope="module")
def found(config: dict[str, Any]) -> warmstart.Experiment:
    """Three folds."""
    return made(Path(config["data"]["train"]).parent, config, folds=3)


def test_every_row_is_held_out_once_and_never_seen_in_training(
    found: warmstart.Experiment,
) -> None:
    held_out: Counter[int] = Counter()
    for run in found.runs:
        ids = row_ids(run)
        held_out.update(ids["test"])
        everything = [*ids["train"], *ids["validation"], *ids["test"]]
        assert sorted(everything) == list(range(120))
        assert 38 <= len(ids["test"]) <= 42
        assert len(ids["validation"]) == pytest.approx(0.2 * 80, abs=2)
    assert held_out == Counter(range(120))


def test_folds_keep_the_shares_of_the_labels(found: warmstart.Experiment) -> None:
    shares = []
    for run in found.runs:
        rows = pq.read_table(run.path / "evaluation" / "test" / "predictions.parquet")
        shares.append(rows["label"].to_pylist().count("good") / len(rows))
    assert max(shares) - min(shares) < 0.05


def test_the_pooled_score_is_that_of_all_predictions(found: warmstart.Experiment) -> None:
    rows = pq.read_table(found.path / "predictions.parquet")
    assert sorted(rows["row"].to_pylist()) == list(range(120))
    assert set(rows["trial"].to_pylist()) == {"fold-1", "fold-2", "fold-3"}
    names = ["bad", "good"]
    shares = np.column_stack([rows[f"probability:{name}"].to_numpy() for name in names])
    targets = np.array([names.index(label) for label in rows["label"].to_pylist()])
    expected = classification_scores(shares, targets, names, intervals=False).metrics
    assert found.scores.keys() == {SPLIT}
    for name, score in found.scores[SPLIT].items():
        assert score["n"] == 120
        if name == "roc_auc":  # compares rows of one fold only: models differ between folds
            assert score["smallest"] <= score["mean"] <= score["largest"]
        else:
            assert score["mean"] == pytest.approx(expected[name].value), name
        assert score["low"] <= score["mean"] <= score["high"]
    folds = [run.scores["test"]["accuracy"]["value"] for run in found.runs]
    accuracy = found.scores[SPLIT]["accuracy"]
    assert (accuracy["smallest"], accuracy["largest"]) == (min(folds), max(folds))


def test_baselines_are_pooled_over_the_same_rows(found: warmstart.Experiment) -> None:
    baselines = found.results["baselines"][SPLIT]
    assert baselines.keys() >= {"majority", "tfidf"}
    assert all(score["n"] == 120 for scores in baselines.values() for score in scores.values())


def test_the_figure_has_every_fold_and_the_strongest_baseline(found: warmstart.Experiment) -> None:
    records = {run.path.name: read_record(run.path) for run in found.runs}
    for metric, strongest in ((METRIC, max), ("log_loss", min)):
        content = {**found.results, "metric": metric}
        with drawing():
            picture = score_pictures(content, records, "fold", scored="test")[0]
        (axes,) = picture.figure.axes
        lines = {line.get_label(): list(line.get_xdata()) for line in axes.lines}
        assert lines["one fold"] == [run.scores["test"][metric]["value"] for run in found.runs]
        values = {
            {"majority": "majority class", "tfidf": "TF-IDF"}[name]: scores[metric]["value"]
            for name, scores in content["baselines"][SPLIT].items()
        }
        name = strongest(values, key=lambda one: values[one])
        assert lines[name][0] == values[name]
        assert not lines.keys() & (values.keys() - {name})
    assert "one fold" in (found.path / "experiment.html").read_text(encoding="utf-8")


def test_a_fold_with_one_evaluation_is_in_the_figure_of_curves(found: warmstart.Experiment) -> None:
    """The first evaluation may be missing: not every head starts as a linear probe."""
    records = {run.path.name: read_record(run.path) for run in found.runs}
    records["fold-2"] = replace(records["fold-2"], checks=records["fold-2"].checks[-1:])
    with drawing():
        picture = score_pictures(found.results, records, "fold", scored="test")[1]
    *folds, mean = (list(line.get_xdata()) for line in picture.figure.axes[0].lines)
    assert [len(epochs) for epochs in folds] == [3, 1, 3]
    assert mean == folds[1]


def test_the_test_file_stays_untouched(found: warmstart.Experiment) -> None:
    for run in found.runs:
        assert run.config.data.test is None
    assert "data.test was not used" in " ".join(found.results["sentences"])
    assert not (found.path / "best").exists()


def test_a_group_is_in_one_fold_and_is_resampled_as_a_whole(
    tmp_path: Path,
    config: dict[str, Any],
    found: warmstart.Experiment,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    grouped = made(tmp_path, config, folds=3, group="person")
    for run in grouped.runs:
        ids = row_ids(run)
        groups = {name: {number // 3 for number in rows} for name, rows in ids.items()}
        assert not groups["test"] & (groups["train"] | groups["validation"])
    assert "over groups of person" in grouped.results["sentences"][0]
    assert "over rows" in found.results["sentences"][0]
    sizes: list[int] = []

    def noted(_metrics: Any, sums: UnitSums) -> dict[str, Any]:
        sizes.append(len(sums.values))
        return {}

    monkeypatch.setattr(out_of_fold, "scores_of_sums", noted)
    out_of_fold.out_of_fold_scores([[read_record(run.path) for run in grouped.runs]])
    assert sizes == [40, 40]  # the baselines too


@pytest.mark.slow
def test_repeats_divide_the_rows_in_another_way(tmp_path: Path, config: dict[str, Any]) -> None:
    changed = {**config, "train": {**config["train"], "epochs": 1}}
    twice = made(tmp_path, changed, repeats=2)
    names = [run.path.name for run in twice.runs]
    assert names == ["1-fold-1", "1-fold-2", "2-fold-1", "2-fold-2"]
    held_out = [row_ids(run)["test"] for run in twice.runs]
    assert held_out[0] not in held_out[2:]
    assert sorted(held_out[2] + held_out[3]) == list(range(120))
    assert twice.scores[SPLIT]["accuracy"]["runs"] == 2
    assert len(pq.read_table(twice.path / "predictions.parquet")) == 240


OTHERS = {
    "numbers": number_settings,
    "rankings": ranking_settings,
    "tags": tagging_settings,
    "topics": topic_settings,
    "writing": writing_settings,
}


@pytest.mark.parametrize("name", slow_except(OTHERS, "tags"))
def test_every_kind_of_task_can_be_cross_validated(tmp_path: Path, name: str) -> None:
    found = made(tmp_path, OTHERS[name](tmp_path, epochs=1))
    scores = found.scores[SPLIT]
    first = next(iter(scores.values()))
    assert first["n"] > 0
    rows = [row_ids(run)["test"] for run in found.runs]
    assert not set(rows[0]) & set(rows[1])
    known = [score for score in scores.values() if score["mean"] is not None]
    assert known
    for score in known:
        assert score["low"] <= score["mean"] <= score["high"]


def test_a_sample_of_the_rows_is_divided(tmp_path: Path, config: dict[str, Any]) -> None:
    limited = {**config, "data": {**config["data"], "limit": 60}}
    limited["train"] = {**config["train"], "epochs": 1}
    found = made(tmp_path, limited)
    assert found.scores[SPLIT]["accuracy"]["n"] == 60


BAD: dict[str, tuple[dict[str, Any], str, str]] = {
    "one fold": ({"folds": 1}, "--folds 1", "--folds 5"),
    "no repeat": ({"repeats": 0}, "--repeats 0", "--repeats 1"),
    "more folds than rows of a label": ({"folds": 60}, "only 49 rows", "--folds 49"),
    "more folds than groups": ({"folds": 45, "group": "person"}, "40 groups", "--folds 40"),
    "no such column": ({"group": "persons"}, "persons", "data.group"),
}


@pytest.mark.parametrize("name", BAD)
def test_options_that_do_not_fit_the_rows_are_refused_before_anything_is_written(
    tmp_path: Path, config: dict[str, Any], name: str
) -> None:
    options, message, advice = BAD[name]
    with pytest.raises(warmstart.WarmstartError) as problem:
        made(tmp_path, config, **options)
    assert message in str(problem.value)
    assert advice in str(problem.value)
    assert not (tmp_path / "cv").exists()
