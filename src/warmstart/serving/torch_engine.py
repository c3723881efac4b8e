"""PyTorch as an engine, packed where the architecture allows; and scoring a run on a new file.

The same ``predict`` as in evaluation. Scores come from here alone: they are the trained model's.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from accelerate import Accelerator

from warmstart.config import RunConfig
from warmstart.data.examples.batches import Examples
from warmstart.data.examples.tokenise import Tokenizer
from warmstart.devices.device import build_accelerator, can_compute
from warmstart.evaluation.evaluate import evaluate_finally, predict
from warmstart.evaluation.store import folder_name, write_evaluation
from warmstart.models.packed.forward import Forward, forward_for
from warmstart.runs.loaded_run import LoadedRun
from warmstart.serving.predictor import file_config, usable_rows
from warmstart.tasks.task import AnyTask, Predictions, Split


@dataclass(frozen=True, slots=True)
class TorchEngine:
    """A run's PyTorch model.

    Args:
        run: opened.
    """

    run: LoadedRun

    @property
    def config(self) -> RunConfig:
        """The run's settings."""
        return self.run.config

    @property
    def task(self) -> AnyTask:
        """With what it learned."""
        return self.run.task

    @property
    def tokenizer(self) -> Tokenizer:
        """The run's own."""
        return self.run.tokenizer

    @property
    def max_tokens(self) -> int:
        """Longest input."""
        return self.run.max_tokens

    def predictions(self, task: AnyTask, examples: Examples) -> Predictions:
        """The answers for tokenised rows, in their order."""
        accelerator = accelerator_for(self.run)
        forward = _forward(self.run, examples, accelerator)
        found: Predictions
        found, _, _ = predict(task, self.run.model, forward, examples, accelerator)
        return found


def evaluate_file(
    run: LoadedRun, source: str | Sequence[str], overrides: Sequence[str] = ()
) -> dict[str, dict[str, Any]]:
    """Score the run's model on labelled file(s); keeps the result under ``evaluation/``.

    Warns of rows that were left out or cut.
    """
    config = file_config(run.config, overrides)
    task = type(run.task).from_facts(config, run.task.facts)
    table = usable_rows(task, config.data, source, labelled=True)
    split = Split(table, task.labels(table))
    examples = task.encode(table, split.labels, run.tokenizer, run.max_tokens)
    _warn_of_cut_rows(examples, run.max_tokens)
    accelerator = accelerator_for(run)
    forward = _forward(run, examples, accelerator)
    found = evaluate_finally(task, run.model, forward, examples, split.labels, accelerator)
    name = folder_name(table, overrides)
    write_evaluation(run.directory, name, task, found, split, config.data, baselines={})
    return found.scores.metrics_json()


def _warn_of_cut_rows(examples: Examples, max_tokens: int) -> None:
    cut = int(examples.truncated.sum())
    if cut:
        rows = len(examples)
        warnings.warn(f"of {rows:,} rows, cut to {max_tokens} tokens: {cut:,}", stacklevel=4)


def _forward(run: LoadedRun, examples: Examples, accelerator: Accelerator) -> Forward:
    """How the model runs there, tried once on rows that are at hand."""
    place = f"{accelerator.device} {accelerator.mixed_precision}"
    if place in run.forwards:
        return run.forwards[place]
    forward = forward_for(run.model, run.task.head, examples, accelerator.autocast)
    if len(examples) > 1:  # a single row cannot show whether rows see each other
        run.forwards[place] = forward
    return forward


def accelerator_for(run: LoadedRun) -> Accelerator:
    """Device and precision, with the model moved there.

    The run's own precision where this machine has it; a model that was trained on a GPU must
    answer on a laptop too.
    """
    config = run.config.train
    if not can_compute(config):
        config = config.model_copy(update={"precision": "auto"})
    accelerator = build_accelerator(config)
    run.model.to(accelerator.device)
    return accelerator
