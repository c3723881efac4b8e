"""``search --nested``: an honest score for the whole procedure "search, then train the best".

A search chooses the best of many trials, so its validation score is too high, and a small test
split is a weak judge. Here the rows are divided into folds as by ``cross-validate``; in each fold a
search of its own runs on the other rows, and the best trial is scored on the fold, which the search
has not seen. The pooled score says how good a model is that is found by such a search. It is not
the score of one setting: each fold may choose another one.

The config without changes is scored on the same rows, so one sees what the search has won.

Source: Cawley & Talbot 2010, JMLR 11, "On Over-fitting in Model Selection and Subsequent Selection
Bias in Performance Evaluation".
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from warmstart import errors
from warmstart.api import ConfigSource
from warmstart.config.overrides import Overrides
from warmstart.errors.counts import counted
from warmstart.experiments import cross_validation, search
from warmstart.experiments.experiment import (
    Experiment,
    ExperimentPlan,
    Kind,
    Trials,
    begin,
    complete,
    finished,
    new_experiment,
)
from warmstart.experiments.experiment_folder import ExperimentFolder, Outcome, Status
from warmstart.experiments.out_of_fold import out_of_fold_scores
from warmstart.experiments.ray_workers import RayWorkers
from warmstart.experiments.search_space import read_space
from warmstart.experiments.study import Pruner, Sampler
from warmstart.experiments.trial_results import keep_best
from warmstart.experiments.trials import Trial, ended_as
from warmstart.runs import words
from warmstart.runs.run_record import RunRecord, read_record
from warmstart.runs.titles import Titles


def nested_search(
    config: ConfigSource,
    overrides: Overrides = (),
    *,
    space: Any,
    folds: int = 5,
    trials: int = 20,
    sampler: Sampler = "tpe",
    pruner: Pruner = "median",
    workers: int | RayWorkers = 1,
    output: Any = None,
    overwrite: bool = False,
    progress: bool = True,
) -> Experiment:
    """Search in each fold of a cross-validation: a score of the search that is not optimistic.

    Args:
        config: as for ``train``. ``data.test`` is not used.
        overrides: as for ``train``.
        space: as for ``search``.
        folds: number of folds.
        trials: number of trials in each fold, in addition to the config without changes.
        sampler: as for ``search``.
        pruner: as for ``search``.
        workers: number of folds that are searched at the same time, or a Ray cluster.
        output: the experiment's folder; by default a new one under ``runs/``.
        overwrite: replace an earlier experiment in ``output``.
        progress: show live progress on stderr.

    Raises:
        Interrupted: a stop was requested; see ``resume_experiment``.
        WarmstartError: an error that the user can fix.
    """
    search.refuse_missing_optuna()
    if folds < 2:
        raise errors.experiment.too_few_folds(folds, "--nested")
    if trials < 1:
        raise errors.search.too_few_trials(trials)
    options = {
        "nested": True,
        "folds": folds,
        "repeats": 1,
        "final": False,
        "space": space if isinstance(space, Mapping) else str(space),
        "trials": trials,
        "sampler": sampler,
        "pruner": pruner,
    }
    where = {"workers": workers, "output": output, "overwrite": overwrite, "progress": progress}
    return new_experiment(KIND, config, overrides, options, **where)


@dataclass(frozen=True, slots=True)
class FoldSearch:
    """The order to search in one fold; it can be sent to another process.

    Args:
        folder: the folder of the nested search.
        title: name of the config.
        fold: the trial of ``cross-validate`` for this fold, with its rows and settings.
        options: options of the search.
    """

    folder: Path
    title: str
    fold: Trial
    options: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The name of the fold."""
        return self.fold.name

    @property
    def plan(self) -> ExperimentPlan:
        """The search, an experiment in ``searches/``."""
        folder = ExperimentFolder(ExperimentFolder(self.folder).entry(f"searches/{self.name}"))
        settings = self.fold.config.model_dump(exclude_unset=True)
        options = {
            **self.options,
            "rows": dict(self.fold.rows),
            "storage": None,
            "study": None,
            "join": False,
        }
        return ExperimentPlan(folder, search.KIND.command, self.title, options, settings)

    def run(self, stopping: Callable[[], bool]) -> Outcome:
        """Search, or resume the search; its best trial becomes the run of the fold.

        Args:
            stopping: whether a stop was requested.
        """
        return ended_as(self.name, lambda: self._searched(stopping))

    def _searched(self, stopping: Callable[[], bool]) -> Status:
        plan = self.plan
        plan = replace(plan, options=search.KIND.checked(plan))
        if not plan.folder.is_experiment:
            begin(plan, overwrite=False)
        with plan.folder.locked():
            for order in search.KIND.orders(plan, finished(plan.folder)):
                outcome = order.run(stopping)
                plan.folder.record(outcome)
                if outcome.status == "interrupted":
                    return "interrupted"
            complete(search.KIND, plan)
        outer = ExperimentFolder(self.folder)
        keep_best(outer, plan.folder.entry("best"), f"trials/{self.name}")
        return "finished"


