"""Next sentence prediction and BERT's pretraining: runs, and what starts from their models."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import (
    AutoModelForMaskedLM,
    AutoTokenizer,
    BertForNextSentencePrediction,
    BertForPreTraining,
)

import warmstart
from tests.runs_in_memory import (
    job_of,
    never,
    pairing_settings,
    pretraining_settings,
    settings,
    write_documents,
)
from warmstart import config_file
from warmstart.data.examples.masked_pairs import MaskedPairs
from warmstart.data.examples.masking import Draw
from warmstart.data.segments import draw_partners
from warmstart.errors import Interrupted
from warmstart.models.checkpoints.missing_parts import new_parts
from warmstart.preparation.prepare import prepare
from warmstart.run import Run
from warmstart.runs.events import events_of, read_events
from warmstart.tasks import TASKS
from warmstart.training.loop import fit

PAIR = ("The cat saw my house", "It was very old")
MAKE = {"next-sentence": pairing_settings, "bert-pretraining": pretraining_settings}


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished next-sentence run, on documents whose segments share words."""
    folder = tmp_path_factory.mktemp("learned")
    write_documents(folder / "documents_of_sentences.csv", 120)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "report", lambda run: run.path)
        made = pairing_settings(folder, epochs=1)
        return warmstart.train(made, output=folder / "run", progress=False)


def test_scores_are_over_documents_and_beside_the_similarity_of_the_segments(learned: Run) -> None:
    scores, baselines = learned.scores["validation"], learned.baselines
    assert next(iter(scores)) == "accuracy"
    assert {score["n"] for score in scores.values()} == {30}
    similar, guessed = (baselines[name]["validation"]["accuracy"] for name in ("tfidf", "majority"))
    assert similar["low"] > 0.5
    assert 0.4 < guessed["value"] < 0.6
    rows = json.loads((learned.path / "evaluation/validation/scores.json").read_text())
    assert rows["details"]["rows"] == rows["n"] > 60
    assert rows["scored_unit"] == "documents"


def test_transformers_opens_the_model_with_the_same_numbers(learned: Run) -> None:
    place = learned.path / "model"
    model = BertForNextSentencePrediction.from_pretrained(place)
    assert model.config.id2label == {0: "IsNext", 1: "NotNext"}
    inputs = AutoTokenizer.from_pretrained(place)(*PAIR, return_tensors="pt")
    with torch.no_grad():
        shares = model(**inputs).logits.softmax(-1)[0].tolist()
    (found,) = learned.predict([PAIR[0]], [PAIR[1]])
    assert list(found["probabilities"].values()) == pytest.approx(shares, abs=1e-5)
    assert found["label"] == ("IsNext" if shares[0] > shares[1] else "NotNext")


def test_a_model_keeps_its_next_sentence_head(learned: Run, tmp_path: Path) -> None:
    made = pairing_settings(tmp_path, epochs=1)
    made["model"]["name"] = str(learned.path)
    prepared = prepare(config_file.load(made))
    kept = load_file(learned.path / "model" / "model.safetensors")
    head = prepared.task.model(prepared.checkpoint, seed=5).cls.seq_relationship.weight
    assert torch.equal(head, kept["cls.seq_relationship.weight"])
    assert not new_parts(prepared.checkpoint, prepared.task.model_config(prepared.checkpoint))


def seen_labels(task: str, folder: Path) -> tuple[list[dict[int, int]], Any]:
    """The label of each row in each step of two epochs of one step, and the job."""
    made = MAKE[task](folder, batch_size=500, epochs=2)
    job = job_of(prepare(config_file.load(made)), folder / "run")
    seen: list[dict[int, int]] = []
    run = job.forward.run

    def recorded(model: Any, batch: Any) -> Any:
        if model.training:
            targets = batch.targets
            labels = targets.labels if task == "bert-pretraining" else targets
            seen.append(dict(zip(batch.rows.tolist(), labels.values.tolist(), strict=True)))
        return run(model, batch)

    job = replace(job, forward=replace(job.forward, run=recorded))
    fit(job, resume=False, stop_requested=never)
    return seen, job


@pytest.mark.parametrize("task", MAKE)
def test_each_epoch_trains_on_pairs_of_its_own(tmp_path: Path, task: str) -> None:
    seen, job = seen_labels(task, tmp_path)
    documents = job.train.sampled.documents
    for epoch, labels in enumerate(seen):
        draw = Draw(job.config.seed_of("order"), epoch)
        _, expected = draw_partners(job.train.rows, documents, draw)
        assert labels == dict(zip(job.train.rows.tolist(), expected.tolist(), strict=True))
    assert seen[0] != seen[1]
    tokens = [event["tokens"] for event in events_of(read_events(job.log.path), "step")]
    assert tokens == [
        job.train.of_epoch(Draw(job.config.seed_of("order"), epoch)).offsets[-1]
        for epoch in range(2)
    ]


