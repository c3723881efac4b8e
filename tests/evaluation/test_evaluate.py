"""Evaluation: every row once and in order, the exact mean loss, and the model is not changed."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from tests.runs_in_memory import job_of, prepared_run
from warmstart.data.examples.batches import collate
from warmstart.data.examples.targets import NoTargets, RowTargets, of_kind
from warmstart.devices.processes import ALONE, Processes
from warmstart.evaluation import evaluate as module
from warmstart.evaluation.evaluate import evaluate, predict
from warmstart.tasks.predictions.class_predictions import ClassPrediction
from warmstart.training.job import Job


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """A model with random weights and some rows; nothing is trained."""
    folder: Path = tmp_path_factory.mktemp("evaluate")
    return job_of(prepared_run(folder), folder / "run")


@torch.no_grad()
def one_by_one(job: Job) -> torch.Tensor:
    """Logits of each training row, read alone, float32 [N, C]."""
    job.model.train(mode=False)
    rows = [collate(job.train, np.array([index])) for index in range(len(job.train))]
    return torch.cat([job.forward.run(job.model, row) for row in rows])


@pytest.mark.parametrize("budget", [1, 64, 100_000])
def test_batching_changes_neither_predictions_nor_their_order_nor_the_loss(
    job: Job, monkeypatch: pytest.MonkeyPatch, budget: int
) -> None:
    monkeypatch.setattr(module, "MAX_TOKENS_PER_BATCH", {"cpu": budget})
    logits = one_by_one(job)
    answers, loss, count = predict(job.task, job.model, job.forward, job.train, job.accelerator)
    assert [answer.row for answer in answers] == job.train.rows.tolist()
    shares = np.array([list(answer.probabilities.values()) for answer in answers])
    np.testing.assert_allclose(shares, logits.softmax(dim=1).numpy(), atol=1e-6)
    expected = functional.cross_entropy(
        logits, torch.from_numpy(of_kind(job.train.targets, RowTargets).values), reduction="sum"
    ).item()
    assert loss == pytest.approx(expected, rel=1e-5)
    assert count == len(job.train)


def test_several_processes_give_bit_identical_predictions(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_TOKENS_PER_BATCH", {"cpu": 64})
    shares = []

    class Told(Exception):
        """This process has sent its results; those of the others come later."""

    def tell(_self: Processes, share: object) -> None:
        shares.append(share)
        raise Told

    def predict_as(index: int | None) -> tuple[list[ClassPrediction], float, int]:
        processes = ALONE if index is None else Processes(index, count=3)
        found, loss, count = predict(
            job.task, job.model, job.forward, job.train, job.accelerator, processes
        )
        return list(found), loss, count

    whole = predict_as(None)
    with monkeypatch.context() as patch:
        patch.setattr(Processes, "gather", tell)
        for index in range(3):
            with pytest.raises(Told):
                predict_as(index)
    assert all(0 < sum(len(rows) for _, rows in done) < len(job.train) for _, _, done in shares)
    monkeypatch.setattr(Processes, "gather", lambda *_: shares)
    assert predict_as(0) == predict_as(2) == whole


def test_an_evaluation_is_scored_on_its_own_rows(job: Job) -> None:
    split = job.validation_split
    found = evaluate(
        job.task, job.model, job.forward, job.validation, split.labels, job.accelerator
    )
    right = [
        answer.label == label
        for answer, label in zip(
            found.predictions, split.table.columns["label"].to_pylist(), strict=True
        )
    ]
    assert found.scores.metrics["accuracy"].value == pytest.approx(np.mean(right))
    assert found.scores.metrics["accuracy"].n == len(job.validation)
    assert found.loss == pytest.approx(found.scores.metrics["log_loss"].value, rel=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_dropout_is_off_and_the_mode_is_put_back(job: Job, training: bool) -> None:
    job.model.train(training)
    labels = job.validation_split.labels
    first, again = (
        evaluate(job.task, job.model, job.forward, job.validation, labels, job.accelerator)
        for _ in range(2)
    )
    assert (again.predictions.probabilities == first.predictions.probabilities).all()
    assert again.loss == first.loss
    assert job.model.training is training
    assert all(parameter.grad is None for parameter in job.model.parameters())


def test_rows_without_a_label_are_answered_and_not_counted(job: Job) -> None:
    how = job.task, job.model, job.forward
    labelled, loss, count = predict(*how, job.train, job.accelerator)
    assert count == len(job.train)
    assert 0 < loss < math.inf
    bare = replace(job.train, targets=NoTargets())
    found, *nothing = predict(*how, bare, job.accelerator)
    assert (found.probabilities == labelled.probabilities).all()
    assert found.rows.tolist() == labelled.rows.tolist()
    assert nothing == [0.0, 0]
