"""The exported graph: every architecture, any shape, and only ONNX operators."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pyarrow as pa
import pytest
import torch
from torch import nn

from tests.quick import slow_except
from tests.tiny import ARCHITECTURES, TYPED, tiny_checkpoint
from warmstart.config import DataConfig, ModelConfig
from warmstart.data.examples.batches import Examples, collate
from warmstart.data.table import SourceFile, Table
from warmstart.errors import ExportError
from warmstart.export import first_tokens
from warmstart.export.onnx_file import example, write_onnx
from warmstart.export.parity import fused_operators
from warmstart.export.session import OnnxModel
from warmstart.models.checkpoints.load import Checkpoint, find, sequence_classifier
from warmstart.models.packed.forward import padded_forward
from warmstart.tasks.text_classification import TextClassification

FUSED_NORMS = {"bert": 4, "electra": 4, "distilbert": 4, "roberta": 5, "modernbert": 1}
"""ModernBERT's norms are before its layers: they are not added to anything."""
TEXTS = ("the cat", "a wonderful old story when we read it", "bad", "her house was very red xyz")


def classifier(folder: Path, architecture: str, **parts: Any) -> tuple[Checkpoint, Any]:
    checkpoint = find(ModelConfig(name=str(tiny_checkpoint(folder, architecture, **parts))))
    return checkpoint, sequence_classifier(checkpoint, ("a", "b", "c"), seed=0).eval()


def examples_of(checkpoint: Checkpoint, pairs: bool) -> Examples:
    """Rows of four lengths, single or each in a pair with the next."""
    columns = {"x": pa.array(TEXTS), "y": pa.array((*TEXTS[1:], TEXTS[0]))}
    table = Table(
        columns=pa.table(columns),
        rows=np.arange(len(TEXTS)),
        files=(SourceFile("texts", sha256="", encoding=None, rows=len(TEXTS)),),
        file_index=np.zeros(len(TEXTS), dtype=np.int32),
        lines=np.arange(len(TEXTS)),
    )
    data = DataConfig(train="texts", text="x", text_pair="y" if pairs else None, label="z")
    task = TextClassification(data, ("a", "b", "c"))
    return task.encode(table, None, checkpoint.tokenizer, max_tokens=24)


def inputs_of(architecture: str) -> list[str]:
    typed = ["token_type_ids"] if architecture in TYPED else []
    return ["input_ids", "attention_mask", *typed]


@pytest.mark.parametrize("architecture", slow_except(ARCHITECTURES, "bert"))
@torch.no_grad()
def test_every_architecture_is_exported_exactly(architecture: str, tmp_path: Path) -> None:
    checkpoint, model = classifier(tmp_path / "model", architecture)
    names, path = inputs_of(architecture), tmp_path / "model.onnx"
    write_onnx(model, names, checkpoint.tokenizer.pad_token_id or 0, path)
    opened = OnnxModel.open(path)
    for rows, tokens in ((1, 1), (1, 7), (3, 5), (2, 120)):
        inputs = example(names, rows, tokens, model.config.vocab_size)
        found = opened.run({name: values.numpy() for name, values in inputs.items()})
        assert found == pytest.approx(model(**inputs).logits.numpy(), abs=1e-5)
    for pairs in (False, True):
        examples = examples_of(checkpoint, pairs)
        assert (examples.tokens.token_type_ids is not None) == (pairs and architecture in TYPED)
        batch = collate(examples, np.arange(len(examples)))
        expected = padded_forward(model, "sequence-classification").run(model, batch).numpy()
        assert opened.logits(examples.tokens) == pytest.approx(expected, abs=1e-5)
    ones = {name: np.ones((2, 3), dtype=np.int64) for name in names}
    counts = fused_operators(path, 2, ones)
    assert counts["SkipLayerNormalization"] == FUSED_NORMS[architecture]
    assert counts["BiasGelu"] == (0 if architecture == "modernbert" else 2)
    with pytest.raises(ExportError, match="2 attention operators") as caught:
        fused_operators(path, 3, ones)
    assert caught.value.expected == "3, one for each layer; nothing was written"


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """An exported BERT, and the model."""
    folder = tmp_path_factory.mktemp("bert")
    _, model = classifier(folder / "model", "bert")
    write_onnx(model, inputs_of("bert"), 7, folder / "model.onnx")
    return folder / "model.onnx", model


def test_inputs_and_output_are_named_and_free_in_both_axes(bert: tuple[Path, Any]) -> None:
    model = onnx.load(bert[0])
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 23)]
    shapes = {
        value.name: [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    assert shapes == {
        **{name: ["batch", "tokens"] for name in inputs_of("bert")},
        "logits": ["batch", 3],
    }
    assert OnnxModel.open(bert[0]).pad_token_id == 7
    assert str(Path(torch.__file__).parent).encode() not in bert[0].read_bytes()


@pytest.mark.slow
@torch.no_grad()
def test_only_the_first_tokens_of_the_last_layer_are_computed(
    bert: tuple[Path, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three of the six matrix products in the last layer; without the optimisation none."""
    path, model = bert
    assert _one_token_products(path) == 3
    monkeypatch.setattr(first_tokens, "take_first_tokens_early", lambda graph: 0)
    whole = tmp_path / "whole.onnx"
    write_onnx(model, inputs_of("bert"), 7, whole)
    assert _one_token_products(whole) == 0
    inputs = {k: v.numpy() for k, v in example(inputs_of("bert"), 3, 9, 90).items()}
    same = OnnxModel.open(whole).run(inputs)
    assert OnnxModel.open(path).run(inputs) == pytest.approx(same, abs=1e-6)


def _one_token_products(path: Path) -> int:
    """Matrix products whose result has the recorded shape [batch, 1, …]."""
    graph = onnx.load(path).graph
    shapes = {
        value.name: [axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in graph.value_info
    }
    return sum(node.op_type == "MatMul" and shapes[node.output[0]][1] == 1 for node in graph.node)


@pytest.mark.slow
@torch.no_grad()
def test_weights_over_the_limit_stand_in_a_second_file(
    bert: tuple[Path, Any], tmp_path: Path
) -> None:
    path, model = bert
    large = tmp_path / "model.onnx"
    write_onnx(model, inputs_of("bert"), 7, large, one_file_bytes=10_000)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model.onnx", "model.onnx.data"]
    assert large.stat().st_size < path.stat().st_size / 2
    inputs = {k: v.numpy() for k, v in example(inputs_of("bert"), 3, 9, 90).items()}
    assert (OnnxModel.open(large).run(inputs) == OnnxModel.open(path).run(inputs)).all()


class Unwritable(nn.Module):
    """Computes something for which ONNX has no operator."""

    config = SimpleNamespace(vocab_size=9)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        square = input_ids.float()[:, :, None] * attention_mask.float()[:, None, :]
        return torch.linalg.eigvals(square).real


def test_an_operator_without_onnx_form_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExportError) as caught:
        write_onnx(Unwritable(), inputs_of("roberta"), 0, tmp_path / "model.onnx")
    assert "cannot export Unwritable" in caught.value.found
    assert "eig" in caught.value.found
    assert "pip install -U torch onnxscript" in caught.value.do
    assert not list(tmp_path.iterdir())
