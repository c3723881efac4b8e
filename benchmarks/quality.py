"""Is the trained model as good as with a plain ``Trainer``? CoLA, several seeds.

Both engines use the same rows of the same split and the settings of recipe ``cola-offline``:
epochs, batch size, rate, decay, schedule, clipping; both keep the checkpoint with the best
validation MCC. Batches are random, or grouped by length for engines whose name ends with
``-grouped``. Batches, head and dropout of the two engines differ even with the same seed, so means
over seeds are compared, not single runs.

The claim: warmstart's mean MCC out of domain is at least the ``Trainer``'s mean minus its standard
error. The stored predictions are also compared as ``warmstart compare`` does it: both engines on
the same rows, the seeds of each averaged before rows are resampled.

A run takes minutes. With ``--work FILE`` each finished run is written to the file, and runs in the
file are not repeated. The suite ``training`` shows these scores next to its speeds.
"""

import json
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean, stdev
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks import cola
from benchmarks.corpora import Rows
from benchmarks.machine import own_process, peak_mib, versions
from benchmarks.materials import Setup
from benchmarks.outcome import Outcome, Row, Verdict
from benchmarks.peers import MCC
from warmstart.metrics.classification_metrics import classification_sums
from warmstart.metrics.intervals import UnitSums
from warmstart.metrics.paired_tests import compare_sides, decide, side_value

DESCRIPTION = "Matthews correlation on CoLA, compared with Transformers' Trainer"

MARGIN = 0.01
"""Smallest difference of the MCC that matters, the default of ``warmstart compare``."""


def add_options(parser: ArgumentParser) -> None:
    """Add the options for engines, seeds, epochs, and the file of finished runs."""
    cola.add_options(parser)
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES)[:2])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument(
        "--work", type=Path, metavar="FILE", help="JSON lines with finished runs, to resume from"
    )


def run(options: Namespace) -> Outcome:
    """Run every engine with every seed, each in its own process."""
    finished = finished_runs(options.work)
    runs = []
    with cola.resized(options.data, options.limit) as data:
        for seed in options.seeds:
            for engine in options.engines:
                key = {
                    "engine": engine,
                    "grouped": engine.endswith(GROUPED),
                    "seed": seed,
                    "epochs": options.epochs,
                    "limit": options.limit,
                    "model": options.model,
                    "versions": versions(),
                }
                known = [one for one in finished if key.items() <= one.items()]
                if not known:
                    print(f"quality: {engine}, seed {seed} …", file=sys.stderr, flush=True)
                    result = own_process(measure, engine, data, options.model, seed, options.epochs)
                    known = [{**key, **result}]
                    append_run(options.work, known[0])
                runs.append(known[-1])
    workload = cola.workload(options.model)
    rows = {engine: summary(engine, runs, workload) for engine in options.engines}
    notes = ["seconds: from loading the weights to the scored test rows, baselines included"]
    pairs = [(ours, peer) for ours, peer in PAIRS if {ours, peer} <= rows.keys()]
    verdicts = [verdict(rows[ours], rows[peer]) for ours, peer in pairs]
    notes += [compared(rows[ours], rows[peer]) for ours, peer in pairs]
    return Outcome(list(rows.values()), verdicts, notes)


def measure(engine: str, data: Path, model: str, seed: int, epochs: int) -> Row:
    """Train once and score the best checkpoint; runs in its own process.

    Args:
        engine: a key of ``ENGINES``.
        data: folder with CoLA's files.
        model: ``model.name``.
        seed: seed of the head, the order of rows, and dropout.
        epochs: passes over the training rows.
    """
    from warmstart.preparation.prepare import prepare

    grouped = str(engine.endswith(GROUPED)).lower()
    own = f"train.seed={seed}", f"train.epochs={epochs}", f"train.group_by_length={grouped}"
    prepared = prepare(cola.settings(data, model, *own))
    with TemporaryDirectory() as folder:
        began = time.perf_counter()
        validation, answers = ENGINES[engine](prepared, Path(folder))
        seconds = time.perf_counter() - began
    labels = rows_of(prepared, "test").labels
    run = {"test_labels": _digits(labels), "test_answers": _digits(answers)}
    return {
        **run,
        "test_mcc": side_value([_sums(run)], MCC)[0],
        "validation_mcc": validation,
        "seconds": seconds,
        "peak_mib": peak_mib(),
        "rows": {name: len(table) for name, table in prepared.tables.items()},
    }


def warmstart(prepared: Any, folder: Path) -> tuple[float, list[int]]:
    """Validation MCC of a whole warmstart run, and the predicted class of each test row."""
    from warmstart.evaluation.stored_runs import stored_runs
    from warmstart.training.train_run import train_run

    finished = train_run(prepared, folder / "run")
    validation = float(finished.evaluations["validation"]["scores"][MCC]["value"])
    (stored,) = stored_runs([folder / "run"], "test", common_rows=False)
    predictions, _ = prepared.task.read_back(stored.rows)
    return validation, predictions.predicted.tolist()


