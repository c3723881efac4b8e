"""The task: its loss, its head, its facts, and long contexts in a whole run."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForQuestionAnswering

from tests.answering_runs import answering_settings, articles
from tests.tiny import tiny_checkpoint
from warmstart import config_file
from warmstart.config import ModelConfig
from warmstart.data.answers.answer_targets import QuestionTokens
from warmstart.data.answers.contexts import contexts_of
from warmstart.data.examples.batches import Examples, collate
from warmstart.devices.device import build_accelerator
from warmstart.errors import ConfigError, DataError
from warmstart.evaluation.evaluate import predict
from warmstart.models.checkpoints.classifier_heads import head_in_words, is_new_head
from warmstart.models.checkpoints.configuration import BORDERS, natural_head, with_labels
from warmstart.models.checkpoints.load import find, span_finder
from warmstart.models.packed.forward import forward_for, padded_forward
from warmstart.preparation.prepare import Prepared, prepare
from warmstart.serving.predictor import refuse_top_k
from warmstart.tasks.predictions.answer_predictions import AnswerPredictions
from warmstart.tasks.question_answering import QuestionAnswering


def prepared_run(folder: Path, **options: Any) -> Prepared:
    return prepare(config_file.load(answering_settings(folder, **options)))


def test_the_loss_of_a_window_is_that_of_transformers(tmp_path: Path) -> None:
    """Their loss is a mean over the rows; padding would take part in their softmax."""
    prepared = prepared_run(tmp_path, dropout=0.0)
    task, examples = prepared.task, prepared.examples["train"]
    model = task.model(prepared.checkpoint, seed=1).eval()
    run = padded_forward(model, task.head).run
    total, expected = 0.0, 0.0
    for position in range(8):
        batch = collate(examples, np.array([position]))
        start, end = batch.targets.values[0]  # type: ignore[union-attr]
        inputs = batch.padded(0)
        output = model(**inputs, start_positions=start[None], end_positions=end[None])
        expected += output.loss.item()
        total += task.loss(run(model, batch), batch)[0].item()
    assert total == pytest.approx(expected, rel=1e-6)
    whole = collate(examples, np.arange(8))
    loss, count = task.loss(run(model, whole), whole)
    assert count == 8
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def windows_and_whole(folder: Path) -> tuple[Prepared, Any, Any]:
    """A run whose contexts need several windows, its model, and its validation predictions."""
    prepared = prepared_run(folder, max_tokens=24)
    model = prepared.task.model(prepared.checkpoint, seed=1).eval()
    examples: Examples = prepared.examples["validation"]
    accelerator = build_accelerator(prepared.config.train)
    forward = forward_for(model, prepared.task.head, examples)
    assert forward.path.startswith("packed")
    found, _, _ = predict(prepared.task, model, forward, examples, accelerator)
    return prepared, examples, found


def test_the_answer_is_the_best_span_of_all_windows(tmp_path: Path) -> None:
    prepared, examples, found = windows_and_whole(tmp_path)
    rows = prepared.tables["validation"].rows
    assert len(examples) > len(rows)
    assert found.rows.tolist() == rows.tolist()
    contexts = prepared.tables["validation"].columns.column("context").to_pylist()
    for prediction, context in zip(found, contexts, strict=True):
        answer = prediction.answer
        assert answer.text == context[answer.start : answer.end]
        assert answer.text == answer.text.strip() != ""
        assert not prediction.truncated
    assert any("does not fit into one window" in note for note in examples.notes)


@pytest.mark.parametrize("architecture", ["bert", "distilbert", "modernbert"])
def test_a_checkpoint_that_answers_keeps_its_head(tmp_path: Path, architecture: str) -> None:
    tiny_checkpoint(tmp_path / "body", architecture)
    body = find(ModelConfig(name=str(tmp_path / "body")), "question-answering")
    trained = span_finder(body, seed=1)
    trained.save_pretrained(tmp_path / "trained")
    body.tokenizer.save_pretrained(tmp_path / "trained")
    config = AutoConfig.from_pretrained(tmp_path / "trained")
    assert natural_head(config) == "question-answering"
    again = find(ModelConfig(name=str(tmp_path / "trained")), "question-answering")
    other = span_finder(again, seed=2).state_dict()
    for name, value in trained.state_dict().items():
        assert torch.equal(value, other[name]), name
    assert AutoModelForQuestionAnswering.from_pretrained(tmp_path / "trained") is not None
    new = with_labels(again.config, BORDERS, None)
    said = head_in_words("it", again.config, new, "question-answering", again.weight_paths)
    assert said == "it has a head that predicts answers in a context, which is kept"
    assert not is_new_head(again.config, new, "question-answering", again.weight_paths)


def test_a_classifier_of_many_labels_gets_a_new_head(tmp_path: Path) -> None:
    """DistilBERT accepts no other number of outputs for answers."""
    tiny_checkpoint(tmp_path / "body", "distilbert")
    path = tmp_path / "body" / "config.json"
    content = json.loads(path.read_text("utf-8"))
    content["id2label"] = {str(n): f"L{n}" for n in range(5)}
    content["label2id"] = {f"L{n}": n for n in range(5)}
    path.write_text(json.dumps(content), "utf-8")
    model = span_finder(find(ModelConfig(name=str(path.parent)), "question-answering"), seed=1)
    assert model.config.num_labels == 2
    assert tuple(model.config.id2label.values()) == ("start", "end")


def test_questions_without_an_answer_set_a_threshold(tmp_path: Path) -> None:
    assert prepared_run(tmp_path).task.threshold is None
    task = prepared_run(tmp_path, unanswerable=0.5).task
    assert task.threshold == 0.0
    assert "always give an answer" in " ".join(task.usage().limits)


def test_a_threshold_is_chosen_on_the_validation_rows(tmp_path: Path) -> None:
    prepared = prepared_run(tmp_path, unanswerable=0.5, choose_threshold=True)
    task, split = prepared.task, prepared.splits["validation"]
    table = split.table
    nothing = np.zeros(0, np.int32)
    # One span for each question: the right one if it has an answer. No answer is less probable
    # than the span everywhere, but closer to it for questions without one.
    found = AnswerPredictions(
        QuestionTokens(table.rows, contexts_of(table, prepared.config.data), nothing, nothing),
        questions=np.arange(len(table)),
        starts=np.array([int(split.labels.starts[n]) if k else 0 for n, k in _answers(split)]),
        ends=np.array([int(split.labels.ends[n]) if k else 4 for n, k in _answers(split)]),
        scores=np.full(len(table), -1.0),
        asked=np.arange(len(table)),
        no_answer=np.array([-9.0 if known else -2.0 for _, known in _answers(split)]),
        truncated=np.zeros(len(table), np.bool_),
        threshold=0.0,
    )
    assert 0 < task.score(found, split.labels).metrics["f1"].value < 1
    chosen, sentence = task.with_threshold(found, split.labels, "f1")
    assert chosen.threshold == pytest.approx(-4.5)  # in the middle of -8 and -1
    assert chosen.score(chosen.repeated(found), split.labels).metrics["f1"].value == 1
    assert "more than 0.0111 times as probable" in sentence


def _answers(split: Any) -> list[tuple[int, bool]]:
    """For each question the number of its first answer, and whether it has one."""
    bounds = split.labels.bounds
    return [(int(first), first < stop) for first, stop in pairwise(bounds)]


def test_contexts_stay_in_one_split(tmp_path: Path) -> None:
    prepared = prepared_run(tmp_path)
    sides = [
        set(prepared.tables[name].columns.column("context").to_pylist())
        for name in ("train", "validation")
    ]
    assert not sides[0] & sides[1]


def test_the_number_of_answer_tokens_is_limited(tmp_path: Path) -> None:
    settings = answering_settings(tmp_path)
    settings["data"]["max_answer_tokens"] = 1
    prepared = prepare(config_file.load(settings))
    model = prepared.task.model(prepared.checkpoint, seed=1).eval()
    examples = prepared.examples["validation"]
    accelerator = build_accelerator(prepared.config.train)
    run = padded_forward(model, prepared.task.head)
    found, _, _ = predict(prepared.task, model, run, examples, accelerator)
    lengths = examples.targets.source.ends - examples.targets.source.starts
    assert all(len(one.answer.text) <= lengths.max() for one in found)


def test_a_threshold_without_such_questions_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        prepared_run(tmp_path, choose_threshold=True)
    assert caught.value.do == "--set train.choose_threshold=false"
    prepared_run(tmp_path, choose_threshold=False)


def test_a_file_without_any_answer_is_refused(tmp_path: Path) -> None:
    settings = answering_settings(tmp_path)
    content: dict[str, Any] = {"data": articles(20, unanswerable=1.0)}
    (tmp_path / "squad.json").write_text(json.dumps(content), "utf-8")
    with pytest.raises(DataError) as caught:
        prepare(config_file.load(settings))
    assert "has an answer" in caught.value.found
    assert "data.answers" in caught.value.do


def test_remarks_count_what_was_repaired(tmp_path: Path) -> None:
    settings = answering_settings(tmp_path)
    path = tmp_path / "squad.json"
    content = json.loads(path.read_text("utf-8"))
    for article in content["data"]:
        for question in article["paragraphs"][0]["qas"]:
            (answer,) = question["answers"]
            question["answers"] = [{**answer, "text": f" {answer['text']}"}, answer]
    path.write_text(json.dumps(content), "utf-8")
    found = prepare(config_file.load(settings)).findings
    texts = [message.text for message in found.messages]
    assert any("64 answers differed from the context in white space" in text for text in texts)
    assert any("64 questions have several reference answers" in text for text in texts)


def test_the_report_shows_certain_mistakes_with_their_context(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    context = "Ada lives in the red house."
    labels = [[{"text": "red house", "start": 17}], [], [{"text": "Ada", "start": 0}]]
    rows = pa.table(
        {
            "row": [0, 1, 2],
            "file": ["a.json"] * 3,
            "line": [1, 2, 3],
            "text": ["where?", "why?", "who?"],
            "text_pair": [context] * 3,
            "label": labels,
            "prediction": ["house", "Ada", "red"],
            "start": [21, 0, 17],
            "end": [26, 3, 20],
            "confidence": [0.9, 0.4, 0.7],
            "truncated": [False] * 3,
        }
    )
    path = tmp_path / "predictions.parquet"
    pq.write_table(rows, path)
    found = QuestionAnswering(answering_data(tmp_path)).mistakes(path, 5)
    assert found.count == 2  # one prediction has a word of the answer
    assert not found.all_marked  # the reference answers have a column
    assert [row.where for row in found.rows] == ["a.json:3", "a.json:2"]
    assert [row.label for row in found.rows] == ["Ada", "no answer"]
    marked = [part.text for part in found.rows[0].text if part.kind]
    assert marked == ["red"]
    assert "".join(part.text for part in found.rows[0].text) == f"who? | {context}"


@pytest.mark.parametrize("count", [0, 21])
def test_only_the_answers_that_are_kept_can_be_shown(tmp_path: Path, count: int) -> None:
    task = QuestionAnswering(answering_data(tmp_path))
    refuse_top_k(task, 20)
    with pytest.raises(ConfigError) as caught:
        refuse_top_k(task, count)
    assert caught.value.found == f"--top-k {count}, and a question has at most 20 answers"
    assert caught.value.do == ("--top-k 20" if count else "--top-k 1")


def answering_data(folder: Path) -> Any:
    return config_file.load(answering_settings(folder)).data
