"""A decoder as ONNX: the comparisons, and that both engines generate the same text."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from transformers import AutoModelForCausalLM, AutoTokenizer, MambaConfig, MambaForCausalLM

from tests.tiny.decoders import DECODERS, make_decoder
from warmstart import api
from warmstart.api import Run
from warmstart.errors import ExportError
from warmstart.export import decoder, decoder_parity
from warmstart.export.decoder_session import OnnxDecoder
from warmstart.run import RunDirectory
from warmstart.runs.loaded_run import LoadedRun, load_run

PROMPTS = ["the cat", "", "a nice happy house and her old story", "the cat", "we saw"]


@pytest.fixture(scope="module")
def loaded(writes: Run) -> LoadedRun:
    return load_run(RunDirectory(writes.path))


@pytest.fixture(scope="module")
def opened(writes: Run) -> OnnxDecoder:
    return OnnxDecoder.open(writes.path / "export/model.onnx")


def copied(run: Run, tmp_path: Path) -> Run:
    return api.load(shutil.copytree(run.path, tmp_path / "run"))


def test_parity_records_what_was_written_and_compared(writes: Run) -> None:
    content = json.loads((writes.path / "export/parity.json").read_text())
    layers = [f"{layer}.{part}" for layer in (0, 1) for part in ("key", "value")]
    given = ["input_ids", "attention_mask", "position_ids"]
    assert content["inputs"] == [*given, *(f"past_key_values.{name}" for name in layers)]
    assert content["outputs"] == ["logits", *(f"present.{name}" for name in layers)]
    assert list(content["files"]) == ["model.onnx"]
    shapes = [(shape["rows"], shape["tokens"]) for shape in content["shapes"]]
    assert shapes[:4] == [(1, [1]), (1, [7]), (3, [5]), (2, [128])]
    assert shapes[4:] == [(3, [4, 3]), (2, [3, 1, 2]), (3, [1] * 6)]
    assert all(0 < shape["max_difference"] < 1e-5 for shape in content["shapes"])
    rows, score = content["rows"], writes.scores["validation"]["bits_per_byte"]["value"]
    assert (rows["split"], rows["compared"]) == ("validation", 24)
    assert 0 < rows["max_difference"] < 1e-5
    expected = pytest.approx(score, abs=1e-4)
    assert rows["metric"] == {"name": "bits_per_byte", "torch": expected, "onnx": expected}
    assert content["greedy"] == {"texts": 4, "steps": 64, "tokens": 256, "ties": 0}
    assert content["fused"]["onnx"]["Attention"] == 2
    assert content["speed"]["engines"].keys() == {"torch", "onnx"}
    rates = [rate for engine in content["speed"]["engines"].values() for rate in engine.values()]
    assert min(rates) > 0


def test_inputs_are_free_in_rows_new_tokens_and_past(writes: Run) -> None:
    graph = onnx.load(writes.path / "export/model.onnx").graph
    shapes = {
        value.name: [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.output)
    }
    assert shapes["input_ids"] == shapes["position_ids"] == ["batch", "tokens"]
    assert shapes["attention_mask"] == ["batch", "past + tokens"]
    assert shapes["past_key_values.1.value"] == ["batch", 4, "past", 8]
    assert shapes["present.1.value"] == ["batch", 4, "past + tokens", 8]
    assert shapes["logits"] == ["batch", "tokens", 320]


def test_onnx_runtime_and_the_saved_tokenizer_are_enough(writes: Run) -> None:
    tokenizer = AutoTokenizer.from_pretrained(writes.path / "model")
    session = onnxruntime.InferenceSession(writes.path / "export/model.onnx")
    prompt = tokenizer("the boring old cat")["input_ids"]
    ids, written = np.array([prompt]), []
    cache = {
        given.name: np.zeros((1, given.shape[1], 0, given.shape[3]), np.float32)
        for given in session.get_inputs()[3:]
    }
    for step in range(64):
        read = len(prompt) + step
        place = np.arange(read - ids.shape[1], read)[None]
        mask = np.ones((1, read), dtype=np.int64)
        inputs = {"input_ids": ids, "attention_mask": mask, "position_ids": place, **cache}
        logits, *present = session.run(None, inputs)
        cache = dict(zip(cache, present, strict=True))
        ids = logits[:, -1:].argmax(-1)
        written.append(int(ids[0, 0]))
    model = AutoModelForCausalLM.from_pretrained(writes.path / "model")
    expected = model.generate(
        torch.tensor([prompt]),
        attention_mask=torch.ones(1, len(prompt)),
        max_new_tokens=64,
        min_new_tokens=64 if 0 not in written else None,
        do_sample=False,
        pad_token_id=0,
    )
    same = expected[0, len(prompt) :].tolist()
    assert written[: len(same)] == same
    assert len(same) == 64 or same[-1] == 0


@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": 0, "max_new_tokens": 64},
        {"temperature": 0, "beams": 3, "count": 2, "stop": ["e"]},
        {"temperature": 0.9, "top_k": 40, "top_p": 0.9, "repetition_penalty": 1.2, "count": 2},
    ],
)
def test_both_engines_write_the_same(writes: Run, settings: dict[str, Any]) -> None:
    found = writes.generate(PROMPTS, engine="onnx", **settings)
    assert found == writes.generate(PROMPTS, engine="torch", **settings)
    assert len({one["text"] for one in found}) > 2


def test_a_text_is_passed_on_as_it_is_made(writes: Run) -> None:
    pieces: list[str] = []
    (made,) = writes.generate(["the cat"], engine="onnx", on_text=pieces.append)
    assert len(pieces) > 2
    assert "".join(pieces) == made["text"]


def test_a_file_that_is_not_the_verified_one_is_refused(writes: Run, tmp_path: Path) -> None:
    run = copied(writes, tmp_path)
    file = run.path / "export/model.onnx"
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ExportError, match="model.onnx was changed after it was verified"):
        run.generate(["a"], engine="onnx")
    with pytest.raises(ExportError, match="was changed"):  # the default of a run with an export
        run.generate(["a"])
    run.generate(["a"], engine="torch")
    shutil.rmtree(run.path / "export")
    run.generate(["a"])
    with pytest.raises(ExportError, match="--engine onnx, but there is no"):
        run.generate(["a"], engine="onnx")
    with pytest.raises(ExportError, match="model, which is not a run directory") as caught:
        api.generate(run.path / "model", ["a"], engine="onnx")
    assert "warmstart export RUN" in caught.value.do


def test_a_model_that_differs_is_not_kept(
    writes: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = copied(writes, tmp_path)
    before = (run.path / "export/model.onnx").read_bytes()

    def write_another(model: Any, path: Path) -> None:
        content = onnx.load_from_string(before)
        (bias,) = (one for one in content.graph.initializer if one.name.endswith("ln_f.bias"))
        array = numpy_helper.to_array(bias) + np.float32(0.1)
        bias.CopyFrom(numpy_helper.from_array(array, bias.name))
        onnx.save(content, path)

    monkeypatch.setattr(decoder, "write_decoder", write_another)
    with pytest.raises(ExportError, match="for 1 x 1 tokens: logits differ by up to") as error:
        run.export()
    assert error.value.expected == "at most 0.0001; nothing was written"
    assert "--engine torch" in error.value.do
    assert (run.path / "export/model.onnx").read_bytes() == before
    shutil.rmtree(run.path / "export")
    with pytest.raises(ExportError):
        run.export()
    assert not list(run.path.glob("*export*"))


Step = Callable[..., Any]


def another(opened: OnnxDecoder, step: Step) -> Any:
    """The decoder, with a changed result of each call."""
    return SimpleNamespace(step=step, vocabulary=opened.vocabulary)


def test_padding_on_the_left_is_compared(loaded: LoadedRun, opened: OnnxDecoder) -> None:
    def deaf(ids: Any, mask: Any, place: Any, past: Any) -> Any:
        return opened.step(ids, np.ones_like(mask), place, past)

    def counts_padding(ids: Any, mask: Any, place: Any, past: Any) -> Any:
        read = mask.shape[1]
        place = np.broadcast_to(np.arange(read - ids.shape[1], read), ids.shape)
        return opened.step(ids, mask, place, past)

    decoder_parity.check_decoder_shapes(loaded, opened)
    for step in (deaf, counts_padding):
        with pytest.raises(ExportError, match="for 3 x 5 tokens: logits differ"):
            decoder_parity.check_decoder_shapes(loaded, another(opened, step))


def test_what_was_read_before_is_compared(loaded: LoadedRun, opened: OnnxDecoder) -> None:
    def forgets(ids: Any, mask: Any, place: Any, past: Any) -> Any:
        logits, present = opened.step(ids, mask, place, past)
        return logits, [states * 0 for states in present]

    with pytest.raises(ExportError, match=r"for 3 x 4 \+ 3 tokens: logits differ"):
        decoder_parity.check_decoder_shapes(loaded, another(opened, forgets))


def test_another_token_is_refused_except_in_a_tie(
    loaded: LoadedRun, opened: OnnxDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, _, examples = decoder_parity.scored_documents(loaded)
    prompts = decoder_parity.prompts_from(examples)
    assert [len(prompt) for prompt in prompts] == [4, 7, 10, 13]

    def prefers(ids: Any, mask: Any, place: Any, past: Any) -> Any:
        logits, present = opened.step(ids, mask, place, past)
        if mask.shape[1] >= 15:
            logits[1, -1, 99] += 1000
        return logits, present

    wrong = another(opened, prefers)
    with pytest.raises(
        ExportError, match="token 3 after the beginning of document 2: it generates"
    ):
        decoder_parity.check_greedy(loaded, wrong, prompts)
    monkeypatch.setattr(decoder_parity, "TOLERANCE", 1000)
    found = decoder_parity.check_greedy(loaded, wrong, prompts)
    assert found == {"texts": 4, "steps": 64, "tokens": 3 * 64 + 2, "ties": 1}


def test_documents_are_compared_by_logit_and_metric(
    loaded: LoadedRun, opened: OnnxDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoder_parity, "MAX_TOKENS", 60)
    given = decoder_parity.scored_documents(loaded)
    split, table, examples = given
    assert len(table) == len(examples) < 24
    assert examples.lengths.sum() <= 60
    found = decoder_parity.check_documents(loaded, opened, *given)
    assert found["tokens"] == examples.lengths.sum()
    monkeypatch.setattr(decoder_parity, "METRIC_TOLERANCE", -1)
    with pytest.raises(ExportError, match="documents of the validation split: bits_per_byte"):
        decoder_parity.check_documents(loaded, opened, *given)
    other = replace(loaded, model=make_decoder(max_positions=128))
    with pytest.raises(ExportError, match="documents of the validation split: logits differ"):
        decoder_parity.check_documents(other, opened, split, table, examples)


def test_large_logits_may_differ_by_their_rounding() -> None:
    assert decoder_parity.tolerance(np.array([-3.0, 9.0], dtype=np.float32)) == 1e-4
    assert decoder_parity.tolerance(np.array([-130.0], dtype=np.float32)) == pytest.approx(1.3e-3)


def test_a_model_without_keys_and_values_is_refused(tmp_path: Path) -> None:
    config = MambaConfig(vocab_size=50, hidden_size=8, state_size=4, num_hidden_layers=1)
    model = MambaForCausalLM(config).eval()
    with pytest.raises(ExportError, match="cannot export MambaForCausalLM") as caught:
        decoder.write_decoder(model, tmp_path / "model.onnx")
    assert "does not consist of keys and values" in caught.value.found
    assert "GPT-2" in caught.value.expected
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("architecture", [name for name in DECODERS if name != "gpt2"])
def test_every_architecture_is_exported_exactly(architecture: str, tmp_path: Path) -> None:
    model = make_decoder(architecture, max_positions=96)
    model.set_attn_implementation("sdpa")
    decoder.write_decoder(model, tmp_path / "model.onnx")
    opened = OnnxDecoder.open(tmp_path / "model.onnx")
    run: Any = SimpleNamespace(model=model, max_tokens=96)
    found = decoder_parity.check_decoder_shapes(run, opened)
    assert all(shape["max_difference"] < 1e-5 for shape in found)
    prompts = [[0, 5, 9, 30], [0, 7], [3, 1, 4, 1, 5, 9, 2, 6]]
    greedy = decoder_parity.check_greedy(run, opened, prompts)
    assert greedy == {"texts": 3, "steps": 64, "tokens": 192, "ties": 0}
