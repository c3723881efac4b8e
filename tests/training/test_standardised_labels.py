"""Regression on labels far from 0: learned standardised, saved and scored in their own unit."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import warmstart
from tests.runs_in_memory import never, number_settings, settings, write_numbers
from tests.tiny import tiny_checkpoint
from warmstart import config_file
from warmstart.errors import Interrupted
from warmstart.models.checkpoints.load import find, load_run_model, regressor
from warmstart.models.output_scale import OutputScale, folded
from warmstart.preparation.prepare import prepare
from warmstart.runs.directory import RunDirectory
from warmstart.training.train_run import train_run

TEXT = "the cat was wonderful and great"
PRICES = OutputScale(5e5, 2e5)
HEAD = "sequence-classification"


def prices(folder: Path, **train: Any) -> dict[str, Any]:
    """Numbers of the corpus, -1 to 1, as prices from 1e5 to 9e5."""
    made = number_settings(folder, **train)
    path = write_numbers(folder / "numbers.csv", rows=240)
    rows = [line.rsplit(",", 1) for line in path.read_text("utf-8").splitlines()[1:]]
    lines = [f"{text},{5e5 + 4e5 * float(value):.0f}" for text, value in rows]
    path.write_text("\n".join(["text,score", *lines]) + "\n", "utf-8")
    return made


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> warmstart.Run:
    folder = tmp_path_factory.mktemp("prices")
    made = prices(folder, epochs=6, learning_rate=5e-3)
    train_run(prepare(config_file.load(made)), folder / "run", stop_requested=never)
    return warmstart.load(folder / "run")


def predicted(run: warmstart.Run) -> float:
    return float(run.predict([TEXT])[0]["value"])


def plain(folder: Path, run: warmstart.Run) -> float:
    """What Transformers alone predicts with the files of a folder."""
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    inputs = AutoTokenizer.from_pretrained(run.path / "model")(TEXT, return_tensors="pt")
    with torch.no_grad():
        return float(model(**inputs).logits[0, 0])


def test_prices_are_learned_better_than_their_mean(run: warmstart.Run) -> None:
    error = run.scores["validation"]["mean_squared_error"]["value"]
    mean = run.baselines["mean"]["validation"]["mean_squared_error"]["value"]
    assert error < mean / 2
    assert plain(run.path / "model", run) == pytest.approx(predicted(run), rel=1e-5)
    assert 1e5 < predicted(run) < 1.2e6
    events = (run.path / "events.jsonl").read_text("utf-8")
    assert "the labels are standardised in training (mean" in events


def test_a_run_continues_from_the_numbers_of_another_one(
    run: warmstart.Run, tmp_path: Path
) -> None:
    checkpoint = find(
        config_file.load({**prices(tmp_path), "model": {"name": str(run.path)}}).model, HEAD
    )
    model = regressor(checkpoint, 0, PRICES)
    model.train(mode=False)
    saved = load_run_model(run.path / "model", HEAD)
    saved.train(mode=False)
    ids = torch.tensor([[2, 5, 6, 7, 3]])
    with torch.no_grad():
        torch.testing.assert_close(model(ids).logits, saved(ids).logits, rtol=1e-5, atol=1)
        new = regressor(find(config_file.load(settings(tmp_path)).model, HEAD), 0, PRICES)
        assert abs(float(new(ids).logits) - PRICES.mean) < PRICES.deviation


@pytest.mark.parametrize("kind", ["bert", "roberta", "distilbert"])
def test_saved_weights_need_no_hook(kind: str, tmp_path: Path) -> None:
    name = str(tiny_checkpoint(tmp_path / "checkpoint", kind))
    checkpoint = find(config_file.load({**settings(tmp_path), "model": {"name": name}}).model, HEAD)
    model = regressor(checkpoint, 0, PRICES)
    model.train(mode=False)
    model.save_pretrained(tmp_path / "model", state_dict=folded(model, HEAD, PRICES, None))
    saved = load_run_model(tmp_path / "model", HEAD)
    saved.train(mode=False)
    ids = torch.tensor([[2, 5, 6, 7, 3]])
    with torch.no_grad():
        torch.testing.assert_close(saved(ids).logits, model(ids).logits, rtol=1e-6, atol=0.1)
        with torch.autocast("cpu", torch.bfloat16):  # only the layers below are rounded
            found = saved(ids).logits
            assert found.dtype == torch.float32
            torch.testing.assert_close(found, model(ids).logits, rtol=0, atol=50)


def test_a_resumed_run_has_the_same_weights(tmp_path: Path) -> None:
    config = config_file.load(
        prices(tmp_path, epochs=1, average={"count": 2}, evaluations_per_epoch=2)
    )
    train_run(prepare(config), tmp_path / "whole", stop_requested=never, baselines=False)
    asked = iter([*[False] * 5, True])
    with pytest.raises(Interrupted):
        train_run(prepare(config), tmp_path / "parts", stop_requested=lambda: next(asked))
    train_run(
        prepare(config), tmp_path / "parts", resume=True, stop_requested=never, baselines=False
    )
    one, two = (
        load_file(RunDirectory(tmp_path / name).model / "model.safetensors")
        for name in ("whole", "parts")
    )
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert float(one["classifier.bias"]) > 1e5
