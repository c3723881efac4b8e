"""Rows longer than the model's input: windows whose logits are averaged."""

import json
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.checkpoint import checkpoint

from tests.runs_in_memory import job_of, never, settings, windowed, write_reviews
from warmstart import api, config_file, errors
from warmstart.data.examples.batches import collate, split_batch
from warmstart.data.examples.masking import FIXED
from warmstart.devices.device import build_accelerator
from warmstart.devices.processes import ALONE
from warmstart.evaluation.evaluate import predict
from warmstart.models.packed import row_logits
from warmstart.models.packed.forward import Forward, forward_for, padded_forward
from warmstart.preparation.prepare import Prepared, prepare
from warmstart.runs.directory import RunDirectory
from warmstart.training.job import job_for
from warmstart.training.loop import fit
from warmstart.training.sharing import own_rows
from warmstart.training.train_run import train_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the tiny checkpoint and its data, which all tests use."""
    return tmp_path_factory.mktemp("windows")


@pytest.fixture(scope="module")
def prepared(folder: Path) -> Prepared:
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
    assert examples.tokens.window_counts.tolist() == counts


def test_rows_are_counted_and_nothing_is_truncated(
    prepared: Prepared, model: Any, run: tuple[Any, Forward]
) -> None:
    examples = prepared.examples["validation"]
    place = build_accelerator(prepared.config.train)
    found, _, rows = predict(prepared.task, run[0], run[1], examples, place)
    assert len(found) == rows == len(prepared.tables["validation"])
    assert not found.truncated.any()
    split = prepared.findings.splits[1]
    assert split.chunked_rows == (examples.tokens.full_lengths > 8).sum() > 0
    assert split.pieces == examples.tokens.window_counts.sum() > split.rows
    assert split.lengths.truncated_rows == 0
    message = f"{split.chunked_rows} of {split.rows} validation rows longer than 8 tokens"
    assert any(
        message in one.text and f"{split.pieces} chunks in all" in one.text
        for one in prepared.findings.messages
    )


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_windows_in_parts_give_the_same_gradient(
    folder: Path, dropout: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Activations are computed again in the backward pass, with the dropout of the first time."""
    prepared = prepare(config_file.load(windowed(settings, folder, dropout=dropout)))
    model = prepared.task.model(prepared.checkpoint, seed=1)
    way = forward_for(model, prepared.task.head, prepared.examples["train"])
    model.train()
    batch = collate(prepared.examples["train"], np.arange(8))

    def gradient() -> list[torch.Tensor]:
        torch.manual_seed(0)
        model.zero_grad()
        loss, _ = prepared.task.loss(way.run(model, batch), batch)
        loss.backward()
        return [one.grad.clone() for one in model.parameters() if one.grad is not None]

    whole = gradient()  # at most `WINDOWS_AT_ONCE`: one part
    calls: list[int] = []

    def counted(run: Any, *given: Any, **options: Any) -> Any:
        calls.append(len(given[0]))
        return checkpoint(run, *given, **options)

    monkeypatch.setattr(row_logits, "checkpoint", counted)
    monkeypatch.setattr(row_logits, "WINDOWS_AT_ONCE", 1)  # as many windows as rows
    parts = gradient()
    assert len(calls) > 1
    assert sum(calls) == batch.tokens
    if not dropout:
        for one, two in zip(parts, whole, strict=True):
            torch.testing.assert_close(one, two, atol=1e-6, rtol=1e-4)
    monkeypatch.setattr(row_logits, "checkpoint", lambda run, ids, **_: run(ids))
    assert all(torch.equal(one, two) for one, two in zip(parts, gradient(), strict=True))


def test_stopped_and_resumed_is_bit_identical(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_logits, "WINDOWS_AT_ONCE", 1)
    config = windowed(settings, folder, dropout=0.2, epochs=1)
    config["data"]["limit"] = 40
    prepared = prepare(config_file.load(config))
    whole = job_of(prepared, tmp_path / "whole")
    fit(whole, resume=False, stop_requested=never)
    done = count(1)
    with pytest.raises(errors.Interrupted):
        fit(
            job_of(prepared, tmp_path / "stopped"),
            resume=False,
            stop_requested=lambda: next(done) >= 2,
        )
    resumed = job_for(prepared, RunDirectory(tmp_path / "stopped"))
    torch.manual_seed(99)
    fit(resumed, resume=True, stop_requested=never)
    expected = whole.model.state_dict()
    for name, value in resumed.model.state_dict().items():
        assert torch.equal(value, expected[name]), name


