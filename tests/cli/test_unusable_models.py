"""Models, names and exported files that cannot be used: an error in three parts, no traceback."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import warmstart as package
from tests.cli.conftest import Ran, Trained, Warmstart
from tests.quick import slow_except
from tests.runs_in_memory import writing_settings
from tests.tiny.decoders import tiny_gpt2


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported run that generates text."""
    folder = tmp_path_factory.mktemp("writer")
    tiny_gpt2(folder / "decoder", max_positions=128)  # as other exports: it is traced once
    settings = {**writing_settings(folder, epochs=1), "export": {"onnx": True}}
    return package.train(settings, output=folder / "run", progress=False).path


@pytest.fixture(scope="module")
def exported(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported classifier."""
    run = Path(shutil.copytree(trained.path, tmp_path_factory.mktemp("classifier") / "run"))
    package.load(run).export()
    return run


def said(ran: Ran) -> str:
    """The message of a command that failed with advice."""
    assert ran.code in (1, 2), ran.err
    assert ran.out == ""
    assert "Traceback" not in ran.err
    assert "expected:" in ran.err
    assert "try:" in ran.err
    return ran.err


def with_file(run: Path, content: bytes) -> None:
    """Replace the exported model, and its hash in ``parity.json``."""
    (run / "export" / "model.onnx").write_bytes(content)
    parity = json.loads((run / "export" / "parity.json").read_text())
    parity["files"]["model.onnx"]["sha256"] = hashlib.sha256(content).hexdigest()
    (run / "export" / "parity.json").write_text(json.dumps(parity))


@pytest.mark.parametrize("content", slow_except([b"", b"no model" * 100, None], None))
def test_an_exported_file_that_is_no_model_or_another_one(
    content: bytes | None, exported: Path, writer: Path, warmstart: Warmstart, tmp_path: Path
) -> None:
    classifier = shutil.copytree(exported, tmp_path / "classifier")
    decoder = shutil.copytree(writer, tmp_path / "decoder")
    other = {
        run: (source / "export" / "model.onnx").read_bytes()
        for run, source in ((classifier, writer), (decoder, exported))
    }
    for run, words in (
        (classifier, ("predict", str(classifier), "--text", "nice")),
        (decoder, ("generate", str(decoder), "--prompt", "a", "--engine", "onnx")),
    ):
        with_file(run, other[run] if content is None else content)
        error = said(warmstart(*words))
        assert f"cannot run {run}/export/model.onnx" in error
        assert f"warmstart export {run}" in error
        assert warmstart("export", str(run)).code == 0  # what the message advises
        assert warmstart(*words).code == 0


def test_an_exported_decoder_makes_no_predictions(writer: Path, warmstart: Warmstart) -> None:
    error = said(warmstart("predict", str(writer), "--text", "nice"))
    assert "makes no prediction for a row" in error
    assert "warmstart generate RUN" in error


def test_an_exported_model_with_other_labels(
    exported: Path, warmstart: Warmstart, tmp_path: Path
) -> None:
    """A copy for serving may be without ``model/config.json``, which has the same labels."""
    run = shutil.copytree(exported, tmp_path / "run")
    content = json.loads((run / "task.json").read_text())
    content["facts"]["label_names"].append("neutral")
    (run / "task.json").write_text(json.dumps(content))
    (run / "model" / "config.json").unlink()
    (run / "model" / "manifest.json").unlink()
    error = said(warmstart("predict", str(run), "--text", "nice"))
    assert "2 outputs, and the run has 3 labels" in error


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_model_whose_outputs_are_not_numbers(
    value: float, trained: Trained, writer: Path, warmstart: Warmstart, tmp_path: Path
) -> None:
    data = str(trained.folder / "test.csv")
    for source in (trained.path, writer):
        run = shutil.copytree(source, tmp_path / source.parent.name)
        path = run / "model" / "model.safetensors"
        weights = load_file(path)
        next(iter(weights.values())).view(-1)[3] = value
        save_file(weights, path, metadata={"format": "pt"})
        path.with_name("manifest.json").unlink()
        commands = (
            [("predict", "--text", "nice"), ("predict", "--text", "nice", "--json")]
            if source == trained.path
            else [("generate", "--prompt", "a", "--json", "--engine", "torch")]
        )
        for command, *words in [*commands, ("evaluate", "--data", data)]:
            assert "outputs are not numbers" in said(warmstart(command, str(run), *words))


def test_finite_weights_with_infinite_outputs(
    trained: Trained, warmstart: Warmstart, tmp_path: Path
) -> None:
    run = shutil.copytree(trained.path, tmp_path / "run")
    path = run / "model" / "model.safetensors"
    weights = load_file(path)
    weights["bert.pooler.dense.bias"].fill_(100)  # tanh of it is 1
    weights["classifier.weight"].fill_(3e38)
    save_file(weights, path, metadata={"format": "pt"})
    path.with_name("manifest.json").unlink()
    data = str(trained.folder / "test.csv")
    for words in (("--text", "nice", "--json"), ("--data", data)):
        assert "outputs are not numbers" in said(warmstart("predict", str(run), *words))
    assert "outputs are not numbers" in said(warmstart("evaluate", str(run), "--data", data))


def test_a_tokenizer_with_ids_beyond_the_model(
    trained: Trained, warmstart: Warmstart, tmp_path: Path
) -> None:
    """Also for a run that trained only the rows of the embedding that its data use."""
    run = shutil.copytree(trained.path, tmp_path / "run")
    path = run / "model" / "tokenizer.json"
    content = json.loads(path.read_text())
    content["model"]["vocab"]["nice"] = 10**6
    path.write_text(json.dumps(content))
    path.with_name("manifest.json").unlink()
    error = said(warmstart("predict", str(run), "--text", "nice"))
    assert "has 1000001 tokens, but the model has only" in error


@pytest.mark.parametrize(
    "words",
    [
        ("--text", "nice \udcff"),
        ("--text", "\ud800"),
    ],
)
def test_a_text_that_is_not_unicode(
    words: tuple[str, ...], trained: Trained, warmstart: Warmstart, tmp_path: Path
) -> None:
    error = said(warmstart("predict", str(trained.path), *words))
    assert "text 1 of 1 is not valid Unicode" in error
    file = tmp_path / "texts.csv"
    file.write_text("text\nnice\n", "utf-8")  # what the message advises
    assert warmstart("predict", str(trained.path), "--data", str(file)).code == 0


@pytest.mark.parametrize("name", ["", "\udcff", "a" * 5000])
@pytest.mark.parametrize(
    "command", [("info",), ("generate", "--prompt", "a"), ("embed", "--text", "a")]
)
def test_a_name_that_names_nothing(
    name: str, command: tuple[str, ...], warmstart: Warmstart
) -> None:
    error = said(warmstart(command[0], name, *command[1:]))
    assert "cannot be a path or a Hub id" in error
    advised = "bundled/gpt2-mini"
    assert advised in error


@pytest.mark.parametrize("setting", ["train.epochs=99", "train={epochs: 99}", "data={train: x}"])
@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_settings_of_training_are_refused_for_a_file(
    setting: str, command: str, trained: Trained, warmstart: Warmstart
) -> None:
    data = str(trained.folder / "test.csv")
    error = said(warmstart(command, str(trained.path), "--data", data, "--set", setting))
    assert f"leave {setting.partition('=')[0]} out" in error
