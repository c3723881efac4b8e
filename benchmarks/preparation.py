"""Rows per second from a file to tokenised, checked splits: ``prepare``, as in training.

Finding the checkpoint (hashing its weights, opening its tokenizer) does not depend on the rows, so
its time is measured separately and subtracted; ``prepare_seconds`` includes it. Each workload has
its own process. The first call also imports modules; it is reported as ``first_seconds`` and not
included in the medians.

The large workload is CoLA, repeated. So every row has duplicates in both splits, which is the worst
case for the search for duplicates.
"""

import time
from argparse import ArgumentParser, Namespace
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import cola
from benchmarks.machine import own_process, peak_mib
from benchmarks.outcome import Outcome, Row, Verdict

DESCRIPTION = "rows per second from a file to tokenised, checked splits"
TARGET_ROWS_PER_SECOND = 20_000
LARGE_ROWS = 200_000


def add_options(parser: ArgumentParser) -> None:
    """Add the options for rows and repeats."""
    cola.add_options(parser)
    parser.add_argument(
        "--repeats", type=int, default=5, help="measurements per workload; default 5"
    )
    parser.add_argument("--rows", type=int, default=LARGE_ROWS, help="rows of the large workload")


def run(options: Namespace) -> Outcome:
    """Prepare CoLA, and CoLA repeated to ``options.rows`` rows."""
    workloads = (("cola", options.limit, False), ("cola-repeated", options.rows, True))
    rows: list[Row] = []
    for name, count, repeat in workloads:
        with cola.resized(options.data, count, repeat=repeat) as data:
            row = own_process(measure, data, options.model, options.repeats)
        rows.append({"workload": name, "engine": "warmstart", **row})
    small = rows[0]["rows_per_second"]
    claim = f"CoLA is prepared at {TARGET_ROWS_PER_SECOND:,} rows/s or more"
    verdict = Verdict(claim, small, TARGET_ROWS_PER_SECOND, holds=small >= TARGET_ROWS_PER_SECOND)
    return Outcome(rows, [verdict], ["rows_per_second does not include finding the checkpoint"])


def measure(data: Path, model: str, repeats: int) -> Row:
    """Measure ``prepare`` and its parts on the training file in ``data``; in its own process.

    Args:
        data: folder with CoLA's files.
        model: model whose tokenizer is used.
        repeats: number of calls after the first one, which also imports modules.
    """
    config = cola.settings(data, model, "data.test=null")
    first = _times(config)
    samples = [_times(config) for _ in range(repeats)]
    typical = {name: median(sample[name] for sample in samples) for name in first}
    counted = [sample["prepare"] - sample["checkpoint"] for sample in samples]
    rows = int(first["rows"])
    return {
        "rows": rows,
        "rows_per_second": rows / median(counted),
        "rows_per_second_low": rows / max(counted),
        "rows_per_second_high": rows / min(counted),
        "first_seconds": first["prepare"],
        "prepare_seconds": typical["prepare"],
        "checkpoint_seconds": typical["checkpoint"],
        "read_split_seconds": typical["read_split"],
        "tokenise_seconds": typical["tokenise"],
        "peak_mib": peak_mib(),
        "runs": samples,
    }


def _times(config: Any) -> dict[str, float]:
    """Seconds of ``prepare`` and, in separate calls, of its slowest parts."""
    from warmstart.models.checkpoints.load import find as find_checkpoint
    from warmstart.preparation.prepare import prepare
    from warmstart.preparation.stages import encode, read_sources, split_tables

    began = time.perf_counter()
    prepared = prepare(config)
    prepared_at = time.perf_counter()
    checkpoint = find_checkpoint(config.model, prepared.task.head)
    found_at = time.perf_counter()
    tables = split_tables(config, read_sources(config))
    read_at = time.perf_counter()
    encode(prepared.task, prepared.splits, checkpoint, prepared.max_tokens)
    tokenised_at = time.perf_counter()
    return {
        "rows": sum(map(len, tables.values())),
        "prepare": prepared_at - began,
        "checkpoint": found_at - prepared_at,
        "read_split": read_at - found_at,
        "tokenise": tokenised_at - read_at,
    }
