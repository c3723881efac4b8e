"""The forecast of a run: its parts with a fake clock, its sizes against a real run, no traces."""

import random
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from tests.quick import slow_except
from tests.runs_in_memory import (
    filling_settings,
    number_settings,
    ranking_settings,
    settings,
    tagging_settings,
    topic_settings,
    windowed,
    writing_settings,
)
from warmstart import api, config_file, errors
from warmstart.data.examples.batches import Batch
from warmstart.devices import memory
from warmstart.devices.processes import Processes
from warmstart.models.packed.forward import Forward
from warmstart.preparation.plan import Plan
from warmstart.preparation.prepare import Prepared, prepare
from warmstart.training import forecast as module
from warmstart.training import loop, measuring, space, timings
from warmstart.training.forecast import Forecast, forecast, why_no_forecast
from warmstart.training.job import Job, job_for
from warmstart.training.measuring import Seconds
from warmstart.training.timings import StepTimes
from warmstart.training.train_run import train_run

Settings = Callable[..., dict[str, Any]]


def clock() -> Callable[[], float]:
    """A clock that moves by one second whenever it is read."""
    seconds = count()
    return lambda: float(next(seconds))


def prepared_of(made: Settings, folder: Path, **train: Any) -> Prepared:
    return prepare(config_file.load(made(folder, **train)))


def of(folder: Path, made: Settings = settings, **train: Any) -> Forecast:
    return forecast(prepared_of(made, folder, **train), folder / "run", clock=clock())


def windowed_reviews(folder: Path, **train: Any) -> dict[str, Any]:
    return windowed(settings, folder, **train)


def test_the_parts_add_up_and_every_step_counts(tmp_path: Path) -> None:
    made = of(tmp_path, epochs=3)
    assert (made.rows, made.steps, made.evaluations) == (95, 36, 3)
    # The fake clock gives each timed step one second, whatever its size.
    assert made.seconds.steps == pytest.approx(36)
    total, *parts = made.to_json()["seconds"].values()
    assert (
        total == pytest.approx(sum(parts), abs=0.01) == pytest.approx(made.seconds.total, abs=1e-3)
    )
    assert made.seconds.loading == 1
    assert not made.at_most
    assert of(tmp_path, epochs=6).seconds.steps == pytest.approx(72)


def test_a_time_has_a_part_for_each_step_and_one_for_each_token() -> None:
    tokens = np.array([100, 200, 400])
    times = StepTimes(tokens, 0.5 + 0.01 * tokens, pieces=1, moments_bytes=0)
    assert times.of(np.array([300, 10])) == pytest.approx(2 * 0.5 + 0.01 * 310)
    # Steps that take less time with more tokens are noise: only the part for each step is left.
    noisy = replace(times, seconds=np.array([3.0, 2.0, 1.0]))
    assert noisy.of(np.array([10, 10_000])) == pytest.approx(2 * 2.0)


def test_timed_steps_have_all_sizes_and_the_largest_batch_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = prepared_of(settings, tmp_path, gradient_accumulation=2, epochs=2)
    job = job_for(prepared, module.RunDirectory(tmp_path / "run"))
    seen: list[list[np.ndarray[Any, Any]]] = []

    def note(_parts: Any, window: Any, progress: Any) -> Any:
        seen.append(window)
        return replace(progress, step=progress.step + 1)

    monkeypatch.setattr(timings, "make_step", note)
    monkeypatch.setattr(timings, "STEP_SECONDS", 5.0)
    times = timings.time_steps(job, clock())
    plan = Plan.of(job.train, job.config)
    lengths = job.train.lengths
    batches = [
        batch for epoch in (0, 1) for window in plan.epoch_windows(epoch) for batch in window
    ]
    assert max(lengths[batch].sum() for batch in seen[0]) == max(
        lengths[batch].sum() for batch in batches
    )
    assert len(times.seconds) == len(seen) - 1 == 3  # the clock is read twice for each
    everything = timings.tokens_of_steps(job.train, plan.epoch_windows(1))
    assert set(times.tokens) <= set(everything)
    assert times.tokens.min() < np.median(everything) < times.tokens.max()


