"""sentence-transformers and SetFit as engines that train a classifier.

sentence-transformers trains a ``CrossEncoder`` with its ``CrossEncoderTrainer`` and tokenises at
every step, in its loss. Its ``CrossEntropyLoss`` accepts only pairs, so the same loss for single
texts is implemented here. Its ``predict`` also accepts only pairs: single texts are paired with an
empty text, which adds one token to each row.

SetFit's main method (contrastive pairs of few examples, then logistic regression on frozen
embeddings) does different work and cannot be compared per row. Its differentiable head, trained end
to end (``use_differentiable_head``, ``end_to_end=True``), can. It pads every row to the maximum
length, tokenises at every step, uses mean pooling, does not clip, and shuffles by itself. It is
only measured if it is installed: ``pip install setfit``.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.materials import Setup
from benchmarks.outcome import Row
from benchmarks.peers import arguments, quiet, ticking
from benchmarks.window import Window


def sentence_transformers(setup: Setup, window: Window) -> Row:
    """Train a ``CrossEncoder`` with the ``CrossEncoderTrainer``.

    Args:
        setup: rows, checkpoint and settings.
        window: measures the steps.
    """
    from datasets import Dataset
    from sentence_transformers import CrossEncoder
    from sentence_transformers.base.sampler import DefaultBatchSampler
    from sentence_transformers.cross_encoder import (
        CrossEncoderTrainer,
        CrossEncoderTrainingArguments,
    )
    from sentence_transformers.cross_encoder.losses import CrossEntropyLoss
    from torch import nn
    from torch.utils.data import SequentialSampler
    from transformers import PrinterCallback, set_seed

    class SingleTextLoss(nn.Module):
        """``CrossEntropyLoss`` for one text column."""

        def __init__(self, model: Any) -> None:
            super().__init__()
            self.model, self.loss = model, nn.CrossEntropyLoss()

        def forward(
            self, inputs: Any, labels: Any, prompt: str | None = None, task: str | None = None
        ) -> Any:
            tokens = self.model.preprocess(inputs[0], prompt=prompt, task=task)
            return self.loss(self.model(tokens)["scores"], labels)

    def in_order(dataset: Any, **how: Any) -> Any:
        return DefaultBatchSampler(SequentialSampler(dataset), **how)

    quiet()
    set_seed(setup.train_config.seed)
    whole = window.batches is None
    rows = setup.train if whole else setup.train.at(window.positions)
    columns = dict(zip(("text", "pair"), rows.columns, strict=False))
    model = CrossEncoder(
        str(setup.checkpoint), num_labels=2, max_length=setup.max_tokens, device="cpu"
    )
    if setup.frozen:
        model.model.base_model.requires_grad_(False)
    own_batches: dict[str, Any] = {} if whole else {"batch_sampler": in_order}
    with TemporaryDirectory() as folder:
        trainer = CrossEncoderTrainer(
            model=model,
            args=CrossEncoderTrainingArguments(
                **arguments(setup, Path(folder)),
                **own_batches,
                eval_strategy="no",
                save_strategy="epoch" if whole else "no",
                save_total_limit=1,
            ),
            train_dataset=Dataset.from_dict({**columns, "label": rows.labels}),
            loss=(SingleTextLoss if rows.pairs is None else CrossEntropyLoss)(model),
            callbacks=[ticking(window)],
        )
        trainer.remove_callback(PrinterCallback)
        window.watch(model)
        window.start()
        trainer.train()
        if whole:
            window.finish()
    return {}


def setfit(setup: Setup, window: Window) -> Row:
    """Train a ``SetFitModel`` end to end, first on the rows of the warm-up, then on the timed rows.

    Args:
        setup: rows, checkpoint (of sentence-transformers) and settings.
        window: measures the steps.
    """
    from setfit import SetFitModel  # type: ignore[import-not-found]
    from transformers import set_seed

    quiet()
    config = setup.train_config
    set_seed(config.seed)
    assert window.batches is not None
    model = SetFitModel.from_pretrained(
        str(setup.checkpoint),
        use_differentiable_head=True,
        head_params={"out_features": 2},
        device="cpu",
    )
    window.watch(model.model_body)
    warmup = window.warmup_steps * config.batch_size
    for part in (window.positions[:warmup], window.positions[warmup:]):
        rows = setup.train.at(part)
        model.fit(
            list(rows.texts),
            list(rows.labels),
            num_epochs=1,
            batch_size=config.batch_size,
            body_learning_rate=config.learning_rate,
            head_learning_rate=config.learning_rate,
            l2_weight=config.weight_decay,
            max_length=setup.max_tokens,
            end_to_end=True,
            show_progress_bar=False,
        )
        for _ in range(0, len(part), config.batch_size):
            window.tick()  # SetFit does not report the end of single steps
    return {}
