"""Measure every part of a run on a few of its steps and rows (see ``timings``), and multiply."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from warmstart.devices.processes import ALONE
from warmstart.evaluation.evaluate import evaluate
from warmstart.evaluation.final_scoring import HELD_OUT, Scoring, fit_baselines
from warmstart.models.checkpoints.classifier_heads import last_layer
from warmstart.models.evaluation_mode import evaluation_mode
from warmstart.models.tuning.features import has_features
from warmstart.preparation.plan import Plan
from warmstart.preparation.prepare import Prepared
from warmstart.tasks.capabilities import ComparesWithStart, Generates, ScoresFinally
from warmstart.training import keep
from warmstart.training.head_start import fit_head, least_gain, rows_of_fit
from warmstart.training.job import Job, with_features_computed
from warmstart.training.monitoring.samples import final_samples, write_sample
from warmstart.training.space import (
    Sizes,
    distinct_bytes,
    saved_checkpoints,
    seconds_per_byte,
    sizes_of,
)
from warmstart.training.timings import (
    FEWEST_ROWS,
    Clock,
    StepTimes,
    rows_in_time,
    sampled,
    time_steps,
    timed,
    tokens_of_steps,
)


@dataclass(frozen=True, slots=True)
class Seconds:
    """The time of a run in parts, in seconds and in the order of the run.

    Args:
        preparing: reading, checking and tokenising the data.
        loading: loading the weights.
        frozen_part: the outputs of the frozen part, computed once.
        head_start: the linear probe.
        steps: all steps.
        evaluations: all evaluations, and the samples of generated text.
        saving: writing models and checkpoints.
        final_scores: the scores of the kept model and of the baselines.
    """

    preparing: float = 0.0
    loading: float = 0.0
    frozen_part: float = 0.0
    head_start: float = 0.0
    steps: float = 0.0
    evaluations: float = 0.0
    saving: float = 0.0
    final_scores: float = 0.0

    @property
    def total(self) -> float:
        """The sum of all parts."""
        return float(sum(asdict(self).values()))

    def with_rounds(self, rounds: float) -> "Seconds":
        """The time if the planned epochs are trained several times, or not to their end.

        Args:
            rounds: how often.
        """
        return replace(
            self,
            steps=rounds * self.steps,
            evaluations=rounds * self.evaluations,
            saving=rounds * self.saving,
        )


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured of the planned epochs.

    Args:
        seconds: the times of the parts, without preparing and loading.
        evaluations: number of evaluations on the validation rows.
        scores_start: whether the model before the first step is scored at the end.
        sizes: of the files.
        features: size of features that are computed once, in bytes.
        pieces: pieces that each batch had to be cut into, because memory ran out; usually 1.
    """

    seconds: Seconds
    evaluations: int
    scores_start: bool
    sizes: Sizes
    features: int
    pieces: int


