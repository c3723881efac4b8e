"""Transformers' ``Trainer`` as an engine, set up as in its documentation.

Its rows are a plain list, which the ``Trainer`` reads faster than a ``datasets.Dataset``.
Everything after the texts is its own: tokenizer call, collator, model loading, optimiser (fused
AdamW, its default).

In a timed window it gets its batches in order: warmstart's batches of the same seed or, grouped by
length, those of its own sampler (``batches_by_length``). In a whole run it shuffles by itself,
scores the validation rows after each epoch, and keeps the best model.

In Transformers 5, ``train_sampling_strategy="group_by_length"`` replaces ``group_by_length=True``.
"""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from benchmarks.corpora import Rows
from benchmarks.materials import Setup
from benchmarks.outcome import Row
from benchmarks.window import Window
from warmstart.config import ResolvedTrainConfig

if TYPE_CHECKING:
    from transformers import Trainer

MCC = "matthews_correlation"


def transformers_trainer(
    setup: Setup, window: Window, *, grouped: bool = False, pad_to: int | None = None
) -> Row:
    """Train with the ``Trainer``.

    Args:
        setup: rows, checkpoint and settings.
        window: measures the steps.
        grouped: in a whole run, use batches of similar length.
        pad_to: number of tokens to pad every row to; by default the longest row of its batch.
    """
    whole = window.batches is None
    strategy = ("group_by_length" if grouped else "random") if whole else "sequential"
    with TemporaryDirectory() as folder:
        peer = trainer(
            setup,
            Path(folder),
            strategy=strategy,
            evaluating=whole,
            pad_to=pad_to,
            positions=None if whole else window.positions,
        )
        peer.add_callback(ticking(window))
        assert peer.model is not None
        window.watch(peer.model)
        window.start()
        peer.train()
        if whole:
            window.finish()
    return {"validation_mcc": peer.state.best_metric} if whole else {}


def trainer(
    setup: Setup,
    folder: Path,
    *,
    strategy: str,
    evaluating: bool,
    pad_to: int | None = None,
    positions: Sequence[int] | None = None,
) -> "Trainer":
    """Create a ``Trainer`` on the CPU.

    Args:
        setup: rows, checkpoint and settings.
        folder: folder for its checkpoints.
        strategy: ``random``, ``group_by_length`` or ``sequential``.
        evaluating: whether to score the validation rows after each epoch and keep the best model.
        pad_to: number of tokens to pad every row to; by default the longest row of its batch.
        positions: positions of the training rows, in this order; by default all rows.
    """
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        PrinterCallback,
        Trainer,
        TrainingArguments,
        set_seed,
    )

    quiet()
    tokenizer = AutoTokenizer.from_pretrained(setup.checkpoint)
    set_seed(setup.train_config.seed)
    model = AutoModelForSequenceClassification.from_pretrained(setup.checkpoint, num_labels=2)
    if setup.frozen:
        model.base_model.requires_grad_(False)
    train = features(setup.train, tokenizer, setup.max_tokens)
    padding: dict[str, Any] = {"padding": "max_length", "max_length": pad_to} if pad_to else {}
    peer = Trainer(
        model=model,
        args=TrainingArguments(
            **arguments(setup, folder),
            train_sampling_strategy=strategy,
            eval_strategy="epoch" if evaluating else "no",
            save_strategy="epoch" if evaluating else "no",
            per_device_eval_batch_size=setup.train_config.batch_size,
            save_total_limit=1,
            load_best_model_at_end=evaluating,
            metric_for_best_model=MCC,
            greater_is_better=True,
        ),
        train_dataset=train if positions is None else [train[i] for i in positions],
        eval_dataset=features(setup.validation, tokenizer, setup.max_tokens),
        processing_class=tokenizer,
        data_collator=DataCollatorWithPadding(tokenizer, **padding),
        compute_metrics=_matthews,
    )
    peer.remove_callback(PrinterCallback)  # stdout is for the result
    return peer


