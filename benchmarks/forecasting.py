"""The forecast of ``train --dry-run`` compared with what then happens: time, memory and disk.

Each workload has two processes: one prepares and forecasts, the other prepares and trains. Both
start with the same settings; their numbers follow each other in time, because the load of a machine
changes. A ratio is forecast / measured: 1 is exact, above 1 the forecast was too high.

- ``seconds``: from the beginning of preparation until the run's scores are written. The report and
  the model card, which come after it, are not included; ``report_seconds`` is their time.
- ``cpu_seconds``: the same in CPU time of the process, also in the forecast. Other programs change
  it less than the time by the clock; waiting for the disk is not in it.
- ``peak_mib``: peak memory of the process of the training, without the report.
- ``disk_mib``: largest size of the run directory, sampled every 20 ms, and its size at the end.
"""

import os
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from typing import Any

from benchmarks.machine import own_process, peak_mib
from benchmarks.outcome import Outcome, Row, Verdict

DESCRIPTION = "the forecast of train --dry-run compared with what then happens"
DATA = Path("../shared/data")
TOLERANCE = 0.2
"""Largest accepted difference between a ratio and 1."""

WORKLOADS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "cola-minilm": (
        "cola-offline",
        {"data.dir": "{data}/cola", "data.train": "in_domain_train.tsv",
         "data.test": "out_of_domain_dev.tsv", "train.epochs": "2", "data.limit": "3000"},
    ),
    "cola-frozen": (
        "cola-offline",
        {"data.dir": "{data}/cola", "data.train": "in_domain_train.tsv",
         "data.test": "out_of_domain_dev.tsv", "train.freeze": "backbone",
         "train.head_start": "linear-probe", "train.epochs": "8"},
    ),
    "wikiqa-pairs": (
        "wikiqa-offline",
        {"data.dir": "{data}/wikiqa", "data.test": "null", "data.limit": "3000",
         "train.epochs": "1"},
    ),
    "btc-minilm": (
        "btc-offline",
        {"data.dir": "{data}/btc", "train.epochs": "1", "data.limit": "2000"},
    ),
}  # fmt: skip
"""The recipe of each workload, and the settings that make the run short."""


def add_options(parser: ArgumentParser) -> None:
    """Add the options for data, workloads and repetitions."""
    parser.add_argument(
        "--data", type=Path, default=DATA, metavar="FOLDER", help=f"public data; default {DATA}"
    )
    parser.add_argument("--workloads", nargs="+", choices=WORKLOADS, default=list(WORKLOADS))
    parser.add_argument("--runs", type=int, default=1, help="repetitions of each; default 1")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--quick", action="store_true", help="100 rows, to test the suite")


def run(options: Namespace) -> Outcome:
    """Forecast and train each workload; the repetitions take turns."""
    found: dict[str, list[tuple[Row, Row]]] = {name: [] for name in options.workloads}
    for _ in range(options.runs):
        for name in options.workloads:
            print(f"forecasting: {name} …", file=sys.stderr, flush=True)
            given = (name, options.data, [*options.set, *["data.limit=100"] * options.quick])
            found[name].append((own_process(forecast, *given), own_process(measure, *given)))
    rows = [row for name, pairs in found.items() for row in ratios(name, pairs)]
    part = "" if list(options.workloads) == list(WORKLOADS) else "-".join(options.workloads)
    return Outcome(rows, verdicts(rows), [], part)


def ratios(name: str, pairs: list[tuple[Row, Row]]) -> Iterator[Row]:
    """A row of the result for each pair of a forecast and a run.

    Args:
        name: a workload.
        pairs: from ``forecast`` and ``measure``.
    """
    for forecast_row, measured in pairs:
        kinds = ("seconds", "cpu_seconds", "peak_mib", "disk_mib", "disk_end_mib")
        yield {
            "workload": name,
            "engine": "warmstart",
            **{f"{kind}_ratio": forecast_row[kind] / measured[kind] for kind in kinds},
            **{kind: measured[kind] for kind in kinds},
            "forecast_took": forecast_row["took"],
            "report_seconds": measured["report_seconds"],
            "runs": [{"forecast": forecast_row["parts"], "measured": measured["parts"]}],
        }


def verdicts(rows: list[Row]) -> list[Verdict]:
    """For each quantity, the ratio that is furthest from 1.

    Args:
        rows: from ``ratios``, at least one.
    """
    found = []
    for kind in ("seconds", "cpu_seconds", "peak_mib", "disk_mib"):
        worst = max((row[f"{kind}_ratio"] for row in rows), key=lambda ratio: abs(ratio - 1))
        found.append(
            Verdict(
                f"forecast / measured {kind} is within {TOLERANCE:.0%} of 1 in every run",
                worst,
                1.0,
                holds=abs(worst - 1) <= TOLERANCE,
            )
        )
    return found


