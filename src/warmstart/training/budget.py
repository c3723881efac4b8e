"""How long training may take, and when it continues after its last planned epoch.

With ``train.budget_minutes`` training ends when the time is used up, with an evaluation. With
``train.extend`` the planned epochs are a *round*: if the last evaluation was the best so far and
another round fits into the budget, one follows, with a new rise and fall of the learning rate
(``preparation.schedule``). The time before an interruption counts, and that of a first try.

Which steps a run makes then depends on the speed of the machine; the steps themselves do not.
"""

import time
from dataclasses import dataclass, replace

from warmstart.errors.counts import counted
from warmstart.preparation.plan import Plan
from warmstart.runs.events import Event
from warmstart.training.checkpoint import Progress
from warmstart.training.job import Job


@dataclass(frozen=True, slots=True)
class Clock:
    """Measures the time of a run.

    Args:
        began: when the run would have begun without interruptions, in seconds of
            ``time.monotonic``.
        limit: the budget in seconds; None for none.
    """

    began: float
    limit: float | None

    @classmethod
    def of(cls, job: Job, progress: Progress) -> "Clock":
        """The clock of a run that begins or resumes now."""
        minutes = job.config.budget_minutes
        began = time.monotonic() - progress.used_seconds
        return cls(began, None if minutes is None else 60 * minutes)

    @property
    def seconds(self) -> float:
        """Time used so far."""
        return time.monotonic() - self.began

    @property
    def used_up(self) -> bool:
        """Whether no time is left."""
        return self.limit is not None and self.seconds >= self.limit


def note_end(job: Job, plan: Plan, progress: Progress) -> None:
    """Log that the budget ended training.

    Args:
        job: the training job.
        plan: its plan.
        progress: the progress at the end.
    """
    planned = plan.total_steps * progress.rounds
    if progress.step < planned:
        job.log.notice(
            f"the budget of {job.config.budget_minutes:g} minutes ended training after "
            f"{progress.step:,} of {counted(planned, 'step')}"
        )


def with_next_round(job: Job, plan: Plan, progress: Progress, clock: Clock) -> Progress:
    """The progress after the last step of a round, with one round more if it is worthwhile.

    Args:
        job: the training job.
        plan: its plan.
        progress: the progress after the evaluation at the end of a round.
        clock: the time of the run.

    Returns:
        The same in every process.
    """
    if not job.config.extend or progress.evaluations_without_gain:
        return progress
    assert clock.limit is not None, "train.extend needs train.budget_minutes"
    needed = clock.seconds / progress.rounds
    left = clock.limit - clock.seconds
    planned = counted(job.config.epochs, "epoch")
    if needed > left:
        job.log.notice(
            f"the validation score still improved, but {planned} more would take about "
            f"{needed / 60:.1f} minutes, and the budget has {left / 60:.1f} left"
        )
    else:
        progress = replace(progress, rounds=progress.rounds + 1)
        job.log.notice(f"the validation score still improves: {planned} more")
        job.log.write(extended(job, plan, progress))
    return job.processes.from_first(progress)


def extended(job: Job, plan: Plan, progress: Progress) -> Event:
    """The event of a further round: the numbers of steps and epochs of all rounds.

    Args:
        job: the training job.
        plan: its plan.
        progress: the progress at the beginning of the round, or later.
    """
    return {
        "event": "extended",
        "step": progress.step - 1,
        "steps": plan.total_steps * progress.rounds,
        "epochs": job.config.epochs * progress.rounds,
    }
