"""Rows longer than the model's input: windows whose logits are averaged."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.runs_in_memory import job_of, never, settings, windowed, write_reviews
from warmstart import api, config_file, errors
from warmstart.data.examples.batches import collate, split_batch
from warmstart.data.examples.long_rows import mean_of_windows
from warmstart.data.examples.masking import FIXED
from warmstart.devices.processes import ALONE
from warmstart.evaluation.evaluate import predict
from warmstart.models.packed import forward
from warmstart.models.packed.forward import Forward, forward_for, padded_forward
from warmstart.preparation.prepare import Prepared, prepare
from warmstart.training.loop import fit
from warmstart.training.sharing import own_rows
from warmstart.training.train_run import train_run


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    folder = tmp_path_factory.mktemp("windows")
    return prepare(config_file.load(windowed(settings, folder, dropout=0.0, epochs=1)))


@pytest.fixture(scope="module")
def model(prepared: Prepared) -> Any:
    return prepared.task.model(prepared.checkpoint, seed=1).eval()


@pytest.fixture(scope="module", params=["padded", "packed"])
def run(request: pytest.FixtureRequest, prepared: Prepared) -> tuple[Any, Forward]:
    model = prepared.task.model(prepared.checkpoint, seed=1).eval()
    if request.param == "padded":
        return model, padded_forward(model, prepared.task.head)
    found = forward_for(model, prepared.task.head, prepared.examples["train"])
    assert found.packed is not None
    return model, found


@torch.no_grad()
def test_logits_are_the_mean_of_transformers_logits_of_each_window(
    prepared: Prepared, run: tuple[Any, Forward], model: Any
) -> None:
    examples, tokenizer = prepared.examples["validation"], prepared.checkpoint.tokenizer
    found = run[1].run(run[0], collate(examples, np.arange(len(examples))))
    texts = prepared.tables["validation"].columns["text"].to_pylist()
    counts = []
    for text, logits in zip(texts, found, strict=True):
        body = tokenizer(text, add_special_tokens=False)["input_ids"]
        starts = range(0, max(1, len(body) - 2), 4)  # 6 of 8 tokens are text, 2 are repeated
        windows = [
            [tokenizer.cls_token_id, *body[start : start + 6], tokenizer.sep_token_id]
            for start in starts
        ]
        each = [model(input_ids=torch.tensor([window])).logits[0] for window in windows]
        torch.testing.assert_close(logits, torch.stack(each).mean(0), atol=1e-5, rtol=1e-5)
        counts.append(len(windows))
    assert max(counts) > 2
    assert min(counts) == 1
    assert np.diff(examples.tokens.window_bounds).tolist() == counts


def test_rows_are_counted_and_nothing_is_truncated(
    prepared: Prepared, model: Any, run: tuple[Any, Forward]
) -> None:
    examples = prepared.examples["validation"]
    accelerator = job_place(prepared)
    found, _, count = predict(prepared.task, run[0], run[1], examples, accelerator)
    assert len(found) == count == len(prepared.tables["validation"])
    assert not found.truncated.any()
    split = prepared.findings.splits[1]
    assert split.chunked_rows == (examples.tokens.full_lengths > 8).sum() > 0
    assert split.pieces == examples.tokens.window_count
    assert split.lengths.truncated_rows == 0
    message = f"{split.chunked_rows} of {split.rows} validation rows longer than 8 tokens"
    assert any(
        message in one.text and f"{split.pieces} chunks in all" in one.text
        for one in prepared.findings.messages
    )


def job_place(prepared: Prepared) -> Any:
    from warmstart.devices.device import build_accelerator

    return build_accelerator(prepared.config.train)


def test_few_windows_at_once_give_the_same_gradient(
    prepared: Prepared, run: tuple[Any, Forward], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, way = run
    batch = collate(prepared.examples["train"], np.arange(8))

    def gradient() -> list[torch.Tensor]:
        model.zero_grad()
        loss, _ = prepared.task.loss(way.run(model, batch), batch)
        loss.backward()
        return [one.grad.clone() for one in model.parameters() if one.grad is not None]

    whole = gradient()
    sizes: list[int] = []
    plain = forward.windows_between

    def counted(*args: Any) -> Any:
        sizes.append(args[2] - args[1])
        return plain(*args)

    monkeypatch.setattr(forward, "windows_between", counted)
    monkeypatch.setattr(forward, "WINDOWS_AT_ONCE", 3)
    for one, two in zip(gradient(), whole, strict=True):
        torch.testing.assert_close(one, two, atol=1e-6, rtol=1e-4)
    assert len(sizes) > 2
    assert max(sizes) == 3


def test_recomputed_windows_have_the_same_dropout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A layer that is computed again draws the numbers of the first time: the run is repeatable."""
    monkeypatch.setattr(forward, "WINDOWS_AT_ONCE", 3)
    config = windowed(settings, tmp_path, dropout=0.5, epochs=1)
    config["data"]["limit"] = 16
    losses = []
    for name in ("one", "two"):
        job = job_of(prepare(config_file.load(config)), tmp_path / name)
        fit(job, resume=False, stop_requested=never)
        losses.append([p.detach().clone() for p in job.model.parameters()])
    assert all(torch.equal(one, two) for one, two in zip(*losses, strict=True))


