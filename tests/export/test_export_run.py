"""``export/`` of a run: verified before it is kept, replaced completely or not at all."""

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime
import pyarrow as pa
import pyarrow.parquet
import pytest
from transformers import AutoTokenizer

from tests.limits import file_size
from warmstart import api, config_file
from warmstart.api import Run
from warmstart.errors import ExportError, RunError
from warmstart.export import export_run as export_module
from warmstart.export import first_tokens, parity
from warmstart.export.kept_rows import sample
from warmstart.runs.loaded_run import load_run
from warmstart.tasks import TASKS


def copied(run: Run, tmp_path: Path) -> Run:
    return api.load(shutil.copytree(run.path, tmp_path / "run"))


def held(run: Run) -> dict[str, str]:
    """Every file of the run directory and its hash."""
    return {
        str(file.relative_to(run.path)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(run.path.rglob("*"))
        if file.is_file() and file.name != ".lock"
    }


def test_parity_records_what_was_written_and_compared(exported: Run) -> None:
    content = json.loads((exported.path / "export/parity.json").read_text())
    files = held(exported)
    assert [name for name in files if name.startswith(("export", "."))] == [
        "export/model.int8.onnx",
        "export/model.onnx",
        "export/parity.json",
    ]
    for name, facts in content["files"].items():
        path = exported.path / "export" / name
        assert facts == {"sha256": files[f"export/{name}"], "bytes": path.stat().st_size}
    assert content["model_sha256"] == files["model/model.safetensors"]
    assert content["files"].keys() == {"model.onnx", "model.int8.onnx"}
    assert content["versions"]["onnxruntime"] == onnxruntime.__version__
    assert (content["opset"], content["max_tokens"]) == (23, 12)
    shapes = [(shape["rows"], shape["tokens"]) for shape in content["shapes"]]
    assert shapes == [(1, 1), (1, 7), (3, 5), (2, 12)]
    assert all(0 < shape["max_difference"] < 1e-5 for shape in content["shapes"][1:])
    rows, scores = content["rows"], exported.scores["test"]
    assert (rows["split"], rows["compared"]) == ("test", 40)
    assert 0 < rows["max_difference"] < 1e-5
    metric, value = rows["metric"], scores["matthews_correlation"]["value"]
    assert metric == {
        "name": "matthews_correlation",
        "torch": pytest.approx(value),
        "onnx": pytest.approx(value),
    }
    assert content["fused"]["onnx"]["Attention"] == 2
    assert content["fused"]["int8"]["DynamicQuantizeMatMul"] > 4
    drop = content["int8"]["metric"]
    assert drop["drop"] == pytest.approx(drop["onnx"] - drop["int8"])
    assert drop["low"] <= drop["drop"] <= drop["high"]
    assert content["speed"]["engines"].keys() == {"torch", "onnx", "int8"}
    assert all(rate["rows_per_second"] > 0 for rate in content["speed"]["engines"].values())


def test_onnx_runtime_and_the_saved_tokenizer_are_enough(exported: Run) -> None:
    tokenizer = AutoTokenizer.from_pretrained(exported.path / "model")
    texts = ["a wonderful old cat", "the boring house that we saw when we read the story"]
    inputs = tokenizer(texts, padding=True, truncation=True, return_tensors="np")
    session = onnxruntime.InferenceSession(exported.path / "export/model.onnx")
    (logits,) = session.run(None, {name: inputs[name] for name in tokenizer.model_input_names})
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    for row, answer in zip(shares, exported.predict(texts, engine="torch"), strict=True):
        assert row == pytest.approx(list(answer["probabilities"].values()), abs=1e-5)


def test_an_export_replaces_the_one_before(exported: Run, tmp_path: Path) -> None:
    run = copied(exported, tmp_path)
    (run.path / ".export.0a1b2c3d.partial").mkdir()
    (run.path / ".export.0a1b2c3d.partial" / "left.onnx").write_text("of an export that was killed")
    (run.path / "export" / "model.onnx").write_text("damaged")
    before = held(exported)
    content = run.export()
    assert content["int8"] is None
    assert {name for name in held(run) if "export" in name} == {
        "export/model.onnx",
        "export/parity.json",
    }
    assert held(run)["export/model.onnx"] == before["export/model.onnx"]
    assert json.loads((run.path / "export/parity.json").read_text()) == content


def another_bias(model: ir.Model) -> int:
    """Instead of optimising the graph: one weight of the head is larger by one hundredth."""
    bias = model.graph.initializers["classifier.bias"]
    assert bias.const_value is not None
    bias.const_value = ir.tensor(bias.const_value.numpy() + np.float32([0.01, 0]))
    return 0


def no_rows(run: Run) -> None:
    shutil.rmtree(run.path / "evaluation")


def damaged_rows(run: Run) -> None:
    (run.path / "evaluation/test/predictions.parquet").write_text("no table")


def not_finished(run: Run) -> None:
    events = run.path / "events.jsonl"
    lines = [line for line in events.read_text().splitlines() if '"finish"' not in line]
    events.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("spoil", "found", "do"),
    [
        (no_rows, "has neither test/ nor validation/", "restore the folder"),
        (damaged_rows, "cannot read", "restore the file"),
        (not_finished, "is not finished", "--resume"),
    ],
)
def test_a_run_that_cannot_be_exported_has_a_reason(
    exported: Run, tmp_path: Path, spoil: Callable[[Run], None], found: str, do: str
) -> None:
    run = copied(exported, tmp_path)
    spoil(run)
    before = held(run)
    with pytest.raises((ExportError, RunError)) as caught:
        run.export()
    assert found in caught.value.found
    assert do in caught.value.do
    assert held(run) == before