def measure(job: Job, prepared: Prepared, loading: float, disk: Path, clock: Clock) -> Measured:
    """Time every part of the run, in their order.

    Args:
        job: the training job, whose log is silent.
        prepared: the prepared run.
        loading: time to load a model, in seconds.
        disk: a folder on the disk of the run directory.
        clock: tells the time.

    Raises:
        RunError: memory ran out with a single row, or the disk is full or not writable.
    """
    config, plan = job.config, Plan.of(job.train, job.config)
    part = _sample_in_time(job, prepared, clock)
    few = _on(job, part)
    frozen_part, features = 0.0, 0
    if job.frozen is not None:
        began = clock()
        few = with_features_computed(few, cached=False)
        frozen_part = (clock() - began) * _times(prepared, part, "train", "validation")
        features = _features_bytes(few, prepared, part)
    head, fitted = _time_head(job, few, clock)
    steps = StepTimes(np.ones(1, np.int64), np.zeros(1), 1, 0)
    if config.epochs:
        steps = time_steps(few if features else job, clock)
    tokens = tokens_of_steps(job.train, plan.epoch_windows(0))
    evaluations = plan.evaluations + fitted
    evaluating = timed(lambda: _evaluate(few, part), clock) * _times(prepared, part, "validation")
    began = clock()
    weights = keep.whole_weights(job, plan.total_steps // max(plan.evaluations, 1))
    merging = clock() - began
    held = distinct_bytes((weights or job.model.state_dict()).values())
    sizes, rate = sizes_of(job, prepared, held, steps.moments_bytes), seconds_per_byte(disk)
    scores_start = fitted or isinstance(job.task, ComparesWithStart)
    final = _time_scoring(job, prepared, part, clock)
    return Measured(
        Seconds(
            frozen_part=0.0 if _are_known(job) or not features else frozen_part,
            head_start=head,
            steps=config.epochs * steps.of(tokens),
            evaluations=evaluations * evaluating + _time_samples(few, plan, clock),
            saving=evaluations * (merging + sizes.model * rate)
            + saved_checkpoints(plan) * sizes.checkpoint * rate,
            final_scores=(1 + scores_start) * (loading + final)
            + _time_shown(job, prepared, part, clock),
        ),
        evaluations,
        scores_start,
        sizes,
        features,
        steps.pieces,
    )


def _sample_in_time(job: Job, prepared: Prepared, clock: Clock) -> Prepared:
    """A sample of the rows over which an evaluation takes ``PART_SECONDS``."""
    first = sampled(prepared, FEWEST_ROWS)
    seconds = timed(lambda: _evaluate(_on(job, first), first), clock)
    return sampled(prepared, rows_in_time(seconds, len(first.splits[_timed(first)].table)))


def _on(job: Job, part: Prepared) -> Job:
    """The job on a sample of its rows."""
    return replace(
        job,
        train=part.examples["train"],
        validation=part.examples.get("validation"),
        validation_split=part.splits.get("validation"),
    )


def _timed(part: Prepared) -> str:
    """The split whose evaluation is timed: validation, or train if there is none."""
    return "validation" if "validation" in part.splits else "train"


def _evaluate(job: Job, part: Prepared) -> None:
    labels, place = part.splits[_timed(part)].labels, job.accelerator
    rows = job.train if job.validation is None else job.validation
    evaluate(job.task, job.model, job.forward, rows, labels, place)


def _times(prepared: Prepared, part: Prepared, *names: str) -> float:
    """How many times as many tokens the splits have as their samples."""
    whole, few = (
        sum(int(run.examples[name].lengths.sum()) for name in names if name in run.examples)
        for run in (prepared, part)
    )
    return whole / max(few, 1)


def _features_bytes(few: Job, prepared: Prepared, part: Prepared) -> int:
    """Size of the features of all rows, of which some were computed; 0 if none can be."""
    found = [rows.computed for rows in (few.train, few.validation) if rows is not None]
    size = sum(int(computed.values.nbytes) for computed in found if computed is not None)
    return round(size * _times(prepared, part, "train", "validation"))


def _are_known(job: Job) -> bool:
    """Whether an earlier run has computed the outputs of the frozen part for all rows."""
    packed, frozen, autocast = job.forward.packed, job.frozen, job.accelerator.autocast
    if packed is None or frozen is None:
        return False
    rows = (job.train, job.validation)
    return all(
        has_features(one, job.model, packed, frozen, autocast) for one in rows if one is not None
    )


def _time_head(job: Job, few: Job, clock: Clock) -> tuple[float, bool]:
    """The time to fit the head before the first step, and whether the fit is used."""
    if (gain := least_gain(job)) is None:
        return 0.0, False
    began = clock()
    reason = fit_head(few, _never, gain)
    seconds = clock() - began
    layer, _ = last_layer(job.model, job.task.head)
    whole, part = (
        sum(
            int(rows.lengths[positions].sum())
            for rows, positions in rows_of_fit(one, layer.in_features) or ()
        )
        for one in (job, few)
    )
    return seconds * whole / max(part, 1), reason is None


def _never() -> bool:
    return False


def _time_samples(few: Job, plan: Plan, clock: Clock) -> float:
    """The time of the texts that are generated during training."""
    if not isinstance(few.task, Generates):
        return 0.0
    every = few.config.sample_every_steps
    count = plan.evaluations if every is None else plan.total_steps // every
    return count * timed(lambda: write_sample(few, 0, 0.0), clock)


def _time_scoring(job: Job, prepared: Prepared, part: Prepared, clock: Clock) -> float:
    """The time to score one model on the held-out splits at the end."""
    place, task = job.accelerator, job.task
    seconds = timed(lambda: _evaluate(_on(job, part), part), clock)
    held_out = [name for name in HELD_OUT if name in prepared.splits]
    tokens = sum(int(prepared.examples[name].lengths.sum()) for name in held_out)
    seconds *= tokens / int(part.examples[_timed(part)].lengths.sum())
    if isinstance(task, ScoresFinally):
        few = sampled(prepared, FEWEST_ROWS // 8).examples[_timed(part)]
        with evaluation_mode(job.model):
            further = timed(
                lambda: task.final_scores(job.forward, job.model, few, place, ALONE), clock
            )
        rows = [min(len(prepared.splits[name].table), task.final_rows) for name in held_out]
        seconds += further * sum(rows) / min(len(few), task.final_rows)
    return seconds


def _time_shown(job: Job, prepared: Prepared, part: Prepared, clock: Clock) -> float:
    """The time of what is made beside the scores: baselines, and generated texts."""
    scoring = Scoring(part, job.accelerator, ALONE, _ignored)
    rows = len(prepared.splits["train"].table) / len(part.splits["train"].table)
    seconds = rows * timed(lambda: fit_baselines(scoring, job.task, HELD_OUT), clock)
    if isinstance(job.task, Generates):
        with evaluation_mode(job.model):
            seconds += timed(lambda: final_samples(part, _on(job, part), job.model), clock)
    return seconds


def _ignored(_text: str) -> None:
    """For notices that the training will give."""
