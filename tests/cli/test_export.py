"""``warmstart export`` and ``predict --engine``, as typed."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Trained, Warmstart


@pytest.fixture
def run(trained: Trained, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained.path, tmp_path / "run"))


def test_what_is_printed_is_what_is_kept(run: Path, warmstart: Warmstart) -> None:
    by_torch = warmstart("predict", str(run), "--text", "a nice cat", "--json")
    exported = warmstart("export", str(run), "--int8", "--max-drop", "1", "--json")
    assert exported.code == 0, exported.err
    content = json.loads(exported.out)
    assert content == json.loads((run / "export" / "parity.json").read_text())
    assert "20 rows of test: logits within" in exported.err
    assert "onnx: fused into 2 Attention, 4 SkipLayerNormalization, 2 BiasGelu" in exported.err
    assert "measured here" in exported.err
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


def test_an_engine_that_is_not_there_says_how_to_make_it(run: Path, warmstart: Warmstart) -> None:
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