def _folds(plan: ExperimentPlan) -> list[Trial]:
    return list(cross_validation.KIND.trials(plan))


def _orders(plan: ExperimentPlan, done: Sequence[str]) -> list[FoldSearch]:
    options = {name: plan.options[name] for name in ("space", "trials", "sampler", "pruner")}
    return [
        FoldSearch(plan.folder.path, plan.name, fold, options)
        for fold in _folds(plan)
        if fold.name not in done
    ]


def _checked(plan: ExperimentPlan) -> Mapping[str, Any]:
    """The options with the content of the space; the folds and the first search are checked."""
    options = {**plan.options, "space": dict(read_space(plan.options["space"], plan.settings))}
    plan = replace(plan, options=options)
    cross_validation.KIND.checked(plan)
    search.KIND.checked(_orders(plan, ())[0].plan)
    return options


def _results(
    plan: ExperimentPlan, trials: Trials, records: Mapping[str, RunRecord]
) -> dict[str, Any]:
    content = cross_validation.KIND.results(plan, trials, records)
    chosen, defaults = {}, {}
    for order in _orders(plan, ()):
        if order.name in records:
            folder = order.plan.folder
            chosen[order.name] = folder.read_json("results.json")["best_settings"]
            default = folder.trial(search.DEFAULT)
            if search.DEFAULT in finished(folder):
                defaults[order.name] = read_record(default)
    without = None
    if defaults.keys() == records.keys():
        without, _ = out_of_fold_scores([list(defaults.values())])
    titles = Titles.of(next(iter(records.values())).task)
    sentences = [*content["sentences"], *_sentences(plan, content["metric"], titles, without)]
    return {**content, "chosen": chosen, "without_search": without, "sentences": sentences}


def _sentences(
    plan: ExperimentPlan, metric: str, titles: Titles, without: Mapping[str, Any] | None
) -> list[str]:
    trials = counted(plan.options["trials"], "trial")
    found = [
        f"Each fold has searched its own settings with {trials}, without its own rows: this is the "
        "score of such a search, not of one setting."
    ]
    if without and metric in without:
        score = without[metric]
        found.append(
            f"The config as it is, on the same rows: {titles.metric(metric)} "
            f"{words.decimals(score['mean'])} [{words.decimals(score['low'])}, "
            f"{words.decimals(score['high'])}]."
        )
    return found


def _typical(plan: ExperimentPlan) -> tuple[Trial, int]:
    folds = _folds(plan)
    return folds[0], len(folds) * (plan.options["trials"] + 1)


KIND = Kind(
    search.KIND.command,
    _checked,
    _orders,
    _folds,
    _results,
    cross_validation.KIND.page,
    _typical,
    exports=lambda _plan: False,
)
