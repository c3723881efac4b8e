"""Gradual unfreezing: the same steps as a plain loop, exact resume, and which models allow it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.quick import slow_except
from tests.runs_in_memory import (
    filling_settings,
    job_of,
    never,
    prepared_run,
    settings,
    whole_run,
    writing_settings,
)
from tests.training.test_rates import groups_by_name, losses_of, plain_losses
from warmstart import config_file
from warmstart.errors import ConfigError, Interrupted
from warmstart.preparation.prepare import Prepared, prepare
from warmstart.runs.directory import RunDirectory
from warmstart.runs.events import events_of, read_events
from warmstart.training.job import Job, job_for
from warmstart.training.loop import fit
from warmstart.training.train_run import train_run

GRADUAL: dict[str, Any] = {"unfreeze_layers_per_epoch": 1, "batch_size": 24, "weight_decay": 0.3}
"""Four steps per epoch; with two layers, the embeddings are trained from the fourth epoch."""

PARTS = ("layer.1.", "layer.0.", "embeddings")
"""From the top, the parts that are added in epochs 1, 2 and 3."""


def frozen_in(name: str, epoch: int) -> bool:
    return any(part in name for part in PARTS[epoch:])


def test_steps_equal_a_plain_loop_that_unfreezes(tmp_path: Path) -> None:
    prepared = prepared_run(
        tmp_path, dropout=0.0, epochs=5, learning_rate=5e-3, **GRADUAL, layer_decay=0.8
    )
    job = job_of(prepared, tmp_path / "run")
    twin = job_of(prepared, tmp_path / "twin").model

    def begin(epoch: int) -> None:
        for name, parameter in twin.named_parameters():
            parameter.requires_grad_(not frozen_in(name, epoch))

    ours = losses_of(job)
    rates = {"layer.1.": 0.8, "layer.0.": 0.8**2, "embeddings": 0.8**3, "": 1.0}
    groups = groups_by_name(twin, {text: 5e-3 * rate for text, rate in rates.items()})
    for group in groups:
        group["weight_decay"] *= 3
    assert len(ours) == 20
    np.testing.assert_allclose(ours, plain_losses(job, twin, groups, 20, begin), atol=1e-5)


@pytest.mark.parametrize("epochs", [1, 2, 3, 4])
def test_what_has_not_begun_to_train_stays_and_has_no_moments(tmp_path: Path, epochs: int) -> None:
    job = job_of(prepared_run(tmp_path, epochs=epochs, **GRADUAL), tmp_path / "run")
    before = {name: p.detach().clone() for name, p in job.model.named_parameters()}
    fit(job, resume=False, stop_requested=never)
    still = {name for name, p in job.model.named_parameters() if before[name].equal(p)}
    assert still == {name for name in before if frozen_in(name, epochs - 1)}
    (newest,) = job.run.entry("checkpoint").iterdir()
    moments = {name.rpartition("/")[0] for name in load_file(newest / "optimizer.safetensors")}
    assert moments == set(before) - still


Whole = tuple[Prepared, Job]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """The same run as below, without interruption."""
    folder = tmp_path_factory.mktemp("whole")
    prepared = prepared_run(
        folder, dropout=0.2, epochs=5, checkpoint_every_steps=3, layer_decay=0.9, **GRADUAL
    )
    return whole_run(prepared, folder / "run")


@pytest.mark.parametrize("stop_after", slow_except([2, 4, 7, 13, 17], 7))
def test_a_resumed_run_ends_with_the_same_weights(
    whole: Whole, tmp_path: Path, stop_after: int
) -> None:
    prepared, unbroken = whole
    calls = iter(range(100))
    with pytest.raises(Interrupted):
        fit(
            job_of(prepared, tmp_path / "run"),
            resume=False,
            stop_requested=lambda: next(calls) + 1 >= stop_after,
        )
    again = job_for(prepared, RunDirectory(tmp_path / "run"))
    fit(again, resume=True, stop_requested=never)
    expected = unbroken.model.state_dict()
    assert not [n for n, t in again.model.state_dict().items() if not t.equal(expected[n])]
    kept = [load_file(job.run.model / "model.safetensors") for job in (unbroken, again)]
    assert not [name for name in kept[0] if not kept[0][name].equal(kept[1][name])]


def test_frozen_layers_keep_their_dropout(tmp_path: Path) -> None:
    job = job_of(prepared_run(tmp_path, dropout=0.3, **GRADUAL), tmp_path / "run")
    shares = {m.p for n, m in job.model.named_modules() if n.endswith("dropout")}
    assert shares == {0.3}


@pytest.mark.parametrize(
    ("epochs", "said"),
    [
        (
            5,
            "unfreezing: pooler and head are trained from epoch 1, layer 1 from epoch 2, "
            "layer 0 from epoch 3, the embeddings from epoch 4",
        ),
        (
            2,
            "unfreezing: pooler and head are trained from epoch 1, layer 1 from epoch 2, "
            "the embeddings and layer 0 never",
        ),
    ],
)
def test_it_is_said_what_trains_when(tmp_path: Path, epochs: int, said: str) -> None:
    train_run(prepared_run(tmp_path, epochs=epochs, **GRADUAL), tmp_path / "run")
    notices = events_of(read_events(tmp_path / "run" / "events.jsonl"), "notice")
    assert said in [notice["text"] for notice in notices]


@pytest.mark.parametrize("made", [filling_settings, writing_settings])
def test_a_task_without_a_new_head(tmp_path: Path, made: Any) -> None:
    content = made(tmp_path, unfreeze_layers_per_epoch=1)
    with pytest.raises(ConfigError) as caught:
        prepare(config_file.load(content))
    assert caught.value.found == (
        f"train.unfreeze_layers_per_epoch is set, and {content['task']} does not read it"
    )
    assert "text-classification" in caught.value.expected
    assert "remove train.unfreeze_layers_per_epoch" in caught.value.do


def test_with_frozen_parts_it_contradicts(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        config_file.load(settings(tmp_path, freeze="backbone", unfreeze_layers_per_epoch=1))
    assert "train.freeze and train.unfreeze_layers_per_epoch are both set" in str(caught.value)


def test_nothing_changes_without_the_setting(tmp_path: Path) -> None:
    job = job_of(prepared_run(tmp_path), tmp_path / "run")
    fit(job, resume=False, stop_requested=never)
    assert all(p.requires_grad for p in job.model.parameters())
    assert torch.is_grad_enabled()
