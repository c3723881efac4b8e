"""Time and memory of preparation and the first training steps, for 10⁴ to 5·10⁶ rows.

The rows are random sentences of CoLA's length in its four columns, so there can be any number of
them. The model is tiny and random, with the bundled model's tokenizer, so that the cost of the rows
is measured and not the cost of the model. Each size has its own process, which first prepares and
trains on a few rows. So imports, model and reserves of the allocators exist before the measurement,
which counts only additional memory.

``above_model_mib`` is the peak resident memory minus the memory before. Its part
``above_model_anonymous_mib`` is memory without a file. The rest are pages of memory-mapped files,
which the system can reclaim. The time for finding the checkpoint does not depend on the rows and is
subtracted. ``cpu_microseconds_per_row`` is the processor time of all threads, which hardly depends
on the load of the machine.
"""

import json
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from threading import Event, Thread

import numpy as np

from benchmarks import cola
from benchmarks.machine import own_process, peak_mib
from benchmarks.outcome import Outcome, Row, Verdict

DESCRIPTION = "time and memory by number of rows, up to five million"
SIZES = (10_000, 100_000, 1_000_000, 5_000_000)
QUICK_SIZES = SIZES[:2]
REPEATED_ROWS = 100_000
"""Sizes up to this one are measured in every turn, larger ones only in the first."""
WARMUP_ROWS = 2_000
MAX_RATIO, MAX_MIB = 1.1, 2048.0
"""Targets: ratio of the time per row between two sizes, and memory above the model."""

_WRITTEN_ROWS = 100_000
_MEAN_WORDS = 7.7


def add_options(parser: ArgumentParser) -> None:
    """Add the options for sizes, steps and repeats."""
    parser.add_argument("--quick", action="store_true", help=f"only {QUICK_SIZES} rows, once")
    parser.add_argument("--limit", type=int, metavar="ROWS", help="largest number of rows")
    parser.add_argument("--steps", type=int, default=50, help="training steps; default 50")
    parser.add_argument(
        "--repeats", type=int, default=5, help="measurements of small sizes; default 5"
    )


def run(options: Namespace) -> Outcome:
    """Prepare and train every size; small sizes are measured before and after the large ones."""
    sizes = [s for s in (QUICK_SIZES if options.quick else SIZES) if s <= (options.limit or s)]
    runs: dict[int, list[Row]] = {size: [] for size in sizes}
    with TemporaryDirectory() as name:
        folder = Path(name)
        own_process(write_model, folder / "model")
        for turn in range(1 if options.quick else options.repeats):
            for size in sizes:
                if turn == 0 or size <= REPEATED_ROWS:
                    runs[size].append(own_process(measure, folder, size, options.steps))
    rows = [summary(size, measurements) for size, measurements in runs.items()]
    return Outcome(
        rows,
        verdicts(rows),
        ["a tiny random model; random sentences; no test split, no baselines"],
    )


def write_model(folder: Path) -> None:
    """Write a random BERT with 2 layers, hidden size 32 and the bundled model's tokenizer."""
    from transformers import BertConfig, BertForMaskedLM

    from warmstart.config import ModelConfig
    from warmstart.models.checkpoints.load import find
    from warmstart.models.checkpoints.quiet import quiet

    tokenizer = find(ModelConfig()).tokenizer
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        pad_token_id=tokenizer.pad_token_id,
    )
    with quiet():
        BertForMaskedLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def write_rows(path: Path, rows: int, words: Sequence[str]) -> None:
    """Write a file like CoLA's: source, label, mark and sentence, without header.

    Args:
        path: path of the file.
        rows: number of rows.
        words: vocabulary, most frequent word first; words are sampled by Zipf's law.
    """
    generator = np.random.default_rng(0)
    shares = np.cumsum(1 / (np.arange(len(words)) + 10))
    with path.open("w", encoding="utf-8") as file:
        for start in range(0, rows, _WRITTEN_ROWS):
            count = min(_WRITTEN_ROWS, rows - start)
            ends = np.cumsum(np.clip(generator.poisson(_MEAN_WORDS, count), 2, 40))
            sampled = np.searchsorted(shares, generator.random(ends[-1]) * shares[-1]).tolist()
            labels = (generator.random(count) < 0.7).astype(int).tolist()
            for label, begin, end in zip(labels, [0, *ends], ends, strict=False):
                sentence = " ".join([words[index] for index in sampled[begin:end]])
                file.write(f"gen\t{label}\t\t{sentence}.\n")


def measure(folder: Path, rows: int, steps: int) -> Row:
    """Prepare the rows and make the first training steps; runs in its own process.

    Args:
        folder: folder with the model; the file of rows is written there and removed afterwards.
        rows: number of rows.
        steps: number of training steps.
    """
    from warmstart.models.checkpoints.load import find

    checkpoint = find(cola.settings(folder, str(folder / "model")).model)
    pieces = sorted(checkpoint.tokenizer.get_vocab().items(), key=lambda item: item[1])
    words = [piece for piece, _ in pieces if piece.isascii() and piece.isalpha()]
    _prepare_and_train(folder, WARMUP_ROWS, words, steps=2)
    with _memory() as base:
        pass
    result = _prepare_and_train(folder, rows, words, steps)
    for part in ("prepare", "train"):
        peaks = result.pop(f"{part}_memory")
        result[f"{part}_peak_mib"] = peaks["resident"]
        result[f"{part}_above_model_mib"] = peaks["resident"] - base["resident"]
        result[f"{part}_above_model_anonymous_mib"] = peaks["anonymous"] - base["anonymous"]
    return {"rows": rows, "model_mib": base["resident"], **result}


