"""``search --nested``: a search in each fold, scored on rows that it has not seen."""

import json
from pathlib import Path
from typing import Any

import pytest

import warmstart
from tests.experiments.test_cross_validation import METRIC, SPLIT, row_ids
from tests.runs_in_memory import settings
from warmstart import errors
from warmstart.experiments import search_trials
from warmstart.experiments.experiment_folder import ExperimentFolder

SPACE = {"train.learning_rate": [5e-3, 1e-2]}


def nested(folder: Path, **options: Any) -> warmstart.Experiment:
    """Two folds with two trials each; the config as it is learns nothing."""
    config = settings(folder, epochs=6, batch_size=4, learning_rate=1e-6)
    given = {"folds": 2, "trials": 2, "sampler": "random", "pruner": "none", **options}
    output = folder / "nested"
    return warmstart.nested_search(config, space=SPACE, output=output, progress=False, **given)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> warmstart.Experiment:
    """A finished nested search."""
    return nested(tmp_path_factory.mktemp("nested"))


def test_no_search_sees_the_rows_of_its_fold(found: warmstart.Experiment) -> None:
    held_out = []
    for run in found.runs:
        rows = row_ids(run)
        held_out += rows["test"]
        for trial in (found.path / "searches" / run.path.name / "trials").glob("[dt]*"):
            theirs = row_ids(warmstart.Run(trial))
            assert theirs == rows
    assert sorted(held_out) == list(range(120))


def test_the_fold_is_the_best_trial_of_its_search(found: warmstart.Experiment) -> None:
    for run in found.runs:
        folder = found.path / "searches" / run.path.name
        results = json.loads((folder / "results.json").read_text())
        assert results["best"] != "default"
        assert found.results["chosen"][run.path.name] == results["best_settings"]
        assert run.config.train.learning_rate == results["best_settings"]["train.learning_rate"]
        assert (folder / "experiment.html").is_file()


def test_the_pooled_score_is_beside_that_of_the_config_as_it_is(
    found: warmstart.Experiment,
) -> None:
    content = found.results
    searched = content["scores"][SPLIT][METRIC]["mean"]
    without = content["without_search"][METRIC]["mean"]
    assert searched > 0.5 > without
    *_, about, last = content["sentences"]
    assert "Each fold has searched its own settings with 2 trials" in about
    assert f"{without:.3f}" in last


@pytest.mark.slow
def test_an_interrupted_one_continues_in_the_same_fold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = nested(tmp_path).results
    count = 0

    def stopped(*arguments: Any) -> Any:
        nonlocal count
        count += 1
        if count == 4:
            raise errors.Interrupted(found="stopped", expected="", do="")
        return train_trial(*arguments)

    train_trial = search_trials.train_trial
    with monkeypatch.context() as patched:
        patched.setattr(search_trials, "train_trial", stopped)
        with pytest.raises(errors.Interrupted):
            nested(tmp_path, overwrite=True)
    folder = ExperimentFolder(tmp_path / "nested")
    assert [one.status for one in folder.outcomes().values()] == ["finished", "interrupted"]
    again = warmstart.resume_experiment(folder.path, progress=False).results
    assert again["scores"] == whole["scores"]
    assert again["chosen"] == whole["chosen"]


def test_bad_options_are_refused(tmp_path: Path) -> None:
    for options, text in (
        ({"folds": 1}, "--nested 1"),
        ({"trials": 0}, "--trials 0"),
    ):
        with pytest.raises(errors.UsageError, match=text):
            nested(tmp_path, **options)
    config = {**settings(tmp_path), "export": {"onnx": True}}
    with pytest.raises(errors.ConfigError, match="search --nested chooses no model"):
        warmstart.nested_search(config, space=SPACE, output=tmp_path / "nested")
    with pytest.raises(errors.ConfigError, match=r"train\.rate"):
        warmstart.nested_search(
            settings(tmp_path), space={"train.rate": [1]}, output=tmp_path / "nested"
        )
    assert not (tmp_path / "nested").exists()
