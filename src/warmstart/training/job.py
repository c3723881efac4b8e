"""A job: everything the training loop needs, prepared and checked before it starts."""

from collections.abc import Sequence
from dataclasses import dataclass

from accelerate import Accelerator
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from warmstart.config import TrainConfig
from warmstart.data.encode import Examples
from warmstart.data.table import Table
from warmstart.models.forward import Forward, forward_for
from warmstart.processes import Processes, current
from warmstart.runs.directory import RunDirectory
from warmstart.runs.events import EventLog, Listener
from warmstart.tasks.task import Task
from warmstart.training.device import build_accelerator
from warmstart.training.prepare import Prepared


@dataclass(frozen=True, slots=True)
class Job:
    """What to train, on what, and how.

    Args:
        task: what is learned.
        model: with its head, on the CPU still.
        tokenizer: saved beside the weights.
        forward: how the model reads a batch.
        train: tokenised training rows.
        validation: tokenised validation rows.
        validation_table: the same rows, with their labels.
        max_tokens: longest input.
        best_metric: metric of the task that chooses the kept model.
        config: the settings.
        accelerator: device and precision.
        processes: those that train together; one, as a rule.
        run: where everything is written.
        log: where events go.
    """

    task: Task
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    forward: Forward
    train: Examples
    validation: Examples
    validation_table: Table
    max_tokens: int
    best_metric: str
    config: TrainConfig
    accelerator: Accelerator
    processes: Processes
    run: RunDirectory
    log: EventLog


def job_for(prepared: Prepared, run: RunDirectory, listeners: Sequence[Listener] = ()) -> Job:
    """Load the weights of what was prepared and put the loop's parts together; writes nothing.

    Args:
        prepared: read and checked.
        run: where everything will be written.
        listeners: told of every event.

    Raises:
        ConfigError: the device cannot compute in ``train.precision``.
        ModelError: the weights cannot be read or do not fit.
    """
    config = prepared.config.train
    accelerator, processes = build_accelerator(config), current()
    model = prepared.task.model(prepared.checkpoint, config.seed)
    return Job(
        task=prepared.task,
        model=model,
        tokenizer=prepared.checkpoint.tokenizer,
        forward=forward_for(model),
        train=prepared.examples["train"],
        validation=prepared.examples["validation"],
        validation_table=prepared.tables["validation"],
        max_tokens=prepared.max_tokens,
        best_metric=prepared.best_metric,
        config=config,
        accelerator=accelerator,
        processes=processes,
        run=run,
        log=EventLog(run.path / "events.jsonl", listeners, silent=not processes.first),
    )
