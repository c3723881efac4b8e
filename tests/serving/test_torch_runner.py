"""Opening chooses and verifies the forward once; predicting does not change the model."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from time import sleep
from types import SimpleNamespace
from typing import Any, NoReturn

import numpy as np
import pytest
import torch
from torch import nn
from transformers import LlamaConfig, PreTrainedModel

from tests.runs_in_memory import filling_settings, settings
from tests.tiny import tiny_checkpoint
from tests.tiny.decoders import make_decoder, tiny_gpt2
from warmstart import api, config_file
from warmstart.api import Run
from warmstart.config import ModelConfig
from warmstart.data.examples.batches import Batch
from warmstart.devices.place import Place
from warmstart.models.checkpoints.configuration import Head
from warmstart.models.checkpoints.load import (
    Checkpoint,
    find,
    language_model,
    pretraining_model,
    sequence_classifier,
    token_classifier,
)
from warmstart.models.exclusive_use import needs_exclusive_use
from warmstart.models.packed import packed_attention
from warmstart.models.packed.forward import Forward
from warmstart.preparation.prepare import prepare
from warmstart.runs.loaded_run import LoadedRun
from warmstart.serving import torch_runner
from warmstart.serving.torch_runner import TorchRunner, made_up_rows, runner_for
from warmstart.training.train_run import train_run

CPU = Place(torch.device("cpu"), torch.float32)
LABELS = ("a", "b", "c")


def model_of(checkpoint: Checkpoint, head: Head) -> PreTrainedModel:
    if head == "sequence-classification":
        return sequence_classifier(checkpoint, LABELS, seed=0)
    if head == "token-classification":
        return token_classifier(checkpoint, LABELS, seed=0)
    if head == "causal-lm":
        return language_model(checkpoint)
    return pretraining_model(checkpoint, seed=0)


def loaded(
    folder: Path,
    head: Head = "sequence-classification",
    architecture: str = "bert",
    *,
    text_pair: str | None = None,
    max_tokens: int = 128,
) -> LoadedRun:
    """Like the result of ``load_run``, for a checkpoint that was not trained."""
    tiny_gpt2(folder) if head == "causal-lm" else tiny_checkpoint(folder, architecture)
    checkpoint = find(ModelConfig(name=str(folder), dropout=0.5), head)
    config: Any = SimpleNamespace(data=SimpleNamespace(text_pair=text_pair))
    task: Any = SimpleNamespace(head=head)
    model = model_of(checkpoint, head)
    model.train(mode=False)
    directory: Any = None
    return LoadedRun(directory, config, task, model, checkpoint.tokenizer, max_tokens, None)


@pytest.mark.parametrize(
    ("head", "architecture"),
    [
        ("sequence-classification", "bert"),
        ("sequence-classification", "modernbert"),
        ("token-classification", "roberta"),
        ("masked-lm", "distilbert"),
        ("causal-lm", "gpt2"),
    ],
)
def test_made_up_rows_verify_packed_execution(
    tmp_path: Path, head: Head, architecture: str
) -> None:
    run = loaded(tmp_path, head, architecture, max_tokens=64)
    runner = runner_for(run, CPU)
    assert runner.forward.path.startswith("packed")
    assert not any(module.training for module in runner.model.modules())
    assert not any(weight.requires_grad for weight in runner.model.parameters())


@pytest.mark.parametrize(("max_tokens", "longer"), [(128, 128), (300, 256), (40, 40), (3, 3)])
def test_made_up_rows_are_plain_tokens_of_two_lengths(
    tmp_path: Path, max_tokens: int, longer: int
) -> None:
    run = loaded(tmp_path, max_tokens=max_tokens)
    rows = made_up_rows(run)
    assert np.diff(rows.offsets).tolist() == [min(5, max_tokens), longer]
    assert not set(rows.input_ids.tolist()) & set(run.tokenizer.all_special_ids)
    assert rows.input_ids.max() < run.model.config.vocab_size
    assert len(set(rows.input_ids.tolist())) > rows.tokens / 3
    assert rows.token_type_ids is None
    assert rows.input_ids.equal(made_up_rows(run).input_ids)


@pytest.mark.parametrize(("architecture", "typed"), [("bert", True), ("roberta", False)])
def test_made_up_pairs_have_type_ids_if_the_model_reads_them(
    tmp_path: Path, architecture: str, typed: bool
) -> None:
    run = loaded(tmp_path, architecture=architecture, text_pair="second", max_tokens=8)
    types = made_up_rows(run).token_type_ids
    assert (types is not None) is typed
    if types is not None:
        assert types.tolist() == [0, 0, 0, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1]


def test_the_long_row_crosses_the_window_of_local_attention(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Packed attention that ignores ModernBERT's window is correct only for short rows."""
    whole = packed_attention._probabilities

    def without_window(*given: Any) -> Any:
        query, key, rectangle, scaling, _, causal = given
        return whole(query, key, rectangle, scaling, None, causal)

    monkeypatch.setattr(packed_attention, "_probabilities", without_window)
    run = loaded(tmp_path / "long", architecture="modernbert")
    assert "different logits" in runner_for(run, CPU).forward.path
    run = loaded(tmp_path / "short", architecture="modernbert", max_tokens=6)
    assert runner_for(run, CPU).forward.path.startswith("packed")


