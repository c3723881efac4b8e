"""``repeat``: ordinary runs with other seeds, and the scores over all of them."""

import json
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import warmstart
from tests.quick import slow_except
from tests.runs_in_memory import settings, write_reviews
from warmstart import errors
from warmstart.experiments import experiment, trials
from warmstart.experiments.experiment_folder import ENTRIES, ExperimentFolder, Outcome
from warmstart.experiments.repeat import chosen_seeds
from warmstart.experiments.workers import outcomes
from warmstart.preparation import stages
from warmstart.tasks.text_classification import TextClassification

METRIC = "matthews_correlation"


def small(folder: Path, **train: Any) -> dict[str, Any]:
    """The settings of a small run with a test split."""
    found = settings(folder, **{"epochs": 4, "learning_rate": 1e-2, **train})
    found["data"]["test"] = str(write_reviews(folder / "test.csv", rows=40, seed=9))
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: Path = tmp_path_factory.mktemp("repeat")
    return made


@pytest.fixture(scope="module")
def calls() -> dict[str, int]:
    """How often the shared parts of preparation and scoring were computed."""
    return {"read": 0, "encode": 0, "baselines": 0}


@pytest.fixture(scope="module")
def found(folder: Path, calls: dict[str, int]) -> warmstart.Experiment:
    """Three runs."""
    with pytest.MonkeyPatch.context() as patch:

        def counting(owner: Any, name: str, key: str) -> None:
            original = getattr(owner, name)

            def counted(*given: Any, **named: Any) -> Any:
                calls[key] += 1
                return original(*given, **named)

            patch.setattr(owner, name, counted)

        counting(stages, "read", "read")
        counting(TextClassification, "encode", "encode")
        counting(TextClassification, "baselines", "baselines")
        return warmstart.repeat(small(folder), seeds=3, output=folder / "three", progress=False)


def test_the_scores_are_means_over_the_runs_with_intervals(found: warmstart.Experiment) -> None:
    assert len(found.runs) == 3
    for split, rows in {"validation": 25, "test": 40}.items():
        score = found.scores[split][METRIC]
        values = [run.scores[split][METRIC]["value"] for run in found.runs]
        assert score["mean"] == pytest.approx(mean(values))
        assert score["deviation"] == pytest.approx(stdev(values))
        assert score["low"] <= score["mean"] <= score["high"]
        assert (score["runs"], score["n"]) == (3, rows)
    assert found.results["baselines"]["test"].keys() == {"majority", "tfidf"}
    json.dumps(found.results, allow_nan=False)


def test_every_trial_is_the_run_that_train_makes(found: warmstart.Experiment, folder: Path) -> None:
    alone = warmstart.train(
        small(folder), ["train.seed=44"], output=folder / "alone", progress=False
    )
    trial = found.runs[2]
    assert (trial.config.train.seed, trial.path.name) == (44, "seed-44")
    assert trial.scores == alone.scores
    weights = [load_file(run.path / "model" / "model.safetensors") for run in (trial, alone)]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert trial.baselines == alone.baselines


def test_runs_over_the_same_rows_share_what_does_not_depend_on_the_seed(
    found: warmstart.Experiment, calls: dict[str, int]
) -> None:
    assert found.results["kind"] == "repeat"
    assert calls == {"read": 2, "encode": 3, "baselines": 1}  # two files, three splits


def test_the_best_run_by_validation_is_kept_and_its_score_called_optimistic(
    found: warmstart.Experiment,
) -> None:
    scores = {t["trial"]: t["scores"]["validation"][METRIC] for t in found.results["trials"]}
    best = found.results["best"]
    assert scores[best]["value"] == max(score["value"] for score in scores.values())
    assert found.best.config.train.seed == int(best.removeprefix("seed-"))
    assert found.best.predict(["a wonderful story"])[0]["label"] == "good"
    sentences = " ".join(found.results["sentences"])
    assert f"{best} is the best" in sentences
    assert "optimistic" in sentences


