"""Adapt an encoder: the run, its kept model, and a classifier that starts from it."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForMaskedLM, AutoTokenizer

import warmstart
from tests.quick import slow_except
from tests.runs_in_memory import filling_settings, job_of, never, settings, write_reviews
from tests.tiny import tiny_checkpoint
from tests.tiny.decoders import tiny_gpt2
from warmstart import cli, config_file
from warmstart.data.examples.batches import collate
from warmstart.data.examples.targets import NO_LABEL, of_kind
from warmstart.data.examples.token_targets import TokenBatchTargets
from warmstart.data.table import SourceFile, Table
from warmstart.errors import ConfigError, DataError, Interrupted, ModelError
from warmstart.evaluation.evaluate import evaluate
from warmstart.models.packed.forward import padded_forward
from warmstart.preparation.prepare import Prepared, prepare
from warmstart.run import Run
from warmstart.runs.events import events_of, read_events
from warmstart.tasks import pseudo_perplexity as pseudo
from warmstart.training.job import Job
from warmstart.training.loop import fit

BODY = "bert."


def prepared_of(folder: Path, data: dict[str, Any] | None = None, **train: Any) -> Prepared:
    made = filling_settings(folder, **train)
    return prepare(config_file.load({**made, "data": {**made["data"], **(data or {})}}))


@pytest.fixture(scope="module")
def adapted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """A finished run on the tiny BERT."""
    folder = tmp_path_factory.mktemp("adapted")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "report", lambda run: run.path)  # it takes longer than the training
        made = filling_settings(folder, epochs=3, learning_rate=3e-3)
        yield warmstart.train(made, output=folder / "run", progress=False)


def test_it_learns_and_reports_the_scores_before_training(adapted: Run) -> None:
    scores, before = adapted.scores["validation"], adapted.baselines["untouched"]["validation"]
    assert list(scores) == ["loss", "accuracy", "pseudo_perplexity"]
    for name in scores:
        assert scores[name]["n"] == before[name]["n"] == 24
        low, high = scores[name]["low"], scores[name]["high"]
        assert low <= scores[name]["value"] <= high
    assert scores["loss"]["value"] < before["loss"]["value"] - 1
    assert scores["accuracy"]["value"] > before["accuracy"]["value"]
    assert scores["pseudo_perplexity"]["value"] < 0.5 * before["pseudo_perplexity"]["value"]
    evaluations = events_of(read_events(adapted.path / "events.jsonl"), "evaluation")
    assert all(list(event["scores"]) == ["loss", "accuracy"] for event in evaluations)
    environment = json.loads((adapted.path / "environment.json").read_text("utf-8"))
    assert environment["execution"].startswith("packed")
    assert environment["vocabulary"] == "all: any token may be predicted"


def test_dropped_parts_are_reported(adapted: Run) -> None:
    notices = [e["text"] for e in events_of(read_events(adapted.path / "events.jsonl"), "notice")]
    assert len(notices) == 1
    assert "has a pooler, which fill-mask does not train" in notices[0]
    assert "starts from this run's model gets a new one" in notices[0]


@pytest.mark.parametrize("place", ["", "model"])
def test_a_classifier_starts_from_the_adapted_body(
    adapted: Run, tmp_path: Path, place: str
) -> None:
    kept = load_file(adapted.path / "model" / "model.safetensors")
    made = settings(tmp_path, epochs=1)
    made["model"]["name"] = str(adapted.path / place)
    model = job_of(prepare(config_file.load(made)), tmp_path / "run").model
    body = {name: value for name, value in model.state_dict().items() if name.startswith(BODY)}
    new = [name for name in body if name not in kept and not name.endswith(".lookup")]
    assert sorted(new) == ["bert.pooler.dense.bias", "bert.pooler.dense.weight"]
    started = load_file(Path(adapted.config.model.name) / "model.safetensors")
    words = "bert.embeddings.word_embeddings.weight"
    shared = [name for name in body if name in kept and name != words]
    assert len(shared) > 30
    assert all(torch.equal(body[name], kept[name]) for name in shared)
    assert not torch.equal(kept[shared[0]], started[shared[0]])
    lookup = body["bert.embeddings.word_embeddings.lookup"]
    used = (lookup >= 0).nonzero().flatten()
    assert torch.equal(body[words], kept[words][used])


def stopping_after(steps: int) -> Any:
    made = iter(range(steps - 1))
    return lambda: next(made, None) is None


@pytest.mark.parametrize("whole_words", slow_except([False, True], True))
def test_stopped_and_resumed_is_bit_identical(tmp_path: Path, whole_words: bool) -> None:
    prepared = prepared_of(tmp_path, {"whole_words": whole_words}, batch_size=24)
    whole = job_of(prepared, tmp_path / "whole")
    fit(whole, resume=False, stop_requested=never)
    parts = job_of(prepared, tmp_path / "parts")
    with pytest.raises(Interrupted):
        fit(parts, resume=False, stop_requested=stopping_after(5))
    # A new process would build its model again; other weights show that all of them are restored.
    again = replace(job_of(prepared, tmp_path / "again"), run=parts.run, log=parts.log)
    for parameter in again.model.parameters():
        torch.nn.init.normal_(parameter)
    fit(again, resume=True, stop_requested=never)
    one, two = (
        [event["loss"] for event in events_of(read_events(job.log.path), "step")]
        for job in (whole, parts)
    )
    assert len(one) == 8
    assert one == two
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[name]), name


def test_two_epochs_ask_for_other_tokens_and_a_step_made_again_for_the_same(
    tmp_path: Path,
) -> None:
    """Row by row, because the order of rows also differs between epochs."""
    job = job_of(prepared_of(tmp_path, batch_size=96, epochs=2), tmp_path / "run")
    seen: list[dict[int, list[int]]] = []
    run = job.forward.run

    def recorded(model: Any, batch: Any) -> Any:
        if model.training:
            targets = of_kind(batch.targets, TokenBatchTargets)
            rows = np.split(targets.ids.numpy() != NO_LABEL, batch.offsets[1:-1])
            asked = [np.flatnonzero(row).tolist() for row in rows]
            seen.append(dict(zip(batch.rows.tolist(), asked, strict=True)))
            if len(seen) == 1:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return run(model, batch)

    fit(
        replace(job, forward=replace(job.forward, run=recorded)), resume=False, stop_requested=never
    )
    counts = [e["labels"] for e in events_of(read_events(job.log.path), "step")]
    # The first step failed and was repeated in two pieces; the second was run in two at once.
    assert seen[1] | seen[2] == seen[0]
    assert sum(map(len, seen[0].values())) == counts[0]
    other = seen[3] | seen[4]
    assert sum(map(len, other.values())) == counts[1]
    assert other.keys() == seen[0].keys()
    assert sum(other[row] != asked for row, asked in seen[0].items()) > len(other) / 2


def test_evaluation_hides_the_same_at_any_time_and_any_seed(tmp_path: Path) -> None:
    splits = [prepared_of(tmp_path, seed=seed).examples["validation"] for seed in (1, 2)]
    one, two = (collate(split, np.arange(len(split))) for split in splits)
    assert torch.equal(one.input_ids, two.input_ids)


def test_pseudo_perplexity_is_that_of_each_token_hidden_alone(tmp_path: Path) -> None:
    job: Job = job_of(prepared_of(tmp_path), tmp_path / "run")
    examples, model = job.validation, job.model.eval()
    nats, count = 0.0, 0
    for position in range(len(examples)):
        ids = torch.from_numpy(examples.tokens.ids_of(position).astype(np.int64))
        for place in range(1, len(ids) - 1):
            hidden = ids.clone()
            hidden[place] = job.tokenizer.mask_token_id
            with torch.no_grad():
                logits = model(input_ids=hidden[None]).logits[0, place]
            nats -= logits.log_softmax(-1)[ids[place]].item()
            count += 1
    place = job.accelerator
    found = pseudo.pseudo_perplexity(model, job.forward, examples, place, most_rows=64)
    assert found.value == pytest.approx(np.exp(nats / count), rel=1e-4)
    assert found.n == len(examples)


def test_pseudo_perplexity_asks_few_rows_and_few_tokens_of_long_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pseudo, "ROW_TOKENS", 60)
    job: Job = job_of(prepared_of(tmp_path), tmp_path / "run")
    job.model.train()
    place = job.accelerator
    found = pseudo.pseudo_perplexity(job.model, job.forward, job.train, place, most_rows=5)
    assert found.n == 5
    longest = int(job.train.lengths.argmax())
    batch = pseudo.one_hidden_each(job.train, longest)
    assert 1 < len(batch) == batch.count == 60 // int(job.train.lengths[longest])
    assert (batch.input_ids == job.tokenizer.mask_token_id).sum() == batch.count
    assert job.model.training


def test_a_document_cut_in_chunks_is_one_document(tmp_path: Path) -> None:
    data = {"long_documents": "chunk", "overlap_tokens": 3}
    made = filling_settings(tmp_path)
    made["model"]["max_tokens"] = 8
    made["data"] |= data
    prepared = prepare(config_file.load(made))
    job = job_of(prepared, tmp_path / "run")
    table, labels = job.validation_split.table, job.validation_split.labels
    assert len(job.validation) > len(table)
    found = evaluate(job.task, job.model, job.forward, job.validation, labels, job.accelerator)
    assert found.scores.metrics["loss"].n == len(table)
    assert len(found.predictions.columns(table.rows)["nats"]) == len(table)


def test_a_frozen_part_stays_and_the_rest_learns(tmp_path: Path) -> None:
    prepared = prepared_of(tmp_path, freeze="embeddings+layers:1", epochs=1)
    job = job_of(prepared, tmp_path / "run")
    before = {name: value.clone() for name, value in job.model.state_dict().items()}
    fit(job, resume=False, stop_requested=never)
    after = job.model.state_dict()
    for name, value in before.items():
        still = any(part in name for part in ("embeddings", "layer.0.", "decoder.weight"))
        assert torch.equal(value, after[name]) == still, name
    notices = [e["text"] for e in events_of(read_events(job.log.path), "notice")]
    assert any("each epoch masks different tokens" in text for text in notices)


def test_a_frozen_backbone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="encoder would not change(.|\n)*--set train.freeze=null"):
        prepared_of(tmp_path, freeze="backbone")


def test_a_decoder_is_refused_and_its_task_is_named(tmp_path: Path) -> None:
    made = filling_settings(tmp_path)
    made["model"]["name"] = str(tiny_gpt2(tmp_path / "decoder"))
    with pytest.raises(ModelError) as caught:
        prepare(config_file.load(made))
    assert "is a decoder" in caught.value.found
    assert "masked-language-model head" in caught.value.expected
    assert "task: text-generation" in caught.value.do


@pytest.mark.parametrize("setting", ["prompt", "text_pair"])
def test_a_second_column_is_refused(tmp_path: Path, setting: str) -> None:
    with pytest.raises(ConfigError) as caught:
        prepared_of(tmp_path, {setting: "other"})
    assert caught.value.found == f"data.{setting} is set, and fill-mask does not read it"
    assert caught.value.do.startswith(f"remove data.{setting}, or set task: ")


def test_the_likeliest_tokens_for_each_mask(adapted: Run) -> None:
    text = "the [MASK] saw my house and her [MASK] was very old"
    one, two = adapted.predict([text, "[MASK]"])
    assert [one["row"], two["row"]] == [0, 1]
    assert [len(one["masks"]), len(two["masks"])] == [2, 1]
    assert not one["truncated"]
    tokenizer: Any = AutoTokenizer.from_pretrained(adapted.path / "model")
    model = AutoModelForMaskedLM.from_pretrained(adapted.path / "model").eval()
    inputs = tokenizer(text, return_tensors="pt")
    with torch.no_grad():
        shares = model(**inputs).logits[0].softmax(-1)
    places = (inputs["input_ids"][0] == tokenizer.mask_token_id).nonzero().flatten()
    for mask, place in zip(one["masks"], places, strict=True):
        best = shares[place].topk(5)
        assert [found["token"] for found in mask] == [tokenizer.decode([i]) for i in best.indices]
        probabilities = [found["probability"] for found in mask]
        assert probabilities == pytest.approx(best.values.tolist(), rel=1e-4)


def test_a_text_longer_than_the_model_reads_is_marked(adapted: Run) -> None:
    (answer,) = adapted.predict(["[MASK] " + "cat " * 200 + "[MASK]"])
    assert answer["truncated"]
    assert len(answer["masks"]) == 1


def test_a_text_without_a_mask_is_refused(adapted: Run) -> None:
    with pytest.raises(DataError, match="text:2 has no mask: 'the cat'") as caught:
        adapted.predict(["a [MASK]", "the cat"])
    assert "[MASK] in place of" in caught.value.expected
    assert "--text 'The cat [MASK] on the mat.'" in caught.value.do


def test_the_masks_of_a_file_are_filled(adapted: Run, tmp_path: Path) -> None:
    texts = ["the [MASK] saw my house and her [MASK] was very old", "[MASK]"]
    path = tmp_path / "masks.csv"
    path.write_text("\n".join(["text", *texts]) + "\n", "utf-8")
    found = adapted.predict_file(str(path))
    expected = adapted.predict(texts)
    assert found["text"].to_pylist() == texts
    for name, key in {"tokens": "token", "probabilities": "probability"}.items():
        assert found[name].to_pylist() == [
            [[one[key] for one in mask] for mask in text["masks"]] for text in expected
        ]


def test_a_file_without_masks_is_refused_with_its_line(adapted: Run, tmp_path: Path) -> None:
    path = str(write_reviews(tmp_path / "more.csv"))
    with pytest.raises(DataError, match=f"{path}:2 has no mask") as caught:
        adapted.predict_file(path)
    assert "[MASK] in place of" in caught.value.expected


def test_a_file_can_be_scored(adapted: Run, tmp_path: Path) -> None:
    scores = adapted.evaluate(str(write_reviews(tmp_path / "more.csv", rows=30, seed=5)))
    assert list(scores) == ["loss", "accuracy", "pseudo_perplexity"]
    assert scores["pseudo_perplexity"]["n"] == 30


def test_the_command_shows_a_line_for_each_mask(
    adapted: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["predict", str(adapted.path), "--text", "the [MASK] saw my [MASK]"]
    assert cli.main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert all(len(line.split()) == 10 for line in lines)
    assert cli.main([*words, "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert len(content["predictions"][0]["masks"][1]) == 5


def test_other_families_run_padded_with_the_same_losses(tmp_path: Path) -> None:
    tiny_checkpoint(tmp_path / "checkpoint", "distilbert")
    job = job_of(prepared_of(tmp_path), tmp_path / "run")
    assert job.forward.packed is not None
    split = job.validation, job.validation_split.labels
    packed = evaluate(job.task, job.model, job.forward, *split, job.accelerator)
    padded = evaluate(
        job.task, job.model, padded_forward(job.model, job.task.head), *split, job.accelerator
    )
    assert packed.loss == pytest.approx(padded.loss, rel=1e-5)


def test_only_the_mask_is_a_control_token_in_a_text_to_fill(adapted: Run) -> None:
    """The other names are text, as in training."""
    run = warmstart.load(adapted.path)
    text = "the cat saw my [MASK] and [SEP] her story"
    (found,) = run.predict([text])
    assert len(found["masks"]) == 1
    engine = run.open("torch")
    table = Table(
        pa.table({"text": [text]}),
        np.zeros(1, np.int64),
        (SourceFile("text", "", None, 1),),
        np.zeros(1, np.int32),
        np.ones(1, np.int64),
    )
    ids = engine.task.encode(table, None, engine.tokenizer, 64).tokens.ids_of(0).tolist()
    tokenizer = AutoTokenizer.from_pretrained(adapted.path / "model")
    assert ids.count(tokenizer.mask_token_id) == 1
    assert ids.count(tokenizer.sep_token_id) == 1  # at the end
    with pytest.raises(DataError, match=r"has no mask|no \[MASK\]"):
        run.predict(["the cat"])