def settings(name: str, data: Path, overrides: list[str]) -> Any:
    """The config of a workload, on the CPU.

    Args:
        name: a workload.
        data: folder of public data.
        overrides: further settings, ``KEY=VALUE``.
    """
    from warmstart import config_file

    recipe, changes = WORKLOADS[name]
    own = {key: value.format(data=data.resolve()) for key, value in changes.items()}
    own |= {"train.device": "cpu", **dict(one.split("=", 1) for one in overrides)}
    return config_file.load(recipe, [f"{key}={value}" for key, value in own.items()])


def forecast(name: str, data: Path, overrides: list[str]) -> Row:
    """Prepare and forecast, by the clock and in CPU time; runs in its own process.

    Args:
        name: a workload.
        data: folder of public data.
        overrides: further settings, ``KEY=VALUE``.
    """
    began, cpu = time.perf_counter(), time.process_time()
    from warmstart import api
    from warmstart.training.forecast import forecast as made_by

    config = settings(name, data, overrides)
    with TemporaryDirectory() as folder, api.prepared_for(config) as prepared:
        os.environ["WARMSTART_CACHE"] = folder  # no features of an earlier run
        path = Path(folder) / "run"
        preparing, cpu = time.perf_counter() - began, time.process_time() - cpu
        found = made_by(prepared, path, preparing=preparing).to_json()
        took = time.perf_counter() - began
        of_cpu = made_by(prepared, path, preparing=cpu, clock=time.process_time).to_json()
    return {
        "seconds": found["seconds"]["total"],
        "cpu_seconds": of_cpu["seconds"]["total"],
        "peak_mib": found["memory_mib"],
        "disk_mib": found["disk_mib"]["largest"],
        "disk_end_mib": found["disk_mib"]["end"],
        "took": took,
        "parts": {"seconds": found["seconds"], "cpu_seconds": of_cpu["seconds"]},
    }


def measure(name: str, data: Path, overrides: list[str]) -> Row:
    """Prepare and train; runs in its own process.

    Args:
        name: a workload.
        data: folder of public data.
        overrides: further settings, ``KEY=VALUE``.
    """
    clocks = time.perf_counter, time.process_time
    began = [clock() for clock in clocks]
    from warmstart import api
    from warmstart.training.train_run import train_run

    marks: list[tuple[str, list[float]]] = []

    def mark(event: Mapping[str, Any]) -> None:
        now = [clock() - start for clock, start in zip(clocks, began, strict=True)]
        marks.append((event["event"], now))

    with (
        TemporaryDirectory() as cache,
        TemporaryDirectory() as folder,
        _largest(Path(folder)) as sizes,
    ):
        os.environ["WARMSTART_CACHE"] = cache  # no features of an earlier run
        path = Path(folder) / "run"
        with api.prepared_for(settings(name, data, overrides)) as prepared:
            mark({"event": "prepared"})
            train_run(prepared, path, listeners=[mark])
        peak, end, reporting = peak_mib(), size_of(path), time.perf_counter()
        api.load(path).report()
        reporting = time.perf_counter() - reporting
    seconds, cpu_seconds = dict(marks)["finish"]
    return {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "peak_mib": peak,
        "disk_mib": max(sizes) / 2**20,
        "disk_end_mib": end / 2**20,
        "report_seconds": reporting,
        "parts": {
            kind: _parts([(event, times[place]) for event, times in marks])
            for place, kind in enumerate(("seconds", "cpu_seconds"))
        },
    }


def _parts(marks: list[tuple[str, float]]) -> dict[str, float]:
    """The parts of a run by its events, in seconds: up to its start, to its last step, to its end.

    Args:
        marks: kind and time of each event.
    """
    last = dict(marks)  # the last event of each kind
    first = dict(reversed(marks))
    trained = max(last[kind] for kind in ("evaluation", "checkpoint") if kind in last)
    return {
        "preparing": last["prepared"],
        "loading": first["start"] - last["prepared"],
        "training": trained - first["start"],
        "final_scores": last["finish"] - trained,
    }


@contextmanager
def _largest(folder: Path) -> Iterator[list[int]]:
    """In the block, a list with the sizes of a folder, measured every 20 ms."""
    ended, sizes = Event(), [0]

    def watch() -> None:
        while not ended.wait(0.02):
            sizes.append(size_of(folder))

    watching = Thread(target=watch)
    watching.start()
    try:
        yield sizes
    finally:
        ended.set()
        watching.join()


def size_of(folder: Path) -> int:
    """Size of the files in a folder in bytes, while another thread may write or remove them.

    Args:
        folder: any folder.
    """
    total = 0
    for file in folder.rglob("*"):
        try:
            if file.is_file():
                total += file.stat().st_size
        except OSError:
            continue
    return total
