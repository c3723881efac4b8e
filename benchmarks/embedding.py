"""Speed of vectors: ``warmstart.embed`` next to sentence-transformers' ``encode``.

Both get the same 10,000 sentences of CoLA (its file, repeated) and the bundled MiniLM, with mean
pooling and vectors of length 1, once in the order of the file and once sorted by length (``encode``
sorts its input itself). Engines alternate in ABBA order, each in its own process, which is opened
and warmed up before the measurement. One thread each with ``OMP_NUM_THREADS=1``.

- ``samples_per_second``: median over the measurements; ``_low`` and ``_high``: lowest and highest.
- ``cores_used``: processor time per second; clearly below 1 if other processes were running.
- ``samples_per_core_second``: vectors per second of processor time, which depends less on them.
- ``largest_difference_millionths``: between the numbers of the two engines' first 1,000 vectors.

Source: sentence-transformers documentation, ``SentenceTransformer.encode`` (batches of 32).
"""

import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.corpora import cola
from benchmarks.machine import own_process
from benchmarks.outcome import Outcome, Row, Verdict
from benchmarks.peers import quiet
from benchmarks.training import DATA, abba

DESCRIPTION = "vectors per second: warmstart embed and sentence-transformers"
MODEL = "bundled/minilm-l6"
OURS, PEER = "warmstart", "sentence-transformers"
ENGINES = (OURS, PEER)
ORDERS = ("file order", "sorted by length")
SENTENCES, WARM_UP, COMPARED = 10_000, 64, 1_000
FILE_TARGET, SORTED_TARGET = 2.5, 1.0

Vectors = np.ndarray[Any, np.dtype[np.float32]]
Encode = Callable[[list[str]], Vectors]


def add_options(parser: ArgumentParser) -> None:
    """Add the options for sentences and repeats."""
    parser.add_argument("--repeats", type=int, default=3, help="measurements per engine; default 3")
    parser.add_argument(
        "--limit", type=int, metavar="ROWS", help=f"number of sentences; default {SENTENCES:,}"
    )
    parser.add_argument(
        "--data", type=Path, default=DATA, metavar="FOLDER", help=f"data sets; default {DATA}"
    )


def run(options: Namespace) -> Outcome:
    """Measure both engines alternately, in both orders."""
    texts = list(islice(cycle(cola(options.data).texts), options.limit or SENTENCES))
    rows: list[Row] = []
    verdicts: list[Verdict] = []
    with TemporaryDirectory() as folder:
        for order in ORDERS:
            given = texts if order == ORDERS[0] else sorted(texts, key=len, reverse=True)
            runs_of: dict[str, list[Row]] = {name: [] for name in ENGINES}
            for _, name in abba(ENGINES, options.repeats):
                runs_of[name].append(own_process(measure, name, given, Path(folder)))
            difference = largest_difference(Path(folder))
            rows += [summary(name, order, runs, difference) for name, runs in runs_of.items()]
            verdicts.append(verdict(order, rows[-2], rows[-1]))
    return Outcome(rows, verdicts, ["one process and one model for each measurement"])


def measure(name: str, texts: Sequence[str], folder: Path) -> Row:
    """Measure one engine once, and keep some of its vectors.

    Args:
        name: a name of ``ENGINES``.
        texts: texts to encode.
        folder: where the vectors are written, in a file with this name.
    """
    encode = ours() if name == OURS else sentence_transformers()
    encode(list(texts[:WARM_UP]))
    start, processor = time.perf_counter(), time.process_time()
    found = encode(list(texts))
    seconds = time.perf_counter() - start
    cores = (time.process_time() - processor) / seconds
    np.save(folder / f"{name}.npy", found[:COMPARED])
    return {"samples_per_second": len(texts) / seconds, "cores_used": cores}


def ours() -> Encode:
    """The embedder that ``warmstart embed`` opens."""
    from warmstart.serving.embedder import open_embedder

    embedder = open_embedder(MODEL, pooling="mean", normalize=True)
    return lambda texts: embedder.texts(texts)[0]


def sentence_transformers() -> Encode:
    """``SentenceTransformer.encode``; the checkpoint's own files say how it pools."""
    from sentence_transformers import SentenceTransformer

    from warmstart.models.checkpoints.bundled import bundled_folder

    quiet()
    model = SentenceTransformer(str(bundled_folder(MODEL)), device="cpu")
    return lambda texts: np.asarray(model.encode(texts, batch_size=32))


def largest_difference(folder: Path) -> float:
    """The largest difference of any number in the vectors of the two engines.

    Args:
        folder: with the last vectors of each engine.
    """
    first, second = (np.load(folder / f"{name}.npy") for name in ENGINES)
    return float(np.abs(first - second).max())


def summary(name: str, order: str, runs: Sequence[Row], difference: float) -> Row:
    """The row of one engine.

    Args:
        name: name of the engine.
        order: order of the sentences.
        runs: its measurements.
        difference: from ``largest_difference``.
    """
    rates = [one["samples_per_second"] for one in runs]
    return {
        "workload": f"embed-minilm, {order}",
        "engine": name,
        "samples_per_second": median(rates),
        "samples_per_second_low": min(rates),
        "samples_per_second_high": max(rates),
        "cores_used": median(one["cores_used"] for one in runs),
        "samples_per_core_second": median(
            one["samples_per_second"] / one["cores_used"] for one in runs
        ),
        "largest_difference_millionths": 1e6 * difference,
        "runs": list(runs),
    }


def verdict(order: str, own: Row, peer: Row) -> Verdict:
    """Whether the ratio of the medians reaches its target.

    Args:
        order: order of the sentences.
        own: warmstart's row.
        peer: sentence-transformers' row.
    """
    target = FILE_TARGET if order == ORDERS[0] else SORTED_TARGET
    ratio = own["samples_per_second"] / peer["samples_per_second"]
    claim = f"{OURS} / {PEER}, vectors per second, {order}, at least {target:g}"
    return Verdict(claim, ratio, target, ratio >= target)
