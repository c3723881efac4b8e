"""Rows a second from a file to tokenised, checked splits: ``prepare``, as training calls it.

Finding the checkpoint (hashing its weights, opening its tokenizer) costs the same whatever the
rows, so it is timed apart and taken off; ``prepare_seconds`` still holds it. Each workload has a
process of its own. Its first call also imports what later calls find imported; it is reported as
``first_seconds`` and not counted among the others.

The large workload is CoLA repeated. Every one of its rows therefore has duplicates on both sides of
the split, which is the most that the search for duplicates can be given to do.
"""

import time
from argparse import ArgumentParser, Namespace
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import cola
from benchmarks.machine import own_process, peak_mib
from benchmarks.outcome import Outcome, Row, Verdict

DESCRIPTION = "rows a second from a file to tokenised, checked splits"
TARGET_ROWS_PER_SECOND = 20_000
LARGE_ROWS = 200_000


def add_options(parser: ArgumentParser) -> None:
    """Which rows, how many, how often."""
    cola.add_options(parser)
    parser.add_argument("--repeats", type=int, default=5, help="of each workload; 5 by default")
    parser.add_argument("--rows", type=int, default=LARGE_ROWS, help="of the large workload")


def run(options: Namespace) -> Outcome:
    """Prepare CoLA as it is, and repeated to ``options.rows``."""
    workloads = (("cola", options.limit, False), ("cola-repeated", options.rows, True))
    rows: list[Row] = []
    for name, count, repeat in workloads:
        with cola.resized(options.data, count, repeat=repeat) as data:
            row = own_process(measure, data, options.model, options.repeats)
        rows.append({"workload": name, "engine": "warmstart", **row})
    small = rows[0]["rows_per_second"]
    claim = f"CoLA is prepared at {TARGET_ROWS_PER_SECOND:,} rows/s or more"
    verdict = Verdict(claim, small, TARGET_ROWS_PER_SECOND, holds=small >= TARGET_ROWS_PER_SECOND)
    return Outcome(rows, [verdict], ["the checkpoint search is not in rows_per_second"])


def measure(data: Path, model: str, repeats: int) -> Row:
    """Time ``prepare`` and its parts on the training file in ``data``; in its own process.

    Args:
        data: folder with CoLA's files.
        model: whose tokenizer is used.
        repeats: after the first call, which also imports.
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
    """Seconds of ``prepare`` and, called once more by themselves, of its dearest parts."""
    from warmstart.models.checkpoints.load import find as find_checkpoint
    from warmstart.preparation.prepare import prepare, read_splits

    began = time.perf_counter()
    prepared = prepare(config)
    prepared_at = time.perf_counter()
    checkpoint = find_checkpoint(config.model)
    found_at = time.perf_counter()
    tables, _ = read_splits(config)
    read_at = time.perf_counter()
    for table in tables.values():
        prepared.task.examples(table, checkpoint.tokenizer, prepared.max_tokens, labelled=True)
    tokenised_at = time.perf_counter()
    return {
        "rows": sum(map(len, tables.values())),
        "prepare": prepared_at - began,
        "checkpoint": found_at - prepared_at,
        "read_split": read_at - found_at,
        "tokenise": tokenised_at - read_at,
    }
