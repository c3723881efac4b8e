"""The suite `generation`: engines generate the same tokens, and what is recorded about them."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from benchmarks import __main__ as command
from benchmarks import generation
from benchmarks.generation import ENGINES, first_words, judge, measure
from benchmarks.outcome import Row
from tests.benchmarks.conftest import sentences
from tests.tiny.decoders import tiny_gpt2

PROMPTS = ["good cat", "a dog", "the red house"]


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("decoder")
    tiny_gpt2(folder, vocabulary=400, layers=1)
    AutoTokenizer.from_pretrained(folder, pad_token="<|pad|>").save_pretrained(folder)
    return folder


@pytest.mark.parametrize("engine", ENGINES)
def test_greedy_texts_are_the_same(engine: str, decoder: Path) -> None:
    found = measure(engine, decoder, PROMPTS, 6, 0.0, 1, time.time())
    expected = measure("transformers-generate-1", decoder, PROMPTS, 6, 0.0, 1, time.time())
    assert found["tokens"] == expected["tokens"]
    assert found["tokens_per_second"] == pytest.approx(18 / found["seconds"])
    assert found["startup_seconds"] > 0


@pytest.mark.parametrize("engine", ENGINES)
def test_sampled_texts_depend_on_the_seed(engine: str, decoder: Path) -> None:
    one, same, other = (
        measure(engine, decoder, PROMPTS, 6, 1.0, seed, 0.0)["tokens"] for seed in (1, 1, 2)
    )
    assert one == same
    assert one != other


def test_prompts_are_of_unequal_length() -> None:
    lengths = [len(prompt.split()) for prompt in first_words([" ".join("x" * 30)] * 16)]
    assert lengths == list(range(4, 20))


def test_less_than_was_asked_for_is_refused(decoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(generation.ENGINES, "lazy", lambda *_, **__: [[1]] * 3)
    with pytest.raises(ValueError, match="wrong number of tokens"):
        measure("lazy", decoder, PROMPTS, 6, 0.0, 1, 0.0)


def test_a_verdict_of_speed_and_one_of_sameness() -> None:
    def run(engine: str, speed: float, tokens: list[int]) -> Row:
        return {"engine": engine, "seed": 1, "samples_per_second": speed, "tokens": [tokens]}

    runs = [
        run("warmstart", 10.0, [1, 2]),
        run("transformers-generate", 11.0, [1, 2]),
        run("transformers-generate-1", 2.0, [1, 3]),
    ]
    verdicts = [(one.measured, one.holds) for one in judge("gpt2-greedy", runs)]
    assert verdicts == [(pytest.approx(10 / 11), False), (0, True), (5.0, True), (1, False)]
    assert [one.holds for one in judge("gpt2-sampled", runs)] == [False, True]


def test_the_suite_measures_every_engine_in_turns(
    decoder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def call(function: Callable[..., Any], *arguments: Any) -> Any:
        return decoder if function is generation.materials.random_gpt2 else function(*arguments)

    monkeypatch.setattr(generation, "own_process", call)
    monkeypatch.setattr(generation.corpora, "artist_bios", sentences)
    monkeypatch.setattr(generation, "PROMPTS", 2)
    options = ["--json", "--repeats", "2", "--steps", "2", "--results", str(tmp_path)]
    assert command.main(["generation", *options]) == 0
    content = json.loads(capsys.readouterr().out)
    found = [(row["workload"], row["engine"]) for row in content["rows"]]
    assert found == [(name, engine) for name in generation.WORKLOADS for engine in ENGINES]
    for row in content["rows"]:
        assert [one["seed"] for one in row["runs"]] == [1, 2]
        assert row["samples_per_second_low"] <= row["samples_per_second"]
        assert "tokens" not in row["runs"][0]
    assert len(content["verdicts"]) == 6
    assert [path.name for path in tmp_path.iterdir()] == [f"{content['date']}-generation.json"]
