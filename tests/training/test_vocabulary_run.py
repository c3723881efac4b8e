"""A run with the compact vocabulary ends with the same weights as one with the whole table."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModelForSequenceClassification

from tests.quick import EACH_ARCHITECTURE, slow_except
from tests.resolved import resolved
from tests.runs_in_memory import job_of, never, prepared_run
from tests.tiny import tiny_checkpoint
from warmstart.errors import Interrupted
from warmstart.preparation.prepare import Prepared
from warmstart.runs.directory import RunDirectory
from warmstart.runs.events import events_of, read_events
from warmstart.training.checkpoint import Progress
from warmstart.training.job import Job, job_for
from warmstart.training.keep import evaluate_and_keep_best
from warmstart.training.loop import fit
from warmstart.training.optimizer import (
    _step_without_gradient,
    build_optimizer,
    decay_only,
    set_rates,
)
from warmstart.training.train_run import train_run

SETTINGS: dict[str, Any] = {"weight_decay": 0.1, "warmup_steps": 3, "epochs": 1}


@pytest.fixture
def whole(monkeypatch: pytest.MonkeyPatch) -> Callable[[Prepared, Path], Job]:
    """Makes jobs that train on the whole table, for comparison."""

    def make(prepared: Prepared, path: Path) -> Job:
        with monkeypatch.context() as patch:
            patch.setattr("warmstart.training.job.whole_because", lambda *_: "to compare")
            job = job_of(prepared, path)
        assert job.vocabulary is None
        assert job.rows == "all: to compare"
        return job

    return make


def last_weights(job: Job, *, resume: bool = False) -> dict[str, Tensor]:
    """Train; the weights after the last step in the form of ``model/``."""
    progress = fit(job, resume=resume, stop_requested=never)
    best = load_file(job.run.model / "model.safetensors")
    evaluate_and_keep_best(job, replace(progress, best=None, best_step=None), 1.0)
    last = load_file(job.run.model / "model.safetensors")
    return {
        f"{when} {k}": v for when, kept in (("best", best), ("last", last)) for k, v in kept.items()
    }


def norms(job: Job) -> list[float]:
    return [e["gradient_norm"] for e in events_of(read_events(job.log.path), "step")]


@pytest.mark.parametrize("dropout", [0.0, 0.1])
@pytest.mark.parametrize("architecture", EACH_ARCHITECTURE)
def test_without_clipping_every_weight_is_the_same_bit_for_bit(
    tmp_path: Path, whole: Callable[[Prepared, Path], Job], architecture: str, dropout: float
) -> None:
    tiny_checkpoint(tmp_path / "checkpoint", architecture)
    prepared = prepared_run(
        tmp_path, dropout=dropout, max_gradient_norm=100.0, evaluations_per_epoch=3, **SETTINGS
    )
    plain, compacted = whole(prepared, tmp_path / "a"), job_of(prepared, tmp_path / "b")
    before = plain.model.get_input_embeddings().weight.detach().clone()
    assert compacted.vocabulary is not None
    used, size = len(compacted.vocabulary.embedding.weight), len(before)
    assert used < 0.5 * size
    assert compacted.rows == f"{used:,} of {size:,} rows"

    expected, found = last_weights(plain), last_weights(compacted)
    assert max(norms(plain)) < 100
    assert expected.keys() == found.keys()
    assert not [key for key in expected if not torch.equal(expected[key], found[key])]
    # Some rows are trained and decayed; unused rows are only decayed.
    table = next(v for k, v in found.items() if k.startswith("last") and v.shape == before.shape)
    unused = (compacted.vocabulary.embedding.lookup < 0).numpy()
    kept = (table / before).numpy()[unused & (before != 0).all(dim=1).numpy()]
    assert np.ptp(kept) < 1e-6 < 1e-5 < 1 - kept.mean()


@pytest.mark.parametrize("architecture", slow_except(["bert", "electra"], "bert"))
def test_rows_without_use_decay_at_the_embeddings_own_rate(
    tmp_path: Path, whole: Callable[[Prepared, Path], Job], architecture: str
) -> None:
    tiny_checkpoint(tmp_path / "checkpoint", architecture)
    rates = {"layer_decay": 0.7, "head_learning_rate": 5e-3, "max_gradient_norm": 100.0}
    prepared = prepared_run(tmp_path, dropout=0.1, **rates, **SETTINGS)
    plain, compacted = whole(prepared, tmp_path / "a"), job_of(prepared, tmp_path / "b")
    expected, found = last_weights(plain), last_weights(compacted)
    assert max(norms(plain)) < 100
    assert not [key for key in expected if not torch.equal(expected[key], found[key])]


def test_rows_without_use_decay_from_when_the_embeddings_train(
    tmp_path: Path, whole: Callable[[Prepared, Path], Job]
) -> None:
    settings = {**SETTINGS, "epochs": 5, "batch_size": 24, "weight_decay": 0.5}
    prepared = prepared_run(
        tmp_path,
        dropout=0.1,
        unfreeze_layers_per_epoch=1,
        max_gradient_norm=100.0,
        **settings,
    )
    plain, compacted = whole(prepared, tmp_path / "a"), job_of(prepared, tmp_path / "b")
    before = plain.model.get_input_embeddings().weight.detach().clone()
    expected, found = last_weights(plain), last_weights(compacted)
    assert not [key for key in expected if not torch.equal(expected[key], found[key])]
    table = next(v for k, v in found.items() if k.startswith("last") and v.shape == before.shape)
    assert not torch.equal(table, before)


@pytest.mark.parametrize("architecture", slow_except(["bert", "roberta"], "bert"))
def test_with_clipping_they_are_the_same_within_rounding(
    tmp_path: Path, whole: Callable[[Prepared, Path], Job], architecture: str
) -> None:
    # 60 is not a multiple of the vector width, so the norm's sums are really ordered differently.
    tiny_checkpoint(tmp_path / "checkpoint", architecture, hidden=60)
    prepared = prepared_run(tmp_path, max_gradient_norm=0.01, **{**SETTINGS, "epochs": 2})
    plain, compacted = whole(prepared, tmp_path / "a"), job_of(prepared, tmp_path / "b")
    expected, found = last_weights(plain), last_weights(compacted)
    assert min(norms(plain)) > 0.01
    assert expected.keys() == found.keys()
    assert max(float((expected[key] - found[key]).abs().max()) for key in expected) < 1e-6


@pytest.mark.parametrize("stop_after", slow_except([2, 6, 7, 11], 6))
def test_stopped_in_the_middle_it_is_still_the_run_on_the_whole_table(
    tmp_path: Path, whole: Callable[[Prepared, Path], Job], stop_after: int
) -> None:
    prepared = prepared_run(
        tmp_path, dropout=0.1, max_gradient_norm=None, evaluations_per_epoch=2, **SETTINGS
    )
    expected = last_weights(whole(prepared, tmp_path / "a"))
    calls = iter(range(100))
    with pytest.raises(Interrupted):
        fit(
            job_of(prepared, tmp_path / "b"),
            resume=False,
            stop_requested=lambda: next(calls) + 1 >= stop_after,
        )
    again = job_for(prepared, RunDirectory(tmp_path / "b"))
    found = last_weights(again, resume=True)
    assert not [key for key in expected if not torch.equal(expected[key], found[key])]


def test_the_kept_model_opens_in_plain_transformers_with_every_row(tmp_path: Path) -> None:
    prepared = prepared_run(tmp_path, **SETTINGS)
    train_run(prepared, tmp_path / "run")
    run = RunDirectory.open(tmp_path / "run")
    model, report = AutoModelForSequenceClassification.from_pretrained(
        run.model, output_loading_info=True
    )
    assert not any(report.values())
    assert model.get_input_embeddings().num_embeddings == prepared.checkpoint.config.vocab_size
    assert "rows" in run.read_json("environment.json")["vocabulary"]
    # It uses words that are in no row of the data.
    ids = prepared.checkpoint.tokenizer("twelve xylophones", return_tensors="pt")
    assert torch.isfinite(model(**ids).logits).all()


def test_with_float16_the_table_stays_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its loss scaler skips steps, and it is not recorded which ones."""
    monkeypatch.setattr("warmstart.training.job.precision_of", lambda _: "float16")
    job = job_of(prepared_run(tmp_path), tmp_path / "run")
    assert job.vocabulary is None
    assert "float16" in job.rows


