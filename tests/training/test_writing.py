"""Text generation with the training loop: exact, resumed exactly, saved completely."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.quick import slow_except
from tests.runs_in_memory import job_of, never, writing_settings
from warmstart import config_file
from warmstart.data.examples.batches import collate
from warmstart.data.examples.targets import of_kind
from warmstart.data.examples.token_targets import NextTokens, TokenBatchTargets
from warmstart.errors import Interrupted
from warmstart.preparation.plan import Plan
from warmstart.preparation.prepare import Prepared, prepare
from warmstart.preparation.schedule import schedule_for
from warmstart.runs.directory import RunDirectory
from warmstart.runs.events import events_of, read_events
from warmstart.runs.loaded_run import load_run
from warmstart.training.job import Job
from warmstart.training.loop import fit
from warmstart.training.train_run import train_run


def prepared_writer(folder: Path, *overrides: str, **train: Any) -> Prepared:
    return prepare(config_file.load(writing_settings(folder, **train), overrides))


def losses_of(run: RunDirectory) -> list[float]:
    return [event["loss"] for event in events_of(read_events(run.path / "events.jsonl"), "step")]


def plain_losses(job: Job, model: Any, steps: int) -> list[float]:
    """A tutorial's loop over the same documents: padded by hand, padding masked in the labels."""
    plan, config = Plan(job.train.lengths, job.config), job.config
    share_at = schedule_for(config, plan.total_steps)
    spared = [p for p in model.parameters() if p.ndim < 2]
    decayed = [p for p in model.parameters() if p.ndim >= 2]
    optimizer = torch.optim.AdamW(
        [{"params": decayed}, {"params": spared, "weight_decay": 0.0}],
        weight_decay=config.weight_decay,
    )
    model.train()
    losses = []
    for step in range(steps):
        epoch, index = divmod(step, plan.steps_per_epoch)
        rows = [
            torch.from_numpy(job.train.tokens.ids_of(row).astype(np.int64))
            for row in np.concatenate(plan.epoch_windows(epoch)[index]).tolist()
        ]
        padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=0)
        labels = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=-100)
        mask = (labels != -100).long()
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * share_at(step)
        loss = model(input_ids=padded, attention_mask=mask, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.max_gradient_norm)
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("long_documents", slow_except(["truncate", "chunk"], "chunk"))
def test_fifty_steps_equal_a_plain_transformers_loop(tmp_path: Path, long_documents: str) -> None:
    prepared = prepared_writer(
        tmp_path,
        "model.max_tokens=24",
        f"data.long_documents={long_documents}",
        *(["data.overlap_tokens=1"] if long_documents == "chunk" else []),
        epochs=5,
        weight_decay=0.1,
        max_gradient_norm=0.5,
    )
    if long_documents == "chunk":
        assert len(prepared.examples["train"]) > len(prepared.tables["train"])
    job = job_of(prepared, tmp_path / "run")
    twin = job_of(prepared, tmp_path / "twin").model
    twin.set_attn_implementation("eager")
    fit(job, resume=False, stop_requested=never)
    ours = losses_of(job.run)[:50]
    assert len(ours) == 50
    np.testing.assert_allclose(ours, plain_losses(job, twin, steps=50), atol=1e-5)


