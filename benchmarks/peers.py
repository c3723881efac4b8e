"""The usual way of doing it: Transformers' ``Trainer``, set up as its documentation shows.

Its rows are a plain list, which the ``Trainer`` reads faster than a ``datasets.Dataset``: a peer
gets the better of two ways. Everything after the texts is the peer's own: its tokenizer call, its
collator, its model loading, its optimiser (fused AdamW, its default).

In a timed window it is given its batches, in order: those that warmstart makes of the same seed,
or, grouped by length, those of its own sampler (``batches_by_length``). Where a whole run is timed
it draws them itself, scores the validation rows after each epoch and keeps the best model.

Transformers 5 has ``train_sampling_strategy="group_by_length"`` for what was ``group_by_length``.
"""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from benchmarks.corpora import Rows
from benchmarks.materials import Setup
from benchmarks.outcome import Row
from benchmarks.window import Window
from warmstart.config import TrainConfig

if TYPE_CHECKING:
    from transformers import Trainer

MCC = "matthews_correlation"


def transformers_trainer(
    setup: Setup, window: Window, *, grouped: bool = False, pad_to: int | None = None
) -> Row:
    """Train with the ``Trainer``.

    Args:
        setup: rows, checkpoint and settings.
        window: what is timed.
        grouped: draw batches of rows of like length, where it draws them itself.
        pad_to: pad every row to this many tokens; by default to the longest of its batch.
    """
    whole = window.batches is None
    strategy = ("group_by_length" if grouped else "random") if whole else "sequential"
    with TemporaryDirectory() as folder:
        made = trainer(
            setup,
            Path(folder),
            strategy=strategy,
            evaluating=whole,
            pad_to=pad_to,
            positions=None if whole else window.positions,
        )
        made.add_callback(ticking(window))
        assert made.model is not None
        window.watch(made.model)
        window.start()
        made.train()
        if whole:
            window.finish()
    return {"validation_mcc": made.state.best_metric} if whole else {}


def trainer(
    setup: Setup,
    folder: Path,
    *,
    strategy: str,
    evaluating: bool,
    pad_to: int | None = None,
    positions: Sequence[int] | None = None,
) -> "Trainer":
    """A ``Trainer`` on the CPU.

    Args:
        setup: rows, checkpoint and settings.
        folder: for its checkpoints.
        strategy: ``random``, ``group_by_length`` or ``sequential``.
        evaluating: score the validation rows after each epoch and keep the best model; without it
            nothing is scored and nothing saved.
        pad_to: as above.
        positions: of the training rows, in this order; by default each once.
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
    made = Trainer(
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
    made.remove_callback(PrinterCallback)  # stdout is for the result
    return made


def arguments(setup: Setup, folder: Path) -> dict[str, Any]:
    """The settings that ``TrainingArguments`` and its kin take.

    Args:
        setup: the settings.
        folder: for checkpoints.
    """
    # The schedule is that of the whole training, however little of it is timed.
    steps = total_steps(len(setup.train), setup.train_config)
    warmup_steps = setup.train_config.warmup_steps or 0
    return optimiser_arguments(setup.train_config, folder, steps, warmup_steps)


def optimiser_arguments(
    config: TrainConfig, folder: Path, steps: int, warmup_steps: int
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
        "dataloader_pin_memory": False,  # there is no accelerator to pin it for
        "report_to": "none",
        "disable_tqdm": True,
        "log_level": "error",
    }


def total_steps(rows: int, config: TrainConfig) -> int:
    """Optimiser steps of the whole training.

    Args:
        rows: to learn from.
        config: epochs and batch size.
    """
    return config.epochs * -(-rows // config.batch_size)


def features(rows: Rows, tokenizer: Any, max_tokens: int) -> list[dict[str, Any]]:
    """Rows tokenised by Transformers' own call, with their labels.

    Args:
        rows: texts and labels.
        tokenizer: of the checkpoint.
        max_tokens: longest row.
    """
    if not len(rows):
        return []
    encoded = tokenizer(*map(list, rows.columns), truncation=True, max_length=max_tokens)
    return [
        {**{name: values[i] for name, values in encoded.items()}, "labels": label}
        for i, label in enumerate(rows.labels)
    ]


def batches_by_length(lengths: Sequence[int], config: TrainConfig, steps: int) -> list[list[int]]:
    """Batches as the ``Trainer``'s sampler groups them: the longest one, then ``steps`` fair ones.

    Its order falls from the longest rows to the shortest over every 50 batches (fewer where the
    data are small) and then begins anew. Fair are whole falls, or, for fewer steps, batches at even
    distances within the first fall. The longest batch comes first in every epoch; it belongs to the
    warm-up here, so that the peak of the memory is that of an epoch.

    Args:
        lengths: tokens of each row.
        config: batch size and seed.
        steps: how many after the first.
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
    fall = max(1, min(len(order) // (4 * size), 50))
    if steps < fall:
        fair = [batches[int((step + 0.5) * fall / steps)] for step in range(steps)]
    else:
        fair = batches[: steps - steps % fall]
    return [batches[0], *fair]


def ticking(window: Window) -> Any:
    """A callback that notes the end of each step, and stops the training after the last."""
    from transformers import TrainerCallback

    class Ticking(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if window.tick():
                control.should_training_stop = True

    return Ticking()


def quiet() -> None:
    """No progress bars and no warnings: stdout and stderr are for the result."""
    from transformers.utils import logging

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]


def _matthews(prediction: Any) -> dict[str, float]:
    from sklearn.metrics import matthews_corrcoef

    return {MCC: float(matthews_corrcoef(prediction.label_ids, prediction.predictions.argmax(-1)))}
