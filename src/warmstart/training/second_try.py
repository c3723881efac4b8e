"""A run that has learned nothing is repeated once with the next seed (``train.retry``).

With a random head, fine-tuning of a pretrained model sometimes fails: the loss stays at that of the
best constant prediction. Another order of the rows and another head usually succeed (Mosbach et al.
2021, arXiv:2006.04884, section 4). The second try replaces the first one in the run directory. A
run that is interrupted before the first checkpoint of the second try begins with the first one
again, which fails in the same way; so the result is the same.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile

from warmstart.config import SEEDS
from warmstart.preparation.prepare import Prepared
from warmstart.runs.directory import RunDirectory
from warmstart.runs.events import Listener, events_of, read_events
from warmstart.runs.safe_files import remove
from warmstart.training.average import forget
from warmstart.training.checkpoint import Progress, checkpoints, newest_progress
from warmstart.training.head_start import losses_of_best_constant
from warmstart.training.job import Job, job_for

AT_CHANCE = 0.99
"""A model whose losses stay above this share of those of the best constant has learned nothing."""


def as_resumed(prepared: Prepared, run: RunDirectory) -> Prepared:
    """The prepared run with the seed of the try that the newest checkpoint is of.

    Args:
        prepared: the prepared run.
        run: its directory.
    """
    progress = newest_progress(run)
    return prepared if progress is None or progress.attempt == 1 else with_next_seed(prepared)


def with_next_seed(prepared: Prepared) -> Prepared:
    """The same prepared run with the seed of the second try; the recorded settings stay.

    Args:
        prepared: the prepared run.
    """
    train = prepared.train
    seeds = {name: getattr(train, name) for name in SEEDS}
    later = {name: seed + 1 for name, seed in seeds.items() if seed is not None}
    return replace(prepared, train=train.model_copy(update=later))


def why_again(job: Job, progress: Progress) -> str | None:
    """Why a finished training needs another try; None if it needs none, or has no time for one.

    Args:
        job: the training job after its last step.
        progress: its progress.
    """
    again = progress.attempt > 1 or progress.out_of_time
    if again or not job.config.retry or job.processes.count > 1:
        return None
    checks = events_of(read_events(job.log.path), "evaluation")
    # In the first epoch the mean of the loss is close to guessing in good runs too.
    later = [check for check in checks if check["epoch"] > 1]
    losses = [check["train_loss"] for check in later if check["train_loss"] is not None]
    if not losses or (constant := losses_of_best_constant(job)) is None:
        return None
    lowest = min(losses), min(check["loss"] for check in checks)
    if any(loss < AT_CHANCE * best for loss, best in zip(lowest, constant, strict=True)):
        return None
    return f"its training loss stayed at {lowest[0]:.3f}; the best constant has {constant[0]:.3f}"


def begin_again(
    prepared: Prepared, job: Job, reason: str, listeners: Sequence[Listener]
) -> tuple[Prepared, Job]:
    """Remove what the first try wrote, and build the second one.

    Args:
        prepared: the first try.
        job: the first try.
        reason: from ``why_again``.
        listeners: called with every event.

    Raises:
        RunError: the directory is not writable.
    """
    announced = [
        {**event, "attempt": 2} if event["event"] == "start" else event
        for event in takewhile(
            lambda event: event["event"] in ("start", "notice"), read_events(job.log.path)
        )
    ]
    job.model.cpu()  # a GPU may not have room for both
    for folder in checkpoints(job.run):  # first: without them, a resumed run begins with this try
        remove(folder)
    forget(job.run)
    for name in ("events.jsonl", "head_start"):
        remove(job.run.entry(name))
    again = with_next_seed(prepared)
    second = job_for(again, job.run, listeners)
    second.log.write(*announced)
    second.log.notice(
        f"with the seed {prepared.train.seed} the model learned nothing: {reason}. This is the "
        f"second try, with the seed {again.train.seed}"
    )
    return again, second
