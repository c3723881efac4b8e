"""One decoder in many threads: the same texts as in one thread, and one opening."""

import json
import random
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from time import sleep
from typing import Any

import pytest
from torch import nn
from transformers import PreTrainedModel

from tests.runs_in_memory import writing_settings
from tests.tiny.decoders import tiny_gpt2
from warmstart import api, config_file
from warmstart.api import Run
from warmstart.export import decoder_session
from warmstart.preparation.prepare import prepare
from warmstart.serving import writer
from warmstart.training.train_run import train_run

THREADS, ROUNDS = 8, 6
PROMPTS = ["the cat", "", "a nice happy house and her old story", "the cat", "we saw"]
CALLS: list[tuple[list[str], dict[str, Any]]] = [
    (PROMPTS[:1], {"temperature": 0, "max_new_tokens": 8}),
    (PROMPTS, {"temperature": 0.8, "seed": 3, "max_new_tokens": 6}),
    (PROMPTS[2:3], {"temperature": 1, "count": 3, "max_new_tokens": 5}),
    (PROMPTS[:2], {"temperature": 0, "beams": 2, "stop": ["e"], "max_new_tokens": 8}),
]


@pytest.fixture(scope="module")
def writes(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """An exported text-generation run; its checkpoint's own settings suppress most tokens."""
    folder: Path = tmp_path_factory.mktemp("writes")
    tiny_gpt2(folder / "decoder", max_positions=128)
    config = writing_settings(folder, epochs=1)
    train_run(prepare(config_file.load(config)), folder / "run")
    run = api.load(folder / "run")
    run.export()
    preferred = {"suppress_tokens": list(range(5, 200)), "do_sample": True, "temperature": 3.0}
    (run.path / "model/generation_config.json").write_text(json.dumps(preferred))
    (run.path / "model/manifest.json").unlink()  # changed on purpose
    return run


@pytest.fixture(autouse=True)
def _threads_change_often() -> Iterator[None]:
    """Python switches threads after 0.2 ms instead of 5 ms."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(2e-4)
    yield
    sys.setswitchinterval(before)


@pytest.mark.parametrize("engine", ["torch", "onnx"])
@pytest.mark.parametrize("rounds", [1, pytest.param(ROUNDS, marks=pytest.mark.slow)])
def test_threads_generate_what_one_thread_generates(writes: Run, engine: Any, rounds: int) -> None:
    serial = [writes.generate(texts, engine=engine, **changes) for texts, changes in CALLS]
    run, together = api.load(writes.path), Barrier(THREADS)

    def work(thread: int) -> bool:
        order = list(range(len(CALLS))) * rounds
        random.Random(thread).shuffle(order)
        together.wait()
        for index in order:
            texts, changes = CALLS[index]
            assert run.generate(texts, engine=engine, **changes) == serial[index]
        return True

    with ThreadPoolExecutor(THREADS) as threads:
        assert all(threads.map(work, range(THREADS)))


@pytest.mark.parametrize(
    ("engine", "module", "name"),
    [("torch", writer, "language_model"), ("onnx", decoder_session, "open_session")],
)
def test_threads_that_come_together_open_one_decoder(
    writes: Run, monkeypatch: pytest.MonkeyPatch, engine: Any, module: Any, name: str
) -> None:
    opened: list[Any] = []
    really_open = getattr(module, name)

    def slowly(*given: Any) -> Any:
        opened.append(given)
        sleep(0.1)
        return really_open(*given)

    monkeypatch.setattr(module, name, slowly)
    run, together = api.load(writes.path), Barrier(THREADS)

    def work(_: int) -> list[dict[str, Any]]:
        together.wait()
        return run.generate(["the cat"], engine=engine, max_new_tokens=2)

    with ThreadPoolExecutor(THREADS) as threads:
        found = list(threads.map(work, range(THREADS)))
    assert len(opened) == 1
    assert found == found[:1] * THREADS


@pytest.mark.parametrize("engine", ["torch", "onnx"])
def test_generating_sets_nothing_on_the_model(
    writes: Run, monkeypatch: pytest.MonkeyPatch, engine: Any
) -> None:
    """Neither the mode nor the settings, which other threads may be using."""
    prompts, changes = CALLS[0]
    expected = writes.generate(prompts, engine=engine, **changes)
    really_set = nn.Module.__setattr__

    def refuse(module: nn.Module, name: str, value: Any) -> None:
        assert not isinstance(module, PreTrainedModel), f"{name} was set"
        really_set(module, name, value)

    monkeypatch.setattr(nn.Module, "__setattr__", refuse)
    assert writes.generate(prompts, engine=engine, **changes) == expected


def test_a_text_can_be_generated_while_another_one_is_shown(
    writes: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a GPU threads take turns; the thread whose turn it is may generate in ``on_text``."""
    monkeypatch.setattr(writer, "needs_exclusive_use", lambda _: True)
    run, inner = api.load(writes.path), []

    def on_text(_: str) -> None:
        inner.append(run.generate(["we saw"], max_new_tokens=1))

    run.generate(["the cat"], max_new_tokens=3, temperature=0, on_text=on_text)
    assert inner
    assert all(one == inner[0] for one in inner)
