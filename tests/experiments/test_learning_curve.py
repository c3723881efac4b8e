"""``learning-curve``: the same validation and test rows, more and more training rows."""

import json
from pathlib import Path
from typing import Any

import pytest

import warmstart
from tests.runs_in_memory import settings, write_reviews
from warmstart.preparation.row_ids import ids_of_ranges

METRIC = "matthews_correlation"


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The settings of a small run with a test split."""
    folder: Path = tmp_path_factory.mktemp("curve")
    found = settings(folder, epochs=3, learning_rate=1e-2)
    found["data"]["test"] = str(write_reviews(folder / "test.csv", rows=40, seed=9))
    return found


@pytest.fixture(scope="module")
def found(config: dict[str, Any]) -> warmstart.Experiment:
    """Two shares of 95 training rows."""
    folder = Path(config["data"]["train"]).parent
    return warmstart.learning_curve(config, shares=[1, 0.4], output=folder / "out", progress=False)


def ids(run: warmstart.Run, split: str) -> set[int]:
    content = json.loads((run.path / "data.json").read_text())["splits"][split]["rows"]
    return set(range(40)) if content == "all" else set(ids_of_ranges(content).tolist())


def test_larger_samples_contain_smaller_ones_and_held_out_rows_stay(
    found: warmstart.Experiment,
) -> None:
    small, large = found.runs
    assert [run.path.name for run in found.runs] == ["rows-38", "rows-95"]
    assert len(ids(small, "train")) == 38
    assert ids(small, "train") < ids(large, "train")
    assert ids(small, "validation") == ids(large, "validation")
    assert ids(small, "test") == ids(large, "test")


def test_the_curve_has_the_scores_of_the_runs_and_their_baselines(
    found: warmstart.Experiment,
) -> None:
    curve = found.results["curve"]
    assert [point["rows"] for point in curve] == [38, 95]
    for point, run in zip(curve, found.runs, strict=True):
        assert point["scores"]["test"][METRIC]["mean"] == run.scores["test"][METRIC]["value"]
        tfidf = point["baselines"]["test"]["tfidf"][METRIC]
        assert tfidf["value"] == run.baselines["tfidf"]["test"][METRIC]["value"]
    first, last = (point["scores"]["test"][METRIC] for point in curve)
    margin = (last["high"] - last["low"]) / 4
    helps = last["mean"] - first["mean"] > margin
    assert ("rows would probably help." in found.results["sentences"][1]) == helps
    assert "Learning curve" in found.report.read_text(encoding="utf-8")


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "one share": ({"shares": [0.5]}, "at least two"),
    "a share above 1": ({"shares": [0.5, 2]}, "up to 1"),
    "no rows": ({"shares": [0.001, 1]}, "at least one row"),
    "a limit": ({"overrides": ["data.limit=50"]}, "data.limit=null"),
}


@pytest.mark.parametrize("name", BAD)
def test_faults_are_found_before_anything_is_written(
    tmp_path: Path, config: dict[str, Any], name: str
) -> None:
    options, message = BAD[name]
    with pytest.raises(warmstart.WarmstartError) as problem:
        warmstart.learning_curve(config, output=tmp_path / "out", progress=False, **options)
    assert message in str(problem.value)
    assert not (tmp_path / "out").exists()
