"""AdamW's groups for every architecture, its rates, and clipping compared with PyTorch's own."""

import copy
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.resolved import resolved
from tests.tiny import ARCHITECTURES, tiny_checkpoint
from warmstart.config import ModelConfig
from warmstart.models.checkpoints.load import find, sequence_classifier
from warmstart.training.optimizer import build_optimizer, clip_gradients, decays, set_rates


def classifier(folder: Path, architecture: str) -> nn.Module:
    checkpoint = find(ModelConfig(name=str(tiny_checkpoint(folder, architecture))))
    return sequence_classifier(checkpoint, ["no", "yes"], seed=0)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_parameter_is_in_one_group_and_matrices_alone_decay(
    tmp_path: Path, architecture: str
) -> None:
    model = classifier(tmp_path, architecture)
    decayed, spared = build_optimizer(model, resolved(weight_decay=0.1)).param_groups
    assert decayed["weight_decay"] == 0.1
    assert spared["weight_decay"] == 0.0
    ids = [id(parameter) for group in (decayed, spared) for parameter in group["params"]]
    assert len(ids) == len(set(ids))
    assert set(ids) == {id(parameter) for parameter in model.parameters()}

    names = {id(parameter): name for name, parameter in model.named_parameters()}
    decayed_names = {names[id(parameter)] for parameter in decayed["params"]}
    spared_names = {names[id(parameter)] for parameter in spared["params"]}
    vectors = {
        f"{name}.{kind}"
        for name, module in model.named_modules()
        if "norm" in type(module).__name__.lower()
        for kind, _ in module.named_parameters(recurse=False)
    }
    matrices = {
        f"{name}.weight"
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | nn.Embedding)
    }
    assert any("embeddings" in name for name in matrices)
    assert any("classifier" in name for name in matrices)
    assert decayed_names == matrices
    assert vectors <= spared_names
    assert {name for name in names.values() if name.endswith("bias")} <= spared_names


def test_a_bias_is_spared_whatever_its_shape() -> None:
    matrix = nn.Parameter(torch.zeros(2, 3))
    assert decays("layer.weight", matrix)
    assert not decays("layer.position_bias", matrix)


def test_what_is_frozen_is_left_out(tmp_path: Path) -> None:
    model = classifier(tmp_path, "bert")
    model.get_submodule("bert.embeddings").requires_grad_(requires_grad=False)
    optimizer = build_optimizer(model, resolved())
    count = sum(len(group["params"]) for group in optimizer.param_groups)
    assert count == sum(parameter.requires_grad for parameter in model.parameters())


def test_settings_reach_adamw() -> None:
    config = resolved(learning_rate=3e-4, adam_beta1=0.8, adam_beta2=0.95, adam_epsilon=1e-6)
    optimizer = build_optimizer(nn.Linear(3, 2), config)
    for group in optimizer.param_groups:
        assert group["lr"] == group["peak_lr"] == 3e-4
        assert group["betas"] == (0.8, 0.95)
        assert group["eps"] == 1e-6
        assert group["fused"]


def test_every_group_keeps_its_own_peak() -> None:
    optimizer = build_optimizer(nn.Linear(3, 2), resolved(learning_rate=1e-3))
    optimizer.param_groups[1]["peak_lr"] = 1e-4
    set_rates(optimizer, 0.5)
    set_rates(optimizer, 0.25)
    assert [group["lr"] for group in optimizer.param_groups] == [2.5e-4, 2.5e-5]


def gradients(seed: int) -> nn.Module:
    """A small model with gradients sampled with ``seed``, and a parameter without one."""
    model = nn.ModuleDict({"used": nn.Linear(7, 5), "unused": nn.Linear(2, 2)})
    generator = torch.Generator().manual_seed(seed)
    for parameter in model["used"].parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)
    return model


@pytest.mark.parametrize("max_norm", [0.5, 1.0, 5.9, 1e4])
def test_a_clipped_step_is_pytorchs(max_norm: float) -> None:
    ours = gradients(1)
    theirs = copy.deepcopy(ours)
    config = resolved(weight_decay=0.1, learning_rate=1e-2)
    optimizers = [build_optimizer(model, config) for model in (ours, theirs)]
    for seed in (1, 2, 3):
        for model in (ours, theirs):
            for parameter, other in zip(
                model.parameters(), gradients(seed).parameters(), strict=True
            ):
                parameter.grad = other.grad
        norm = clip_gradients(ours, optimizers[0], max_norm)
        torch.testing.assert_close(norm, nn.utils.clip_grad_norm_(theirs.parameters(), max_norm))
        for optimizer in optimizers:
            optimizer.step()
    moments = [optimizer.state_dict()["state"] for optimizer in optimizers]
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict())
    torch.testing.assert_close(*moments)


def test_a_gradient_within_the_limit_keeps_its_bits_and_null_never_clips() -> None:
    for max_norm in (1e4, None):
        model, before = gradients(2), gradients(2)
        length = torch.cat([p.grad.flatten() for p in before.parameters() if p.grad is not None])
        optimizer = build_optimizer(model, resolved())
        assert clip_gradients(model, optimizer, max_norm) == pytest.approx(length.norm().item())
        for one, other in zip(model.parameters(), before.parameters(), strict=True):
            if one.grad is not None:
                assert other.grad is not None
                assert torch.equal(one.grad, other.grad)