def test_processes_share_whole_rows(prepared: Prepared) -> None:
    examples, positions = prepared.examples["train"], np.arange(9)
    batch = collate(examples, positions)
    shares = [
        own_rows(replace(ALONE, count=2, index=index), examples, [positions], [batch], FIXED)[0]
        for index in (0, 1)
    ]
    rows = np.concatenate([share.rows for share in shares])
    assert sorted(rows) == sorted(batch.rows)
    assert sum(share.window_counts.sum() for share in shares) == batch.window_counts.sum()
    assert abs(shares[0].tokens - shares[1].tokens) <= np.diff(batch.offsets).max()
    pieces = split_batch(batch, 4)
    assert np.concatenate([piece.window_counts for piece in pieces]).tolist() == (
        batch.window_counts.tolist()
    )
    assert torch.equal(torch.cat([piece.input_ids for piece in pieces]), batch.input_ids)


def test_taken_rows_keep_their_windows(prepared: Prepared) -> None:
    tokens = prepared.examples["train"].tokens
    chosen = np.array([5, 0, 3])
    some = tokens.taken(chosen)
    assert some.window_counts.tolist() == tokens.window_counts[chosen].tolist()
    windows = [tokens.taken(np.array([row])).as_windows() for row in chosen]
    assert np.array_equal(
        some.as_windows().lengths, np.concatenate([one.lengths for one in windows])
    )
    assert np.array_equal(some.input_ids, np.concatenate([one.input_ids for one in windows]))


@pytest.mark.parametrize("freeze", ["backbone", "embeddings+layers:1"])
def test_a_frozen_part_runs_once(folder: Path, tmp_path: Path, freeze: str) -> None:
    config = windowed(settings, folder, dropout=0.0, epochs=1, freeze=freeze)
    config["data"]["limit"] = 40
    weights = []
    for name, cached in (("once", True), ("again", False)):
        job = job_of(prepare(config_file.load(config)), tmp_path / name)
        assert job.frozen is not None
        fit(job if cached else replace(job, frozen=None), resume=False, stop_requested=never)
        weights.append(list(job.model.parameters()))
    for one, two in zip(*weights, strict=True):
        torch.testing.assert_close(one, two, atol=1e-5, rtol=1e-4)


def test_pairs_are_refused(folder: Path) -> None:
    config = windowed(settings, folder)
    config["data"]["text_pair"] = "other"
    with pytest.raises(errors.ConfigError, match=r"long_documents") as caught:
        config_file.load(config)
    assert "text_pair" in str(caught.value)


@pytest.mark.slow
def test_an_export_averages_the_same_windows(folder: Path, tmp_path: Path) -> None:
    config = windowed(settings, folder, epochs=1)
    config["data"]["test"] = str(write_reviews(tmp_path / "test.csv", rows=40, seed=3))
    config["data"]["limit"] = 40
    train_run(prepare(config_file.load(config)), tmp_path / "run")
    run = api.load(tmp_path / "run")
    texts = [" ".join(["the cat saw my house"] * 9), "a happy cat", "it was awful " * 40]
    before = run.predict(texts, engine="torch")
    assert not any(row["truncated"] for row in before)
    run.export()
    for engine in ("torch", "onnx"):
        together = run.predict(texts, engine=engine)
        alone = [run.predict([text], engine=engine)[0] for text in texts]
        for row, single, expected in zip(together, alone, before, strict=True):
            assert row["label"] == single["label"] == expected["label"]
            for one in (row, single):
                assert one["probabilities"] == (pytest.approx(expected["probabilities"], abs=1e-5))


@pytest.mark.parametrize("long_documents", ["truncate", "chunk"])
def test_a_row_without_any_token_is_refused(tmp_path: Path, long_documents: str) -> None:
    config = settings(tmp_path)
    config["data"]["long_documents"] = long_documents
    path = tmp_path / "checkpoint" / "tokenizer.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "post_processor": None}))
    data = Path(config["data"]["train"])
    lines = data.read_text().splitlines()
    data.write_text("\n".join([*lines[:3], "\x01\x07,good", *lines[3:]]))
    with pytest.raises(errors.DataError, match="adds no special tokens") as caught:
        prepare(config_file.load(config))
    assert caught.value.found.startswith(f"{data}:4: ")
    assert caught.value.do.startswith("remove the row")
    data.write_text("\n".join(lines))
    assert prepare(config_file.load(config)).examples["train"].lengths.min() > 0
