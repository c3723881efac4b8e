"""The usual way of doing it: Transformers' ``Trainer``, set up as its documentation shows.

Rows and split come from warmstart's ``Prepared``; everything after that is the peer's own: its
tokenizer call, its collator, its sampler, its model loading. Its rows are a plain list, which the
``Trainer`` reads faster than a ``datasets.Dataset``: a peer gets the better of two ways.

Transformers 5 has ``train_sampling_strategy="group_by_length"`` for what was ``group_by_length``.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from warmstart.data.encode import Ints
from warmstart.training.prepare import Prepared

if TYPE_CHECKING:
    from transformers import Trainer

MCC = "matthews_correlation"


class PaddingCollator:
    """``DataCollatorWithPadding`` that notes the size of each batch before it is padded."""

    def __init__(self, tokenizer: Any) -> None:
        from transformers import DataCollatorWithPadding

        self._pad = DataCollatorWithPadding(tokenizer)
        self.rows: list[int] = []
        self.tokens: list[int] = []

    def __call__(self, features: list[dict[str, Any]]) -> dict[str, Any]:
        """One padded batch."""
        self.rows.append(len(features))
        self.tokens.append(sum(len(feature["input_ids"]) for feature in features))
        return self._pad(features)


def trainer(prepared: Prepared, folder: Path, *, grouped: bool, evaluating: bool) -> "Trainer":
    """A ``Trainer`` with the settings, rows and seed of a prepared run, on the CPU.

    Args:
        prepared: the run that warmstart would make.
        folder: for the checkpoints.
        grouped: batches of rows of like length.
        evaluating: score the validation rows after each epoch and keep the best model; without it
            nothing is scored and nothing saved.
    """
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        PrinterCallback,
        Trainer,
        set_seed,
    )
    from transformers.utils import logging

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    tokenizer = AutoTokenizer.from_pretrained(prepared.checkpoint.folder)
    set_seed(prepared.config.train.seed)
    made = Trainer(
        model=AutoModelForSequenceClassification.from_pretrained(
            prepared.checkpoint.folder, num_labels=len(prepared.task.facts["label_names"])
        ),
        args=_arguments(prepared, folder, grouped=grouped, evaluating=evaluating),
        train_dataset=rows(prepared, "train", tokenizer),
        eval_dataset=rows(prepared, "validation", tokenizer),
        processing_class=tokenizer,
        data_collator=PaddingCollator(tokenizer),
        compute_metrics=_matthews,
    )
    made.remove_callback(PrinterCallback)  # stdout is for the result
    return made


def rows(prepared: Prepared, split: str, tokenizer: Any) -> list[dict[str, Any]]:
    """The rows of a split, tokenised by Transformers' own call, with their labels.

    Args:
        prepared: has the table.
        split: ``train``, ``validation`` or ``test``.
        tokenizer: of the checkpoint.
    """
    table = prepared.tables[split]
    texts = table.column(prepared.config.data.text, "data.text").to_pylist()
    encoded = tokenizer(texts, truncation=True, max_length=prepared.max_tokens)
    labels: Ints = prepared.task.targets(table)
    return [
        {**{name: values[i] for name, values in encoded.items()}, "labels": label}
        for i, label in enumerate(labels.tolist())
    ]


def _arguments(prepared: Prepared, folder: Path, *, grouped: bool, evaluating: bool) -> Any:
    from transformers import TrainingArguments

    config = prepared.config.train
    return TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=config.epochs,
        per_device_train_batch_size=config.batch_size,
        gradient_accumulation_steps=config.gradient_accumulation,
        learning_rate=config.learning_rate,
        lr_scheduler_type=config.schedule,
        warmup_steps=config.warmup_steps or 0,
        weight_decay=config.weight_decay,
        adam_beta1=config.adam_beta1,
        adam_beta2=config.adam_beta2,
        adam_epsilon=config.adam_epsilon,
        max_grad_norm=config.max_gradient_norm or 0.0,
        seed=config.seed,
        train_sampling_strategy="group_by_length" if grouped else "random",
        eval_strategy="epoch" if evaluating else "no",
        save_strategy="epoch" if evaluating else "no",
        save_total_limit=1,
        load_best_model_at_end=evaluating,
        metric_for_best_model=MCC,
        greater_is_better=True,
        use_cpu=True,
        dataloader_pin_memory=False,  # there is no accelerator to pin it for
        report_to="none",
        disable_tqdm=True,
        log_level="error",
    )


def _matthews(prediction: Any) -> dict[str, float]:
    from sklearn.metrics import matthews_corrcoef

    return {MCC: float(matthews_corrcoef(prediction.label_ids, prediction.predictions.argmax(-1)))}
