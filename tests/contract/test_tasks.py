"""Tests that every task must pass; a new task adds one line to ``CASES``.

Modelled on scikit-learn's ``check_estimator``: everything that the loop, the evaluation and the
exports need from a task is checked here for every entry of ``TASKS``.
"""

import json
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from tests.contract.task_runs import CASES
from warmstart import config_file
from warmstart.data.examples.batches import Examples, collate, split_batch
from warmstart.devices.device import build_accelerator
from warmstart.evaluation.baseline_scores import baseline_scores
from warmstart.evaluation.evaluate import Evaluation, predict
from warmstart.evaluation.store import PREDICTIONS, baseline_rows, write_evaluation
from warmstart.metrics.intervals import paired_difference
from warmstart.metrics.scores import Scores
from warmstart.models.packed.forward import padded_forward
from warmstart.preparation.prepare import Prepared, prepare
from warmstart.runs.directory import RunDirectory
from warmstart.tasks import TASKS, task_type
from warmstart.tasks.capabilities import (
    Compares,
    CountsChanges,
    HasBaselines,
    ShowsLabels,
    Stratifies,
    facts_of,
)
from warmstart.tasks.chosen_after_training import ChoosesTemperature, ChoosesThreshold
from warmstart.tasks.predictions.class_predictions import ClassPrediction
from warmstart.tasks.predictions.label_set_predictions import LabelSetPrediction
from warmstart.tasks.task import Split


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


def predicted(case: Case, examples: Examples) -> tuple[Any, float, int]:
    """Predictions, summed loss and number of labels of the padded model."""
    task = case.prepared.task
    accelerator = build_accelerator(case.prepared.config.train)
    return predict(task, case.model, padded_forward(case.model, task.head), examples, accelerator)


def test_every_task_has_a_case() -> None:
    assert {case.partition(",")[0] for case in CASES} == TASKS.keys()


def test_name_and_metrics(case: Case) -> None:
    task = case.prepared.task
    assert task_type(case.prepared.config) is type(task)
    assert task.name == case.prepared.config.task
    names = [metric.name for metric in task.metrics]
    assert names
    assert len(set(names)) == len(names)


def test_the_configuration_is_known_without_weights(case: Case) -> None:
    known, loaded = case.prepared.task.model_config(case.prepared.checkpoint), case.model.config
    assert (known.id2label, known.label2id) == (loaded.id2label, loaded.label2id)
    assert known.problem_type == loaded.problem_type


def test_facts_survive_json(case: Case) -> None:
    task, config = case.prepared.task, case.prepared.config
    again = type(task).from_facts(config, json.loads(json.dumps(facts_of(task))))
    assert again == task


def test_facts_come_from_training_alone(case: Case) -> None:
    task, prepared = case.prepared.task, case.prepared
    assert type(task).learn(prepared.config, prepared.tables["train"]) == task


def test_unlabelled_examples_have_the_same_tokens(case: Case) -> None:
    prepared = case.prepared
    table, tokenizer = prepared.tables["validation"], prepared.checkpoint.tokenizer
    if not isinstance(prepared.task, ShowsLabels):
        pytest.skip("the text itself is what is learned")
    bare = prepared.task.encode(table, None, tokenizer, prepared.max_tokens)
    full = prepared.examples["validation"]
    assert (bare.tokens.input_ids == full.tokens.input_ids).all()
    assert (bare.offsets == full.offsets).all()
    assert collate(bare, np.arange(len(bare))).count == 0
    assert collate(full, np.arange(len(full))).count > 0


def test_labels_are_parsed_once_and_belong_to_their_rows(case: Case) -> None:
    """``encode`` and ``score`` get the same labels, which depend only on the table."""
    prepared = case.prepared
    split = prepared.splits["validation"]
    again = prepared.task.labels(split.table)
    assert _equal(again, split.labels)
    one = prepared.task.encode(
        split.table, again, prepared.checkpoint.tokenizer, prepared.max_tokens
    )
    two = prepared.examples["validation"]
    everything = np.arange(len(two))
    first, second = collate(one, everything), collate(two, everything)
    assert torch.equal(first.input_ids, second.input_ids)
    assert first.count == second.count == one.count_of(everything)


