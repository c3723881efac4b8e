"""Language models: every engine learns the same tokens of the same documents."""

import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

from benchmarks import corpora, limit, materials
from benchmarks.engines import WRITING, measure
from benchmarks.limit import DecoderShape
from benchmarks.materials import Material
from benchmarks.workloads import Gpt2Shape, Steps, Workload
from tests.benchmarks.conftest import sentences
from tests.quick import slow_except
from tests.tiny.decoders import tiny_gpt2
from warmstart.preparation.prepare import prepare


@pytest.fixture(scope="module")
def writing(tmp_path_factory: pytest.TempPathFactory) -> Material:
    """A decoder without dropout, so that losses can be compared."""
    folder = tmp_path_factory.mktemp("decoder")
    tiny_gpt2(folder, vocabulary=400, max_positions=768, layers=1)
    tokenizer = AutoTokenizer.from_pretrained(
        folder, bos_token="<|startoftext|>", pad_token="<|pad|>"
    )
    tokenizer.save_pretrained(folder)
    workload = Workload(
        "tiny-writing",
        sentences,
        str(folder),
        engines=tuple(WRITING),
        max_tokens=40,
        task="text-generation",
        batch_size=8,
        epochs=2,
        learning_rate=1e-3,
        steps=Steps(1, 3),
        fixed_steps=Steps(1, 1),
    )
    return materials.make(workload, Path(), tmp_path_factory.mktemp("writing"), None)


@pytest.mark.parametrize("name", slow_except(WRITING, "warmstart", "transformers-trainer"))
def test_a_window_is_measured(name: str, writing: Material) -> None:
    row = measure(name, writing, seed=1, started_at=time.time())
    steps = 1 if WRITING[name].fixed_width else 3
    assert (row["engine"], row["steps"], row["rows"]) == (name, steps, 8 * steps)
    assert 3 * row["rows"] < row["tokens"] <= 40 * row["rows"]
    assert row["least_flops"] > 0
    assert row["least_bytes"] == steps * 28 * writing.trained_parameters


def test_the_trainer_learns_the_same_tokens(writing: Material) -> None:
    ours, theirs = (
        measure(name, writing, seed=3, started_at=0.0)
        for name in ("warmstart", "transformers-trainer")
    )
    assert ours["tokens"] == theirs["tokens"]
    assert ours["training_loss"] == pytest.approx(theirs["training_loss"], abs=1e-3)


def test_documents_are_those_that_warmstart_reads(writing: Material) -> None:
    examples = prepare(writing.setup(1).run_config()).examples["train"]
    assert list(writing.lengths) == examples.lengths.tolist()
    assert max(writing.lengths) == 40, "one at least is cut"
    tokenizer = AutoTokenizer.from_pretrained(writing.checkpoint)
    rows = materials.documents(writing.train.texts, tokenizer, 40)
    assert rows == [examples.tokens.ids_of(i).tolist() for i in range(len(rows))]


def shape_and_flops(layers: int, length: int) -> tuple[DecoderShape, int]:
    """A small GPT-2, and the FLOPs that PyTorch counts for a row of ``length`` tokens."""
    config = GPT2Config(
        vocab_size=50, n_embd=8, n_layer=layers, n_head=2, n_inner=24, n_positions=16
    )
    config._attn_implementation = "eager"  # its products are counted, those of a fused one are not
    model = GPT2LMHeadModel(config).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.ones(1, length, dtype=torch.int64))
    return DecoderShape.of(config), counter.get_total_flops()


def test_one_token_leaves_nothing_to_save() -> None:
    shape, counted = shape_and_flops(layers=2, length=1)
    assert shape == DecoderShape(layers=2, hidden=8, intermediate=24, vocabulary=50)
    # A row of two tokens: only the second is predicted, and no token attends to it.
    assert shape.forward_flops([2, 2, 2]) == 3 * counted


def test_nobody_has_to_look_ahead() -> None:
    shape, counted = shape_and_flops(layers=2, length=5)
    ahead = 2 * 4 * 8 * (5 * 4 // 2)  # layers, FLOPs of a pair, pairs above the diagonal
    assert shape.forward_flops([6]) == counted - ahead


def test_all_parameters_but_unused_positions_can_change() -> None:
    config = GPT2Config(vocab_size=50, n_embd=8, n_layer=2, n_head=2, n_inner=24, n_positions=16)
    everything = sum(parameter.numel() for parameter in GPT2LMHeadModel(config).parameters())
    shape = DecoderShape.of(config)
    assert shape.trained_parameters(16) == everything
    assert shape.trained_parameters(9) == everything - 7 * 8
    assert limit.training_work(shape, [[3, 2]], 10).optimiser_bytes == 280


def test_a_random_gpt2_has_the_shape_and_the_tokens(tmp_path: Path, shared_data: object) -> None:
    data = shared_data("tokenizers").parent  # type: ignore[operator]
    made = materials.random_gpt2(Gpt2Shape(layers=1, hidden=16, heads=2), data, tmp_path)
    config = GPT2Config.from_pretrained(made)
    assert (config.n_layer, config.n_embd, config.n_head, config.vocab_size) == (1, 16, 2, 50259)
    tokenizer = AutoTokenizer.from_pretrained(made)
    assert len({tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id}) == 3
    assert tokenizer.decode(tokenizer("Khalid was born")["input_ids"]) == "Khalid was born"


def test_the_biographies_are_read_whole(shared_data: object) -> None:
    rows = corpora.artist_bios(shared_data("artist_bios").parent)  # type: ignore[operator]
    assert len(rows) == 3050
    assert all(text.strip() for text in rows.texts)


def test_the_padded_loop_learns_the_filling_too(writing: Material) -> None:
    # The rows are those of the window, two at a time, as in the tutorials.
    narrow = replace(writing, workload=replace(writing.workload, batch_size=3))
    assert measure("tutorial-loop-768", narrow, seed=1, started_at=0.0)["rows"] == 3
