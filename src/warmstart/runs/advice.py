"""What to try next if a model is not clearly better than its baselines.

The report shows that a model lost; here is why it probably did, and a command that changes it. All
of it is read from the run directory, so an old run gets the same advice.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from warmstart.data.checking.language import ENGLISH_ONLY
from warmstart.errors.counts import counted
from warmstart.metrics.scores import Score
from warmstart.runs.run_record import Check, RunRecord
from warmstart.runs.words import ahead, best_first, number

AT_CHANCE = 0.98
"""A training loss above this share of the loss of guessing by frequency has learned nothing."""

PROBE = "linear-probe"
LARGER_MODEL = "google-bert/bert-base-uncased"


@dataclass(frozen=True, slots=True)
class Advice:
    """Why a model is not clearly better than its baselines, and what to try.

    Args:
        reasons: full sentences, the most important first.
        settings: what to change, in the form of ``--set``; empty if no setting can help.
        path: the run directory.
        failed: whether the model has learned nothing.
        verb: the command that trains such a run.
    """

    reasons: tuple[str, ...]
    settings: tuple[str, ...]
    path: Path
    failed: bool = False
    verb: str = "train"

    @property
    def command(self) -> str:
        """A command that trains again with these settings; empty if no setting can help."""
        if not self.settings:
            return ""
        changes = " ".join(f"--set {setting}" for setting in self.settings)
        return f"warmstart {self.verb} {self.path} {changes} --output {self.path}-2"


def advice(record: RunRecord) -> Advice | None:
    """What to try next; None if the model is clearly better than every baseline, or not scored.

    Args:
        record: the content of a run directory.
    """
    evaluation = record.evaluation
    if evaluation is None or evaluation.is_file or not record.finish:
        return None
    metric = evaluation.main_metric
    score = evaluation.scores[metric]
    if score.value == 1 and score.higher_is_better:
        return None  # nothing can be better
    rivals = {n: scores[metric] for n, scores in evaluation.baselines.items() if metric in scores}
    failed = failure(record)
    if not failed and all(ahead(score, rival) for rival in rivals.values()):
        return None
    reasons, settings = _cause(record, failed, best_first(rivals)[0] if rivals else None, score)
    verb = "train" if record.config.pretrain is None else "pretrain"
    return Advice(tuple(reasons), tuple(settings), record.path, bool(failed), verb)


def failure(record: RunRecord) -> str:
    """Why the model of a finished run has learned nothing, in a sentence; otherwise empty.

    Args:
        record: the content of a run directory.
    """
    evaluation = record.evaluation
    if evaluation is None:
        return ""
    return _only_answer(evaluation.details) or _nothing_learned(record)


def _cause(
    record: RunRecord, failed: str, rival: tuple[str, Score] | None, score: Score
) -> tuple[list[str], list[str]]:
    """The reasons and the settings to change."""
    train = record.config.train
    given = {"train.learning_rate": train.learning_rate, "train.epochs": train.epochs}
    by_hand = {name: value for name, value in given.items() if name not in record.chosen}
    if failed and by_hand:
        values = " and ".join(f"{name}={value}" for name, value in by_hand.items())
        reason = f"Probably {values} do not suit this model and these rows."
        return [failed, reason], [f"{name}=auto" for name in by_hand]
    if failed:
        last = train.seed + record.start.get("attempt", 1) - 1
        seeds = f"{train.seed}" + f" and {last}" * (last > train.seed)
        reason = f"Such a run often succeeds with another seed than {seeds}."
        return [failed, reason], [f"train.seed={last + 1}"]
    if longer := _budget_for_all_steps(record):
        done, planned = len(record.steps), record.start["steps"]
        reason = f"The budget ended training after {done:,} of {counted(planned, 'step')}."
        return [reason], [f"train.budget_minutes={longer:g}"]
    if rival is not None and rival[0] == PROBE and record.steps and not score.better_than(rival[1]):
        rate = float(f"{_rate(record) / 3:.1g}")
        reason = (
            "Training the layers lost some of what the checkpoint knows: a smaller learning rate "
            "changes them less."
        )
        return [reason], [f"train.learning_rate={rate:g}"]
    if better := _better_at_the_end(record.checks):
        epochs = max(int(record.start.get("epochs", 1)), 1)
        reason = f"The validation {better} was best after the last of {counted(epochs, 'epoch')}."
        return [reason], [f"train.epochs={2 * epochs}"]
    messages = () if record.findings is None else record.findings.messages
    if any(ENGLISH_ONLY in message.text for message in messages):
        return ["The model does not know the language of the texts: see the warning about it."], []
    if record.config.model.name.startswith("bundled/") and record.labels:
        reason = f"The bundled model is small; {LARGER_MODEL} is a larger one (a download)."
        again = ["model.pooling", "train.learning_rate"]  # they depend on the model
        chosen = [f"{name}=auto" for name in again if name in record.chosen]
        return [reason], [f"model.name={LARGER_MODEL}", *chosen]
    return ["More training rows, or a model for this kind of text, may help."], []


def _budget_for_all_steps(record: RunRecord) -> float | None:
    """Minutes that all planned steps need, if the budget ended training before them."""
    minutes, done = record.config.train.budget_minutes, len(record.steps)
    planned = record.start.get("steps", 0)
    if minutes is None or not record.finish.get("out_of_time") or not 0 < done < planned:
        return None
    needed = 1.2 * minutes * planned / done
    return max(round(needed, 1), 0.1) if needed < 10 else float(math.ceil(needed))


def _rate(record: RunRecord) -> float:
    """The highest learning rate of the run."""
    return max(step.learning_rate for step in record.steps)


def _only_answer(details: Mapping[str, Any]) -> str:
    """A sentence if the model gives the same answer for every row; otherwise empty."""
    matrix, labels = details.get("confusion_matrix"), details.get("labels", ())
    if matrix and len(labels) > 1:
        answers = [name for name, *column in zip(labels, *matrix, strict=True) if any(column)]
        if len(answers) == 1:
            return f"The model predicts “{answers[0]}” for every row: it has learned nothing."
        return ""
    parts = details.get("per_class", ())
    if parts and not any(part.get("f1") for part in parts):
        return "The model predicts no label correctly in any row: it has learned nothing."
    return ""


def _nothing_learned(record: RunRecord) -> str:
    """A sentence if the training loss never fell below that of guessing; otherwise empty."""
    if record.findings is None or record.config.train.loss not in (None, "cross-entropy"):
        return ""
    evaluation = record.evaluation
    counts = list(record.findings.splits[0].label_counts.values()) if record.findings.splits else []
    losses = [check.train_loss for check in record.checks if math.isfinite(check.train_loss)]
    matrix = evaluation is not None and "confusion_matrix" in evaluation.details
    if len(losses) < 2 or not matrix or not counts or record.config.train.class_weights is not None:
        return ""  # in the first epoch, the mean of the loss is close to guessing in good runs too
    total = sum(counts)
    guessing = -sum(count / total * math.log(count / total) for count in counts if count)
    if guessing == 0 or min(losses) < AT_CHANCE * guessing:
        return ""
    return (
        f"The training loss stayed at {number(min(losses))}, that of guessing by frequency "
        f"({number(guessing)}): the model has learned nothing."
    )


def _better_at_the_end(checks: Sequence[Check]) -> str:
    """What was best at the last of several evaluations: the score or the loss; otherwise empty."""
    if len(checks) < 2:
        return ""
    if checks[-1].best:
        return "score"
    return "loss" if all(checks[-1].loss < check.loss for check in checks[:-1]) else ""
