"""One battery that every task passes; a new task adds one line to ``CASES``.

Modelled on scikit-learn's ``check_estimator``: what the loop, the evaluation and the exports rely
on is checked here for every entry of ``TASKS``, so that they need no exception for any of them.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.runs_in_memory import (
    filling_settings,
    number_settings,
    ranking_settings,
    settings,
    topic_settings,
    writing_settings,
)
from warmstart import config_file
from warmstart.data.examples.batches import collate, split_batch
from warmstart.devices.device import build_accelerator
from warmstart.evaluation.evaluate import predict
from warmstart.models.packed.forward import Forward, padded_forward
from warmstart.preparation.prepare import Prepared, prepare
from warmstart.tasks import TASKS, task_type
from warmstart.tasks.predictions.label_set_predictions import LabelSet
from warmstart.tasks.task import Labelled, Prediction, Settles

CASES: dict[str, Callable[[Path], dict[str, Any]]] = {
    "text-classification": settings,
    "text-classification, rare labels": partial(settings, class_weights="balanced", loss="focal"),
    "text-classification, regression": number_settings,
    "text-classification, multi-label": topic_settings,
    "text-classification, multi-label, rare labels": partial(
        topic_settings, class_weights="balanced", loss="focal"
    ),
    "text-ranking": ranking_settings,
    "text-ranking, two logits": partial(ranking_settings, loss="cross-entropy"),
    "text-ranking, pairwise": partial(ranking_settings, loss="pairwise"),
    "text-ranking, listwise": partial(ranking_settings, loss="listwise"),
    "text-generation": writing_settings,
    "fill-mask": filling_settings,
}
"""For each task, its problems and what it may learn by: the settings of a small run, data made."""


@dataclass(frozen=True)
class Case:
    """A prepared run of the task and its model in evaluation mode."""

    prepared: Prepared
    model: Any


@pytest.fixture(scope="module", params=sorted(CASES))
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder = tmp_path_factory.mktemp(request.param)
    task = request.param.partition(",")[0]
    prepared = prepare(config_file.load({**CASES[request.param](folder), "task": task}))
    return Case(prepared, prepared.task.model(prepared.checkpoint, seed=1).eval())


def test_every_task_has_a_case(tmp_path: Path) -> None:
    names = {tuple(case.split(", ")) for case in CASES}
    for task, problem in TASKS:
        assert {(task,), (task, problem)} & names, f"{task}, {problem}"


def test_name_and_metrics(case: Case) -> None:
    task = case.prepared.task
    assert task_type(case.prepared.config) is type(task)
    assert task.name == case.prepared.config.task
    names = [metric.name for metric in task.metrics]
    assert names
    assert len(set(names)) == len(names)


def test_facts_survive_json(case: Case) -> None:
    task, config = case.prepared.task, case.prepared.config
    again = type(task).from_facts(config, json.loads(json.dumps(task.facts)))
    assert again == task


def test_facts_come_from_training_alone(case: Case) -> None:
    task, prepared = case.prepared.task, case.prepared
    assert type(task).learn(prepared.config, prepared.tables["train"]) == task


def test_unlabelled_examples_have_the_same_tokens(case: Case) -> None:
    prepared = case.prepared
    table, tokenizer = prepared.tables["validation"], prepared.checkpoint.tokenizer
    bare = prepared.task.examples(table, tokenizer, prepared.max_tokens, labelled=False)
    full = prepared.examples["validation"]
    assert (bare.input_ids == full.input_ids).all()
    # Where the text itself is what is learned there is nothing to leave unread.
    labelled = isinstance(prepared.task, Labelled)
    assert (collate(bare, np.arange(len(bare))).count == 0) == labelled


def padded(case: Case) -> Forward:
    return padded_forward(case.model, case.prepared.task.head)


def test_loss_is_a_sum_over_counted_labels(case: Case) -> None:
    """Promise 1: however a batch is cut or padded, losses and gradients add up to the same."""
    task, model = case.prepared.task, case.model
    run = padded(case).run
    batch = collate(case.prepared.examples["train"], np.arange(12))

    def gradient(pieces: int) -> tuple[float, int, list[torch.Tensor]]:
        model.zero_grad()
        total, count = 0.0, 0
        for piece in split_batch(batch, pieces):
            loss, labels = task.loss(run(model, piece), piece)
            assert labels == piece.count
            loss.backward()
            total, count = total + loss.item(), count + labels
        return total, count, [p.grad.clone() for p in model.parameters() if p.grad is not None]

    whole, parts, single = gradient(1), gradient(4), gradient(12)
    assert whole[1] == parts[1] == single[1] > 0
    for other in (parts, single):
        assert other[0] == pytest.approx(whole[0], rel=1e-5)
        for one, two in zip(whole[2], other[2], strict=True):
            torch.testing.assert_close(one, two, atol=1e-5, rtol=1e-4)


def test_predictions_are_in_row_order_and_finite(case: Case) -> None:
    prepared = case.prepared
    examples = prepared.examples["validation"]
    accelerator = build_accelerator(prepared.config.train)
    answers, loss, count = predict(
        prepared.task,
        case.model,
        padded(case),
        examples,
        accelerator,
    )
    assert [answer.row for answer in answers] == examples.rows.tolist()
    assert np.isfinite(loss)
    assert count > 0
    for answer in answers:
        json.dumps(answer.to_json(), allow_nan=False)
        if isinstance(answer, Prediction):
            shares = answer.probabilities
            assert sum(shares.values()) == pytest.approx(1)
            assert shares[answer.label] == max(shares.values())

        if isinstance(answer, LabelSet):
            assert all(0 <= share <= 1 for share in answer.probabilities.values())
            assert set(answer.labels) <= answer.probabilities.keys()


def test_what_is_settled_is_kept_and_answered(case: Case) -> None:
    """Thresholds survive JSON, and change answers without touching what they are made of."""
    prepared = case.prepared
    if not isinstance(prepared.task, Settles) or not isinstance(prepared.task, Labelled):
        pytest.skip("nothing is settled after training")
    examples, table = prepared.examples["validation"], prepared.tables["validation"]
    accelerator = build_accelerator(prepared.config.train)
    answers, _, _ = predict(
        prepared.task,
        case.model,
        padded(case),
        examples,
        accelerator,
    )
    settled, said = prepared.task.settled(answers, table, prepared.task.metrics[0].name)
    assert said
    assert type(settled).from_facts(prepared.config, json.loads(json.dumps(settled.facts))) == (
        settled
    )
    assert isinstance(settled, Labelled)
    again = settled.answers(answers.probabilities, answers.rows, answers.truncated)
    assert (again.probabilities == answers.probabilities).all()
    name = prepared.task.metrics[0].name
    before, after = (
        prepared.task.score(found, table).metrics[name].value for found in (answers, again)
    )
    assert before is not None
    assert after is not None
    assert after >= before


def test_columns_are_of_the_tables_rows(case: Case) -> None:
    prepared = case.prepared
    examples, table = prepared.examples["validation"], prepared.tables["validation"]
    accelerator = build_accelerator(prepared.config.train)
    answers, _, _ = predict(
        prepared.task,
        case.model,
        padded(case),
        examples,
        accelerator,
    )
    columns = answers.columns(table.rows)
    assert columns
    assert all(len(column) == len(table) for column in columns.values())


def test_predictions_do_not_depend_on_company(case: Case) -> None:
    """A row alone, in a small batch and in a large one gets the same answer."""
    task, run = case.prepared.task, padded(case).run
    examples = case.prepared.examples["validation"]
    batch = collate(examples, np.arange(len(examples)))
    with torch.no_grad():
        together = task.predictions(run(case.model, batch), batch)
        for position in range(0, len(examples), 5):
            one = collate(examples, np.array([position]))
            alone = task.predictions(run(case.model, one), one)[0]
            assert alone.row == together[position].row
            for name, number in _numbers(alone).items():
                found = _numbers(together[position])[name]
                assert found == pytest.approx(number, abs=1e-5, rel=1e-5)


def _numbers(answer: Any) -> dict[str, float]:
    """The numbers of an answer, those of every label apart."""
    found = answer.to_json()
    return {
        name: value
        for name, value in {**found, **found.get("probabilities", {})}.items()
        if isinstance(value, float)
    }


def test_scores_name_every_metric_with_n(case: Case) -> None:
    prepared = case.prepared
    table, examples = prepared.tables["validation"], prepared.examples["validation"]
    accelerator = build_accelerator(prepared.config.train)
    answers, _, _ = predict(
        prepared.task,
        case.model,
        padded(case),
        examples,
        accelerator,
    )
    scores = prepared.task.score(answers, table)
    assert list(scores.metrics) == [metric.name for metric in prepared.task.metrics]
    for metric in prepared.task.metrics:
        score = scores.metrics[metric.name]
        assert 0 < score.n <= len(table)  # rows, or the queries of a ranking
        assert score.higher_is_better == metric.higher_is_better
        if score.value is not None:
            assert score.low is not None
            assert score.high is not None
            assert score.low <= score.value <= score.high
    json.dumps({"scores": scores.metrics_json(), "details": dict(scores.details)}, allow_nan=False)


def test_new_weights_come_from_the_seed(case: Case) -> None:
    task, checkpoint = case.prepared.task, case.prepared.checkpoint
    torch.manual_seed(0)
    one = task.model(checkpoint, seed=3).state_dict()
    torch.manual_seed(1)
    before = torch.get_rng_state()
    two = task.model(checkpoint, seed=3).state_dict()
    assert torch.equal(before, torch.get_rng_state())
    other = task.model(checkpoint, seed=4).state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)
    if task.head == "sequence-classification":  # else there are none: the head is pretrained too
        assert any(not torch.equal(one[name], other[name]) for name in one)
