"""One model twice, packed and plain, for the tests of packed execution."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from transformers import (
    AutoModelForSequenceClassification,
    PreTrainedModel,
)

from tests.tiny import tiny_checkpoint, tiny_sentences
from warmstart.config import ModelConfig
from warmstart.data.examples.batches import Batch, Examples, collate
from warmstart.data.examples.targets import RowBatchTargets, RowTargets, of_kind
from warmstart.data.examples.tokenise import RowTokeniser
from warmstart.models.checkpoints.configuration import Head, with_labels
from warmstart.models.checkpoints.load import Checkpoint, find
from warmstart.models.packed.packed_runner import PackedRunner

HEAD: Head = "sequence-classification"
LABELS = ["a", "b", "c"]
LIKE_ROBERTA = ("xlm-roberta", "camembert")


class Pair(NamedTuple):
    """One model twice, and rows for it."""

    plain: PreTrainedModel
    packed: PreTrainedModel
    examples: Examples
    pad_token_id: int


def packed_runner(model: PreTrainedModel) -> PackedRunner:
    return PackedRunner(model, HEAD)


def rows_for(checkpoint: Checkpoint, count: int = 24, *, pairs: bool = False) -> Examples:
    long = " ".join(tiny_sentences(40, seed=3))
    texts = [*tiny_sentences(count - 3), "a", f"the {checkpoint.tokenizer.pad_token} is here", long]
    rows = np.arange(count)
    chunk = list(zip(texts, texts[::-1], strict=True)) if pairs else texts
    tokens = RowTokeniser.of(checkpoint.tokenizer).tokenise([chunk], rows, 128)
    return Examples(tokens, RowTargets(rows % 3))


def twice(folder: Path, architecture: str, *, pairs: bool = False, **config: Any) -> Pair:
    base = "roberta" if architecture in LIKE_ROBERTA else architecture
    # Four layers: ModernBERT's first and fourth have global attention, the others a window.
    tiny_checkpoint(folder, base, layers=4)
    checkpoint = find(ModelConfig(name=str(folder), dropout=0.0))
    checkpoint.config.update(config)
    settings = with_labels(checkpoint.config, LABELS)
    models = [AutoModelForSequenceClassification.from_config(settings).train() for _ in range(2)]
    for model in models:
        set_weights(model)
    if architecture in LIKE_ROBERTA:
        models[1].config.model_type = architecture
    return Pair(*models, rows_for(checkpoint, pairs=pairs), checkpoint.tokenizer.pad_token_id)


def set_weights(model: nn.Module) -> None:
    """The same for both, larger than in a new model, so that errors of attention are visible."""
    draw = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            norm = parameter.ndim == 1
            parameter.copy_(torch.randn(parameter.shape, generator=draw) * 0.2 + norm)


def plain_logits(pair: Pair, batch: Batch) -> Tensor:
    logits: Tensor = pair.plain(**batch.padded(pair.pad_token_id)).logits
    return logits


def loss_of(logits: Tensor, batch: Batch) -> Tensor:
    labels = of_kind(batch.targets, RowBatchTargets).values
    return nn.functional.cross_entropy(logits, labels)


def assert_same(pair: Pair, run: Callable[[PreTrainedModel, Batch], Tensor]) -> None:
    """Loss and every gradient, relative to the largest entry of each."""
    batch = collate(pair.examples, np.arange(len(pair.examples)))
    expected, found = plain_logits(pair, batch), run(pair.packed, batch)
    assert (expected - found).abs().max() < 2e-5 * expected.abs().max()
    loss_of(expected, batch).backward()
    loss_of(found, batch).backward()
    assert_same_gradients(pair)


def assert_same_gradients(pair: Pair) -> None:
    """Gradients of every parameter, after a backward pass of each model."""
    for (name, one), two in zip(
        pair.plain.named_parameters(), pair.packed.parameters(), strict=True
    ):
        assert (one.grad is None) == (two.grad is None), name
        if one.grad is not None and two.grad is not None:
            # Five digits smaller than the largest gradient of the parameter; a gradient that is 0
            # except for rounding (a key's bias) is compared with the scale of the whole step.
            scale = max(float(one.grad.abs().max()), 1e-2)
            assert (one.grad - two.grad).abs().max() < 5e-5 * scale, name