def test_a_command_that_takes_a_run_names_the_runs_of_an_experiment(
    found: warmstart.Experiment,
) -> None:
    with pytest.raises(warmstart.WarmstartError) as problem:
        warmstart.load(found.path)
    assert problem.value.found == f"{found.path} is an experiment of several runs"
    assert problem.value.do.endswith(f"or the best: {found.path / 'best'}")
    assert warmstart.load(found.path / "best").scores


def test_the_folder_has_the_documented_files(found: warmstart.Experiment) -> None:
    names = {path.name for path in found.path.iterdir()}
    assert names - {".lock"} <= set(ENTRIES)
    page = (found.path / "experiment.html").read_text(encoding="utf-8")
    for run in found.runs:
        assert f'href="trials/{run.path.name}/report.html"' in page
        assert (run.path / "report.html").is_file()
        assert not (run.path / "checkpoint").exists()
    assert "http" not in page.replace("http://www.w3.org", "")


@pytest.mark.parametrize("vary", slow_except(["order", "dropout"], "order"))
def test_one_use_of_the_seed_can_be_varied_alone(tmp_path: Path, vary: Any) -> None:
    config = small(tmp_path, epochs=1)
    made = warmstart.repeat(
        config, seeds=[1, 2], vary=vary, output=tmp_path / "two", progress=False
    )
    for run, seed in zip(made.runs, (1, 2), strict=True):
        assert run.config.train.seed == 42
        assert getattr(run.config.train, f"{vary}_seed") == seed


def test_a_run_that_learned_nothing_is_named(tmp_path: Path) -> None:
    config = small(tmp_path, learning_rate=1e-7, epochs=2)
    made = warmstart.repeat(config, seeds=2, output=tmp_path / "two", progress=False)
    assert made.results["collapsed"] == ["seed-42", "seed-43"]
    assert "2 of 2 runs learned nothing" in " ".join(made.results["sentences"])


def test_an_interrupted_experiment_is_resumed_without_repeating_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small(tmp_path, epochs=1)
    whole = warmstart.repeat(config, seeds=3, output=tmp_path / "whole", progress=False)
    begun: list[str] = []

    def only_one(trials: Any, workers: int, stopping: Any) -> Any:
        for outcome in outcomes(trials, workers, stopping):
            begun.append(outcome.trial)
            yield outcome
            yield Outcome("seed-43", "interrupted", 0.0)
            return

    with monkeypatch.context() as patch:
        patch.setattr(experiment, "outcomes", only_one)
        with pytest.raises(warmstart.WarmstartError) as stopped:
            warmstart.repeat(config, seeds=3, output=tmp_path / "part", progress=False)
    assert "stopped after 1 of 3 trials" in stopped.value.found
    assert f"warmstart repeat {tmp_path / 'part'} --resume" in stopped.value.do
    model = tmp_path / "part" / "trials" / "seed-42" / "model" / "model.safetensors"
    written = model.stat().st_mtime_ns
    resumed = warmstart.resume_experiment(tmp_path / "part", progress=False)
    assert begun == ["seed-42"]
    assert model.stat().st_mtime_ns == written
    assert resumed.scores == whole.scores
    with pytest.raises(warmstart.WarmstartError, match="is finished"):
        warmstart.resume_experiment(tmp_path / "part")


