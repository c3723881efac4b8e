"""Dropout from cheap random bits: the correct share, the correct mean, a function of the seed."""

import pytest
import torch
from torch import nn

from warmstart.models.packed.dropout import (
    FastDropout,
    Noise,
    dropped_share,
    use_fast_dropout,
    use_plain_dropout,
)

CPU = torch.device("cpu")


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
def test_the_share_that_is_dropped(probability: float) -> None:
    torch.manual_seed(1)
    keep = Noise().keep((1000, 1001), probability, CPU).float()
    # Four standard errors of a share over a million elements.
    assert abs(1 - keep.mean() - dropped_share(probability)) < 4 * 0.5 / 1000
    # Neighbours, along either axis, are independent.
    centred = keep - keep.mean()
    for a, b in ((centred[1:], centred[:-1]), (centred[:, 1:], centred[:, :-1])):
        assert abs((a * b).mean() / keep.var()) < 0.005


def test_the_mean_stays() -> None:
    torch.manual_seed(2)
    dropout = FastDropout(0.1, Noise()).train()
    out = dropout(torch.ones(1000, 1000))
    assert abs(out.mean() - 1) < 0.002
    assert out.unique().tolist() == pytest.approx([0, 1 / (1 - dropped_share(0.1))])


def test_gradients_pass_where_values_passed() -> None:
    hidden = torch.ones(50, 50, requires_grad=True)
    out = FastDropout(0.3, Noise()).train()(hidden)
    out.sum().backward()
    assert hidden.grad is not None
    assert hidden.grad.equal(out.detach())


def test_a_pass_is_a_function_of_the_seed() -> None:
    def drawn(seed: int) -> torch.Tensor:
        noise = Noise()
        torch.manual_seed(seed)
        noise.renew()
        return noise.keep((64,), 0.5, CPU)

    assert drawn(1).equal(drawn(1))
    assert not drawn(1).equal(drawn(2))


def test_each_pass_draws_anew() -> None:
    noise = Noise()
    torch.manual_seed(1)
    noise.renew()
    first = noise.keep((64,), 0.5, CPU)
    assert not noise.keep((64,), 0.5, CPU).equal(first)
    noise.renew()
    assert not noise.keep((64,), 0.5, CPU).equal(first)


@pytest.mark.parametrize(("p", "training"), [(0.0, True), (0.5, False)])
def test_nothing_is_dropped_without_need(p: float, training: bool) -> None:
    hidden = torch.ones(4, 4)
    assert FastDropout(p, Noise()).train(training)(hidden) is hidden


def test_everything_can_be_dropped() -> None:
    assert FastDropout(1.0, Noise()).train()(torch.ones(8)).sum() == 0


def test_every_dropout_of_a_model_is_replaced_and_no_weight_renamed() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.2), nn.Sequential(nn.Dropout(0.3)))
    names = list(model.state_dict())
    use_fast_dropout(model, Noise())
    found = [module.p for module in model.modules() if isinstance(module, FastDropout)]
    assert found == [0.2, 0.3]
    assert not any(isinstance(module, nn.Dropout) for module in model.modules())
    assert list(model.state_dict()) == names


def test_dropout_stays_off_in_a_model_in_evaluation_mode() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5)).eval()
    use_fast_dropout(model, Noise())
    assert not any(module.training for module in model.modules())
    use_plain_dropout(model)
    assert isinstance(model[1], nn.Dropout)
    assert not any(module.training for module in model.modules())


@pytest.mark.parametrize("probability", [0.9999, 0.999999, 1 - 1e-12])
def test_a_probability_near_1_is_no_division_by_zero(probability: float) -> None:
    assert dropped_share(probability) < 1
    module = FastDropout(probability, Noise())
    assert module(torch.ones(1000, 1000)).isfinite().all()