@pytest.mark.parametrize("stop_after", slow_except([3, 12], 12))
def test_stopped_and_resumed_is_bit_identical(tmp_path: Path, stop_after: int) -> None:
    prepared = prepared_writer(tmp_path, "model.dropout=0.1", sample_every_steps=2)
    whole = job_of(prepared, tmp_path / "whole")
    fit(whole, resume=False, stop_requested=never)
    calls = iter(range(10**6))
    broken = job_of(prepared, tmp_path / "broken")
    with pytest.raises(Interrupted):
        fit(broken, resume=False, stop_requested=lambda: next(calls) + 1 >= stop_after)
    again = job_of(prepared, tmp_path / "again")
    (tmp_path / "again").rename(tmp_path / "unused")
    (tmp_path / "broken").rename(tmp_path / "again")
    fit(again, resume=True, stop_requested=never)
    assert losses_of(whole.run) == losses_of(again.run)
    for one, two in zip(whole.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(one, two)
    shown = [
        [(event["step"], event["text"]) for event in events_of(read_events(path), "sample")]
        for path in (whole.log.path, again.log.path)
    ]
    assert shown[0] == shown[1]
    assert len(shown[0]) == 12


def test_a_finished_run_is_scored_shown_and_opened_by_transformers_alone(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    prepared = prepared_writer(tmp_path, learning_rate=1e-2, epochs=4)
    finished = train_run(prepared, tmp_path / "run")
    scores = finished.evaluations["validation"]
    assert scores["scores"]["loss"]["value"] == pytest.approx(scores["loss"])
    before = scores["baselines"]["untouched"]["bits_per_byte"]
    assert scores["scores"]["bits_per_byte"]["high"] < before["low"]
    written = json.loads((tmp_path / "run" / "samples.json").read_text("utf-8"))
    assert len(written["samples"]) == 16
    assert len({sample["text"] for sample in written["samples"]}) > 8
    assert written["novelty"]["samples"] == 16

    folder = tmp_path / "run" / "model"
    model: Any = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    ids = torch.from_numpy(prepared.examples["validation"].tokens.ids_of(0).astype(np.int64))[None]
    text = prepared.tables["validation"].columns["text"][0].as_py()
    assert tokenizer.decode(ids[0, 1:-1]) == text
    ours: Any = load_run(finished.directory).model
    torch.testing.assert_close(model(input_ids=ids).logits, ours(input_ids=ids).logits)


def test_the_end_is_learned_though_it_is_the_padding_too(tmp_path: Path) -> None:
    prepared = prepared_writer(tmp_path, "model.special_tokens.pad=<|endoftext|>")
    tokenizer = prepared.checkpoint.tokenizer
    assert tokenizer.pad_token_id == tokenizer.eos_token_id
    job = job_of(prepared, tmp_path / "run")
    batch = collate(job.train, np.arange(8))
    ids = of_kind(batch.targets, TokenBatchTargets).ids
    assert int((ids == tokenizer.eos_token_id).sum()) == 8
    loss, count = job.task.loss(job.forward.run(job.model, batch), batch)
    assert count == batch.count == batch.tokens - 8
    assert loss.item() > 0


def test_new_tokens_get_the_mean_row_and_are_saved(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    prepared = prepared_writer(tmp_path, "model.special_tokens.bos=<|startoftext|>", epochs=1)
    tokens = len(prepared.checkpoint.tokenizer)
    begin = prepared.checkpoint.tokenizer.bos_token_id
    assert begin == tokens - 1
    model: Any = prepared.task.model(prepared.checkpoint, seed=1)
    table = model.get_input_embeddings().weight
    assert len(table) == tokens == model.config.vocab_size
    torch.testing.assert_close(table[-1], table[:-1].mean(0))
    assert all(prepared.examples["train"].tokens.ids_of(row)[0] == begin for row in range(5))
    train_run(prepared, tmp_path / "run")
    folder = tmp_path / "run" / "model"
    saved: Any = AutoTokenizer.from_pretrained(folder)
    assert saved.bos_token == "<|startoftext|>"
    assert saved.bos_token_id == begin
    for name in ("config.json", "generation_config.json"):
        content = json.loads((folder / name).read_text())
        ids = [content.get(f"{token}_token_id") for token in ("bos", "eos", "pad")]
        assert ids == [begin, saved.eos_token_id, saved.pad_token_id]
    reloaded: Any = AutoModelForCausalLM.from_pretrained(folder)
    assert reloaded.get_input_embeddings().num_embeddings == tokens


def test_a_special_token_that_is_there_adds_nothing(tmp_path: Path) -> None:
    plain = prepared_writer(tmp_path)
    named = prepared_writer(tmp_path, "model.special_tokens.bos=<|endoftext|>")
    assert len(plain.checkpoint.tokenizer) == len(named.checkpoint.tokenizer)
    ids, other = (each.examples["train"].tokens.input_ids for each in (plain, named))
    assert (ids == other).all()


def test_only_what_follows_the_prompt_is_learned(tmp_path: Path) -> None:
    settings = writing_settings(tmp_path)
    data = tmp_path / "pairs.csv"
    rows = [f"is {name} good?,{name} is very good" for name in "abcdefghij"]
    data.write_text("question,text\n" + "\n".join(rows) + "\n", encoding="utf-8")
    settings["data"] |= {"train": str(data), "prompt": "question"}
    prepared = prepare(config_file.load(settings))
    examples, tokenizer = prepared.examples["train"], prepared.checkpoint.tokenizer
    predict_from = of_kind(examples.targets, NextTokens).predict_from
    learned = tokenizer.decode(examples.tokens.ids_of(0)[predict_from[0] : -1])
    assert learned.endswith("is very good")
    assert "?" not in learned
    train_run(prepared, tmp_path / "run")
    written = json.loads((tmp_path / "run" / "samples.json").read_text("utf-8"))
    assert all(sample["prompt"].endswith("good?") for sample in written["samples"])


def test_rows_without_text_are_left_out_and_counted(tmp_path: Path) -> None:
    settings = writing_settings(tmp_path)
    data = tmp_path / "documents.csv"
    data.write_text("text,n\n" + "one two,1\n,2\nthree,3\n  ,4\nfour five,5\n", encoding="utf-8")
    settings["data"]["validation"] = 0.4
    prepared = prepare(config_file.load(settings))
    assert len(prepared.tables["train"]) + len(prepared.tables["validation"]) == 3
    assert prepared.dropped["train"] == {"empty_text": 2}
    assert any("2 training rows dropped: no text" in m.text for m in prepared.findings.messages)
