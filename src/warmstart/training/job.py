"""A job: everything the training loop needs, prepared and checked before it starts."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from accelerate import Accelerator
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from warmstart.config import ResolvedTrainConfig, RunConfig
from warmstart.data.examples.batches import Examples
from warmstart.data.examples.token_targets import HiddenTokens
from warmstart.data.table import Table
from warmstart.devices.device import Precision, build_accelerator, precision_of
from warmstart.devices.processes import Processes, current
from warmstart.evaluation.evaluate import MAX_TOKENS_PER_BATCH
from warmstart.models.checkpoints.classifier_heads import is_new_head
from warmstart.models.checkpoints.configuration import CLASSIFIERS, READS, Head
from warmstart.models.checkpoints.missing_parts import lacks_pooler
from warmstart.models.packed.forward import Forward, forward_for
from warmstart.models.tuning.features import with_features
from warmstart.models.tuning.freezing import Frozen
from warmstart.models.tuning.trainable import TrainedPart, choose_trained, trained_parts
from warmstart.models.tuning.vocabulary import CompactVocabulary, compact, used_ids, whole_because
from warmstart.preparation.prepare import Prepared
from warmstart.runs.directory import RunDirectory
from warmstart.runs.events import EventLog, Listener
from warmstart.tasks.task import AnyTask, Split
from warmstart.training.graphs.capture import Capture, capture_for


@dataclass(frozen=True, slots=True)
class Job:
    """What to train, on which data, and how.

    Args:
        task: what is learned.
        model: with its head, on its device.
        tokenizer: saved with the weights.
        forward: how the model runs on a batch, packed or padded.
        vocabulary: the word embedding, reduced to the rows that the data use; None if it is whole.
        rows: how many rows the word embedding has, or why it is whole, as a short text.
        train: tokenised training rows.
        validation: tokenised validation rows; None if there are none (``data.validation: none``).
        validation_split: the same rows and their labels.
        prompt_rows: the rows whose prompts are used for samples of generated text.
        max_tokens: longest input.
        best_metric: metric of the task that chooses the kept model.
        config: how to train: ``settings.train``, without ``auto``.
        settings: every setting.
        accelerator: device and precision.
        processes: the processes that train together, usually one.
        run: where everything is written.
        log: where events go.
        trains: every part of the model, and which of its parameters train.
        new_head: whether the head has rows for labels, and the checkpoint has none of them.
        frozen: the part of the model that does not train.
        adapters: peft's configuration of the adapters, if adapters train.
        capture: captures steps for ``train.cuda_graphs``, if the device supports it.
    """

    task: AnyTask
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    forward: Forward
    vocabulary: CompactVocabulary | None
    rows: str
    train: Examples
    validation: Examples | None
    validation_split: Split | None
    prompt_rows: Table
    max_tokens: int
    best_metric: str
    config: ResolvedTrainConfig
    settings: RunConfig
    accelerator: Accelerator
    processes: Processes
    run: RunDirectory
    log: EventLog
    trains: tuple[TrainedPart, ...]
    new_head: bool
    frozen: Frozen | None = None
    adapters: Any = None
    capture: Capture | None = None


def job_for(prepared: Prepared, run: RunDirectory, listeners: Sequence[Listener] = ()) -> Job:
    """Load the weights and build everything the loop needs; nothing is written.

    Args:
        prepared: read and checked.
        run: where everything will be written.
        listeners: called with every event.

    Raises:
        ConfigError: the device cannot compute in ``train.precision``.
        ModelError: the weights cannot be read or do not fit.
    """
    config = prepared.train
    accelerator, processes = build_accelerator(config), current()
    model = prepared.task.model(prepared.checkpoint, config.seed_of("initialization"))
    new_pooler = lacks_pooler(prepared.checkpoint)
    head, base, paths = prepared.task.head, prepared.checkpoint, prepared.checkpoint.weight_paths
    frozen, adapters = choose_trained(
        model, config, head, new_pooler=new_pooler, new_tokens=prepared.checkpoint.new_tokens
    )
    if adapters is not None:
        adapters.base_model_name_or_path = prepared.checkpoint.name
    trains = trained_parts(model, config)  # counts the whole vocabulary
    # Before the model moves: the unused rows stay on the CPU.
    vocabulary, rows = _vocabulary_of(model, head, prepared.examples, precision_of(accelerator))
    model.to(accelerator.device)
    train = prepared.examples["train"]
    return Job(
        task=prepared.task,
        model=model,
        tokenizer=prepared.checkpoint.tokenizer,
        forward=forward_for(model, head, train, accelerator.autocast),
        vocabulary=vocabulary,
        rows=rows,
        train=train,
        validation=prepared.examples.get("validation"),
        validation_split=prepared.splits.get("validation"),
        prompt_rows=prepared.splits.get("validation", prepared.splits["train"]).table,
        max_tokens=prepared.max_tokens,
        best_metric=prepared.best_metric,
        config=config,
        settings=prepared.config,
        accelerator=accelerator,
        processes=processes,
        run=run,
        log=EventLog(run.entry("events.jsonl"), listeners, silent=not processes.first),
        trains=trains,
        new_head=head in CLASSIFIERS and is_new_head(base.config, model.config, head, paths),
        frozen=frozen,
        adapters=adapters,
        capture=capture_for(accelerator) if config.cuda_graphs else None,
    )


def with_features_computed(job: Job, *, cached: bool = True) -> Job:
    """Run the frozen part of the model over training and validation rows, once for all epochs.

    Args:
        job: the training job; its model has a frozen part.
        cached: as for ``with_features``.

    Returns:
        The job, with rows that start from the outputs of the frozen part. Unchanged if the model
        runs padded, or if the inputs are different in every epoch.
    """
    assert job.frozen is not None
    packed, frozen = job.forward.packed, job.frozen
    reason = None if packed is not None else f"the model runs {job.forward.path}"
    if isinstance(job.train.targets, HiddenTokens):
        reason = "each epoch masks different tokens"
    elif job.train.sampled is not None:
        reason = "each epoch pairs different segments"
    if packed is None or reason is not None:
        job.log.notice(
            f"frozen: {job.frozen}; this part runs again in every epoch, because {reason}"
        )
        return job
    job.log.notice(f"frozen: {job.frozen}; this part runs once over all rows, without dropout")
    began = time.perf_counter()
    budget = MAX_TOKENS_PER_BATCH.get(job.accelerator.device.type, 8192)

    def computed(rows: Examples) -> Examples:
        autocast = job.accelerator.autocast
        return with_features(rows, job.model, packed, frozen, autocast, budget, cached=cached)

    try:
        train = computed(job.train)
        validation = None if job.validation is None else computed(job.validation)
    except OSError as error:
        job.log.notice(
            f"features could not be cached ({error}); the frozen layers are recomputed every epoch"
        )
        return job
    job.log.notice(f"that took {time.perf_counter() - began:.1f} s")
    return replace(job, train=train, validation=validation)


def _vocabulary_of(
    model: PreTrainedModel, head: Head, examples: Mapping[str, Examples], precision: Precision
) -> tuple[CompactVocabulary | None, str]:
    """The word embedding reduced to the rows that the splits use, if possible; and a summary."""
    used = used_ids(
        ((split.sampled or split.tokens).input_ids for split in examples.values()),
        model.config.vocab_size,
    )
    reason = whole_because(model, used)
    if READS[head] in ("every", "both"):
        reason = "any token may be predicted"
    if precision == "float16":
        reason = "with float16 a step may be skipped"
    if reason is not None:
        return None, f"all: {reason}"
    vocabulary = compact(model, used)
    return vocabulary, str(vocabulary)
