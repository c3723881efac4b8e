"""``search``: settings chosen by the validation rows; test rows are scored for the best only."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import warmstart
from tests.experiments.cheap_orders import CheapOrder
from tests.runs_in_memory import settings, write_reviews
from warmstart.experiments import experiment
from warmstart.experiments.experiment_folder import Outcome
from warmstart.experiments.search import _expected_best
from warmstart.experiments.search_space import SPACES, changes_of, distributions, read_space
from warmstart.experiments.study import StudyPlace, known_studies
from warmstart.experiments.workers import outcomes

optuna = pytest.importorskip("optuna")

METRIC = "matthews_correlation"
SPACE: dict[str, Any] = {
    "train.learning_rate": {"low": 5e-3, "high": 2e-2, "log": True},
    "train.batch_size": [4, 8],
    "train.epochs": {"low": 4, "high": 6},
}


def small(folder: Path, **train: Any) -> dict[str, Any]:
    """The settings of a small run that learns nothing as it is, with a test split."""
    found = settings(folder, **{"epochs": 2, "learning_rate": 1e-5, **train})
    found["data"]["test"] = str(write_reviews(folder / "test.csv", rows=40, seed=9))
    return found


def searched(folder: Path, config: dict[str, Any], **options: Any) -> warmstart.Experiment:
    options = {"space": SPACE, "progress": False, "output": folder / "search", **options}
    return warmstart.search(config, **options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: Path = tmp_path_factory.mktemp("search")
    return made


@pytest.fixture(scope="module")
def found(folder: Path) -> warmstart.Experiment:
    """Seven trials of a random sampler, without pruning."""
    return searched(folder, small(folder), trials=7, sampler="random", pruner="none")


def trials(found: warmstart.Experiment) -> dict[str, Any]:
    return {trial["trial"]: trial for trial in found.results["trials"]}


def test_every_trial_is_a_run_with_values_of_the_space(found: warmstart.Experiment) -> None:
    made = trials(found)
    assert list(made) == ["default", *(f"trial-{number:03d}" for number in range(7))]
    for run in found.runs[1:]:
        train = run.config.train
        assert 5e-3 <= float(train.learning_rate) <= 2e-2
        assert train.batch_size in (4, 8)
        assert train.epochs in (4, 5, 6)
        assert made[run.path.name]["settings"]["train.learning_rate"] == train.learning_rate
    rates = {run.config.train.learning_rate for run in found.runs}
    assert len(rates) == 8
    assert found.runs[0].config.train.learning_rate == 1e-5


def test_test_rows_are_scored_for_the_best_and_the_default_only(
    found: warmstart.Experiment,
) -> None:
    best = found.results["best"]
    assert best != "default"
    with_test = {run.path.name for run in found.runs if "test" in run.scores}
    assert with_test == {best, "default"}
    assert found.best.scores["test"][METRIC]["value"] == found.scores["test"][METRIC]["mean"]
    assert found.best.baselines.keys() >= {"majority", "tfidf"}


def test_the_best_has_the_highest_validation_score(found: warmstart.Experiment) -> None:
    scores = {n: t["scores"]["validation"][METRIC]["value"] for n, t in trials(found).items()}
    best = found.results["best"]
    assert scores[best] == max(scores.values())
    assert scores[best] > scores["default"]
    assert found.results["best_settings"] == trials(found)[best]["settings"]
    first, second = found.results["sentences"]
    assert "Best of 7 trials (7 finished)" in first
    assert "On the test rows, which the search has not used" in second
    assert best in second
    assert "default" in second


def test_the_page_shows_every_trial_and_the_figures(found: warmstart.Experiment) -> None:
    page = found.report.read_text(encoding="utf-8")
    for name in trials(found):
        assert f'href="trials/{name}/report.html"' in page
    for title in ("Every trial", "Would more trials pay?", "All settings together"):
        assert title in page
    json.dumps(found.results, allow_nan=False)


@pytest.mark.slow
def test_a_hopeless_trial_is_stopped_early(tmp_path: Path) -> None:
    config = small(tmp_path, epochs=6)
    space = {"train.learning_rate": [1e-2, 1.1e-2, 1.2e-2, 1e-9]}  # the last learns nothing
    made = searched(tmp_path, config, space=space, trials=14, sampler="random", pruner="median")
    status = {name: trial["status"] for name, trial in trials(made).items()}
    pruned = [name for name, found in status.items() if found == "pruned"]
    assert pruned
    for name in pruned:
        best = made.scores["validation"][METRIC]["mean"]
        assert trials(made)[name]["last_value"] < best
        log = (made.path / "trials" / name / "events.jsonl").read_text()
        assert log.count('"event": "evaluation"') < 6
        assert '"event": "finish"' not in log
        assert (made.path / "trials" / name / "report.html").is_file()  # the page links it
        assert not (made.path / "trials" / name / "checkpoint").exists()
    assert f"{len(pruned)} pruned" in made.results["sentences"][0]


@pytest.mark.slow
def test_the_trial_of_a_killed_process_is_resumed_with_its_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small(tmp_path)
    options: dict[str, Any] = {"trials": 4, "sampler": "random", "pruner": "none"}
    whole = searched(tmp_path, config, **options)

    class Killed(BaseException):
        """As SIGKILL: nothing of the program runs afterwards."""

    def first_two(orders: Any, workers: int, stopping: Any) -> Iterator[Outcome]:
        for number, outcome in enumerate(outcomes(orders, workers, stopping)):
            yield outcome
            if number == 1:
                monkeypatch.setattr("warmstart.api.train_prepared", dying)

    def dying(*_: Any, **__: Any) -> Any:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(experiment, "outcomes", first_two)
        with pytest.raises(Killed):
            searched(tmp_path, config, output=tmp_path / "part", **options)
    monkeypatch.undo()
    part = next(iter(known_studies(str(tmp_path / "part" / "study" / "journal.log")).values()))
    assert [trial.state.name for trial in part.trials] == ["COMPLETE", "RUNNING"]
    lost = part.trials[1].params
    resumed = warmstart.resume_experiment(tmp_path / "part", progress=False)
    made = trials(resumed)
    assert list(made) == ["default", "trial-000", "trial-001", "trial-003", "trial-004"]
    assert made["trial-001"]["settings"] == changes_of(SPACE, lost)
    first = trials(whole)
    assert made["trial-000"]["scores"] == first["trial-000"]["scores"]
    assert made["trial-001"]["scores"] == first["trial-001"]["scores"]


@pytest.mark.slow
def test_two_searches_share_a_study(tmp_path: Path) -> None:
    config, storage = small(tmp_path), str(tmp_path / "shared.log")
    options: dict[str, Any] = {"sampler": "random", "storage": storage, "study": "ours"}
    searched(tmp_path, config, trials=2, **options)
    with pytest.raises(warmstart.WarmstartError, match="--join"):
        searched(tmp_path, config, trials=4, output=tmp_path / "two", **options)
    two = searched(tmp_path, config, trials=4, output=tmp_path / "two", join=True, **options)
    assert list(trials(two)) == ["default", "trial-002", "trial-003"]
    assert len(known_studies(storage)["ours"].trials) == 4
    other = {"train.epochs": [2, 3]}
    with pytest.raises(warmstart.WarmstartError, match="another space"):
        searched(
            tmp_path, config, space=other, trials=5, output=tmp_path / "x", join=True, **options
        )
    with pytest.raises(warmstart.WarmstartError, match="no study theirs"):
        searched(
            tmp_path, config, output=tmp_path / "x", join=True, **{**options, "study": "theirs"}
        )


def test_the_expected_best_is_that_of_random_draws() -> None:
    scores = [0.1, 0.4, 0.2, 0.9]
    study = optuna.create_study(direction="maximize")
    for score in scores:
        study.add_trial(optuna.trial.create_trial(value=score))
    found = _expected_best(study, higher=True)
    generator = np.random.default_rng(0)
    for n, expected in enumerate(found, start=1):
        drawn = generator.choice(scores, size=(200_000, n)).max(axis=1).mean()
        assert expected == pytest.approx(drawn, abs=0.003)
    lower = _expected_best(study, higher=False)
    assert lower[0] == pytest.approx(np.mean(scores))
    assert lower[-1] < lower[0]


@pytest.mark.parametrize("name", SPACES)
def test_the_spaces_of_the_package_are_valid(tmp_path: Path, name: str) -> None:
    space = read_space(name, settings(tmp_path))
    assert distributions(space).keys() == space.keys()


def test_choices_that_are_no_scalars_come_back_as_they_were() -> None:
    space = {"train.lora": [None, {"rank": 4}]}
    (found,) = distributions(space).values()
    assert isinstance(found, optuna.distributions.CategoricalDistribution)
    assert changes_of(space, {"train.lora": found.choices[1]}) == {"train.lora": {"rank": 4}}
    assert changes_of(space, {"train.lora": found.choices[0]}) == {"train.lora": None}


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "unknown setting": ({"space": {"train.rate": [1, 2]}}, "train.rate"),
    "no settings": ({"space": {}}, "no settings"),
    "one value": ({"space": {"train.epochs": [2]}}, "1 value"),
    "empty range": ({"space": {"train.epochs": {"low": 4, "high": 4}}}, "is empty"),
    "step too large": ({"space": {"train.epochs": {"low": 1, "high": 4, "step": 9}}}, "is empty"),
    "log from 0": ({"space": {"train.weight_decay": {"low": 0, "high": 0.1, "log": True}}}, "log"),
    "no range": ({"space": {"train.epochs": {"from": 1, "to": 4}}}, "low and high"),
    "a value that is not allowed": ({"space": {"train.batch_size": [8, 0]}}, "batch_size"),
    "an end that is not allowed": (
        {"space": {"train.learning_rate": {"low": 1e-4, "high": 2}}},
        "learning_rate",
    ),
    "rows": ({"space": {"data.validation": [0.1, 0.2]}}, "the same in all trials"),
    "the metric": ({"space": {"train.best_metric": ["accuracy", "macro_f1"]}}, "same in all"),
    "no such file": ({"space": "nothing.yaml"}, "small-data"),
    "no trials": ({"trials": 0}, "--trials 0"),
    "join nothing": ({"join": True}, "--storage"),
    "no driver": ({"storage": "oracle://ada:secret@127.0.0.1/none"}, "SQLAlchemy for oracle"),
    "no password shown": ({"storage": "oracle://ada:secret@127.0.0.1/none"}, "ada:***@127"),
    "no database": ({"storage": "postgresql://127.0.0.1:9/none"}, "cannot open the storage"),
    "no workers": ({"workers": 0}, "--workers 0"),
}


@pytest.mark.parametrize("name", BAD)
def test_faults_are_found_before_the_first_trial(tmp_path: Path, name: str) -> None:
    options, message = BAD[name]
    with pytest.raises(warmstart.WarmstartError) as problem:
        searched(tmp_path, small(tmp_path), **options)
    assert message in str(problem.value)
    assert not (tmp_path / "search").exists()


def test_a_metric_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(warmstart.WarmstartError, match="f2"):
        searched(tmp_path, small(tmp_path, best_metric="f2"))


@pytest.mark.slow
def test_workers_share_a_journal_and_make_exactly_the_trials_asked_for(tmp_path: Path) -> None:
    config = small(tmp_path)
    made = searched(tmp_path, config, trials=8, workers=4, pruner="none")
    assert len(made.results["trials"]) == 9
    assert all(trial["status"] == "finished" for trial in made.results["trials"])
    rates = {run.config.train.learning_rate for run in made.runs}
    assert len(rates) == 9  # no two workers chose the same


@pytest.mark.slow
def test_sixteen_processes_write_one_journal(tmp_path: Path) -> None:
    most = 64
    folder = tmp_path / "search"
    journal = folder / "study" / "journal.log"
    folder.mkdir()
    space = {"train.learning_rate": {"low": 1e-5, "high": 1e-3, "log": True}}
    place = StudyPlace(str(journal), "ours", space, "random", "none", 42, True, folder)
    place.open(create=True)
    orders = [CheapOrder(number, place, most) for number in range(most)]
    ended = list(outcomes(orders, 16, lambda: False))
    assert [outcome.error for outcome in ended if outcome.error] == []
    assert {outcome.trial for outcome in ended} == {f"trial-{n:03d}" for n in range(most)}
    made = place.open().trials
    assert [trial.number for trial in made] == list(range(most))
    assert {trial.state.name for trial in made} == {"COMPLETE"}
    assert all(trial.value == trial.params["train.learning_rate"] for trial in made)
    assert len({trial.value for trial in made}) == most