def test_a_trial_that_fails_in_any_way_leaves_a_model_without_dropout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(rows: Batch, model: PreTrainedModel, *_: Any) -> NoReturn:
        # Like a trial that fails in the middle: a new module is in training mode.
        setattr(model, "dropout", nn.Dropout(0.5))  # noqa: B010
        raise KeyError("unheard of")

    monkeypatch.setattr(torch_runner, "forward_verified_on", fail)
    run = loaded(tmp_path)
    runner = runner_for(run, CPU)
    assert runner.forward.path == "padded, in rectangles of similar length: KeyError in the trial"
    assert not any(module.training for module in runner.model.modules())
    rows = made_up_rows(run)
    logits = [runner.forward.run(runner.model, rows) for _ in range(2)]
    assert logits[0].equal(logits[1])


@pytest.fixture(scope="module", params=[settings, filling_settings])
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder: Path = tmp_path_factory.mktemp("trained")
    config = request.param(folder, epochs=1, precision="auto")
    train_run(prepare(config_file.load(config)), folder / "run")
    return api.load(folder / "run")


@pytest.fixture
def forbid_changes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """A function after which no module may change its mode, device or attention."""

    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise AssertionError("a model in use was changed")

    def start() -> None:
        for name in ("train", "eval", "to", "requires_grad_"):
            monkeypatch.setattr(nn.Module, name, refuse)
        monkeypatch.setattr(PreTrainedModel, "set_attn_implementation", refuse)
        monkeypatch.setattr(PreTrainedModel, "to", refuse)

    yield start
    monkeypatch.undo()


def state_of(model: PreTrainedModel) -> list[Any]:
    """Every module, its mode, and the attention of the configuration."""
    modules = [(name, id(module), module.training) for name, module in model.named_modules()]
    return [modules, model.config.to_dict(), [id(weight) for weight in model.parameters()]]


@pytest.mark.filterwarnings("ignore:of .* rows, truncated to")
def test_predicting_and_evaluating_change_nothing_in_the_model(
    trained: Run, forbid_changes: Callable[[], None]
) -> None:
    runner = trained.open("torch").runner
    assert isinstance(runner, TorchRunner)
    before = state_of(runner.model)
    forbid_changes()
    text = "a wonderful [MASK] story"
    assert trained.predict([text], engine="torch") == trained.predict([text], engine="torch")
    assert len(trained.predict([text, f"{text} again", text], engine="torch")) == 3
    assert trained.evaluate(str(trained.config.data.train))
    assert state_of(runner.model) == before


def test_a_gpu_runs_one_forward_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counting, inside, most = Lock(), 0, 0

    def run(*_: Any) -> str:
        nonlocal inside, most
        with counting:
            inside += 1
            most = max(most, inside)
        sleep(0.01)
        with counting:
            inside -= 1
        return "logits"

    monkeypatch.setattr(torch_runner, "forward_verified_on", lambda *_: Forward(run, "packed"))
    for exclusive in (False, True):
        monkeypatch.setattr(torch_runner, "needs_exclusive_use", lambda _, found=exclusive: found)
        forward = runner_for(loaded(tmp_path / str(exclusive)), CPU).forward
        most = 0
        batches: Any = range(8)
        with ThreadPoolExecutor(4) as threads:
            assert set(threads.map(forward.run, batches, batches)) == {"logits"}
        assert (most == 1) is exclusive


@pytest.mark.parametrize(
    ("device", "rope", "exclusive"),
    [
        ("cpu", {"rope_type": "default"}, False),
        ("cpu", None, False),
        ("cuda", None, True),
        ("mps", {"rope_type": "default"}, True),
        ("cpu", {"rope_type": "dynamic", "factor": 2.0}, True),
        ("cpu", {"full_attention": {"rope_type": "longrope"}, "sliding_attention": {}}, True),
        ("cpu", {"full_attention": {"rope_type": "default"}}, False),
    ],
)
def test_which_models_run_one_at_a_time(
    device: str, rope: dict[str, Any] | None, exclusive: bool
) -> None:
    config = SimpleNamespace(rope_parameters=rope)
    model: Any = SimpleNamespace(device=torch.device(device), config=config)
    assert needs_exclusive_use(model) is exclusive


def test_dynamic_rotary_positions_are_state_that_a_forward_pass_changes() -> None:
    """The reason for ``RECOMPUTED``: in Transformers itself, a long row changes a buffer."""
    model: Any = make_decoder("llama")
    assert not needs_exclusive_use(model)
    rope = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10_000.0}
    config = LlamaConfig(**{**model.config.to_dict(), "rope_parameters": rope})
    changed: Any = type(model)(config)
    assert needs_exclusive_use(changed)
    before = changed.model.rotary_emb.inv_freq.clone()
    with torch.no_grad():
        changed(torch.ones(1, config.max_position_embeddings + 8, dtype=torch.int64))
    assert not changed.model.rotary_emb.inv_freq.equal(before)
