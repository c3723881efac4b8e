"""The window times the right steps, and refuses an engine that did different work."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn

from benchmarks.window import Window

LENGTHS = [4, 6, 10, 20]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The values of the wall clock, in order; the processor's clock runs half as fast."""
    times: list[float] = []

    def ticks(share: float) -> Iterator[float]:
        yield from (share * time for time in times)

    wall, cpu = ticks(1.0), ticks(0.5)
    monkeypatch.setattr("benchmarks.window.time.perf_counter", lambda: next(wall))
    monkeypatch.setattr("benchmarks.window.time.process_time", lambda: next(cpu))
    return times


def made(window: Window, *work: tuple[int, int]) -> dict[str, Any]:
    for rows, tokens in work:
        window.see(rows, tokens, at=1007.0)
        window.tick()
    return window.measurement()


def test_the_warm_up_is_left_out(clock: list[float]) -> None:
    clock += [10.0, 20.0, 21.0, 23.0]
    window = Window(LENGTHS, 1000.0, [[0, 1], [2], [3], [0, 1, 2]], warmup_steps=2)
    found = made(window, (2, 10), (1, 10), (1, 20), (3, 20))
    assert found["startup_seconds"] == 7.0
    assert (found["steps"], found["rows"], found["tokens"]) == (2, 4, 40)
    assert found["seconds"] == 3.0
    assert found["cores_used"] == 0.5
    # Four rows with the tokens of four average rows (10 tokens each).
    assert found["samples_per_second"] == pytest.approx(4 / 3)
    assert found["tokens_per_second"] == pytest.approx(40 / 3)


def test_rates_are_of_an_average_row(clock: list[float]) -> None:
    clock += [0.0, 1.0] * 2
    batches = [[0], [0, 1]]
    by_tokens = made(Window(LENGTHS, 0.0, batches, 1), (1, 4), (2, 10))
    assert by_tokens["samples_per_second"] == 1.0
    by_rows = made(Window(LENGTHS, 0.0, batches, 1, fixed_width=True), (1, 4), (2, 10))
    assert by_rows["samples_per_second"] == 2.0
    assert by_rows["tokens_per_second"] == 20.0


def test_the_last_step_ends_the_window() -> None:
    window = Window(LENGTHS, 0.0, [[0], [1], [2]], warmup_steps=1)
    assert [window.tick() for _ in range(3)] == [False, False, True]


def test_a_whole_run_counts_from_its_start_and_never_stops_itself(clock: list[float]) -> None:
    clock += [100.0, 101.0, 102.0, 108.0]
    window = Window(LENGTHS, 0.0, epochs=2)
    window.start()
    window.see(4, 40)
    assert window.tick() is False
    window.see(4, 40)
    assert window.tick() is False
    window.finish()
    found = window.measurement()
    assert found["seconds"] == 8.0
    assert found["samples_per_second"] == 1.0
    assert found["tokens_per_second"] == 10.0


@pytest.mark.parametrize("last", [(2, 29), (1, 30), (3, 30)])
def test_other_work_than_was_given_is_refused(last: tuple[int, int]) -> None:
    batches = [[0], [2, 3]]
    assert made(Window(LENGTHS, 0.0, batches, 1), (1, 4), (2, 30))["tokens"] == 30
    with pytest.raises(ValueError, match=r"different work than was given: \d rows with \d+ tokens"):
        made(Window(LENGTHS, 0.0, batches, 1), (1, 4), last)


def test_an_engine_without_steps_is_refused() -> None:
    with pytest.raises(ValueError, match="no step"):
        Window(LENGTHS, 0.0, [[0]]).measurement()


class Model(nn.Module):
    """Called like Transformers' models, or like those of sentence-transformers."""

    def forward(self, features: Any = None, attention_mask: Any = None) -> None:
        """Do nothing."""


def test_it_sees_what_the_model_is_given() -> None:
    window, model = Window([2, 3, 1], 0.0, [[0, 1], [2]], warmup_steps=1), Model()
    window.watch(model)
    mask = torch.tensor([[1, 1, 0], [1, 1, 1]])
    model(attention_mask=mask)
    window.tick()
    model.eval()(attention_mask=mask)  # an evaluation between the steps
    model.train()({"attention_mask": mask[:1, :1]})
    window.tick()
    assert window.measurement()["tokens"] == 1
    assert window.first_step_at is not None


def test_tokens_that_an_engine_adds_are_not_counted() -> None:
    window, model = Window([2, 3], 0.0), Model().eval()
    window.watch(model, training=False, added=1)
    window.start()
    model({"attention_mask": torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]])})
    window.finish()
    assert window.measurement()["tokens"] == 5
