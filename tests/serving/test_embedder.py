"""Vectors are those of a plain Transformers model; a file is read in blocks, in its order."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

import warmstart
from tests.quick import EACH_ARCHITECTURE, slow_except
from tests.runs_in_memory import ranking_settings, settings, windowed
from tests.tiny import tiny_checkpoint
from tests.tiny.decoders import DECODERS, tiny_gpt2
from warmstart import api, config_file
from warmstart.api import Run
from warmstart.errors import ConfigError, DataError, ModelError
from warmstart.models.checkpoints.vector_pooling import VectorPooling
from warmstart.models.packed.forward import padded_forward
from warmstart.preparation.prepare import prepare
from warmstart.serving import embedder as embedder_module
from warmstart.serving import torch_runner
from warmstart.serving.embedder import embed_file, open_embedder
from warmstart.training.train_run import train_run

TEXTS = [
    "the cat saw my house",
    "a",
    "her story was boring when we read it again and again, and they read it to their children",
    "no",
]


def plain_vectors(
    folder: Path, texts: list[str], pooling: VectorPooling, layer: int
) -> torch.Tensor:
    """As Transformers documents it: one text at a time, without padding."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder).eval()
    found = []
    for text in texts:
        inputs = tokenizer(text, return_tensors="pt")
        known = {name: inputs[name] for name in tokenizer.model_input_names if name in inputs}
        if model.config.model_type in ("distilbert", "gpt2"):
            known.pop("token_type_ids", None)
        with torch.no_grad():
            hidden = model(**known, output_hidden_states=True).hidden_states[layer][0]
        found.append({"first": hidden[0], "mean": hidden.mean(0), "last": hidden[-1]}[pooling])
    return torch.stack(found)


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize(
    ("pooling", "layer"), [("mean", -1), ("first", -1), ("mean", 0), ("first", 1)]
)
@pytest.mark.parametrize("architecture", EACH_ARCHITECTURE)
def test_vectors_of_encoders_are_those_of_transformers(
    architecture: str,
    pooling: VectorPooling,
    layer: int,
    padded: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tiny_checkpoint(tmp_path, architecture, layers=3)
    if padded:
        without_packing(monkeypatch)
    found = warmstart.embed(tmp_path, TEXTS, pooling=pooling, layer=layer)
    expected = plain_vectors(tmp_path, TEXTS, pooling, layer).numpy()
    assert found.dtype == np.float32
    assert np.abs(found - expected).max() < 1e-5


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize(("pooling", "layer"), [("last", -1), ("mean", -1), ("last", 1)])
@pytest.mark.parametrize("decoder", slow_except(DECODERS, "gpt2", "llama"))
def test_vectors_of_decoders_are_those_of_transformers(
    decoder: str,
    pooling: VectorPooling,
    layer: int,
    padded: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tiny_gpt2(tmp_path, model_type=decoder)
    if padded:
        without_packing(monkeypatch)
    found = warmstart.embed(tmp_path, TEXTS, pooling=pooling, layer=layer)
    expected = plain_vectors(tmp_path, TEXTS, pooling, layer).numpy()
    assert np.abs(found - expected).max() < 1e-5


def without_packing(monkeypatch: pytest.MonkeyPatch) -> None:
    def padded(_: Any, model: Any, head: Any, __: Any) -> Any:
        return padded_forward(model, head)

    monkeypatch.setattr(torch_runner, "forward_verified_on", padded)


def declare(folder: Path, flags: str) -> None:
    """The files of sentence-transformers that say how the checkpoint was trained."""
    (folder / "modules.json").write_text("[]")
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(flags)


def test_auto_follows_how_the_checkpoint_was_trained(tmp_path: Path) -> None:
    encoder = tiny_checkpoint(tmp_path / "encoder")
    assert open_embedder(encoder).pooling == "mean"
    declare(encoder, '{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}')
    assert open_embedder(encoder).pooling == "first"
    assert open_embedder(tiny_gpt2(tmp_path / "decoder")).pooling == "last"
    assert open_embedder("bundled/minilm-l6").pooling == "mean"


def test_a_layer_is_counted_from_both_ends(tmp_path: Path) -> None:
    tiny_checkpoint(tmp_path, layers=2)
    assert [open_embedder(tmp_path, layer=k).layer for k in (0, 2, -1, -3)] == [0, 2, 2, 0]


@pytest.mark.parametrize("layer", [3, -4, 0.5])
def test_a_layer_that_does_not_exist_is_refused_without_weights(layer: Any, tmp_path: Path) -> None:
    tiny_checkpoint(tmp_path, layers=2)
    with pytest.raises(ConfigError, match=f"layer is {layer}, and the model has 2 layers") as error:
        open_embedder(tmp_path, layer=layer)
    assert "from 0 (the embeddings) to 2" in error.value.expected
    assert open_embedder(tmp_path, layer=-1).layer == 2  # the advice


@pytest.mark.parametrize(
    ("pooling", "kind", "advised"),
    [("last", "encoder", "mean"), ("first", "decoder", "last"), ("cls", "encoder", "mean")],
)
def test_a_pooling_without_meaning_is_refused(
    pooling: Any, kind: str, advised: Any, tmp_path: Path
) -> None:
    folder = (tiny_checkpoint if kind == "encoder" else tiny_gpt2)(tmp_path)
    with pytest.raises(ConfigError, match=f"pooling is {pooling}") as error:
        open_embedder(folder, pooling=pooling)
    assert f"--pooling {advised} " in error.value.do
    assert open_embedder(folder, pooling=advised).pooling == advised


def test_normalized_vectors_have_length_1(tmp_path: Path) -> None:
    tiny_checkpoint(tmp_path)
    plain = warmstart.embed(tmp_path, TEXTS)
    found = warmstart.embed(tmp_path, TEXTS, normalize=True)
    lengths = np.linalg.norm(plain, axis=1, keepdims=True)
    assert np.abs(lengths - 1).min() > 0.01
    assert np.allclose(found, plain / lengths, atol=1e-6)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder: Path = tmp_path_factory.mktemp("classifier")
    config = settings(folder, epochs=1)
    config["model"]["max_tokens"] = 12
    train_run(prepare(config_file.load(config)), folder / "run")
    return api.load(folder / "run")


def test_a_run_gives_what_its_classifier_reads(classifier: Run) -> None:
    texts = [TEXTS[0], TEXTS[1]]
    found = classifier.embed(texts)
    expected = plain_vectors(classifier.path / "model", texts, "first", -1).numpy()
    assert np.abs(found - expected).max() < 1e-5
    assert np.array_equal(warmstart.embed(classifier.path, texts), found)


def test_a_text_that_is_cut_is_told(classifier: Run) -> None:
    with pytest.warns(UserWarning, match="of 4 texts, truncated to 12 tokens: 1"):
        classifier.embed(TEXTS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        classifier.embed(TEXTS[:2])


def test_one_model_serves_predictions_and_vectors(classifier: Run) -> None:
    classifier.embed(["a cat"])
    before = classifier.open("torch")
    classifier.embed(["a cat"], layer=0)
    assert classifier.open("torch") is before
    assert list(classifier._engines._values) == ["torch"]


def test_unusable_texts_are_refused(classifier: Run) -> None:
    with pytest.raises(DataError, match="text 2 of 2"):
        classifier.embed(["a cat", "  "])
    with pytest.raises(DataError, match="texts"):
        classifier.embed("a cat")
    with pytest.raises(DataError, match="a second text, but"):
        classifier.embed(["a cat"], ["a dog"])
    assert classifier.embed([]).shape == (0, 32)


def test_pairs_are_read_together(tmp_path: Path) -> None:
    train_run(prepare(config_file.load(ranking_settings(tmp_path, epochs=1))), tmp_path / "run")
    run = api.load(tmp_path / "run")
    found = run.embed(["the cat", "the cat"], ["a dog", "a house"])
    assert np.abs(found[0] - found[1]).max() > 1e-4
    with pytest.raises(DataError, match="text_pair"):
        run.embed(["the cat"])


def test_a_row_in_windows_has_the_mean_of_their_vectors(tmp_path: Path) -> None:
    config = windowed(settings, tmp_path, epochs=1)
    train_run(prepare(config_file.load(config)), tmp_path / "run")
    text = " ".join(["cat", "dog", "house", "story", "read", "old", "new", "long"])
    (found,) = api.load(tmp_path / "run").embed([text])
    # 6 words fit between the special tokens, and 2 are repeated.
    parts = ["cat dog house story read old", "read old new long"]
    expected = plain_vectors(tmp_path / "run" / "model", parts, "first", -1).mean(0).numpy()
    assert np.abs(found - expected).max() < 1e-5


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.csv"
    lines = [f"{n},{TEXTS[n % 4] if n % 5 else ''}" for n in range(23)]
    path.write_text("\n".join(["id,text", *(line.replace(", and", " and") for line in lines)]))
    return path


def test_a_file_is_embedded_in_blocks_in_its_order(
    rows: Path, classifier: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedder_module, "ROWS_IN_MEMORY", 4)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        found = classifier.embed_file(rows, keep_columns=True)
    assert [str(one.message) for one in told] == [
        "of 23 rows, without a vector: 5 (no text)",
        "of 18 rows, truncated to 12 tokens: 5",
    ]
    names = ["row", "file", "line", "text", "vector", "truncated", "id"]
    assert found.column_names == names
    assert found["row"].to_pylist() == list(range(23))
    assert found["id"].to_pylist() == [str(n) for n in range(23)]
    empty = [n % 5 == 0 for n in range(23)]
    assert found["vector"].is_null().to_pylist() == empty
    assert found["truncated"].to_pylist() == [
        None if none else n % 4 == 2 for n, none in enumerate(empty)
    ]
    texts = [text for text in found["text"].to_pylist() if text]
    with pytest.warns(UserWarning, match="truncated"):
        expected = classifier.embed(texts)
    vectors = np.stack([v for v in found["vector"].to_pylist() if v is not None])
    assert np.abs(vectors - expected).max() < 1e-5


def test_no_more_than_a_block_is_in_memory(
    rows: Path, classifier: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedder_module, "ROWS_IN_MEMORY", 4)
    opened = open_embedder(classifier.path)
    seen: list[int] = []
    run = torch_runner.TorchRunner.vectors

    def counted(self: Any, examples: Any, *options: Any) -> Any:
        seen.append(len(examples))
        return run(self, examples, *options)

    monkeypatch.setattr(torch_runner.TorchRunner, "vectors", counted)
    with pytest.warns(UserWarning, match="without a vector"):
        blocks = embed_file(opened, str(rows)).blocks()
    next(blocks)
    assert seen == [3]
    with pytest.warns(UserWarning, match="truncated"):
        list(blocks)
    assert sum(seen) == 18
    assert max(seen) <= 4


def test_the_settings_of_a_file_are_used_or_refused(tmp_path: Path, classifier: Run) -> None:
    path = tmp_path / "rows.tsv"
    path.write_text("body\ta\nthe cat\tb\n")
    found = classifier.embed_file(path, {"data.text": "body"})
    assert found["text"].to_pylist() == ["the cat"]
    with pytest.raises(DataError, match="no column 'text'"):
        classifier.embed_file(path)
    with pytest.raises(ConfigError, match="model.max_tokens"):
        classifier.embed_file(path, ["model.max_tokens=9"])
    tiny_checkpoint(tmp_path / "tiny")
    plain = embed_file(open_embedder(tmp_path / "tiny"), path, ["data.text=body"])
    assert [block["text"].to_pylist() for block in plain.blocks()] == [["the cat"]]


def test_a_model_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no_such"):
        open_embedder(tmp_path / "no_such")


def test_outputs_that_are_no_numbers_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_checkpoint(tmp_path)

    def broken(*_: Any) -> Callable[..., torch.Tensor]:
        return lambda model, batch: torch.full((len(batch), 32), torch.nan)

    monkeypatch.setattr(torch_runner, "pooled_states", broken)
    with pytest.raises(ModelError, match="NaN or infinity"):
        warmstart.embed(tmp_path, ["a"])
