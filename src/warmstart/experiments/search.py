"""``search``: settings with the best validation score, chosen by Optuna, and an honest test score.

Each trial trains with values from a space and is scored on the validation rows. The best one is
then scored on the test rows, which nothing else has used: its validation score is optimistic, as
the best of many, its test score is not. Next to it stands the config without changes (trial
``default``), compared on the same test rows; without this, nobody knows whether the search has won
anything.

How much a larger search would gain is estimated from its own trials: the expected validation score
of the best of n random ones (Dodge et al. 2019, arXiv:1909.03004, section 3.1). For trials that a
sampler has chosen, this is only a guide.
"""

import warnings
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np

from warmstart import config_file, errors
from warmstart.api import ConfigSource
from warmstart.config.file_formats import NO_ROWS
from warmstart.config.overrides import Overrides
from warmstart.errors.counts import counted
from warmstart.experiments.experiment import (
    Experiment,
    ExperimentPlan,
    Kind,
    Trials,
    new_experiment,
)
from warmstart.experiments.experiment_page import Page
from warmstart.experiments.ray_workers import RayWorkers
from warmstart.experiments.search_page import search_pictures
from warmstart.experiments.search_space import changes_of, read_space
from warmstart.experiments.search_trials import SearchTrial
from warmstart.experiments.study import Pruner, Sampler, StudyPlace, is_closed, known_studies
from warmstart.experiments.test_scores import compared_with_default, score_test_rows
from warmstart.experiments.trial_results import baselines_json, best_trial, keep_best, scores_of_run
from warmstart.experiments.trials import Trial
from warmstart.experiments.workers import WorkOrder
from warmstart.runs import words
from warmstart.runs.run_record import RunRecord, read_record
from warmstart.runs.titles import Titles

DEFAULT = "default"
"""The trial with the config as it is."""

FEWEST_FOR_IMPORTANCE = 8
"""With fewer finished trials, the importance of settings is mostly chance."""


def search(
    config: ConfigSource,
    overrides: Overrides = (),
    *,
    space: Any,
    trials: int = 20,
    sampler: Sampler = "tpe",
    pruner: Pruner = "median",
    storage: str | None = None,
    study: str | None = None,
    join: bool = False,
    workers: int | RayWorkers = 1,
    output: Any = None,
    overwrite: bool = False,
    progress: bool = True,
) -> Experiment:
    """Search the settings with the best validation score, and score the best on the test rows.

    Args:
        config: as for ``train``.
        overrides: as for ``train``.
        space: a YAML file, ``bert-paper`` or ``small-data``, or a mapping; see ``search_space``.
        trials: number of trials of the study, in addition to the config without changes.
        sampler: ``tpe`` (Parzen estimators), ``gp`` (a Gaussian process) or ``random``.
        pruner: ``median`` stops a trial whose score is below the median of the others at the same
            evaluation; ``hyperband``; or ``none``.
        storage: URL of a database, or path of a journal file (``NAME.log``), that several searches
            share; by default a file in the experiment's folder.
        study: name of the study in the storage; by default that of the config.
        join: add trials to a study that exists.
        workers: number of processes that train at the same time, or a Ray cluster.
        output: the experiment's folder; by default a new one under ``runs/``.
        overwrite: replace an earlier experiment in ``output``.
        progress: show live progress on stderr.

    Raises:
        Interrupted: a stop was requested; see ``resume_experiment``.
        WarmstartError: an error that the user can fix.
    """
    refuse_missing_optuna()
    if trials < 1:
        raise errors.search.too_few_trials(trials)
    if join and storage is None:
        raise errors.search.join_what()
    options = {
        "space": space if isinstance(space, Mapping) else str(space),
        "trials": trials,
        "sampler": sampler,
        "pruner": pruner,
        "storage": storage,
        "study": study,
        "join": join,
    }
    where = {"workers": workers, "output": output, "overwrite": overwrite, "progress": progress}
    return new_experiment(KIND, config, overrides, options, **where)


