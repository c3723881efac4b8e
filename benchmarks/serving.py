"""Speed of prediction from texts: a run with every engine, compared with ``transformers.pipeline``.

The run must be finished and exported with ``warmstart export RUN --int8``. The engines alternate in
ABBA order, each in its own process, which is opened and warmed up before the measurement. All
engines predict the same sentences of CoLA, first all together, then some of them one by one.

- ``samples_per_second``: all sentences in one call (the pipeline with ``batch_size=32``).
- ``one_ms``, ``one_ms_high``: one sentence per call, median and 95th percentile.
- ``forward_ms``: the forward pass alone of the same sentences, tokenised before: Transformers' own
  model for the pipeline and PyTorch, otherwise a bare session of ONNX Runtime; median.

Values are medians over the measurements; ``_low`` and ``_high`` are the lowest and highest rates.
"""

import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from benchmarks.corpora import cola
from benchmarks.machine import own_process
from benchmarks.outcome import Outcome, Row, Verdict
from benchmarks.peers import quiet
from benchmarks.training import DATA, abba
from warmstart.export.session import FILES, open_session

DESCRIPTION = "predicted sentences per second, and time of one: pipeline, PyTorch, ONNX, int8"
ENGINES = ("transformers-pipeline", "warmstart-torch", "warmstart-onnx", "warmstart-int8")
TOGETHER_TARGET, INT8_TARGET, ALONE_TARGET = 3.0, 1.2, 2.0
AROUND_FORWARD_TARGET = 1.0
"""Most milliseconds that ``Run.predict`` adds to the forward pass of one sentence."""
SENTENCES, ALONE, WARM_UP = 10_000, 200, 20

Predict = Callable[[list[str]], Any]


def add_options(parser: ArgumentParser) -> None:
    """Add the options for the run, sentences and repeats."""
    parser.add_argument(
        "--run", type=Path, required=True, metavar="RUN", help="a run exported with --int8"
    )
    parser.add_argument("--repeats", type=int, default=3, help="measurements per engine; default 3")
    parser.add_argument(
        "--limit", type=int, metavar="ROWS", help=f"number of sentences; default {SENTENCES:,}"
    )
    parser.add_argument(
        "--data", type=Path, default=DATA, metavar="FOLDER", help=f"data sets; default {DATA}"
    )


def run(options: Namespace) -> Outcome:
    """Measure all engines alternately."""
    texts = list(islice(cycle(cola(options.data).texts), options.limit or SENTENCES))
    runs_of: dict[str, list[Row]] = {name: [] for name in ENGINES}
    for _, name in abba(ENGINES, options.repeats):
        runs_of[name].append(own_process(measure, name, options.run, texts))
    rows = [summary(name, runs) for name, runs in runs_of.items()]
    return Outcome(rows, judge(runs_of))


def measure(name: str, run: Path, texts: Sequence[str]) -> Row:
    """Measure one engine once.

    Args:
        name: a name of ``ENGINES``.
        run: the run directory.
        texts: texts to predict.
    """
    predict = pipeline(run) if name == ENGINES[0] else ours(run, name.rpartition("-")[2])
    predict(list(texts[:64]))
    start = time.perf_counter()
    predict(list(texts))
    rate = len(texts) / (time.perf_counter() - start)
    alone = milliseconds(predict, [[text] for text in texts[:ALONE]])
    return {
        "samples_per_second": rate,
        "one_ms": median(alone),
        "one_ms_high": quantiles(alone, n=20)[-1],
        "forward_ms": median(forward_milliseconds(name, run, texts[:ALONE])),
    }


def milliseconds(call: Callable[[Any], Any], arguments: Sequence[Any]) -> list[float]:
    """The time of each call, after a few to warm up."""
    for argument in arguments[:WARM_UP]:
        call(argument)
    times = []
    for argument in arguments:
        start = time.perf_counter()
        call(argument)
        times.append(1e3 * (time.perf_counter() - start))
    return times


def forward_milliseconds(name: str, run: Path, texts: Sequence[str]) -> list[float]:
    """The time of the forward pass alone for each text.

    Args:
        name: a name of ``ENGINES``.
        run: the run directory.
        texts: texts, tokenised before the measurement.
    """
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(run / "model")
    rows = [tokenizer(text, truncation=True, return_tensors="pt") for text in texts]
    engine = name.rpartition("-")[2]
    if engine in FILES:
        session = open_session(run / "export" / FILES[engine])
        names = {tensor.name for tensor in session.get_inputs()}
        feeds = [{key: row[key].numpy() for key in names} for row in rows]
        return milliseconds(partial(session.run, None), feeds)
    model = AutoModelForSequenceClassification.from_pretrained(run / "model").eval()
    with torch.inference_mode():
        return milliseconds(lambda row: model(**row), rows)


def pipeline(run: Path) -> Predict:
    """``transformers.pipeline`` on the run's ``model/``, in batches of 32."""
    from transformers import pipeline as make

    quiet()
    classify = make("text-classification", model=str(run / "model"), device="cpu")
    return partial(classify, batch_size=32)


def ours(run: Path, engine: str) -> Predict:
    """``run.predict`` with one of its engines."""
    import warmstart

    return partial(warmstart.load(run).predict, engine=engine)


def summary(name: str, runs: Sequence[Row]) -> Row:
    """The row of one engine.

    Args:
        name: name of the engine.
        runs: its measurements.
    """
    rates = [one["samples_per_second"] for one in runs]
    return {
        "workload": "serve-minilm",
        "engine": name,
        "samples_per_second": median(rates),
        "samples_per_second_low": min(rates),
        "samples_per_second_high": max(rates),
        "one_ms": median(one["one_ms"] for one in runs),
        "one_ms_high": median(one["one_ms_high"] for one in runs),
        "forward_ms": median(one["forward_ms"] for one in runs),
        "runs": list(runs),
    }


def judge(runs_of: dict[str, list[Row]]) -> list[Verdict]:
    """Compare with our targets; each ratio is the median of the ratios within a turn."""
    peer, torch, onnx, int8 = (runs_of[name] for name in ENGINES)

    def verdict(claim: str, fast: list[Row], slow: list[Row], key: str, target: float) -> Verdict:
        ratios = [one[key] / other[key] for one, other in zip(fast, slow, strict=True)]
        return Verdict(f"{claim} ≥ {target:g}", median(ratios), target, median(ratios) >= target)

    def around_forward(engine: str, runs: list[Row]) -> Verdict:
        added = median(run["one_ms"] - run["forward_ms"] for run in runs)
        claim = f"{engine}, predict - forward of one, ms ≤ {AROUND_FORWARD_TARGET:g}"
        return Verdict(claim, added, AROUND_FORWARD_TARGET, added <= AROUND_FORWARD_TARGET)

    rate, one = "samples_per_second", "one_ms"
    return [
        verdict("onnx ÷ pipeline, together", onnx, peer, rate, TOGETHER_TARGET),
        verdict("int8 ÷ pipeline, together", int8, peer, rate, TOGETHER_TARGET),
        verdict("int8 ÷ onnx, together", int8, onnx, rate, INT8_TARGET),
        verdict("pipeline ÷ onnx, time of one", peer, onnx, one, ALONE_TARGET),
        verdict("pipeline ÷ int8, time of one", peer, int8, one, ALONE_TARGET),
        around_forward("torch", torch),
        around_forward("onnx", onnx),
    ]