def test_processes_share_whole_rows(prepared: Prepared) -> None:
    examples, positions = prepared.examples["train"], np.arange(9)
    batch = collate(examples, positions)
    shares = [
        own_rows(replace(ALONE, count=2, index=index), examples, [positions], [batch], FIXED)[0]
        for index in (0, 1)
    ]
    rows = np.concatenate([share.rows for share in shares])
    assert sorted(rows) == sorted(batch.rows)
    assert sum(share.windows[-1] for share in shares) == batch.windows[-1]
    assert abs(shares[0].tokens - shares[1].tokens) <= np.diff(batch.row_offsets).max()
    pieces = split_batch(batch, 4)
    assert [len(piece.offsets) - 1 for piece in pieces] == [piece.windows[-1] for piece in pieces]
    assert torch.equal(torch.cat([piece.input_ids for piece in pieces]), batch.input_ids)


def test_taken_rows_keep_their_windows(prepared: Prepared) -> None:
    tokens = prepared.examples["train"].tokens
    chosen = np.array([5, 0, 3])
    some, logits = tokens.taken(chosen), np.arange(tokens.window_count, dtype=np.float32)[:, None]
    counts = np.diff(tokens.window_bounds)
    assert np.diff(some.window_bounds).tolist() == counts[chosen].tolist()
    expected = [part.mean() for part in np.split(logits[:, 0], tokens.window_bounds[1:-1])]
    assert mean_of_windows(logits, tokens)[:, 0].tolist() == pytest.approx(expected)
    assert mean_of_windows(logits[: len(tokens)], replace(tokens, window_offsets=None)).shape


@pytest.mark.parametrize("freeze", ["backbone", 1])
def test_a_frozen_part_runs_once(tmp_path: Path, freeze: Any) -> None:
    config = windowed(settings, tmp_path, dropout=0.0, epochs=1, freeze=freeze)
    weights = []
    for name, cached in (("once", True), ("again", False)):
        job = job_of(prepare(config_file.load(config)), tmp_path / name)
        assert job.frozen is not None
        fit(job if cached else replace(job, frozen=None), resume=False, stop_requested=never)
        weights.append(list(job.model.parameters()))
    for one, two in zip(*weights, strict=True):
        torch.testing.assert_close(one, two, atol=1e-5, rtol=1e-4)


def test_pairs_are_refused(tmp_path: Path) -> None:
    config = windowed(settings, tmp_path)
    config["data"]["text_pair"] = "other"
    with pytest.raises(errors.ConfigError, match=r"long_documents") as caught:
        config_file.load(config)
    assert "text_pair" in str(caught.value)


@pytest.mark.slow
def test_an_export_averages_the_same_windows(tmp_path: Path) -> None:
    config = windowed(settings, tmp_path, epochs=1)
    config["data"]["test"] = str(write_reviews(tmp_path / "test.csv", rows=40, seed=3))
    train_run(prepare(config_file.load(config)), tmp_path / "run")
    run = api.load(tmp_path / "run")
    text = " ".join(["the cat saw my house"] * 9)
    before = run.predict([text])[0].to_json()
    assert not before["truncated"]
    run.export()
    after = api.load(tmp_path / "run").predict([text], engine="onnx")[0].to_json()
    assert after["probabilities"] == pytest.approx(before["probabilities"], abs=1e-5)