def refuse_missing_optuna() -> None:
    """Raise an error if Optuna is not installed."""
    if find_spec("optuna") is None:
        raise errors.search.packages_missing()


def _checked(plan: ExperimentPlan) -> dict[str, Any]:
    """The options of a new search with the content of its space and the metric, all checked."""
    if plan.config.data.validation == NO_ROWS:
        raise errors.experiment.nothing_to_choose_by(plan.kind)
    space = read_space(plan.options["space"], plan.settings)
    prepared = _default(plan).prepared()
    metric = next(m for m in prepared.task.metrics if m.name == prepared.best_metric)
    study = plan.options["study"] or plan.name
    options = {
        **plan.options,
        "space": dict(space),
        "study": study,
        "metric": metric.name,
        "higher_is_better": metric.higher_is_better,
        "seed": plan.config.train.seed,
    }
    storage = options["storage"]
    if storage is not None:
        known = known_studies(storage)
        if study in known and not options["join"]:
            raise errors.search.study_exists(study, storage)
        if study not in known and options["join"]:
            raise errors.search.no_study(study, storage)
        if study in known:
            _refuse_other_study(study, known[study].user_attrs, options)
    return options


def _refuse_other_study(study: str, theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> None:
    for name in ("metric", "space"):
        if theirs.get(name) != ours[name]:
            raise errors.search.other_study(study, name)


def _place(plan: ExperimentPlan) -> StudyPlace:
    options = plan.options
    return StudyPlace(
        storage=options["storage"] or str(plan.folder.entry("study/journal.log")),
        name=options["study"],
        space=options["space"],
        sampler=options["sampler"],
        pruner=options["pruner"],
        seed=options["seed"],
        higher_is_better=options["higher_is_better"],
        folder=plan.folder.path,
    )


def _default(plan: ExperimentPlan) -> Trial:
    return plan.trial(DEFAULT, _changes(plan), plan.options.get("rows"), splits=("validation",))


def _changes(plan: ExperimentPlan) -> dict[str, Any]:
    """Settings of every trial: a given seed, with which a run is not repeated."""
    return {"train.seed": plan.config.train.seed}


def _orders(plan: ExperimentPlan, done: Sequence[str]) -> list[WorkOrder]:
    place, options = _place(plan), plan.options
    study = place.open()
    for name in ("metric", "space"):
        study.set_user_attr(name, options[name])
    ended = [t for t in study.trials if t.state.is_finished() and not is_closed(t)]
    base = config_file.load(plan.of_trials, _changes(plan)).model_dump(exclude_unset=True)
    first: list[WorkOrder] = [] if DEFAULT in done else [_default(plan)]
    return first + [
        SearchTrial(
            number, place, base, options["metric"], options["trials"], options.get("rows", {})
        )
        for number in range(len(ended), options["trials"])
    ]


def _trials(plan: ExperimentPlan) -> list[Trial]:
    """The trials so far: the config as it is, and those of the study that have a run directory."""
    found = [_default(plan)]
    place = _place(plan)
    for trial in place.open().trials:
        folder, name = trial.user_attrs.get("folder"), trial.user_attrs.get("run")
        if name is not None and not is_closed(trial) and folder == str(plan.folder.path):
            changes = changes_of(place.space, trial.params)
            found.append(plan.trial(name, changes, plan.options.get("rows")))
    return found


def _results(
    plan: ExperimentPlan, trials: Trials, records: Mapping[str, RunRecord]
) -> dict[str, Any]:
    metric = plan.options["metric"]
    best = best_trial(records)
    for name in {best, DEFAULT} & records.keys():
        score_test_rows(records[name].path)
    keep_best(plan.folder, records[best].path)
    record = read_record(records[best].path)
    study = _place(plan).open()
    scored = [t["trial"] for t in trials if t["status"] == "finished" and t["trial"] != DEFAULT]
    return {
        "summary": f"{best}, the best of {counted(len(scored), 'finished trial')}",
        "metric": metric,
        "best": best,
        "best_settings": next(t["settings"] for t in trials if t["trial"] == best),
        "collapsed": [trial["trial"] for trial in trials if trial.get("collapsed")],
        "scores": scores_of_run(record),
        "baselines": baselines_json(record),
        "importance": _importance(study),
        "expected_best": _expected_best(study, higher=plan.options["higher_is_better"]),
        "sentences": _sentences(plan, trials, records, best),
    }


def _importance(study: Any) -> dict[str, float]:
    """The importance of each setting for the score, by PED-ANOVA; empty with too few trials."""
    from optuna.importance import get_param_importances

    finished = [trial for trial in study.trials if trial.state.name == "COMPLETE"]
    if len(finished) < FEWEST_FOR_IMPORTANCE:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = get_param_importances(study)
        except (RuntimeError, ValueError):  # all trials have the same score, or the same values
            return {}
    return {name: round(float(share), 4) for name, share in found.items()}


def _expected_best(study: Any, *, higher: bool) -> list[float]:
    """The expected best score of n random trials for n = 1, 2, …, from the scores of all trials.

    With N scores in ascending order, the best of n (drawn with replacement) is at most the i-th
    with probability (i / N)^n; the expectation follows.
    """
    scores = np.sort([t.value for t in study.trials if t.state.name == "COMPLETE"])
    if not higher:
        scores = -scores[::-1]
    count = len(scores)
    below = np.arange(count + 1) / max(count, 1)
    found = []
    for n in range(1, count + 1):
        expected = float((scores * np.diff(below**n)).sum())
        found.append(expected if higher else -expected)
    return found


def _sentences(
    plan: ExperimentPlan, trials: Trials, records: Mapping[str, RunRecord], best: str
) -> list[str]:
    """What the search has found, in sentences."""
    metric = plan.options["metric"]
    record = read_record(records[best].path)
    title = Titles.of(record.task).metric(metric)
    value = words.decimals(record.evaluations["validation"].scores[metric].value)
    changed = next(trial["settings"] for trial in trials if trial["trial"] == best)
    chosen = ", ".join(f"{name}={_short(value)}" for name, value in changed.items())
    states = [trial["status"] for trial in trials if trial["trial"] != DEFAULT]
    counts = ", ".join(
        f"{states.count(state)} {state}"
        for state in ("finished", "pruned", "failed")
        if state in states
    )
    found = []
    if best == DEFAULT:
        found.append(
            f"No trial is better than the config as it is on the validation rows ({title} {value})."
        )
    else:
        found.append(
            f"Best of {counted(len(states), 'trial')} ({counts}) by {title} on the validation "
            f"rows: {best} with {value}. Settings: {chosen}."
        )
    if "test" not in record.evaluations:
        found.append(
            "There are no test rows: the validation score of the best trial is optimistic, because "
            "it was chosen among several. Set data.test for an honest score."
        )
    elif best != DEFAULT and DEFAULT in records:
        found.append(
            f"On the test rows, which the search has not used: "
            f"{compared_with_default(records[best].path, records[DEFAULT].path, metric)}."
        )
    return found


def _short(value: Any) -> str:
    """The value of a setting, with three significant digits."""
    return f"{value:.3g}" if isinstance(value, float) else words.setting(value)


def _page(content: Mapping[str, Any], records: Mapping[str, RunRecord]) -> Page:
    title = f"{content['name']}: search with {counted(len(content['trials']) - 1, 'trial')}"
    varied = list(dict.fromkeys(n for t in content["trials"][1:] for n in t["settings"]))
    return Page(title, "trial", varied, search_pictures(content, records))


def _typical(plan: ExperimentPlan) -> tuple[Trial, int]:
    return _default(plan), plan.options["trials"] + 1


KIND = Kind("search", _checked, _orders, _trials, _results, _page, _typical)
