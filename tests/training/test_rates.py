"""Learning rates by depth: the same steps as a plain Transformers loop with the same groups."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.resolved import resolved
from tests.runs_in_memory import job_of, never, prepared_run, settings, writing_settings
from tests.tiny import ARCHITECTURES, tiny_checkpoint
from tests.tiny.decoders import DECODERS, make_decoder
from warmstart import config_file
from warmstart.data.examples.targets import RowTargets, of_kind
from warmstart.errors import ModelError
from warmstart.models.packed.architectures import body_of
from warmstart.models.tuning.parts import depths, peak_rates, refuse_unknown
from warmstart.preparation.plan import Plan
from warmstart.preparation.prepare import prepare
from warmstart.preparation.schedule import schedule_for
from warmstart.runs.events import events_of, read_events
from warmstart.training.job import Job
from warmstart.training.loop import fit
from warmstart.training.optimizer import build_optimizer

RATES: dict[str, Any] = {"layer_decay": 0.5, "head_learning_rate": 4e-3, "weight_decay": 0.1}


def losses_of(job: Job) -> list[float]:
    fit(job, resume=False, stop_requested=never)
    return [event["loss"] for event in events_of(read_events(job.log.path), "step")]


def plain_losses(
    job: Job,
    model: nn.Module,
    groups: list[dict[str, Any]],
    steps: int,
    begin_epoch: Callable[[int], None] = lambda _: None,
) -> list[float]:
    """A tutorial's loop with these groups (``params``, ``rate``, ``weight_decay``)."""
    plan, config = Plan(job.train.lengths, job.config), job.config
    share_at = schedule_for(config, plan.total_steps)
    optimizer = torch.optim.AdamW(groups)
    model.train()
    losses = []
    for step in range(steps):
        epoch, index = divmod(step, plan.steps_per_epoch)
        begin_epoch(epoch)
        rows = np.concatenate(plan.epoch_windows(epoch)[index])
        batch = job.tokenizer.pad(
            {"input_ids": [job.train.tokens.ids_of(row).tolist() for row in rows]},
            return_tensors="pt",
        )
        labels = torch.from_numpy(of_kind(job.train.targets, RowTargets).values[rows])
        for group in optimizer.param_groups:
            group["lr"] = group["rate"] * share_at(step)
        loss = model(**batch, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), config.max_gradient_norm)
        optimizer.step()
        losses.append(loss.item())
    return losses


def groups_by_name(model: nn.Module, rate_of: dict[str, float]) -> list[dict[str, Any]]:
    """A group for each parameter; its rate is that of the first text that its name contains."""
    return [
        {
            "params": [parameter],
            "rate": next(rate for text, rate in rate_of.items() if text in name),
            "weight_decay": 0.1 if parameter.ndim > 1 else 0.0,
        }
        for name, parameter in model.named_parameters()
    ]


def test_steps_equal_a_plain_loop_with_the_same_groups(tmp_path: Path) -> None:
    prepared = prepared_run(tmp_path, dropout=0.0, epochs=3, max_gradient_norm=0.5, **RATES)
    job = job_of(prepared, tmp_path / "run")
    twin = job_of(prepared, tmp_path / "twin").model
    # Two layers: 1e-3 · 0.5 for the upper, 0.5² for the lower, 0.5³ for the embeddings.
    by_name = {"layer.1.": 5e-4, "layer.0.": 2.5e-4, "embeddings": 1.25e-4, "": 4e-3}
    ours = losses_of(job)[:30]
    assert len(ours) == 30
    groups = groups_by_name(twin, by_name)
    np.testing.assert_allclose(ours, plain_losses(job, twin, groups, 30), atol=1e-5)
    rates = [event["learning_rate"] for event in events_of(read_events(job.log.path), "step")]
    assert max(rates) == pytest.approx(4e-3)


def test_without_settings_there_are_two_groups(tmp_path: Path) -> None:
    job = job_of(prepared_run(tmp_path), tmp_path / "run")
    assert [len(g["params"]) > 0 for g in build_optimizer(job.model, job.config).param_groups] == [
        True,
        True,
    ]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_parameter_of_an_encoder_has_its_depth(tmp_path: Path, architecture: str) -> None:
    tiny_checkpoint(tmp_path / "checkpoint", architecture)
    model = job_of(prepared_run(tmp_path), tmp_path / "run").model
    found = depths(model)
    body = body_of(architecture)
    assert body is not None
    layers = body.layers(model)
    assert set(found.values()) == {0, 1, 2, 3}
    for name, parameter in model.named_parameters():
        in_layer = [
            i for i, layer in enumerate(layers) if any(parameter is p for p in layer.parameters())
        ]
        if in_layer:
            assert found[name] == in_layer[0] + 1, name
        else:
            assert found[name] == (0 if "embeddings" in name else 3), name


@pytest.mark.parametrize("architecture", DECODERS)
def test_a_decoder_learns_more_slowly_below(architecture: str) -> None:
    model = make_decoder(architecture)
    rates = peak_rates(model, resolved(learning_rate=1.0e-2, layer_decay=0.5))
    table = next(n for n, p in model.named_parameters() if p is model.get_input_embeddings().weight)
    assert rates[table] == pytest.approx(1e-2 * 0.5**3)
    (norm,) = {
        rates[n]
        for n in rates
        if n.endswith(("ln_f.weight", "final_layer_norm.weight", "model.norm.weight"))
    }
    assert norm == 1e-2


def test_text_generation_supports_them_too(tmp_path: Path) -> None:
    job = job_of(
        prepare(config_file.load(writing_settings(tmp_path, layer_decay=0.5))), tmp_path / "run"
    )
    assert len(build_optimizer(job.model, job.config).param_groups) == 2 * 4
    assert all(np.isfinite(losses_of(job)))


def test_layers_that_are_not_known_are_not_counted(tmp_path: Path) -> None:
    for setting, value in (("layer_decay", 0.9), ("head_learning_rate", 1e-3)):
        config = config_file.load(settings(tmp_path, **{setting: value})).train
        with pytest.raises(ModelError) as caught:
            refuse_unknown(config, "albert")
        assert (
            f"train.{setting} is set, but the layers of the architecture albert"
            in caught.value.found
        )
        assert "bert, camembert" in caught.value.expected
        assert f"--set train.{setting}=null" in caught.value.do
