"""The settings of a training run, ``train``, with and without ``auto``."""

import re
from typing import Annotated, Literal

from pydantic import BaseModel, Field, ValidationInfo, field_validator

from warmstart import errors
from warmstart.config.model_settings import CLOSED, AverageConfig, LoraConfig, refusal

LossName = Literal[
    "cross-entropy", "focal", "binary-cross-entropy", "pairwise", "listwise", "squared-error"
]
LIST_LOSSES = ("pairwise", "listwise")
"""Losses that compare the rows of one query."""


SeedUse = Literal["initialization", "order", "dropout"]
"""What ``train.seed`` is used for; each use can have a seed of its own."""

SEEDS = ("seed", "initialization_seed", "order_seed", "dropout_seed")
"""The seeds of ``train``."""

Auto = Literal["auto"]
"""A value that is chosen when the model and the rows are known."""


DEFAULT_WARMUP_SHARE = 0.1
"""Share of all steps used for the warm-up if the config sets neither share nor steps."""


class TrainConfig(BaseModel):
    """How the model is trained.

    ``auto`` is replaced by a number when the model and the rows are known: see
    ``models.tuning.auto_settings``.
    """

    model_config = CLOSED

    epochs: Annotated[int, Field(ge=0)] | Auto = "auto"
    """Number of passes over the training rows. 0 trains nothing but the linear probe of
    ``head_start``. ``auto``: about 1,500 steps, in 3 to 20 passes; 0 for ``freeze: backbone``."""
    batch_size: Annotated[int, Field(ge=1)] | Auto = "auto"
    """Rows per batch. ``auto``: 32, or 8 for text generation."""
    gradient_accumulation: Annotated[int, Field(ge=1)] = 1
    """Batches per step; the loss of a step is the mean over the rows of all its batches."""
    group_by_length: bool = False
    """Build batches from rows of similar length: less padding, but a less random order of rows."""
    loss: LossName | None = None
    """Training loss; the first one named for a task is its default. Classification:
    ``cross-entropy``, or ``focal``, which gives less weight to rows that are already predicted
    well. Multi-label: ``binary-cross-entropy`` or ``focal``. Regression: ``squared-error``.
    Ranking: row by row ``binary-cross-entropy`` (one logit) or ``cross-entropy`` (two logits), or
    over all rows of a query ``pairwise`` or ``listwise``."""
    focal_gamma: Annotated[float, Field(ge=0)] = 2.0
    """Gamma of the focal loss: 0 is cross-entropy; a larger value gives less weight to rows that
    are already predicted well."""
    class_weights: Literal["balanced"] | None = None
    """``balanced``: weight the rows so that every label has the same total weight; for multi-label,
    so that for each label the rows with it have the same total weight as the rows without it."""
    choose_threshold: bool = False
    """With two labels: predict the second label from the probability that gives the best
    ``best_metric`` on the validation rows, instead of from 0.5. For multi-label: choose such a
    threshold for each label by its F1. For question answering: how much more probable no answer
    must be than the best one. Thresholds are saved with the run and used for every later
    prediction."""
    calibrate: Literal["temperature"] | None = None
    """``temperature``: after training, divide the logits by the number that gives the lowest
    log-loss on the validation rows, so that the probabilities are neither too high nor too low.
    Labels stay the same. The number is saved with the run and used for every later prediction."""
    learning_rate: Annotated[float, Field(gt=0, lt=1)] | Auto = "auto"
    """Peak learning rate of AdamW. ``auto`` chooses it by the width of the model: 3e-5 for
    BERT-base, more for smaller models."""
    layer_decay: Annotated[float, Field(gt=0, le=1)] | None = None
    """Smaller learning rates for lower layers: with L layers, layer l (counted from 0) has the rate
    times ``layer_decay`` to the power L - l, and the embeddings have the rate times ``layer_decay``
    to the power L + 1. Modules above the layers have the full rate."""
    head_learning_rate: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Peak learning rate of the modules above the layers (pooler and head); ``null`` uses
    ``learning_rate``."""
    weight_decay: Annotated[float, Field(ge=0, lt=1)] = 0.01
    """Decoupled weight decay of AdamW; biases and norms are not decayed."""
    adam_beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Decay rate of the running mean of the gradient."""
    adam_beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """Decay rate of the running mean of the squared gradient."""
    adam_epsilon: Annotated[float, Field(gt=0)] = 1e-8
    """Added to the square root of the mean squared gradient before dividing by it."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """Shape of the learning rate after the warm-up."""
    warmup_steps: Annotated[int, Field(ge=0)] | None = None
    """Steps before the peak rate; set either this or ``warmup_share``."""
    warmup_share: Annotated[float, Field(ge=0, lt=1)] | None = None
    """Share of all steps before the peak rate; 0.1 if neither setting is given."""
    max_gradient_norm: Annotated[float, Field(gt=0)] | None = 1.0
    """Clip the gradient to this norm; ``null`` disables clipping."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 42
    """Seed of the order of the rows, dropout, and the initial weights of a new head. Each of the
    three can have its own seed."""
    initialization_seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    """Seed of the initial weights of a new head, of adapters, or of a new model; ``null`` uses
    ``seed``."""
    order_seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    """Seed of the order of the rows, and of the masked tokens of fill-mask; ``null`` uses
    ``seed``."""
    dropout_seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    """Seed of dropout; ``null`` uses ``seed``."""
    freeze: str | None = None
    """``backbone``: train only the head; ``embeddings+layers:k``: freeze the embeddings and the
    first k layers."""
    head_start: Literal["linear-probe", "random"] | Auto = "auto"
    """``linear-probe``: before the first step, fit the last layer of a new head on the unchanged
    checkpoint (with ``freeze: backbone``, of any head), unless it predicts hardly better than a
    constant; ``random``: start from random weights. ``auto``: the linear probe."""
    retry: bool | Auto = "auto"
    """If the model has learned nothing (its training loss stayed at that of the best constant),
    train once more with the next seed. ``auto``: if ``seed`` is not set. One process only."""
    unfreeze_layers_per_epoch: Annotated[int, Field(ge=1)] | None = None
    """Train only the pooler and the head in the first epoch, and unfreeze this number of layers in
    each later epoch, from the top. The embeddings come last and count as one layer."""
    lora: LoraConfig | None = None
    """Train adapters and the head instead of the whole model."""
    average: AverageConfig | None = None
    """Average the weights of several evaluations."""
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Numeric precision of the forward pass; ``auto`` chooses one that suits the device."""
    device: Literal["auto", "cpu"] = "auto"
    """``auto`` uses an accelerator if there is one; ``cpu`` does not."""
    evaluations_per_epoch: Annotated[int, Field(ge=1)] = 1
    """Number of evaluations on the validation rows per epoch, evenly spaced; the last one is at the
    end of the epoch."""
    best_metric: str | None = None
    """Validation metric that selects the best model; by default the task's main metric."""
    early_stopping: Annotated[int, Field(ge=1)] | None = None
    """Stop after this number of evaluations without a better ``best_metric``."""
    budget_minutes: Annotated[float, Field(gt=0)] | None = None
    """End training when its steps and evaluations have taken this time, with an evaluation."""
    extend: bool | Auto = "auto"
    """With a budget: after the last epoch, train as many epochs again if the last evaluation was
    the best and the budget is long enough. This repeats. ``auto``: if ``epochs`` is ``auto``."""
    checkpoint_every_steps: Annotated[int, Field(ge=1)] | None = None
    """Steps between checkpoints; by default a checkpoint is saved at each evaluation."""
    keep_checkpoints: Annotated[int, Field(ge=1)] = 1
    """Number of checkpoints to keep on disk; the oldest are deleted."""
    sample_every_steps: Annotated[int, Field(ge=1)] | None = None
    """For text generation: steps between samples (``generate``); by default one per evaluation."""
    cuda_graphs: bool = False
    """On a GPU, launch each step as one CUDA graph, not kernel by kernel. Not yet measured."""
    tensorboard: bool = False
    """Write TensorBoard events next to ``events.jsonl`` (needs the ``tensorboard`` package)."""

    @field_validator("freeze")
    @classmethod
    def _names_a_part(cls, freeze: str | None, info: ValidationInfo) -> str | None:
        if freeze is not None and not re.fullmatch(r"backbone|embeddings\+layers:\d+", freeze):
            raise refusal(errors.config.unknown_part(freeze))
        if freeze == "backbone" and info.data.get("layer_decay") is not None:
            raise refusal(errors.transfer.rates_of_frozen_layers())
        return freeze

    @field_validator("unfreeze_layers_per_epoch", "lora")
    @classmethod
    def _one_way_to_freeze(cls, value: object, info: ValidationInfo) -> object:
        for other in ("freeze", "unfreeze_layers_per_epoch"):
            if value is not None and info.data.get(other) is not None:
                raise refusal(
                    errors.transfer.two_ways(f"train.{other}", f"train.{info.field_name}")
                )
        return value

    @field_validator("average")
    @classmethod
    def _adapters_have_no_mean(
        cls, average: AverageConfig | None, info: ValidationInfo
    ) -> AverageConfig | None:
        lora = info.data.get("lora")
        if average is not None and lora is not None and lora.save == "adapter":
            raise refusal(errors.transfer.mean_of_adapters())
        return average

    @field_validator("warmup_share")
    @classmethod
    def _one_warmup(cls, share: float | None, info: ValidationInfo) -> float | None:
        if share is not None and (steps := info.data.get("warmup_steps")) is not None:
            raise refusal(errors.config.two_warmups(steps, share))
        return share

    def seed_of(self, use: SeedUse) -> int:
        """The seed for one of its uses: its own, or ``seed``.

        Args:
            use: what is random.
        """
        own = {
            "initialization": self.initialization_seed,
            "order": self.order_seed,
            "dropout": self.dropout_seed,
        }[use]
        return self.seed if own is None else own


class ResolvedTrainConfig(TrainConfig):
    """The settings of a training run in which nothing is ``auto``."""

    epochs: Annotated[int, Field(ge=0)]
    batch_size: Annotated[int, Field(ge=1)]
    learning_rate: Annotated[float, Field(gt=0, lt=1)]
    head_start: Literal["linear-probe", "random"] = "random"
    extend: bool = False
    retry: bool = False