@pytest.mark.parametrize(
    ("train", "rounds", "at_most"),
    [
        ({"budget_minutes": 1e9}, 1.0, False),
        ({"budget_minutes": 0.05}, None, False),
        ({"budget_minutes": 10.0, "extend": True}, None, True),
        ({"early_stopping": 1}, 1.0, True),
        ({"unfreeze_layers_per_epoch": 1}, 1.0, True),
    ],
)
def test_budget_and_stopping(
    tmp_path: Path, train: dict[str, Any], rounds: float | None, at_most: bool
) -> None:
    planned, made = of(tmp_path), of(tmp_path, **train)
    assert made.at_most is at_most
    if rounds is not None:
        assert made.steps == planned.steps
        return
    budget = 60 * train["budget_minutes"]
    ended = made.seconds.steps + made.seconds.evaluations + made.seconds.saving
    once = planned.seconds.steps + planned.seconds.evaluations + planned.seconds.saving
    if train.get("extend"):
        assert made.steps == planned.steps * (budget // once) > planned.steps
        assert budget - once < ended <= budget
    else:
        assert ended == pytest.approx(budget)
        assert made.steps < planned.steps


def test_no_epochs_means_no_steps(tmp_path: Path) -> None:
    made = of(tmp_path, epochs=0, head_start="linear-probe", learning_rate="auto")
    assert (made.steps, made.evaluations, made.seconds.steps) == (0, 1, 0.0)
    assert made.seconds.head_start > 0


@pytest.mark.parametrize(
    "train",
    [
        {"freeze": "backbone"},
        {"lora": {"rank": 2, "save": "adapter"}},
        pytest.param({"freeze": "embeddings+layers:1"}, marks=pytest.mark.slow),
        pytest.param({"head_start": "linear-probe"}, marks=pytest.mark.slow),
        pytest.param({"average": {"count": 2}, "keep_checkpoints": 2}, marks=pytest.mark.slow),
        pytest.param({"checkpoint_every_steps": 5}, marks=pytest.mark.slow),
    ],
)
def test_the_sizes_are_those_of_the_files(tmp_path: Path, train: dict[str, Any]) -> None:
    prepared = prepared_of(settings, tmp_path, **train)
    made = forecast(prepared, tmp_path / "run", clock=clock())
    assert (made.seconds.frozen_part > 0) is ("freeze" in train)
    sizes = list[int]()

    def size() -> int:
        files = (tmp_path / "run").rglob("*")
        return sum(file.stat().st_size for file in files if file.is_file())

    train_run(prepared, tmp_path / "run", listeners=[lambda _: sizes.append(size())])
    # Files of predictions, baselines and settings are small, but these models are tiny as well.
    assert made.at_end == pytest.approx(size(), rel=0.1, abs=2**16)
    assert max(sizes) <= made.largest * 1.05


@pytest.mark.parametrize(
    "made",
    slow_except(
        [
            settings, number_settings, topic_settings, ranking_settings, tagging_settings,
            writing_settings, filling_settings, windowed_reviews,
        ],
        settings, tagging_settings,
    ),
)  # fmt: skip
def test_a_forecast_leaves_no_trace(
    made: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WARMSTART_CACHE", str(tmp_path / "cache"))
    prepared = prepared_of(made, tmp_path)
    train_run(prepared, tmp_path / "without")
    files = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*")}
    torch.manual_seed(3)
    before = torch.get_rng_state(), torch.get_num_threads(), random.getstate()
    np_before = repr(np.random.get_state())
    found = forecast(prepared, tmp_path / "run")
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1:] == (torch.get_num_threads(), random.getstate())
    assert np_before == repr(np.random.get_state())
    assert {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*")} == files
    assert found.seconds.evaluations > 0
    train_run(prepared, tmp_path / "with")
    weights = [tmp_path / name / "model/model.safetensors" for name in ("without", "with")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_features_of_a_forecast_stay_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WARMSTART_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("warmstart.models.tuning.features.IN_MEMORY_BYTES", 0)
    train = {"freeze": "embeddings+layers:1"}
    assert of(tmp_path, **train).seconds.frozen_part > 0
    assert not (tmp_path / "cache").exists()
    train_run(prepared_of(settings, tmp_path, **train), tmp_path / "earlier")
    assert of(tmp_path, **train).seconds.frozen_part == 0


def test_a_new_model(tmp_path: Path) -> None:
    config = settings(tmp_path, epochs=1)
    del config["model"]
    config["pretrain"] = {"architecture": "bert", "layers": 1, "hidden": 32, "heads": 2,
                          "vocabulary": 100, "context": 24}  # fmt: skip
    with api.prepared_for(config_file.load(config)) as prepared:
        made = forecast(prepared, tmp_path / "run", clock=clock())
        start = sum(file.stat().st_size for file in prepared.checkpoint.folder.iterdir())
    assert made.steps == 12
    assert made.at_end > start


def test_several_runs(tmp_path: Path) -> None:
    one = replace(of(tmp_path), seconds=Seconds(preparing=5, loading=1, steps=20))
    five = one.repeated(5)
    assert five.seconds == Seconds(preparing=5, loading=5, steps=100)
    assert five.at_end == 5 * one.at_end
    assert five.largest == one.largest + 4 * one.at_end
    assert five.memory == one.memory


def test_words_and_json(tmp_path: Path) -> None:
    made = replace(
        of(tmp_path),
        seconds=Seconds(preparing=5, loading=1, steps=700, evaluations=14, final_scores=10),
        memory=3 * 2**29, largest=600 * 2**20, at_end=2**29, at_most=True,
    )  # fmt: skip
    assert made.in_words() == [
        "at most about 12 min 10 s: preparing 5.0 s, loading 1.0 s, 24 steps 11 min 40 s, "
        "2 evaluations 14.0 s, final scores 10.0 s",
        "memory 1.5 GiB; disk 600 MiB, at the end 512 MiB",
    ]
    found = made.to_json()
    assert found["seconds"]["total"] == 730
    assert (found["memory_mib"], found["memory_of"]) == (1536, "process")
    assert found["disk_mib"] == {"largest": 600, "end": 512}
    assert (found["steps"], found["rows"], found["at_most"]) == (24, 95, True)


def test_too_little_disk_and_memory_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = psutil.disk_usage(str(tmp_path))
    monkeypatch.setattr(psutil, "disk_usage", lambda _: disk._replace(free=1000))
    monkeypatch.setattr(memory, "peak_used", lambda _: 2**60)
    first, second = of(tmp_path).notes
    assert "of disk; 1 MiB are free in" in first
    assert "choose another folder with --output" in first
    assert "of memory" in second
    assert "train.batch_size" in second


def test_a_model_that_cannot_fit_is_refused_before_a_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "free", lambda _: 1000)
    monkeypatch.setattr(loop, "update", None)
    with pytest.raises(errors.RunError) as caught:
        of(tmp_path)
    assert "train.freeze=backbone" in caught.value.do
    for advised in ("train.freeze=backbone", "train.lora.rank=8"):
        config_file.load(settings(tmp_path), [advised])


def with_memory_for(rows: int) -> Callable[..., Job]:
    """``job_for`` on a device whose memory has room for this number of rows of a batch."""

    def job(*arguments: Any) -> Job:
        made = job_for(*arguments)

        def run(model: Any, batch: Batch) -> Any:
            if model.training and len(batch) > rows:
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
            return made.forward.run(model, batch)

        return replace(made, forward=Forward(run, "with little memory"))

    return job


def test_a_batch_that_does_not_fit_into_memory_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "job_for", with_memory_for(rows=4))
    assert any("computed in 2 pieces" in note for note in of(tmp_path).notes)
    monkeypatch.setattr(module, "job_for", with_memory_for(rows=0))
    with pytest.raises(errors.RunError, match="out of memory, even with 1 row"):
        of(tmp_path)


def test_why_there_is_no_forecast(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = prepared_of(settings, tmp_path)
    assert why_no_forecast(prepared) is None
    absent = replace(prepared, checkpoint=replace(prepared.checkpoint, weights=("none",)))
    assert "are not on this computer yet" in str(why_no_forecast(absent))
    monkeypatch.setattr(module, "current", lambda: Processes(0, 2))
    assert "one process" in str(why_no_forecast(prepared))


def test_a_sample_has_every_label_and_whole_groups(tmp_path: Path) -> None:
    reviews = timings.sampled(prepared_of(settings, tmp_path), 10)
    assert {len(split.table) for split in reviews.splits.values()} == {10}
    assert len(reviews.examples["train"]) == 10
    queries = timings.sampled(prepared_of(ranking_settings, tmp_path), 10)
    groups = queries.splits["train"].table.columns.column("query").to_pylist()
    whole = prepared_of(ranking_settings, tmp_path).splits["train"].table
    every = whole.columns.column("query").to_pylist()
    assert len(groups) < len(every)
    assert all(groups.count(query) == every.count(query) for query in groups)
    # A group of two rows or more does not fit into a sample of one row.
    smallest = timings.sampled(prepared_of(ranking_settings, tmp_path), 1)
    assert 1 < len(smallest.splits["train"].table) < 10


def test_rows_are_chosen_by_the_time_of_a_few() -> None:
    few, most = timings.FEWEST_ROWS, timings.MOST_ROWS
    assert timings.rows_in_time(timings.PART_SECONDS / 4, 100) == 400
    assert timings.rows_in_time(1e6, 64) == few
    assert timings.rows_in_time(1e-9, 64) == most


def test_the_disk_is_measured_without_a_file(tmp_path: Path) -> None:
    assert 0 < space.seconds_per_byte(tmp_path) < 1e-5
    assert not list(tmp_path.iterdir())
    with pytest.raises(errors.RunError):
        space.seconds_per_byte(tmp_path / "absent")
    assert space.existing_parent(tmp_path / "a" / "b") == tmp_path


def test_measuring_uses_the_scores_of_the_start(tmp_path: Path) -> None:
    alone = of(tmp_path).seconds.final_scores
    fitted = of(tmp_path, head_start="linear-probe", learning_rate=1e-3)
    assert fitted.seconds.head_start > 0
    assert measuring.HELD_OUT == ("validation", "test")
    if fitted.evaluations == 3:  # the fit was used: its model is evaluated, and scored at the end
        assert fitted.seconds.final_scores > alone