def test_the_past_cannot_be_saved_from_a_table_that_went_on(tmp_path: Path) -> None:
    job = job_of(prepared_run(tmp_path), tmp_path / "run")
    evaluate_and_keep_best(job, Progress(step=5), 1.0)
    with pytest.raises(ValueError, match="at step 5, past step 4"):
        evaluate_and_keep_best(job, Progress(step=4), 1.0)


def test_decay_made_up_for_later_is_what_the_kernel_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both implementations: multiplication, and the kernel, as on devices other than a CPU."""
    monkeypatch.setattr("warmstart.training.optimizer.CPU_BLOCK", 64)
    config = resolved(learning_rate=3e-3, weight_decay=0.3)
    rows = torch.randn(37, 9)
    shares = [math.sin(step) ** 2 for step in range(50)]
    layer = torch.nn.Embedding.from_pretrained(rows.clone(), freeze=False)
    layer.weight.grad = torch.zeros_like(rows)
    optimizer = build_optimizer(layer, config)
    for share in shares:
        set_rates(optimizer, share)
        optimizer.step()
    stepped = rows.flatten().clone()
    _step_without_gradient(stepped, shares, config, torch.device("cpu"), 3e-3)
    multiplied = rows.clone()
    decay_only(multiplied, shares[:20], config, torch.device("cpu"), 3e-3)
    decay_only(multiplied, shares[20:], config, torch.device("cpu"), 3e-3)
    assert not torch.equal(layer.weight, rows)
    assert torch.equal(layer.weight, stepped.view_as(rows))
    assert torch.equal(layer.weight, multiplied)
