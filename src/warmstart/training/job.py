"""A job: everything the training loop needs, prepared and checked before it starts."""

from dataclasses import dataclass

from accelerate import Accelerator
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from warmstart.config import TrainConfig
from warmstart.data.encode import Examples
from warmstart.data.table import Table
from warmstart.models.forward import Forward
from warmstart.runs.directory import RunDirectory
from warmstart.runs.events import EventLog
from warmstart.tasks.task import Task


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
        accelerator: device, precision, processes.
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
    run: RunDirectory
    log: EventLog
