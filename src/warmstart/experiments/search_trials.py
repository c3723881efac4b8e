"""One trial of a search: ask the study for values, train, report each evaluation, tell the result.

A trial is scored on the validation rows only. The test rows stay untouched until the best trial is
known.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warmstart.experiments.experiment_folder import ExperimentFolder, Outcome, Status
from warmstart.experiments.search_space import changes_of
from warmstart.experiments.study import StudyPlace
from warmstart.experiments.trials import Trial, ended_as, train_trial
from warmstart.experiments.workers import cause
from warmstart.run import Run
from warmstart.runs.directory import RunDirectory
from warmstart.runs.events import Event
from warmstart.runs.run_record import read_record
from warmstart.runs.safe_files import remove

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True, slots=True)
class SearchTrial:
    """The order to make one more trial of a study; it can be sent to another process.

    Args:
        number: number of this order in its experiment.
        place: the study.
        settings: the settings that all trials share, as nested mappings.
        metric: the validation metric that is searched.
        most: number of trials that the study shall have.
        rows: row ids of each split, as for ``Trial``.
    """

    number: int
    place: StudyPlace
    settings: Mapping[str, Any]
    metric: str
    most: int
    rows: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Its name in messages; that of the run directory is known later."""
        return f"trial {self.number + 1}"

    def run(self, stopping: Callable[[], bool]) -> Outcome:
        """Make the trial, or resume one that was lost.

        Args:
            stopping: whether a stop was requested.
        """
        with self.place.trial(self.most, self.number) as asked:
            if asked is None:  # another machine has made the last one
                return Outcome(self.name, "finished", 0.0)
            trial, name = asked
            return self._run(trial, ExperimentFolder(self.place.folder).trial(name), stopping)

    def _run(self, trial: "optuna.Trial", path: Path, stopping: Callable[[], bool]) -> Outcome:
        changes = changes_of(self.place.space, trial.params)
        own = Trial(path, self.settings, changes, self.rows, splits=("validation",))
        watch = _Evaluations(trial, self.metric)

        def run() -> Status:
            return train_trial(own, lambda: stopping() or watch.pruned, (watch,))

        outcome = ended_as(path.name, run)
        if watch.pruned and not stopping() and outcome.status == "interrupted":
            outcome = Outcome(outcome.trial, "pruned", outcome.seconds)
            Run(path).report()  # of the run so far; the page of the experiment links it
            remove(RunDirectory(path).entry("checkpoint"))  # it is not resumed
        self._tell(trial, path, outcome)
        return outcome

    def _tell(self, trial: "optuna.Trial", path: Path, outcome: Outcome) -> None:
        """Tell the study how the trial ended; an interrupted one stays open, to be resumed."""
        from optuna.trial import TrialState

        trial.set_user_attr("seconds", outcome.seconds)
        if outcome.status == "finished":
            score = read_record(path).evaluations["validation"].scores[self.metric]
            if score.value is not None:
                trial.study.tell(trial, score.value)
                return
            trial.set_user_attr("error", f"{self.metric} is undefined")
            trial.study.tell(trial, state=TrialState.FAIL)
        elif outcome.status == "pruned":
            trial.study.tell(trial, state=TrialState.PRUNED)
        elif outcome.status == "failed":
            trial.set_user_attr("error", cause(outcome))
            trial.study.tell(trial, state=TrialState.FAIL)


class _Evaluations:
    """Reports the evaluations of a run to its trial; ``pruned`` once the study advises to stop."""

    def __init__(self, trial: "optuna.Trial", metric: str) -> None:
        self.pruned = False
        self._trial, self._metric = trial, metric
        self._count, self._steps = 0, 0

    def __call__(self, event: Event) -> None:
        if event["event"] in ("start", "extended"):
            self._steps = event["steps"]
        if event["event"] != "evaluation" or event["step"] < 0:
            return
        value = event["scores"][self._metric]["value"]
        self._count += 1
        if value is None or event["step"] + 1 >= self._steps:  # nothing is saved after the end
            return
        self._trial.report(value, self._count)
        self.pruned = self._trial.should_prune()
