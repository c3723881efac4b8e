"""One run in many threads: bit-identical to one thread, and the model is opened once."""

import random
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Barrier
from time import sleep
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from tests.runs_in_memory import (
    filling_settings,
    ranking_settings,
    settings,
    tagging_settings,
    topic_settings,
)
from tests.tiny import WORDS
from warmstart import api, config_file
from warmstart.api import Run
from warmstart.config import TrainConfig
from warmstart.devices.device import build_accelerator
from warmstart.export import session
from warmstart.models.packed.forward import Forward
from warmstart.preparation.prepare import prepare
from warmstart.serving import torch_runner
from warmstart.serving.engine import EngineName
from warmstart.serving.predictor import predict_texts
from warmstart.serving.torch_runner import TorchRunner
from warmstart.training.train_run import train_run

THREADS, TEXTS, ROUNDS = 8, 64, 20
MAX_TOKENS = 16
SETTINGS: dict[str, Callable[..., dict[str, Any]]] = {
    "text-classification": settings,
    "multi-label-classification": topic_settings,
    "text-ranking": ranking_settings,
    "fill-mask": filling_settings,
    "token-classification": tagging_settings,
}
WINDOWED = "token-classification"
"""Long texts are cut into windows here, not truncated."""
EXPORTED = tuple(task for task in SETTINGS if task != "fill-mask")


@dataclass(frozen=True)
class Trained:
    """A run, and the texts to predict with it."""

    run: Run
    texts: Sequence[str]
    pairs: Sequence[str] | None

    def predict(self, part: slice, engine: str, run: Run | None = None) -> list[dict[str, Any]]:
        pairs = None if self.pairs is None else self.pairs[part]
        return (run or self.run).predict(self.texts[part], pairs, engine=engine)  # type: ignore[arg-type]


def made_up_texts(seed: int, mask: str | None) -> list[str]:
    """From 2 words to more than the limit, with the mask near the beginning."""
    pick = random.Random(seed)
    texts = [pick.choices(WORDS, k=pick.randint(2, 30)) for _ in range(TEXTS)]
    if mask is not None:
        for words in texts:
            words[pick.randrange(2)] = mask
    return [" ".join(words) for words in texts]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Trained]:
    """A run of each task, trained and exported at its first use."""
    made: dict[str, Trained] = {}

    def of_task(task: str) -> Trained:
        if task not in made:
            folder: Path = tmp_path_factory.mktemp(task)
            config = SETTINGS[task](folder, epochs=1)
            config["model"]["max_tokens"] = MAX_TOKENS
            if task == WINDOWED:
                config["data"]["overlap_tokens"] = 4
            train_run(prepare(config_file.load(config)), folder / "run")
            run = api.load(folder / "run")
            if task in EXPORTED:
                run.export()
            texts = made_up_texts(0, "[MASK]" if task == "fill-mask" else None)
            pairs = made_up_texts(1, None) if task == "text-ranking" else None
            made[task] = Trained(run, texts, pairs)
        return made[task]

    return of_task


