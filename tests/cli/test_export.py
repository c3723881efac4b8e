"""The commands ``warmstart export`` and ``predict --engine``."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Trained, Warmstart
from warmstart.cli import (
    app,  # noqa: F401  # the commands come from here
    export,
)


@pytest.fixture
def run(trained: Trained, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained.path, tmp_path / "run"))


def test_what_is_printed_is_what_is_kept(run: Path, warmstart: Warmstart) -> None:
    by_torch = warmstart("predict", str(run), "--text", "a nice cat", "--json")
    exported = warmstart("export", str(run), "--int8", "--max-drop", "1", "--json")
    assert exported.code == 0, exported.err
    content = json.loads(exported.out)
    assert content == json.loads((run / "export" / "parity.json").read_text())
    assert "20 rows of test: logits differ by at most" in exported.err
    assert (
        "onnx: fused operators: 2 Attention, 4 SkipLayerNormalization, 2 BiasGelu" in exported.err
    )
    assert "speed on this machine" in exported.err
    for engine in ("onnx", "int8", "torch"):
        words = ("predict", str(run), "--text", "a nice cat", "--engine", engine, "--json")
        ran = warmstart(*words)
        assert ran.code == 0, ran.err
        (answer,) = json.loads(ran.out)["predictions"]
        (same,) = json.loads(by_torch.out)["predictions"]
        close = 0.05 if engine == "int8" else 1e-5
        assert answer["probabilities"] == pytest.approx(same["probabilities"], abs=close)
    plain = warmstart("export", str(run))
    assert plain.out.splitlines() == [str(run / "export" / "model.onnx")]


def test_a_missing_engine_has_advice_to_create_it(run: Path, warmstart: Warmstart) -> None:
    ran = warmstart("predict", str(run), "--text", "x", "--engine", "onnx")
    assert (ran.code, ran.out) == (1, "")
    assert f"try:      warmstart export {run}; or --engine torch" in ran.err
    assert warmstart("predict", str(run), "--text", "x", "--engine", "openvino").code == 2


def test_a_missing_package_is_named_with_what_to_type(
    run: Path, warmstart: Warmstart, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    ran = warmstart("export", str(run))
    assert (ran.code, ran.out) == (1, "")
    assert "not installed: onnxruntime" in ran.err
    assert "pip install 'warmstart[onnx]'" in ran.err


def test_for_a_decoder_steps_and_tokens_are_printed() -> None:
    rates = {"tokens_per_second": 9.5, "tokens_per_second_together": 1234.5}
    content = {
        "shapes": [
            {"rows": 1, "tokens": [7], "max_difference": 2e-6},
            {"rows": 3, "tokens": [4, 3], "max_difference": 1e-6},
        ],
        "rows": {
            "split": "test",
            "compared": 20,
            "max_difference": 3e-6,
            "metric": {"name": "bits_per_byte", "torch": 1.23456, "onnx": 1.23457},
        },
        "greedy": {"texts": 4, "steps": 64, "tokens": 250, "ties": 1},
        "fused": {"onnx": {"Attention": 2}},
        "int8": None,
        "files": {"model.onnx": {"bytes": 3 * 2**20}},
        "speed": {"threads": 2, "texts_together": 4, "engines": {"torch": rates, "onnx": rates}},
    }
    assert export.checks(content) == [
        "batch shapes 1x7, 3x4+3: logits differ by at most 2.0e-06",
        "20 rows of test: logits differ by at most 3.0e-06, bits per byte 1.2346 (PyTorch) and "
        "1.2346 (ONNX)",
        "greedy generation with the KV cache: 64 steps from 4 prompts, the same 250 tokens; "
        "1 compared only up to a tie",
        "onnx: fused operators: 2 Attention",
    ]
    table = export.speeds(content)
    cells = {str(column.header): list(column.cells) for column in table.columns}
    assert cells == {
        "engine": ["torch", "onnx"],
        "MiB": ["", "3.0"],
        "tokens/s, one text": ["9.5", "9.5"],
        "tokens/s, 4 texts at once": ["1,234.5", "1,234.5"],
    }


@pytest.mark.usefixtures("quick_report")
def test_training_may_end_with_it(trained: Trained, tmp_path: Path, warmstart: Warmstart) -> None:
    words = ("train", str(trained.path / "config.yaml"), "--set", "train.epochs=1")
    asked = ("--set", "export.onnx=true", "--set", "export.int8=true", "--set", "export.max_drop=1")
    ran = warmstart(*words, *asked, "--output", str(tmp_path / "run"))
    assert ran.code == 0, ran.err
    made = {path.name for path in (tmp_path / "run" / "export").iterdir()}
    assert made == {"model.onnx", "model.int8.onnx", "parity.json"}


def test_training_that_could_not_end_with_it_does_not_begin(
    trained: Trained, tmp_path: Path, warmstart: Warmstart, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    words = ("train", str(trained.path / "config.yaml"), "--set", "export.onnx=true")
    ran = warmstart(*words, "--output", str(tmp_path / "run"))
    assert ran.code == 1
    assert "warmstart[onnx]" in ran.err
    assert not (tmp_path / "run").exists()
    alone = warmstart(*words[:2], "--set", "export.int8=true", "--output", str(tmp_path / "run"))
    assert "--set export.onnx=true" in alone.err
