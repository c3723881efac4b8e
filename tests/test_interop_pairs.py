"""Models for pairs, opened with other programs for inference, give the same numbers."""

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from sentence_transformers import CrossEncoder
from transformers import AutoTokenizer, pipeline

from tests.quick import slow_except
from tests.runs_in_memory import ranking_settings
from tests.test_pairs import pair_settings
from warmstart import api, config_file
from warmstart.api import Run
from warmstart.preparation.prepare import prepare
from warmstart.training.train_run import train_run

PAIRS = [
    ("which story was old", "a wonderful cat"),
    ("which story was old", "terrible, and 读 it 42 times"),
    ("a", "b"),
    ("which cat " * 30, "and the poor dog again " * 30),
]
TOLERANCE = 1e-4

LOSSES = ["binary-cross-entropy", "cross-entropy", "pairwise", "listwise"]
Trained = Callable[[str], Run]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A function from a loss (or "classifier") to a run, trained at its first use."""
    runs: dict[str, Run] = {}

    def run_of(kind: str) -> Run:
        if kind not in runs:
            folder: Path = tmp_path_factory.mktemp("pairs")
            ranks = kind in LOSSES
            config = ranking_settings(folder, loss=kind) if ranks else pair_settings(folder)
            train_run(prepare(config_file.load(config)), folder / "run")
            runs[kind] = api.load(folder / "run")
        return runs[kind]

    return run_of


def ours(run: Run) -> list[dict[str, Any]]:
    queries, documents = zip(*PAIRS, strict=True)
    return run.predict(list(queries), list(documents), engine="torch")


@pytest.mark.parametrize("loss", slow_except(LOSSES, "cross-entropy", "pairwise"))
def test_a_cross_encoder_gives_the_scores(trained: Trained, loss: str) -> None:
    run = trained(loss)
    encoder = CrossEncoder(str(run.path / "model"), device="cpu")
    two = loss == "cross-entropy"  # as in docs/ranking.md
    scores = np.asarray(encoder.predict(PAIRS, apply_softmax=two))
    expected = [answer["score"] for answer in ours(run)]
    assert len(set(expected)) == len(PAIRS)
    np.testing.assert_allclose(scores[:, 1] if two else scores, expected, atol=TOLERANCE)


@pytest.mark.parametrize("loss", slow_except(LOSSES, "cross-entropy"))
def test_the_lines_of_the_card_give_the_scores(
    trained: Trained, loss: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trained(loss)
    run.report()
    card = (run.path / "README.md").read_text(encoding="utf-8")
    lines = run.usage.python
    assert f"```python\n{lines}\n```" in card
    assert "pipeline" not in lines
    *before, last = ast.parse(lines).body
    assert isinstance(last, ast.Expr)
    names: dict[str, Any] = {}
    monkeypatch.chdir(run.path)
    exec(compile(ast.Module(before, []), "card", "exec"), names)
    found = eval(compile(ast.Expression(last.value), "card", "eval"), names)
    queries, documents = zip(*names["pairs"], strict=True)
    served = run.predict(list(queries), list(documents), engine="torch")
    np.testing.assert_allclose(found, [one["score"] for one in served], atol=TOLERANCE)
    assert api.info(run.path).labels == ()


@pytest.mark.parametrize("loss", slow_except(LOSSES, "cross-entropy", "pairwise"))
def test_a_bare_pipeline_gives_the_scores(trained: Trained, loss: str) -> None:
    run = trained(loss)
    classify: Any = pipeline("text-classification", model=str(run.path / "model"), device="cpu")
    asked = [{"text": query, "text_pair": document} for query, document in PAIRS]
    answers = classify(asked, top_k=None, truncation=True)
    label = "relevant" if loss == "cross-entropy" else "relevance"
    scores = [{one["label"]: one["score"] for one in answer}[label] for answer in answers]
    expected = [answer["score"] for answer in ours(run)]
    np.testing.assert_allclose(scores, expected, atol=TOLERANCE)


def test_a_cross_encoder_gives_a_pair_classifiers_probabilities(trained: Trained) -> None:
    run = trained("classifier")
    encoder = CrossEncoder(str(run.path / "model"), device="cpu")
    shares = np.asarray(encoder.predict(PAIRS, apply_softmax=True))
    expected = [list(answer["probabilities"].values()) for answer in ours(run)]
    np.testing.assert_allclose(shares, expected, atol=TOLERANCE)


def test_plain_onnxruntime_gives_the_scores(trained: Trained) -> None:
    run = trained("listwise")
    parity = run.export()
    assert parity["rows"]["metric"]["name"] == "ndcg_at_10"
    tokenizer = AutoTokenizer.from_pretrained(run.path / "model")
    session = onnxruntime.InferenceSession(run.path / "export" / "model.onnx")
    queries, documents = zip(*PAIRS, strict=True)
    inputs = tokenizer(
        list(queries), list(documents), padding=True, truncation=True, return_tensors="np"
    )
    (logits,) = session.run(["logits"], {name: inputs[name] for name in parity["inputs"]})
    expected = [answer["score"] for answer in ours(run)]
    np.testing.assert_allclose(1 / (1 + np.exp(-logits[:, 0])), expected, atol=TOLERANCE)
    served = run.predict(list(queries), list(documents), engine="onnx")
    np.testing.assert_allclose([answer["score"] for answer in served], expected, atol=TOLERANCE)
