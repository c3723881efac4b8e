"""A token classifier as ONNX: the same logits, tags, spans and score as in PyTorch."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from tests.tagging_runs import tagging_settings, write_conll
from warmstart import api, config_file, errors
from warmstart.api import Run
from warmstart.export import parity
from warmstart.export.word_parity import same_spans
from warmstart.preparation.prepare import prepare
from warmstart.runs.directory import RunDirectory
from warmstart.runs.loaded_run import load_run
from warmstart.serving.predictor import predict_file, predict_texts
from warmstart.training.train_run import train_run


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Trained on tagged words, with rows that are longer than a window."""
    folder: Path = tmp_path_factory.mktemp("words")
    config = tagging_settings(folder)
    config["model"]["max_tokens"] = 12
    config["data"]["overlap_tokens"] = 4
    config["data"]["test"] = str(write_conll(folder / "test.conll", rows=40, seed=3))
    train_run(prepare(config_file.load(config)), folder / "run")
    run = api.load(folder / "run")
    run.export(int8=True, max_drop=1)
    return run


def test_what_is_written_was_verified(exported: Run) -> None:
    content = RunDirectory(exported.path).read_json("export/parity.json")
    rows = content["rows"]
    assert rows["split"] == "test"
    assert rows["compared"] == 40
    assert rows["words"] > 40
    assert rows["spans"] > 10
    assert rows["max_difference"] <= parity.TOLERANCE
    assert rows["metric"]["name"] == "entity_f1"
    assert rows["metric"]["torch"] == pytest.approx(rows["metric"]["onnx"])
    kept = RunDirectory(exported.path).read_json("evaluation/test/scores.json")
    assert rows["metric"]["torch"] == pytest.approx(kept["scores"]["entity_f1"]["value"])
    assert content["int8"]["metric"]["rows"] == 40
    assert {"drop", "low", "high"} <= content["int8"]["metric"].keys()


def test_every_token_has_logits(exported: Run) -> None:
    model = onnx.load(exported.path / "export/model.onnx")
    (output,) = model.graph.output
    shape = [d.dim_param or d.dim_value for d in output.type.tensor_type.shape.dim]
    assert shape == ["batch", "tokens", 5]  # O, and B and I of two types


def engines(run: Run, what: str | list[str]) -> dict[str, list[Any]]:
    answers = {}
    for engine in ("torch", "onnx", "int8"):
        opened = api.load(run.path).open(engine)

        found = (
            predict_texts(opened, what)
            if isinstance(what, list)
            else predict_file(opened, what).predictions
        )
        answers[engine] = [
            (one.row, [(s.start, s.end, s.type, s.text) for s in one.spans]) for one in found
        ]
    return answers


def test_engines_predict_the_same_spans(exported: Run) -> None:
    long = "the old cat saw my red table and John Mary read it when we saw the blue house , " * 4
    for what in ([long.strip(), "John saw it ."], str(exported.path.parent / "test.conll")):
        found = engines(exported, what)
        assert found["torch"] == found["onnx"]
        assert sum(len(spans) for _, spans in found["torch"]) > 2
        # Weights of 8 bits may change a span, here they change none.
        assert found["int8"] == found["torch"]


def test_other_spans_are_refused(exported: Run) -> None:
    run = load_run(RunDirectory(exported.path))
    rows = parity.scored_rows(run)
    first = run.task.predictions(rows.logits, rows.examples)
    second = replace(first, labels=np.zeros_like(first.labels))
    with pytest.raises(errors.ExportError, match="other spans in") as raised:
        same_spans("40 rows", first, second)
    assert "PyTorch" in raised.value.do


def test_logits_are_in_the_order_of_the_words(exported: Run) -> None:
    """Rows are batched by length, so windows of one row are in different batches."""
    run = load_run(RunDirectory(exported.path))
    rows = parity.scored_rows(run)
    assert len(rows.examples) > len(rows.table)  # windows
    model = parity.OnnxModel.open(exported.path / "export/model.onnx")
    assert model.logits_of(rows.examples) == pytest.approx(rows.logits, abs=1e-4)
    turned = rows.logits[::-1].copy()
    assert model.logits_of(rows.examples) != pytest.approx(turned, abs=1e-4)


def test_plain_tags_and_spans_of_texts_are_restored(tmp_path: Path) -> None:
    """``evaluation/`` has only spans; tags and offsets of words are computed from them."""
    config = tagging_settings(tmp_path)
    path = Path(config["data"]["train"])
    path.write_text(path.read_text().replace("B-", "").replace("I-", ""))
    train_run(prepare(config_file.load(config)), tmp_path / "run")
    run = load_run(RunDirectory(tmp_path / "run"))
    rows = parity.scored_rows(run)
    prepared = prepare(config_file.load(config))
    before = prepared.splits["validation"].labels
    assert (rows.labels.classes == before.classes).all()
    assert rows.labels.characters.to_lists(len(rows.table)) == before.characters.to_lists(
        len(rows.table)
    )
