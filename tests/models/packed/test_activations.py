"""GELU in one kernel: the same function and gradient as in Transformers, and how to undo it."""

import torch
from transformers.activations import NewGELUActivation

from tests.tiny.decoders import make_decoder
from warmstart.models.packed.activations import FusedGelu, use_fused_gelu, use_plain_gelu


def test_it_is_the_same_function_with_the_same_gradient() -> None:
    found = []
    for module in (NewGELUActivation(), FusedGelu()):
        hidden = torch.linspace(-12, 12, 4001, requires_grad=True)
        out = module(hidden)
        (out * torch.linspace(1, 2, 4001)).sum().backward()
        assert hidden.grad is not None
        found.append((out.detach(), hidden.grad))
    (plain, plain_slope), (fused, fused_slope) = found
    torch.testing.assert_close(fused, plain, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(fused_slope, plain_slope, rtol=1e-5, atol=3e-6)


def test_a_model_is_given_it_and_gets_its_own_back() -> None:
    model = make_decoder("gpt2")
    names = [name for name, one in model.named_modules() if isinstance(one, NewGELUActivation)]
    ids = torch.arange(1, 20)[None]
    before = model(ids).logits
    assert len(names) == 2
    use_fused_gelu(model)
    assert all(isinstance(model.get_submodule(name), FusedGelu) for name in names)
    torch.testing.assert_close(model(ids).logits, before, rtol=1e-5, atol=1e-5)
    use_plain_gelu(model)
    assert all(isinstance(model.get_submodule(name), NewGELUActivation) for name in names)
    assert model(ids).logits.equal(before)