@pytest.fixture(autouse=True)
def _threads_change_often() -> Iterator[None]:
    """Python switches threads after 0.2 ms instead of 5 ms."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(2e-4)
    yield
    sys.setswitchinterval(before)


def in_threads(work: Callable[[int], Any]) -> list[Any]:
    """The results of ``work(thread)`` in threads that start together."""
    together = Barrier(THREADS)

    def start(thread: int) -> Any:
        together.wait()
        return work(thread)

    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(start, range(THREADS)))


CASES = [*((task, "torch") for task in SETTINGS), *((task, "onnx") for task in EXPORTED)]


@pytest.mark.parametrize(
    ("task", "engine", "rounds"),
    [
        *((*case, 1) for case in CASES),
        *(pytest.param(*case, ROUNDS, marks=pytest.mark.slow) for case in CASES),
    ],
)
def test_threads_predict_what_one_thread_predicts(
    trained: Callable[[str], Trained], task: str, engine: str, rounds: int
) -> None:
    """In each round a thread predicts all texts: some alone, some of them in one call."""
    one = trained(task)
    # Texts one by one first: a call with one text must not determine anything for later calls.
    alone = [slice(place, place + 1) for place in range(8)]
    parts = [*alone, slice(8, 24), slice(24, TEXTS)]
    serial = [one.predict(part, engine) for part in parts]
    cut = [row["truncated"] for rows in serial for row in rows]
    assert set(cut) == ({False} if task == WINDOWED else {False, True})
    fresh = api.load(one.run.path)  # the threads open it, too

    def work(thread: int) -> int:
        order = list(enumerate(parts))
        for turn in range(rounds):
            random.Random(thread * rounds + turn).shuffle(order)
            for index, part in order:
                assert one.predict(part, engine, fresh) == serial[index]
        return rounds

    assert in_threads(work) == [rounds] * THREADS


@pytest.mark.parametrize(
    ("engine", "module", "name"),
    [("torch", torch_runner, "load_run"), ("onnx", session, "open_session")],
)
def test_threads_that_come_together_open_one_model(
    trained: Callable[[str], Trained],
    monkeypatch: pytest.MonkeyPatch,
    engine: str,
    module: Any,
    name: str,
) -> None:
    one, opened = trained("text-classification"), []
    really_open = getattr(module, name)

    def slowly(*given: Any) -> Any:
        opened.append(given)
        sleep(0.2)
        return really_open(*given)

    monkeypatch.setattr(module, name, slowly)
    run = api.load(one.run.path)
    found = in_threads(lambda _: run.open(engine))  # type: ignore[arg-type]
    assert len(opened) == 1
    assert all(engine is found[0] for engine in found)


@pytest.mark.filterwarnings("ignore:of .* rows, truncated to")
@pytest.mark.parametrize("task", ["text-ranking", "fill-mask"])
def test_a_file_can_be_evaluated_while_others_predict(
    trained: Callable[[str], Trained], task: str
) -> None:
    """Fill-mask also computes pseudo-perplexity, which is only in final scores."""
    one = trained(task)
    run, part = api.load(one.run.path), slice(0, 8)
    data = str(run.config.data.train)
    scores = run.evaluate(data)
    serial = one.predict(part, "torch", run)

    def work(thread: int) -> bool:
        if thread:
            return all(one.predict(part, "torch", run) == serial for _ in range(ROUNDS))
        return run.evaluate(data) == scores

    assert all(in_threads(work))


def test_a_file_is_predicted_while_others_predict(trained: Callable[[str], Trained]) -> None:
    one = trained("text-classification")
    run, part = api.load(one.run.path), slice(0, 8)
    data = str(run.config.data.train)
    whole, serial = run.predict_file(data, engine="torch"), one.predict(part, "torch", run)

    def work(thread: int) -> bool:
        if thread % 2:
            return bool(run.predict_file(data, engine="torch").equals(whole))
        return all(one.predict(part, "torch", run) == serial for _ in range(ROUNDS))

    assert all(in_threads(work))


def test_predicting_leaves_an_accelerator_alone(
    trained: Callable[[str], Trained], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A training run in the same process keeps its precision."""
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    accelerator = build_accelerator(TrainConfig(device="cpu", precision="bfloat16"))
    one = trained("text-classification")
    api.load(one.run.path).predict(one.texts, engine="torch")
    assert accelerator.mixed_precision == "bf16"


def test_two_engines_of_one_run_predict_at_the_same_time(
    trained: Callable[[str], Trained],
) -> None:
    one = trained("text-classification")
    run, part, names = api.load(one.run.path), slice(0, 16), ("torch", "onnx")
    serial = [one.predict(part, name, run) for name in names]

    def work(thread: int) -> bool:
        which = thread % 2
        return all(one.predict(part, names[which], run) == serial[which] for _ in range(ROUNDS))

    assert all(in_threads(work))


@pytest.mark.parametrize("engine", ["torch", "onnx"])
def test_a_single_text_needs_one_forward_pass(
    trained: Callable[[str], Trained], engine: EngineName
) -> None:
    """The check of packed execution, for example, is not repeated for each text."""
    opened = trained("text-classification").run.open(engine)
    logits = np.array([[0.5, -0.5]], dtype=np.float32)
    runner: Any = opened.runner
    passes = []
    if isinstance(runner, TorchRunner):
        given = torch.from_numpy(logits)
        counted = Forward(lambda *_: passes.append(1) or given, "no forward pass at all")
        runner = replace(runner, forward=counted)
    else:
        session = SimpleNamespace(run=lambda *_: passes.append(1) or [logits])
        runner = replace(runner, model=replace(runner.model, session=session))
    without_forward = replace(opened, runner=runner)
    for _ in range(3):
        (found,) = predict_texts(without_forward, ["the old cat saw my house"])
        assert found.to_json()["label"] in ("bad", "good")
    assert len(passes) == 3