def arguments(setup: Setup, folder: Path) -> dict[str, Any]:
    """The settings as keyword arguments of ``TrainingArguments`` and similar classes.

    Args:
        setup: the settings.
        folder: folder for checkpoints.
    """
    # The schedule is that of the whole training, although only a part of it is timed.
    steps = total_steps(len(setup.train), setup.train_config)
    warmup_steps = setup.train_config.warmup_steps or 0
    return optimiser_arguments(setup.train_config, folder, steps, warmup_steps)


def optimiser_arguments(
    config: ResolvedTrainConfig, folder: Path, steps: int, warmup_steps: int
) -> dict[str, Any]:
    """The same for any task.

    Args:
        config: warmstart's settings of the training.
        folder: for checkpoints.
        steps: optimiser steps of the whole training.
        warmup_steps: steps in which the rate rises.
    """
    return {
        "output_dir": str(folder),
        "max_steps": steps,
        "per_device_train_batch_size": config.batch_size,
        "learning_rate": config.learning_rate,
        "lr_scheduler_type": config.schedule,
        "warmup_steps": warmup_steps,
        "weight_decay": config.weight_decay,
        "adam_beta1": config.adam_beta1,
        "adam_beta2": config.adam_beta2,
        "adam_epsilon": config.adam_epsilon,
        "max_grad_norm": config.max_gradient_norm or 0.0,
        "seed": config.seed,
        "use_cpu": True,
        "dataloader_pin_memory": False,  # only useful with an accelerator
        "report_to": "none",
        "disable_tqdm": True,
        "log_level": "error",
    }


def total_steps(rows: int, config: ResolvedTrainConfig) -> int:
    """Number of optimiser steps of the whole training.

    Args:
        rows: number of training rows.
        config: epochs and batch size.
    """
    return config.epochs * -(-rows // config.batch_size)


def features(rows: Rows, tokenizer: Any, max_tokens: int) -> list[dict[str, Any]]:
    """Rows tokenised with a Transformers tokenizer, with their labels.

    Args:
        rows: texts and labels.
        tokenizer: the checkpoint's tokenizer.
        max_tokens: longest row.
    """
    if not len(rows):
        return []
    encoded = tokenizer(*map(list, rows.columns), truncation=True, max_length=max_tokens)
    return [
        {**{name: values[i] for name, values in encoded.items()}, "labels": label}
        for i, label in enumerate(rows.labels)
    ]


def batches_by_length(
    lengths: Sequence[int], config: ResolvedTrainConfig, steps: int
) -> list[list[int]]:
    """Batches of the ``Trainer``'s length-grouped sampler: the longest one, then typical ones.

    The sampler sorts the rows of every 50 batches (fewer for small data) from long to short, so
    batches become shorter until the next group of 50 begins. A fair selection is a number of whole
    groups or, for fewer steps, batches at even distances within the first group. The sampler puts
    the longest batch first in every epoch; here it is used for the warm-up, so that the peak memory
    is that of an epoch.

    Args:
        lengths: number of tokens of each row.
        config: batch size and seed.
        steps: number of batches after the first.
    """
    import torch
    from transformers.trainer_pt_utils import LengthGroupedSampler

    size = config.batch_size
    order = list(
        LengthGroupedSampler(
            size, lengths=list(lengths), generator=torch.Generator().manual_seed(config.seed)
        )
    )
    batches = [order[start : start + size] for start in range(0, len(order) - size + 1, size)]
    group = max(1, min(len(order) // (4 * size), 50))
    if steps < group:
        fair = [batches[int((step + 0.5) * group / steps)] for step in range(steps)]
    else:
        fair = batches[: steps - steps % group]
    return [batches[0], *fair]


def ticking(window: Window) -> Any:
    """A callback that records the end of each step and stops the training after the last one."""
    from transformers import TrainerCallback

    class Ticking(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if window.tick():
                control.should_training_stop = True

    return Ticking()


def quiet() -> None:
    """Hide progress bars and warnings, because stdout and stderr are for the result."""
    from transformers.utils import logging

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]


def _matthews(prediction: Any) -> dict[str, float]:
    from sklearn.metrics import matthews_corrcoef

    return {MCC: float(matthews_corrcoef(prediction.label_ids, prediction.predictions.argmax(-1)))}
