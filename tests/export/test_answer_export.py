"""The ONNX file of question answering has the logits of start and end under their own names."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from transformers import AutoModelForQuestionAnswering, AutoTokenizer

import warmstart
from tests.answering_runs import answering_settings


@pytest.mark.slow
def test_the_file_has_start_and_end_logits(tmp_path: Path) -> None:
    settings = answering_settings(tmp_path, epochs=1, max_tokens=24)
    run = warmstart.train(settings, output=tmp_path / "run")
    run.export()
    folder = tmp_path / "run"
    parity = json.loads((folder / "export" / "parity.json").read_text("utf-8"))
    assert parity["output"] == "start_logits, end_logits"
    session = onnxruntime.InferenceSession(folder / "export" / "model.onnx")
    assert [one.name for one in session.get_outputs()] == ["start_logits", "end_logits"]
    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    model = AutoModelForQuestionAnswering.from_pretrained(folder / "model").eval()
    inputs = tokenizer("where was John?", "John was in the red house.", return_tensors="pt")
    names = [one.name for one in session.get_inputs()]
    found = session.run(None, {name: inputs[name].numpy() for name in names})
    with torch.no_grad():
        expected = model(**inputs)
    np.testing.assert_allclose(found[0], expected.start_logits, atol=1e-4)
    np.testing.assert_allclose(found[1], expected.end_logits, atol=1e-4)