def transformers_trainer(prepared: Any, folder: Path) -> tuple[float, list[int]]:
    """The same of a plain ``Trainer`` with ``load_best_model_at_end``."""
    from benchmarks import peers

    setup = setup_of(prepared)
    strategy = "group_by_length" if prepared.config.train.group_by_length else "random"
    trainer = peers.trainer(setup, folder, strategy=strategy, evaluating=True)
    trainer.train()
    test = rows_of(prepared, "test")
    inputs: Any = peers.features(test, trainer.processing_class, setup.max_tokens)
    logits = trainer.predict(inputs).predictions
    assert trainer.state.best_metric is not None
    return trainer.state.best_metric, np.asarray(logits).argmax(axis=1).tolist()


def setup_of(prepared: Any) -> Setup:
    """The inputs with which a peer repeats the run that warmstart prepared."""
    return Setup(
        Path(),
        prepared.checkpoint.folder,
        prepared.max_tokens,
        prepared.config.train,
        frozen=False,
        train=rows_of(prepared, "train"),
        validation=rows_of(prepared, "validation"),
    )


def rows_of(prepared: Any, split: str) -> Rows:
    """The rows of a split as warmstart prepared them."""
    rows = prepared.splits[split]
    texts = rows.table.column(prepared.config.data.text, "data.text").to_pylist()
    return Rows(texts, rows.labels.tolist())


GROUPED = "-grouped"
ENGINES: dict[str, Callable[[Any, Path], tuple[float, list[int]]]] = {
    "warmstart": warmstart,
    "transformers-trainer": transformers_trainer,
    "warmstart-grouped": warmstart,
    "transformers-trainer-grouped": transformers_trainer,
}
PAIRS = (
    ("warmstart", "transformers-trainer"),
    ("warmstart-grouped", "transformers-trainer-grouped"),
)


def summary(engine: str, runs: Sequence[Row], workload: str) -> Row:
    """The row of one engine: means over seeds with their standard errors.

    Args:
        engine: name of the engine.
        runs: the runs of all engines.
        workload: name of the workload.
    """
    own = [one for one in runs if one["engine"] == engine]
    row: Row = {"workload": workload, "engine": engine, "seeds": [one["seed"] for one in own]}
    for metric in ("test_mcc", "validation_mcc"):
        values = [one[metric] for one in own]
        row[metric] = mean(values)
        row[f"{metric}_standard_error"] = standard_error(values)
    row["seconds"] = mean(one["seconds"] for one in own)
    row["peak_mib"] = max(one["peak_mib"] for one in own)
    # The result file has the versions already; the model may be a folder of this machine.
    omitted = {"versions", "model"}
    row["runs"] = [{key: one[key] for key in one if key not in omitted} for one in own]
    return row


def verdict(ours: Row, peer: Row) -> Verdict:
    """Whether our mean is at least the peer's mean minus its standard error."""
    claim = f"{ours['engine']} mean >= {peer['engine']} mean - one standard error"
    error = peer["test_mcc_standard_error"]
    if error is None:
        return Verdict(f"{claim} (one seed has none)", ours["test_mcc"], None, None)
    target = peer["test_mcc"] - error
    return Verdict(claim, ours["test_mcc"], target, ours["test_mcc"] >= target)


def compared(ours: Row, peer: Row) -> str:
    """What ``warmstart compare`` decides about the test predictions of all seeds, in a sentence."""
    sides = [[_sums(one) for one in row["runs"]] for row in (ours, peer)]
    found = compare_sides(sides[0], sides[1], MCC)
    decided = decide(found, found.p, MARGIN, sides[0][0].n, higher_is_better=True)
    numbers = "{:+.3f} [{:+.3f}, {:+.3f}], p = {:.3f}".format(*found)
    about = f"; about {decided.units_needed} rows would decide" if decided.units_needed else ""
    return f"{ours['engine']} - {peer['engine']}: {numbers}: {decided.words}{about}"


def _sums(run: Row) -> UnitSums:
    """The sums of a run's test predictions; only the predicted classes are known."""
    targets, predicted = (
        np.array(list(run[key]), dtype=np.int64) for key in ("test_labels", "test_answers")
    )
    return classification_sums(np.eye(2)[predicted], targets, predicted)


def _digits(classes: Sequence[int]) -> str:
    """Classes 0 and 1 of all rows as one string, which keeps the files short."""
    return "".join(str(one) for one in classes)


def standard_error(values: Sequence[float]) -> float | None:
    """Standard error of the mean, from the sample standard deviation; None for one value.

    >>> standard_error([0.3, 0.5])
    0.1
    """
    return round(stdev(values) / len(values) ** 0.5, 12) if len(values) > 1 else None


def finished_runs(work: Path | None) -> list[Row]:
    """The finished runs; a last line that is incomplete because of a crash is ignored."""
    if work is None or not work.exists():
        return []
    finished = []
    for line in work.read_text(encoding="utf-8").splitlines():
        try:
            finished.append(json.loads(line))
        except ValueError:
            print(f"quality: ignoring an incomplete line of {work}", file=sys.stderr)
    return finished


def append_run(work: Path | None, row: Row) -> None:
    if work is not None:
        with work.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
