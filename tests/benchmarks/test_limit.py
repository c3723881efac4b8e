"""The limit counts only the necessary work: checked by hand, and with PyTorch's counter."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import BertConfig, BertForSequenceClassification

from benchmarks import limit
from benchmarks.limit import Rates, Shape, Work


def bert(layers: int) -> BertForSequenceClassification:
    config = BertConfig(
        vocab_size=50,
        hidden_size=8,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=16,
        attn_implementation="eager",  # its products are counted, those of a fused one are not
    )
    return BertForSequenceClassification(config).eval()


def counted_flops(layers: int, lengths: list[int]) -> int:
    """FLOPs of Transformers' forward pass, one row at a time, so that nothing is padded."""
    model = bert(layers)
    total = 0
    for length in lengths:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(torch.ones(1, length, dtype=torch.int64))
        total += counter.get_total_flops()
    return total


def test_forward_by_hand() -> None:
    shape = Shape(layers=2, hidden=4, intermediate=8)
    # Five tokens in two rows; H² = 16, H I = 32.
    queries_keys_values_output = 4 * (2 * 16) * 5
    feed_forward = 2 * (2 * 32) * 5
    attention = 2 * (2 * 4) * (3 * 3 + 2 * 2)
    first_layer = queries_keys_values_output + feed_forward + attention
    keys_values = 2 * (2 * 16) * 5
    of_first_tokens = (2 * (2 * 16) + 2 * (2 * 32)) * 2
    first_tokens_attention = 2 * (2 * 4) * (3 + 2)
    last_layer = keys_values + of_first_tokens + first_tokens_attention
    pooler_and_head = (2 * 16 + 2 * 4 * 2) * 2
    assert shape.forward_flops([3, 2]) == first_layer + last_layer + pooler_and_head == 2368


def test_rows_of_one_token_leave_nothing_to_save() -> None:
    shape = Shape(layers=2, hidden=8, intermediate=24)
    assert shape.forward_flops([1, 1, 1]) == counted_flops(2, [1, 1, 1])


def test_a_layer_more_costs_what_pytorch_counts() -> None:
    lengths = [5, 9, 2]
    more, fewer = (Shape(layers, 8, 24).forward_flops(lengths) for layers in (3, 2))
    assert more - fewer == counted_flops(3, lengths) - counted_flops(2, lengths)


def test_the_last_layer_is_cheaper_than_in_pytorch() -> None:
    assert Shape(2, 8, 24).forward_flops([5, 9, 2]) < counted_flops(2, [5, 9, 2])


def test_every_parameter_can_change_where_every_row_is_used() -> None:
    shape = Shape(layers=2, hidden=8, intermediate=24)
    assert shape == Shape.of(bert(2).config)
    everything = sum(parameter.numel() for parameter in bert(2).parameters())
    assert shape.trained_parameters(50, 16, used_types=2) == everything
    assert everything - shape.trained_parameters(20, 9, used_types=1) == (30 + 7 + 1) * 8


def test_training_is_three_times_forward_and_28_bytes_a_parameter() -> None:
    shape = Shape(2, 4, 8)
    work = limit.training_work(shape, [[3, 2], [3, 2]], trained_parameters=10)
    assert work == Work(flops=3 * 2 * 2368, optimiser_bytes=2 * 280)
    assert limit.forward_work(shape, [3, 2]) == Work(2368, 0)


def test_products_and_bytes_take_their_time_one_after_the_other() -> None:
    rates = Rates(flops_per_second=100.0, bytes_per_second=20.0)
    assert Work(flops=300, optimiser_bytes=40).seconds(rates) == 5.0


def test_a_session_has_the_medians_of_its_probes() -> None:
    probes = [Rates(1.0, 30.0), Rates(9.0, 10.0), Rates(2.0, 20.0)]
    assert limit.typical(probes) == Rates(2.0, 20.0)


def test_the_probe_counts_two_flops_a_product_and_three_floats_a_triad(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limit, "_seconds", lambda work, repeats: work() is None or 0.5)
    assert limit.probe(side=8, floats=100) == Rates(2 * 8**3 / 0.5, 12 * 100 / 0.5)


def test_the_probe_measures() -> None:
    rates = limit.probe(side=64, floats=1000, repeats=3)
    assert 1e6 < rates.flops_per_second < 1e14
    assert 1e6 < rates.bytes_per_second < 1e14