@pytest.mark.slow
def test_a_trial_is_resumed_with_the_threads_that_it_began_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another number of workers changes the threads of each; an exact resume needs the same."""
    config, before = small(tmp_path, epochs=1), torch.get_num_threads()
    used: list[int] = []
    original = trials.api.train_prepared

    def stopped_once(*given: Any, **named: Any) -> Any:
        used.append(torch.get_num_threads())
        if len(used) == 1:
            named["stop_requested"] = lambda: True
        return original(*given, **named)

    monkeypatch.setattr(trials.api, "train_prepared", stopped_once)
    try:
        torch.set_num_threads(2)
        with pytest.raises(errors.Interrupted, match="stopped after 0 of 2 trials"):
            warmstart.repeat(config, seeds=2, output=tmp_path / "two", progress=False)
        torch.set_num_threads(1)
        found = warmstart.resume_experiment(tmp_path / "two", progress=False)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
    assert [trial["status"] for trial in found.results["trials"]] == ["finished", "finished"]
    assert used == [2, 2, 1]


def test_a_failed_trial_is_kept_with_its_error_and_the_others_continue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = trials.api.train_prepared

    def failing(prepared: Any, *given: Any, **named: Any) -> Any:
        if prepared.train.seed == 43:
            raise RuntimeError("no luck")
        return original(prepared, *given, **named)

    monkeypatch.setattr(trials.api, "train_prepared", failing)
    config = small(tmp_path, epochs=1)
    made = warmstart.repeat(config, seeds=3, output=tmp_path / "three", progress=False)
    status = {trial["trial"]: trial["status"] for trial in made.results["trials"]}
    assert status == {"seed-42": "finished", "seed-43": "failed", "seed-44": "finished"}
    assert made.results["trials"][1]["error"] == "RuntimeError: no luck"
    recorded = ExperimentFolder.open(made.path).outcomes()["seed-43"].error
    assert "Traceback" in recorded
    assert made.scores["test"][METRIC]["runs"] == 2


def test_three_failures_with_the_same_error_end_the_experiment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: Any, **__: Any) -> Any:
        raise RuntimeError("no luck")

    monkeypatch.setattr(trials.api, "train_prepared", failing)
    with pytest.raises(warmstart.WarmstartError) as stopped:
        warmstart.repeat(small(tmp_path), seeds=5, output=tmp_path / "five", progress=False)
    assert stopped.value.found == "3 trials failed with the same error: RuntimeError: no luck"
    assert len(ExperimentFolder.open(tmp_path / "five").outcomes()) == 3
    assert f"warmstart repeat {tmp_path / 'five'} --resume" in stopped.value.do


def test_seeds_are_counted_from_that_of_the_config_or_given() -> None:
    assert chosen_seeds(2, 7) == [7, 8]
    for seeds, message in (
        ([1, 1], "more than once"),
        (1, "1 seed"),
        ([3], "1 seed"),
        (20261128, "--seeds 20261128,20261129"),
    ):
        with pytest.raises(warmstart.WarmstartError, match=message):
            chosen_seeds(seeds, 42)


BAD: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "a seed of its own": ({"train": {"order_seed": 1}}, {}, "sets train.order_seed"),
    "no workers": ({}, {"workers": 0}, "--workers 0"),
    "a fault of the data": ({"data": {"label": "stars"}}, {}, "stars"),
    "pretraining": ({"pretrain": {"architecture": "bert"}}, {}, "pretrain"),
}


@pytest.mark.parametrize("name", BAD)
def test_faults_are_found_before_anything_is_written(tmp_path: Path, name: str) -> None:
    changes, options, message = BAD[name]
    config = small(tmp_path)
    for group, values in changes.items():
        config[group] = {**config.get(group, {}), **values}
    with pytest.raises(warmstart.WarmstartError) as problem:
        warmstart.repeat(config, output=tmp_path / "out", progress=False, **options)
    assert message in str(problem.value)
    assert not (tmp_path / "out").exists()


def test_other_files_are_never_overwritten(tmp_path: Path, found: warmstart.Experiment) -> None:
    config, held = small(tmp_path), tmp_path / "held"
    held.mkdir()
    (held / "thesis.txt").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(warmstart.WarmstartError, match="but no experiment"):
            warmstart.repeat(config, output=held, overwrite=overwrite, progress=False)
    with pytest.raises(warmstart.WarmstartError, match="a finished experiment"):
        warmstart.repeat(config, output=found.path, progress=False)
    with pytest.raises(warmstart.WarmstartError, match="contains no experiment"):
        warmstart.resume_experiment(held)
    locked = pytest.raises(warmstart.WarmstartError, match="another process works")
    with ExperimentFolder(found.path).locked(), locked:
        warmstart.repeat(config, output=found.path, overwrite=True, progress=False)
    assert found.results["kind"] == "repeat"