@pytest.mark.parametrize("task", MAKE)
def test_stopped_and_resumed_is_bit_identical(tmp_path: Path, task: str) -> None:
    prepared = prepare(config_file.load(MAKE[task](tmp_path, batch_size=16, epochs=3)))
    whole = job_of(prepared, tmp_path / "whole")
    fit(whole, resume=False, stop_requested=never)
    parts = job_of(prepared, tmp_path / "parts")
    made = iter(range(7))
    with pytest.raises(Interrupted):
        fit(parts, resume=False, stop_requested=lambda: next(made, None) is None)
    again = replace(job_of(prepared, tmp_path / "again"), run=parts.run, log=parts.log)
    fit(again, resume=True, stop_requested=never)
    one, two = (
        [event["loss"] for event in events_of(read_events(job.log.path), "step")]
        for job in (whole, parts)
    )
    assert one == two
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[name]), name


def test_evaluation_has_the_same_pairs_at_any_seed(tmp_path: Path) -> None:
    found = [prepare(config_file.load(pairing_settings(tmp_path, seed=seed))) for seed in (1, 2)]
    one, two = (prepared.examples["validation"].tokens.input_ids for prepared in found)
    assert np.array_equal(one, two)


def test_masks_are_those_of_fill_mask(tmp_path: Path) -> None:
    """The same tokens as a text of fill-mask have the same masks, in the same epoch."""
    prepared = prepare(config_file.load(pretraining_settings(tmp_path)))
    targets, tokens = prepared.examples["train"].targets, prepared.examples["train"].tokens
    assert isinstance(targets, MaskedPairs)
    special = set(prepared.checkpoint.tokenizer.all_special_ids)
    rows = np.arange(len(tokens))
    ids, batch = targets.collate(tokens, rows, Draw(1, 1))
    asked = batch.tokens.ids.numpy() != -100
    share = asked.sum() / sum(one not in special for one in tokens.input_ids.tolist())
    assert 0.1 < share < 0.25
    assert not special & set(tokens.input_ids[asked].tolist())
    assert (ids[~asked] == tokens.input_ids[~asked]).all()
    mask = prepared.checkpoint.tokenizer.mask_token_id
    assert 0.6 < (ids[asked] == mask).mean() < 0.95


def test_pretraining_from_a_new_tokenizer_gives_a_model_for_every_head(tmp_path: Path) -> None:
    data = write_documents(tmp_path / "d.csv", 60)
    made = {
        "task": "bert-pretraining",
        "pretrain": {"architecture": "bert", "size": "tiny", "vocabulary": 80, "context": 48},
        "data": {"train": str(data), "validation": 0.2, "segment_characters": 40},
        "train": {"epochs": 2, "batch_size": 32, "learning_rate": 1e-3, "device": "cpu"},
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "report", lambda run: run.path)
        run = warmstart.pretrain(made, output=tmp_path / "run", progress=False)
    scores, before = run.scores["validation"], run.baselines["untouched"]["validation"]
    assert scores["masked_loss"]["value"] < before["masked_loss"]["value"] - 0.3
    both = scores["masked_loss"]["value"] + scores["next_sentence_loss"]["value"]
    assert scores["loss"]["value"] == pytest.approx(both)
    notices = [e["text"] for e in events_of(read_events(run.path / "events.jsonl"), "notice")]
    assert not [text for text in notices if "starts new" in text]
    kept = load_file(run.path / "model" / "model.safetensors")
    for kind in (BertForPreTraining, AutoModelForMaskedLM, BertForNextSentencePrediction):
        model, loading = kind.from_pretrained(run.path / "model", output_loading_info=True)
        assert not loading["missing_keys"]
        weight = model.bert.encoder.layer[0].output.dense.weight
        assert torch.equal(weight, kept["bert.encoder.layer.0.output.dense.weight"])
    _classifier_has_the_pooler(run, tmp_path, kept)


def _classifier_has_the_pooler(run: Run, folder: Path, kept: dict[str, torch.Tensor]) -> None:
    (folder / "classifier").mkdir()
    made = settings(folder / "classifier", epochs=1)
    made["model"]["name"] = str(run.path)
    prepared = prepare(config_file.load(made))
    weight = prepared.task.model(prepared.checkpoint, seed=1).bert.pooler.dense.weight
    assert torch.equal(weight, kept["bert.pooler.dense.weight"])


def test_both_tasks_share_their_rows(tmp_path: Path) -> None:
    one, two = (prepare(config_file.load(make(tmp_path))) for make in MAKE.values())
    for name in one.tables:
        assert one.tables[name].columns.equals(two.tables[name].columns)
        tokens, others = one.examples[name].tokens, two.examples[name].tokens
        assert np.array_equal(tokens.input_ids, others.input_ids)
    assert TASKS["next-sentence"].defaults() == TASKS["bert-pretraining"].defaults()


def test_no_document_is_in_two_splits(tmp_path: Path) -> None:
    prepared = prepare(config_file.load(pairing_settings(tmp_path)))
    documents = {
        name: set(table.columns["document"].to_pylist()) for name, table in prepared.tables.items()
    }
    train, held = documents["train"], documents["validation"]
    assert train
    assert held
    assert not train & held
    # A random segment is of the same split.
    texts = {
        name: set(table.columns["the next segment"].to_pylist())
        for name, table in prepared.tables.items()
    }
    for name, table in prepared.tables.items():
        assert set(table.columns["next_text"].to_pylist()) <= texts[name]