def test_a_model_that_differs_is_not_kept(
    exported: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = copied(exported, tmp_path)
    before = held(run)
    monkeypatch.setattr(first_tokens, "take_first_tokens_early", another_bias)
    with pytest.raises(ExportError, match="for 1 x 1 tokens: logits differ by up to 0.01") as error:
        run.export()
    assert error.value.expected == "at most 0.0001; nothing was written"
    assert "--engine torch" in error.value.do
    assert held(run) == before
    shutil.rmtree(run.path / "export")
    with pytest.raises(ExportError):
        run.export()
    assert not list(run.path.glob("*export*"))


def test_real_rows_are_compared_by_logit_label_and_metric(
    exported: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = load_run(export_module.RunDirectory(exported.path))
    rows = parity.scored_rows(run)
    assert rows.examples.truncated.any()
    model = parity.OnnxModel.open(exported.path / "export/model.onnx")

    def compare(logits: Any) -> None:
        parity.check_rows(run, replace(rows, logits=logits), model, run.tokenizer)

    compare(rows.logits)
    off = rows.logits.copy()
    off[7, 1] += 2e-4
    with pytest.raises(ExportError, match="40 rows of the test split: logits differ by up to 0.0"):
        compare(off)
    off[7, 1] = np.nan
    with pytest.raises(ExportError, match="logits differ by up to nan"):
        compare(off)
    monkeypatch.setattr(parity, "TOLERANCE", 99)
    with pytest.raises(ExportError, match=": 40 different labels"):
        compare(-rows.logits)
    monkeypatch.setattr(parity, "METRIC_TOLERANCE", -1)
    with pytest.raises(ExportError, match="matthews_correlation"):
        compare(rows.logits)


def test_int8_that_loses_too_much_is_not_kept(exported: Run, tmp_path: Path) -> None:
    run = copied(exported, tmp_path)
    before = held(run)
    with pytest.raises(
        ExportError, match=r"int8, matthews_correlation drops by -?0\.\d{4} "
    ) as caught:
        run.export(int8=True, max_drop=-2)
    assert "on 40 rows" in caught.value.found
    assert "--max-drop" in caught.value.do
    assert held(run) == before


def test_a_full_disk_leaves_the_export_as_it_was(exported: Run, tmp_path: Path) -> None:
    run = copied(exported, tmp_path)
    before = held(run)
    with file_size(20_000), pytest.raises(RunError, match="cannot write"):
        run.export()
    assert held(run) == before


def test_a_folder_that_cannot_be_written_is_refused_before_any_work(
    exported: Run, tmp_path: Path
) -> None:
    run = copied(exported, tmp_path)
    run.path.chmod(0o500)
    try:
        if os.access(run.path, os.W_OK):
            pytest.skip("this user may write everywhere")
        with pytest.raises(RunError, match="cannot write"):
            run.export()
    finally:
        run.path.chmod(0o700)


@pytest.mark.parametrize(
    ("task", "int8", "expected"),
    [
        ("fill-mask", False, "token-classification, question-answering, text-generation"),
        ("text-generation", True, "one token that rounding changed"),
    ],
)
def test_a_task_without_export_names_those_with_it(
    exported: Run,
    monkeypatch: pytest.MonkeyPatch,
    task: str,
    int8: bool,
    expected: str,
) -> None:
    config = config_file.load({"task": task, "data": {"train": "a.csv"}})
    run = SimpleNamespace(task=TASKS[task].from_facts(config, {}))
    monkeypatch.setattr(export_module, "load_run", lambda directory: run)
    with pytest.raises(ExportError, match=f"task.* {task}") as caught:
        exported.export(int8=int8)
    assert expected in caught.value.expected


def test_packages_that_are_missing_are_named_before_any_work(
    exported: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ExportError, match="not installed: onnx"):
        exported.export()


def test_as_many_rows_as_are_wanted_are_compared(
    exported: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parity, "MAX_ROWS", 9)
    rows = parity.scored_rows(load_run(export_module.RunDirectory(exported.path)))
    kept = pyarrow.parquet.read_table(exported.path / "evaluation/test/predictions.parquet")
    texts = dict(zip(kept["row"].to_pylist(), kept["text"].to_pylist(), strict=True))
    assert len(rows.table) == len(rows.logits) == 9
    found = rows.table.column("text", "data.text").to_pylist()
    assert found == [texts[row] for row in rows.table.rows.tolist()]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda rows: rows.slice(0, 0), "it has no rows"),
        (lambda rows: rows.drop_columns(["text"]), "text"),
        (lambda rows: rows.drop_columns(["label"]), "label"),
        (lambda rows: rows.drop_columns(["row"]), "row"),
        (lambda rows: with_values(rows, "text", [None]), "text"),
        (lambda rows: with_values(rows, "text", [3]), "text"),
        (lambda rows: with_values(rows, "row", [[]]), "row"),
        (lambda rows: with_values(rows, "line", ["x"]), "line"),
    ],
)
def test_damaged_predictions_are_named(
    exported: Run, tmp_path: Path, damage: Callable[[pa.Table], pa.Table], said: str
) -> None:
    run = copied(exported, tmp_path)
    path = run.path / "evaluation/test/predictions.parquet"
    pyarrow.parquet.write_table(damage(pyarrow.parquet.read_table(path)), path)
    with pytest.raises(RunError) as error:
        parity.scored_rows(load_run(export_module.RunDirectory(run.path)))
    assert error.value.found.startswith(f"cannot read {path}: ")
    assert said in error.value.found.removeprefix(f"cannot read {path}")


def with_values(rows: pa.Table, column: str, value: list[Any]) -> pa.Table:
    """The rows with one value in a whole column."""
    place = rows.column_names.index(column)
    return rows.set_column(place, column, pa.array(value * len(rows)))


def test_a_sample_takes_queries_whole() -> None:
    queries = [str(row % 7) for row in range(50)]
    taken = sample(50, 20, pa.chunked_array([queries]))
    assert 10 < len(taken) <= 20
    assert (np.diff(taken) > 0).all()
    for query in {queries[row] for row in taken}:
        assert {row for row in range(50) if queries[row] == query} <= set(taken.tolist())
    assert len(sample(50, 3, pa.chunked_array([["one"] * 50]))) == 50
    assert len(sample(50, 20)) == 20
