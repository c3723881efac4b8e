"""A packed model in evaluation mode is thread-safe: results are bit-identical to one thread."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.models.packed import test_decoders as decoders
from tests.models.packed import test_packed_runner as classifiers
from tests.models.packed import test_token_classification as taggers
from tests.tiny.decoders import make_decoder
from warmstart.data.examples.batches import Batch, Examples, collate
from warmstart.models.checkpoints.configuration import Head
from warmstart.models.packed.dropout import Noise
from warmstart.models.packed.packed_runner import PackedRunner

THREADS, ROUNDS = 8, 4


def model_of(folder: Path, head: Head, architecture: str) -> tuple[Any, Examples]:
    """With dropout in its configuration, which must have no effect in evaluation mode."""
    if head == "causal-lm":
        return make_decoder(architecture, dropout=0.3), decoders.documents()
    pair = (taggers if head == "token-classification" else classifiers).twice(folder, architecture)
    for module in pair.packed.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.3
    return pair.packed.eval(), pair.examples


@pytest.mark.parametrize(
    ("head", "architecture"),
    [
        ("sequence-classification", "bert"),
        pytest.param("sequence-classification", "modernbert", marks=pytest.mark.slow),
        pytest.param("token-classification", "roberta", marks=pytest.mark.slow),
        ("causal-lm", "gpt2"),
        pytest.param("causal-lm", "llama", marks=pytest.mark.slow),
    ],
)
def test_threads_get_what_one_thread_gets(
    tmp_path: Path, head: Head, architecture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, examples = model_of(tmp_path, head, architecture)
    runner = PackedRunner(model, head)

    def touched(*_: Any) -> Tensor:
        raise AssertionError("dropout's shared random bits are not for evaluation mode")

    monkeypatch.setattr(Noise, "keep", touched)
    monkeypatch.setattr(Noise, "renew", touched)
    batches = [
        taggers.asked_at(batch, torch.arange(batch.tokens))
        for start in range(len(examples))
        for batch in [collate(examples, np.arange(start, min(start + 3, len(examples))))]
    ] * ROUNDS

    @torch.no_grad()
    def logits(batch: Batch) -> Tensor:
        found: Any = runner.logits(model, batch)
        return found if isinstance(found, Tensor) else found.at(torch.arange(batch.tokens))

    state = dict(vars(runner))
    expected = [logits(batch) for batch in batches]
    with ThreadPoolExecutor(THREADS) as threads:
        found = list(threads.map(logits, batches))
    assert all(one.equal(other) for one, other in zip(found, expected, strict=True))
    assert vars(runner) == state
    assert not model.training