def _equal(one: Any, other: Any) -> bool:
    """Whether two labels of a split are equal: an array, or a record of arrays and numbers."""
    if is_dataclass(one):
        return all(_equal(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(_equal, one, other))
    return bool(np.array_equal(one, other))


def test_loss_is_a_sum_over_counted_labels(case: Case) -> None:
    """Guarantee 1: however a batch is cut or padded, losses and gradients have the same sum."""
    task, model = case.prepared.task, case.model
    run = padded_forward(model, task.head).run
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
    found, loss, count = predicted(case, examples)
    assert [prediction.row for prediction in found] == examples.rows.tolist()
    assert np.isfinite(loss)
    assert count > 0
    for prediction in found:
        content = json.loads(json.dumps(prediction.to_json(), allow_nan=False))
        assert (content["row"], content["truncated"]) == (prediction.row, prediction.truncated)
        assert prediction.shown()
        if isinstance(prediction, ClassPrediction):
            shares = prediction.probabilities
            assert sum(shares.values()) == pytest.approx(1)
            assert shares[prediction.label] == max(shares.values())

        if isinstance(prediction, LabelSetPrediction):
            assert all(0 <= share <= 1 for share in prediction.probabilities.values())
            assert set(prediction.labels) <= prediction.probabilities.keys()


def test_predictions_of_batches_join_in_row_order(case: Case) -> None:
    prepared = case.prepared
    examples = prepared.examples["validation"]
    order = np.random.default_rng(0).permutation(len(examples))
    run = padded_forward(case.model, prepared.task.head).run
    parts = []
    with torch.no_grad():
        for positions in np.array_split(order, 3):
            batch = collate(examples, positions)
            parts.append(prepared.task.predictions(run(case.model, batch), batch))
    joined = type(parts[0]).joined(parts, order)
    assert len(joined) == len(examples)
    assert joined.rows.tolist() == examples.rows.tolist()
    ids = [prediction.row for prediction in joined]
    for prediction in parts[0]:
        assert joined[ids.index(prediction.row)] == prediction


def test_a_chosen_threshold_is_kept_and_applied(case: Case) -> None:
    """It can be written as JSON, and changes predictions but not their probabilities."""
    prepared = case.prepared
    if not isinstance(prepared.task, ChoosesThreshold):
        pytest.skip("nothing is chosen after training")
    examples, labels = prepared.examples["validation"], prepared.splits["validation"].labels
    found, _, _ = predicted(case, examples)
    name = prepared.task.metrics[0].name
    chosen, sentence = prepared.task.with_threshold(found, labels, name)
    assert sentence
    facts = json.loads(json.dumps(facts_of(chosen)))
    assert type(chosen).from_facts(prepared.config, facts) == chosen
    again = chosen.repeated(found)
    assert (again.probabilities == found.probabilities).all()
    before, after = (chosen.score(one, labels).metrics[name].value for one in (found, again))
    assert before is not None
    assert after is not None
    assert after >= before


def test_a_fitted_temperature_is_kept_and_applied(case: Case) -> None:
    """It changes probabilities and lowers their log-loss, but changes no prediction."""
    prepared = case.prepared
    if not isinstance(prepared.task, ChoosesTemperature):
        pytest.skip("nothing is chosen after training")
    examples, labels = prepared.examples["validation"], prepared.splits["validation"].labels
    found, _, _ = predicted(case, examples)
    fitted, sentence = prepared.task.with_temperature(found, labels)
    assert sentence.startswith("temperature ")
    facts = json.loads(json.dumps(facts_of(fitted)))
    assert type(fitted).from_facts(prepared.config, facts) == fitted
    again = fitted.repeated(found)
    assert again.changed(found) == 0
    before, after = prepared.task.score(found, labels), fitted.score(again, labels)
    assert "uncalibrated" not in before.details
    kept = after.details["uncalibrated"]["scores"]
    assert kept["log_loss"] == before.metrics["log_loss"].to_json()
    assert after.metrics["log_loss"].value < kept["log_loss"]["value"]
    same = {"macro_f1", "accuracy", "micro_f1", "subset_accuracy", "roc_auc"}
    for name in same & after.metrics.keys():
        assert after.metrics[name].value == pytest.approx(before.metrics[name].value)
    direct, _, _ = predicted(replace(case, prepared=replace(prepared, task=fitted)), examples)
    assert (direct.probabilities == again.probabilities).all()


def test_columns_are_of_the_tables_rows(case: Case) -> None:
    prepared = case.prepared
    examples, table = prepared.examples["validation"], prepared.tables["validation"]
    found, _, _ = predicted(case, examples)
    columns = found.columns(table.rows)
    assert columns
    assert all(len(column) == len(table) for column in columns.values())


def test_predictions_do_not_depend_on_company(case: Case) -> None:
    """A row alone, in a small batch and in a large one gets the same prediction."""
    task = case.prepared.task
    run = padded_forward(case.model, task.head).run
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


def _numbers(prediction: Any) -> dict[str, float]:
    """The numbers of a prediction, except those of every label."""
    found = prediction.to_json()
    return {
        name: value
        for name, value in {**found, **found.get("probabilities", {})}.items()
        if isinstance(value, float)
    }


def test_scores_name_every_metric_with_n(case: Case) -> None:
    prepared = case.prepared
    split, examples = prepared.splits["validation"], prepared.examples["validation"]
    found, _, _ = predicted(case, examples)
    scores = prepared.task.score(found, split.labels)
    assert list(scores.metrics) == [metric.name for metric in prepared.task.metrics]
    for metric in prepared.task.metrics:
        score = scores.metrics[metric.name]
        assert 0 < score.n <= len(split.table)  # rows, or the queries of a ranking
        assert score.higher_is_better == metric.higher_is_better
        if score.value is not None:
            assert score.low is not None
            assert score.high is not None
            assert score.low <= score.value <= score.high
    json.dumps({"scores": scores.metrics_json(), "details": dict(scores.details)}, allow_nan=False)


def test_two_models_can_be_compared(case: Case) -> None:
    prepared = case.prepared
    task, labels = prepared.task, prepared.splits["validation"].labels
    if not isinstance(task, Compares):
        pytest.skip("its predictions are not compared")
    examples = prepared.examples["validation"]
    first = predicted(case, examples)[0]
    other = task.model(prepared.checkpoint, seed=2).eval()
    second = predicted(Case(prepared, other), examples)[0]
    if isinstance(first, CountsChanges):
        assert first.changed(first) == 0
        most = examples.count_of(np.arange(len(examples)))
        assert first.changed(second) == second.changed(first) <= most
    sums, others = (task.unit_sums(one, labels) for one in (first, second))
    for metric in task.metrics:
        for number in paired_difference(sums, sums, metric.name):
            assert number is None or abs(number) < 1e-12
        values = [task.score(one, labels).metrics[metric.name].value for one in (first, second)]
        change, low, high = paired_difference(sums, others, metric.name)
        if None in (*values, change, low, high):
            continue
        assert change == pytest.approx(values[0] - values[1], abs=1e-9)
        assert low <= change <= high


def test_stored_predictions_have_the_same_scores(case: Case, tmp_path: Path) -> None:
    prepared, split = case.prepared, case.prepared.splits["validation"]
    task, data = prepared.task, prepared.config.data
    assert isinstance(task, Compares)
    examples = prepared.examples["validation"]
    found = Evaluation(predicted(case, examples)[0], Scores({}, {}), 0.0)
    if isinstance(task, ChoosesThreshold):
        task, _ = task.with_threshold(found.predictions, split.labels, task.metrics[0].name)
        found = replace(found, predictions=task.repeated(found.predictions))
    found = replace(found, scores=task.score(found.predictions, split.labels))
    beside, _ = baseline_scores(task, prepared.config, prepared.splits["train"], {"held": split})
    baselines = {name: scored["held"] for name, scored in beside.items()}
    run = RunDirectory.create(tmp_path / "run")
    write_evaluation(run, "validation", task, found, split, data, baselines)
    rows = pq.read_table(run.evaluation("validation") / PREDICTIONS)
    predictions, labels = task.read_back(rows)
    assert task.score(predictions, labels).metrics == found.scores.metrics
    for name, scored in baselines.items():
        predictions, labels = task.read_back(baseline_rows(run.evaluation("validation"), name))
        assert task.score(predictions, labels).metrics == scored.scores.metrics


def test_baselines_are_of_the_tasks_own_kind(case: Case) -> None:
    prepared = case.prepared
    if not isinstance(prepared.task, HasBaselines):
        pytest.skip("it has no baselines")
    splits = {"validation": prepared.splits["validation"]}
    found = prepared.task.baselines(prepared.config, prepared.splits["train"], splits)
    kind = type(predicted(case, prepared.examples["validation"])[0])
    assert found
    for baseline in found.values():
        predictions = baseline.predictions["validation"]
        assert type(predictions) is kind
        assert predictions.rows.tolist() == prepared.tables["validation"].rows.tolist()
        scores = prepared.task.score(predictions, splits["validation"].labels)
        assert list(scores.metrics) == [metric.name for metric in prepared.task.metrics]


def test_shown_labels_and_strata_are_of_every_row(case: Case) -> None:
    task, prepared = case.prepared.task, case.prepared
    for split in prepared.splits.values():
        if isinstance(task, ShowsLabels):
            assert len(task.shown_labels(split.labels)) == len(split.table)
            assert all(isinstance(text, str) for text in task.remarks(split.labels))
        if isinstance(task, Stratifies):
            strata = task.strata(prepared.config.data, split.table)
            assert strata.shape == (len(split.table),)
            assert strata.min() == 0


def test_the_prepared_splits_have_the_labels_of_their_tables(case: Case) -> None:
    for name, split in case.prepared.splits.items():
        assert isinstance(split, Split)
        assert split.table is case.prepared.tables[name]


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
    if task.head == "sequence-classification":  # other heads are pretrained too
        assert any(not torch.equal(one[name], other[name]) for name in one)