def _prepare_and_train(folder: Path, rows: int, words: Sequence[str], steps: int) -> Row:
    """Times and peak memory of preparation and training."""
    from warmstart.errors import Interrupted
    from warmstart.models.checkpoints.load import find
    from warmstart.preparation.prepare import prepare
    from warmstart.runs.directory import RunDirectory
    from warmstart.training.job import job_for
    from warmstart.training.loop import fit

    path = folder / f"{rows}.tsv"
    write_rows(path, rows, words)
    files = f"data.train={path.name}", "data.test=null"
    config = cola.settings(folder, str(folder / "model"), *files)
    began = time.perf_counter(), time.process_time()
    find(config.model)
    located = time.perf_counter(), time.process_time()
    with _memory() as prepare_memory:
        prepared = prepare(config)
        json.dumps(prepared.data_json())
    ready = time.perf_counter(), time.process_time()
    path.unlink()
    left = iter(range(steps))
    with TemporaryDirectory() as run, _memory() as train_memory:
        job = job_for(prepared, RunDirectory.create(Path(run) / "run"))
        loaded = time.perf_counter()
        ticks: list[float] = []

        def stop() -> bool:
            ticks.append(time.perf_counter())
            return next(left) == steps - 1

        with suppress(Interrupted):
            fit(job, resume=False, stop_requested=stop)
    seconds, cpu_seconds = (
        (ready[clock] - located[clock]) - (located[clock] - began[clock]) for clock in (0, 1)
    )
    return {
        "microseconds_per_row": seconds / rows * 1e6,
        "cpu_microseconds_per_row": cpu_seconds / rows * 1e6,
        "prepare_seconds": ready[0] - located[0],
        "train_seconds": ticks[-1] - loaded,
        "prepare_memory": prepare_memory,
        "train_memory": train_memory,
    }


@contextmanager
def _memory() -> Iterator[dict[str, float]]:
    """Peak resident memory within the ``with`` block, and peak memory without a file, in MiB.

    Only Linux reports these values; on other systems both are the peak of the whole process.
    """
    peaks = {"resident": 0.0, "anonymous": 0.0}
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    over = Event()

    def watch() -> None:
        while True:
            peaks["anonymous"] = max(peaks["anonymous"], _anonymous_mib())
            if over.wait(0.02):
                return

    watcher = Thread(target=watch)
    watcher.start()
    try:
        yield peaks
    finally:
        over.set()
        watcher.join()
        peaks["resident"] = peak_mib()


def _anonymous_mib() -> float:
    status = Path("/proc/self/status")
    if not status.exists():
        return peak_mib()
    lines = status.read_text(encoding="utf-8").splitlines()
    sizes = [line.split()[1] for line in lines if line.startswith(("RssAnon:", "RssShmem:"))]
    return sum(map(int, sizes)) / 1024


def summary(size: int, runs: Sequence[Row]) -> Row:
    """The row of one size: medians over its measurements."""
    row: Row = {"workload": "generated", "engine": "warmstart", "rows": size}
    medians = {name: median(one[name] for one in runs) for name in runs[0] if name != "rows"}
    row["rows_per_second"] = 1e6 / medians["microseconds_per_row"]
    row |= {name: medians[name] for name in ("microseconds_per_row", "cpu_microseconds_per_row")}
    row["microseconds_per_row_low"] = min(one["microseconds_per_row"] for one in runs)
    row["microseconds_per_row_high"] = max(one["microseconds_per_row"] for one in runs)
    row |= {name: medians[name] for name in ("prepare_peak_mib", "train_peak_mib", "train_seconds")}
    for kind in ("mib", "anonymous_mib"):
        parts = [medians[f"{part}_above_model_{kind}"] for part in ("prepare", "train")]
        row[f"above_model_{kind}"] = max(parts)
    row["runs"] = list(runs)
    return row


def verdicts(rows: Sequence[Row]) -> list[Verdict]:
    """Whether the time per row is constant, and whether memory is bounded."""
    times = [row["microseconds_per_row"] for row in rows]
    ratio = max(times) / min(times)
    least, most = rows[0]["rows"], rows[-1]["rows"]
    memory = max(row["above_model_mib"] for row in rows)
    return [
        Verdict(
            f"the time per row is equal for {least:,} to {most:,} rows, within 10 % (highest "
            "divided by lowest)",
            ratio,
            MAX_RATIO,
            ratio <= MAX_RATIO,
        ),
        Verdict(
            f"up to {most:,} rows are prepared and trained with 2 GiB above the model (MiB)",
            memory,
            MAX_MIB,
            memory <= MAX_MIB,
        ),
    ]
