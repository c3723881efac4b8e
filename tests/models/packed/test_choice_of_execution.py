"""When a model runs packed, and when it runs padded, with the reason."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor, nn
from transformers import (
    AttentionInterface,
)

from tests.models.packed.pairs import HEAD, assert_same, twice
from tests.tiny import ARCHITECTURES
from warmstart.data.examples.batches import Examples
from warmstart.data.examples.targets import NoTargets
from warmstart.models.packed import packed_attention as attention
from warmstart.models.packed.architectures import why_not_packed
from warmstart.models.packed.dropout import FastDropout
from warmstart.models.packed.forward import Forward, forward_for, padded_forward, two_rows


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_known_architectures_run_packed(tmp_path: Path, architecture: str) -> None:
    pair = twice(tmp_path, architecture)
    forward = forward_for(pair.packed.eval(), HEAD, pair.examples)
    assert forward.packed
    assert forward.path == "packed: real tokens only, no padding"


def test_an_attention_that_ignores_the_packing_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def blind(module: nn.Module, *states: Tensor, **kwargs: Any) -> tuple[Tensor, None]:
        """Every token attends to every token of the batch."""
        out = nn.functional.scaled_dot_product_attention(*states[:3])
        return out.transpose(1, 2), None

    pair = twice(tmp_path, "bert")
    monkeypatch.setitem(AttentionInterface._global_mapping, attention.PACKED, blind)
    forward = forward_for(pair.packed, HEAD, pair.examples)
    assert not forward.packed
    assert "gave different logits for two rows of the data" in forward.path
    assert not any(isinstance(module, FastDropout) for module in pair.packed.modules())
    monkeypatch.undo()
    assert_same(pair, forward.run)


ERRORS = [
    RuntimeError("no kernel for this head\nand more"),
    ValueError("no kernel for this head"),
    TypeError("no kernel for this head"),
    AttributeError("no kernel for this head"),
    NotImplementedError("no kernel for this head"),
    AssertionError(),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_whatever_packed_execution_raises_the_model_runs_padded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    pair = twice(tmp_path, "bert")
    modules = {name: type(module) for name, module in pair.packed.named_modules()}
    attention_before = pair.packed.config._attn_implementation
    monkeypatch.setitem(AttentionInterface._global_mapping, attention.PACKED, fail)
    forward = forward_for(pair.packed, HEAD, pair.examples)
    assert not forward.packed
    message = ": no kernel for this head" * bool(error.args)
    assert forward.path == (
        "padded, in rectangles of similar length: "
        f"packed execution failed, {type(error).__name__}{message}"
    )
    # Mode, modules and attention are restored: the padded run does not use the broken attention.
    assert pair.packed.training
    assert {name: type(module) for name, module in pair.packed.named_modules()} == modules
    assert pair.packed.config._attn_implementation == attention_before
    assert_same(pair, forward.run)


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_a_request_to_stop_is_no_failure_of_packed_execution(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: type[BaseException]
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise stop

    pair = twice(tmp_path, "bert")
    monkeypatch.setitem(AttentionInterface._global_mapping, attention.PACKED, fail)
    with pytest.raises(stop):
        forward_for(pair.packed, HEAD, pair.examples)


def test_a_model_that_refuses_packed_attention_keeps_its_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_implementation: str) -> None:
        raise ValueError("this model has its own attention")

    pair = twice(tmp_path, "bert")
    monkeypatch.setattr(pair.packed, "set_attn_implementation", refuse)
    forward = forward_for(pair.packed, HEAD, pair.examples)
    assert forward.path.endswith("failed, ValueError: this model has its own attention")
    assert not any(isinstance(module, FastDropout) for module in pair.packed.modules())


def test_a_model_that_claims_to_be_of_another_family_runs_padded(tmp_path: Path) -> None:
    """Its configuration lacks a field, so checking whether it can run packed raises an error."""
    pair = twice(tmp_path, "modernbert")
    pair.packed.config.model_type = "bert"
    with pytest.raises(AttributeError):
        why_not_packed(pair.packed, HEAD)
    forward = forward_for(pair.packed, HEAD, pair.examples)
    assert "packed execution failed, AttributeError: " in forward.path
    assert_same(pair, forward.run)


def test_rows_of_one_length_are_two_rows_all_the_same(tmp_path: Path) -> None:
    pair = twice(tmp_path, "bert")
    like = np.flatnonzero(pair.examples.lengths == np.bincount(pair.examples.lengths).argmax())
    batch = two_rows(Examples(pair.examples.tokens.taken(like), NoTargets()))
    assert len(batch) == 2
    assert len(set(batch.rows.tolist())) == 2


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"chunk_size_feed_forward": 1}, "config.json sets chunk_size_feed_forward"),
        ({"is_decoder": True}, "it is configured as a decoder"),
        ({"model_type": "albert"}, "no packed execution for albert models"),
    ],
)
def test_a_model_that_cannot_run_packed_runs_padded_with_a_reason(
    tmp_path: Path, config: dict[str, Any], reason: str
) -> None:
    pair = twice(tmp_path, "bert")
    for name, value in config.items():
        setattr(pair.packed.config, name, value)
    forward = forward_for(pair.packed, HEAD, pair.examples)
    assert forward.path == f"padded, in rectangles of similar length: {reason}"


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_padded_in_rectangles_of_like_length(tmp_path: Path, architecture: str) -> None:
    pair = twice(tmp_path, architecture)
    areas = []
    pair.packed.register_forward_pre_hook(
        lambda _model, _args, inputs: areas.append(inputs["input_ids"].numel()), with_kwargs=True
    )
    assert_same(pair, padded_forward(pair.packed, HEAD).run)
    lengths = pair.examples.lengths
    assert len(areas) > 1
    assert lengths.sum() <= sum(areas) < len(lengths) * lengths.max()


def test_without_rows_nothing_is_tried(tmp_path: Path) -> None:
    pair = twice(tmp_path, "bert")
    none = Examples(pair.examples.tokens.taken(np.zeros(0, dtype=np.int64)), NoTargets())
    assert isinstance(forward := forward_for(pair.packed, HEAD, none), Forward)
    assert not forward.packed
