"""What follows from all trials: a run on all rows, and the export of the model that is chosen."""

from pathlib import Path
from typing import Any

import pytest

import warmstart
from tests.experiments.test_cross_validation import made
from tests.runs_in_memory import settings, write_reviews
from warmstart import config_file, errors
from warmstart.experiments import cross_validation
from warmstart.experiments.cross_validation import _epochs
from warmstart.experiments.experiment_folder import ExperimentFolder, Outcome
from warmstart.runs.run_record import Check, read_record

FEW = {"epochs": 2, "learning_rate": 1e-2}


def test_the_final_run_has_all_rows_and_the_epochs_of_the_folds(tmp_path: Path) -> None:
    config = settings(tmp_path, **{**FEW, "early_stopping": 1, "retry": True})
    config["data"] |= {"split_seed": 7, "test": str(write_reviews(tmp_path / "test.csv", 30, 9))}
    config["export"] = {"onnx": True}
    found = made(tmp_path, config, final=True)
    best = [trial["best_epoch"] for trial in found.results["trials"]]
    final = found.results["final"]
    record = read_record(Path(final["run"]))
    assert record.start["rows"] == 120
    assert record.start["epochs"] == final["epochs"] == round(sum(best) / 2 + 0.1)
    assert record.config.data.validation == "none"
    assert list(record.evaluations) == list(final["scores"]) == ["test"]
    assert (Path(final["run"]) / "export" / "model.onnx").is_file()
    assert not any((run.path / "export").exists() for run in found.runs)
    sentence = found.results["sentences"][-1]
    assert sentence.startswith("The model in final/ was trained on all rows for ")
    assert "on the 30 test rows" in sentence
    assert 'href="final/report.html"' in found.report.read_text("utf-8")


def test_a_resumed_experiment_repeats_only_the_final_run(tmp_path: Path) -> None:
    found = made(tmp_path, settings(tmp_path, **FEW), final=True)
    models = [run.path / "model" / "model.safetensors" for run in found.runs]
    times = [path.stat().st_mtime_ns for path in models]
    folder = ExperimentFolder(found.path)
    folder.entry("results.json").unlink()
    folder.record(Outcome("final", "interrupted", 0.0))
    again = warmstart.resume_experiment(found.path, progress=False)
    assert again.results["final"]["status"] == "finished"
    assert [path.stat().st_mtime_ns for path in models] == times


def test_a_final_run_that_fails_leaves_the_scores_of_the_folds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cross_validation, "_epochs", lambda _records: {"train.epochs": 0})
    found = made(tmp_path, settings(tmp_path, **FEW), final=True)
    assert found.results["final"]["status"] == "failed"
    assert found.results["sentences"][-1].startswith("The final run, on all rows, failed: ")
    assert found.scores["out of fold"]


def test_the_final_run_is_checked_before_the_folds(tmp_path: Path) -> None:
    config = settings(tmp_path, **FEW)
    test = tmp_path / "test.csv"
    test.write_text("text,label\nthe cat,neither\n")
    config["data"]["test"] = str(test)
    with pytest.raises(errors.DataError, match="neither"):
        made(tmp_path, config, final=True)
    assert not (tmp_path / "cv").exists()


class _Kept:
    """A run of which only the epoch of the kept model is read."""

    def __init__(self, epoch: float) -> None:
        self.kept: Any = Check(0, epoch, 0.0, 0.0, 0.0, 0.0, best=True, scores={})


@pytest.mark.parametrize(
    ("best", "expected"),
    [
        ([2.0, 3.0, 3.0], {"train.epochs": 3}),
        ([1.5, 2.0], {"train.epochs": 2}),
        ([0.0, 0.0, 2.0], {"train.epochs": 0, "train.head_start": "linear-probe"}),
    ],
)
def test_the_number_of_epochs(best: list[float], expected: dict[str, Any]) -> None:
    records: Any = [_Kept(epoch) for epoch in best]
    assert _epochs(records) == expected


@pytest.mark.parametrize("setting", ["calibrate", "choose_threshold", "average"])
def test_settings_that_need_validation_rows_are_refused(setting: str, tmp_path: Path) -> None:
    values: dict[str, Any] = {
        "calibrate": "temperature",
        "choose_threshold": True,
        "average": {"count": 2},
    }
    config = settings(tmp_path, **FEW, **{setting: values[setting]})
    with pytest.raises(errors.ConfigError, match="no validation rows") as caught:
        made(tmp_path, config, final=True)
    advice = caught.value.do.partition(",")[0].removeprefix("--set ")
    assert advice == f"train.{setting}={'false' if setting == 'choose_threshold' else 'null'}"
    config_file.load(config, [advice])
    assert not (tmp_path / "cv").exists()


def test_repeat_exports_the_best_run_alone(tmp_path: Path) -> None:
    config = {**settings(tmp_path, **FEW), "export": {"onnx": True}}
    found = warmstart.repeat(config, seeds=2, output=tmp_path / "repeat", progress=False)
    assert (found.best.path / "export" / "model.onnx").is_file()
    assert not any((run.path / "export").exists() for run in found.runs)


def test_an_export_without_a_model_is_refused(tmp_path: Path) -> None:
    config = {**settings(tmp_path, **FEW), "export": {"onnx": True}}
    with pytest.raises(errors.ConfigError, match="chooses no model that could be exported"):
        made(tmp_path, config)
    with pytest.raises(errors.ConfigError, match="learning-curve chooses no model"):
        warmstart.learning_curve(config, output=tmp_path / "curve", progress=False)


def test_trials_without_scores_are_refused(tmp_path: Path) -> None:
    config = settings(tmp_path, **FEW)
    config["data"]["validation"] = "none"
    experiments: dict[str, Any] = {
        "repeat": warmstart.repeat,
        "search": lambda *args, **options: warmstart.search(
            *args, space={"train.batch_size": [8, 16]}, **options
        ),
        "learning-curve": warmstart.learning_curve,
    }
    for name, run in experiments.items():
        with pytest.raises(errors.ConfigError, match=f"{name} compares its trials"):
            run(config, output=tmp_path / name, progress=False)
