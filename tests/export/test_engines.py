"""Predictions with ONNX Runtime: the same as PyTorch's, from the verified file, without torch."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from warmstart import api
from warmstart.api import Run
from warmstart.errors import ExportError, RunError
from warmstart.export import quantize

TEXTS = [
    "a wonderful story",
    "bad",
    "the boring old cat saw my house and her story when we read it",
    "a nice cat",
]


def close(found: Run, engine: str, within: float) -> None:
    answers, expected = found.predict(TEXTS, engine=engine), found.predict(TEXTS, engine="torch")
    for answer, same in zip(answers, expected, strict=True):
        assert answer["probabilities"] == pytest.approx(same["probabilities"], abs=within)
        assert (answer["row"], answer["truncated"]) == (same["row"], same["truncated"])
    assert [answer["truncated"] for answer in answers] == [False, False, True, False]


def test_every_engine_gives_the_same_predictions(exported: Run) -> None:
    close(exported, "onnx", 1e-5)
    close(exported, "int8", 0.05)
    assert exported.predict(TEXTS) == exported.predict(TEXTS, engine="onnx")
    assert exported.predict(TEXTS) != exported.predict(TEXTS, engine="int8")


def test_a_file_is_answered_like_its_texts(exported: Run, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("text\n" + "\n".join(TEXTS) + "\n")
    file = str(tmp_path / "new.csv")
    by_onnx = exported.predict_file(file)
    assert by_onnx["prediction"].to_pylist() == [a["label"] for a in exported.predict(TEXTS)]
    assert by_onnx.schema == exported.predict_file(file, engine="torch").schema


def test_without_an_export_pytorch_predicts(exported: Run, tmp_path: Path) -> None:
    run = api.load(shutil.copytree(exported.path, tmp_path / "run"))
    shutil.rmtree(run.path / "export")
    assert run.predict(TEXTS) == exported.predict(TEXTS, engine="torch")
    for engine, option in (("onnx", ""), ("int8", " --int8")):
        with pytest.raises(ExportError, match=f"--engine {engine}, but there is no") as caught:
            run.predict(TEXTS, engine=engine)
        assert f"warmstart export {run.path}{option};" in caught.value.do


def test_an_incomplete_export_is_not_silently_answered_by_pytorch(
    exported: Run, tmp_path: Path
) -> None:
    run = api.load(shutil.copytree(exported.path, tmp_path / "run"))
    (run.path / "export" / "model.onnx").unlink()
    with pytest.raises(ExportError, match="there is no .*export/model.onnx") as caught:
        run.predict(TEXTS)
    assert "or --engine torch" in caught.value.do
    assert run.predict(TEXTS, engine="torch") == exported.predict(TEXTS, engine="torch")


def test_a_model_that_changed_after_the_export_is_refused(exported: Run, tmp_path: Path) -> None:
    run = api.load(shutil.copytree(exported.path, tmp_path / "run"))
    weights = run.path / "model" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(RunError, match="the content of model.safetensors has changed"):
        run.predict(TEXTS)
    (run.path / "model" / "manifest.json").unlink()
    with pytest.raises(ExportError, match="model.safetensors was changed after") as caught:
        run.predict(TEXTS)
    assert caught.value.do.startswith(f"export it again: warmstart export {run.path};")
    weights.unlink()  # a copy for serving
    assert run.predict(TEXTS) == exported.predict(TEXTS)


def test_a_file_that_was_changed_is_refused(exported: Run, tmp_path: Path) -> None:
    run = api.load(shutil.copytree(exported.path, tmp_path / "run"))
    file = run.path / "export" / "model.onnx"
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ExportError, match="model.onnx was changed after it was verified") as caught:
        run.predict(TEXTS)
    assert caught.value.do.startswith(f"warmstart export {run.path}; ")
    file.write_bytes(content)
    (file.parent / "model.onnx.data").touch()
    with pytest.raises(ExportError, match="model.onnx.data was changed after"):
        run.predict(TEXTS)
    (file.parent / "model.onnx.data").unlink()
    assert run.predict(TEXTS) == exported.predict(TEXTS)


@pytest.mark.parametrize("content", ["{}", "[]", "{"])
def test_a_damaged_record_is_named(exported: Run, tmp_path: Path, content: str) -> None:
    run = api.load(shutil.copytree(exported.path, tmp_path / "run"))
    (run.path / "export" / "parity.json").write_text(content)
    with pytest.raises(RunError, match="cannot read .*parity.json"):
        run.predict(TEXTS)


def test_a_processor_on_which_int8_may_overflow_is_warned_of(
    exported: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = api.load(shutil.copytree(exported.path, tmp_path / "run"))
    path = run.path / "export" / "parity.json"
    content = json.loads(path.read_text())
    monkeypatch.setattr(quantize, "adds_in_32_bits", lambda: False)
    content["int8"]["reduce_range"] = True
    path.write_text(json.dumps(content))
    run.predict(TEXTS, engine="int8")
    content["int8"]["reduce_range"] = False
    path.write_text(json.dumps(content))
    with pytest.warns(UserWarning, match="made on a processor with VNNI"):
        api.load(run.path).predict(TEXTS, engine="int8")


def test_neither_torch_nor_transformers_is_loaded(exported: Run) -> None:
    program = (
        "import sys; from warmstart.cli import main; "
        "code = main(['predict', sys.argv[1], '--text', 'a nice cat', '--engine', 'onnx']); "
        "print(code, *sys.modules)"
    )
    words = [sys.executable, "-c", program, str(exported.path)]
    ran = subprocess.run(words, capture_output=True, text=True, check=True)
    assert ran.stdout.count("\n") == 2, ran.stderr
    answer, modules = ran.stdout.splitlines()
    code, *loaded = modules.split()
    assert answer.split()[0] in {"good", "bad"}
    assert code == "0"
    assert "onnxruntime" in loaded
    assert not {"accelerate", "torch", "transformers", "sklearn"} & set(loaded)


def test_without_onnxruntime_pytorch_predicts_and_says_so(
    exported: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless the engine was named, or the weights for PyTorch were left out."""
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    run = api.load(shutil.copytree(exported.path, tmp_path / "run"))
    with pytest.warns(UserWarning, match="onnxruntime is not installed here: PyTorch"):
        assert run.predict(TEXTS) == exported.predict(TEXTS, engine="torch")
    with pytest.raises(ExportError, match="onnxruntime"):
        run.predict(TEXTS, engine="onnx")
    (run.path / "model" / "model.safetensors").unlink()
    with pytest.raises(ExportError, match="onnxruntime"):
        run.predict(TEXTS)
