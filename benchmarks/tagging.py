"""Names in tweets: warmstart and a plain Transformers ``Trainer``, compared by entity F1 and speed.

Workload ``btc-minilm``: the Broad Twitter Corpus with the settings of recipe ``btc-offline``. Both
engines have the same rows, tags, checkpoint, epochs, batch size, rate, decay, schedule and warm-up,
and keep the model with the best entity F1 on the validation rows. The peer is set up as in
Transformers' documentation of token classification: the first piece of each word has the label, the
others -100, and the collator pads each batch to its longest row. Runs alternate: both engines with
one seed, then both with the next, each in its own process.

Entity F1 is seqeval's (``warmstart.metrics.entity_metrics``) for both engines. Samples per second
are rows of the training split times epochs, divided by the seconds of the training steps;
evaluation and saving are not counted.

Source: Derczynski, Bontcheva & Roberts 2016, COLING, "Broad Twitter Corpus"; Transformers
documentation, "Token classification".
"""

import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.machine import own_process, peak_mib
from benchmarks.outcome import Outcome, Row, Verdict
from benchmarks.quality import standard_error
from warmstart.config import DEFAULT_WARMUP_SHARE, ResolvedTrainConfig

DESCRIPTION = "entity F1 and speed on tweets, next to Transformers' Trainer"
WORKLOAD = "btc-minilm"
F1 = "entity_f1"
IGNORED = -100
"""Label of tokens that do not enter the loss, as defined by Transformers and PyTorch."""
DATA = Path("../shared/data/btc")
SPEED_TARGET = 2.0
QUICK_SENTENCES = 200


def add_options(parser: ArgumentParser) -> None:
    """Add the options for the corpus, seeds, and a short trial."""
    parser.add_argument("--data", type=Path, default=DATA, metavar="FOLDER")
    parser.add_argument("--model", default="bundled/minilm-l6", metavar="NAME")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--device", choices=["cpu", "auto"], default="cpu")
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"{QUICK_SENTENCES} sentences of each file, one epoch, one seed: only to try it out",
    )


def run(options: Namespace) -> Outcome:
    """Run every engine with every seed, alternately."""
    runs: list[Row] = []
    with TemporaryDirectory() as folder:
        data = shortened(options.data, Path(folder)) if options.quick else options.data
        epochs = 1 if options.quick else options.epochs
        for seed in options.seeds[:1] if options.quick else options.seeds:
            for engine in ENGINES:
                print(f"tagging: {engine}, seed {seed} …", file=sys.stderr, flush=True)
                settings = [f"data.dir={data}", f"model.name={options.model}"]
                settings += [f"train.device={options.device}", "train.precision=float32"]
                found = own_process(measure, engine, settings, seed, epochs)
                runs.append({"engine": engine, "seed": seed, **found})
    rows = [summary(engine, runs) for engine in ENGINES]
    notes = ["samples_per_second: training steps only, without evaluation and saving"]
    return Outcome(rows, verdicts(rows[0], rows[1]), notes)


def shortened(data: Path, folder: Path) -> Path:
    """Copies of the corpus's files with their first sentences.

    Args:
        data: folder with the files.
        folder: an empty folder.
    """
    for file in data.glob("*.conll"):
        sentences = file.read_text(encoding="utf-8").split("\n\n")[:QUICK_SENTENCES]
        (folder / file.name).write_text("\n\n".join(sentences) + "\n", encoding="utf-8")
    return folder


def measure(engine: str, settings: Sequence[str], seed: int, epochs: int) -> Row:
    """Train once and score the best model; runs in its own process.

    Args:
        engine: a key of ``ENGINES``.
        settings: settings of both engines: data, model and device.
        seed: seed of the head, the order of rows, and dropout.
        epochs: passes over the training rows.
    """
    from warmstart import config_file
    from warmstart.preparation.prepare import prepare

    own = (*settings, f"train.seed={seed}", f"train.epochs={epochs}")
    prepared = prepare(config_file.load("btc-offline", own))
    with TemporaryDirectory() as folder:
        began = time.perf_counter()
        scores, seconds = ENGINES[engine](prepared, Path(folder))
        whole = time.perf_counter() - began
    rows = len(prepared.tables["train"])
    return {
        "test_f1": scores["test"],
        "validation_f1": scores["validation"],
        "samples_per_second": rows * epochs / seconds,
        "train_seconds": seconds,
        "seconds": whole,
        "peak_mib": peak_mib(),
        "rows": {name: len(table) for name, table in prepared.tables.items()},
    }


def warmstart(prepared: Any, folder: Path) -> tuple[dict[str, float], float]:
    """F1 of the kept model by split, and the seconds of the training steps."""
    from warmstart.runs.events import events_of, read_events
    from warmstart.training.train_run import train_run

    finished = train_run(prepared, folder / "run")
    scores = {
        split: float(finished.evaluations[split]["scores"][F1]["value"] or 0)
        for split in ("validation", "test")
    }
    events = events_of(read_events(folder / "run" / "events.jsonl"), "evaluation")
    return scores, sum(event["train_seconds"] for event in events)


def transformers_trainer(prepared: Any, folder: Path) -> tuple[dict[str, float], float]:
    """The same with a plain ``Trainer`` with ``load_best_model_at_end``."""
    from transformers import (
        AutoModelForTokenClassification,
        AutoTokenizer,
        DataCollatorForTokenClassification,
        PrinterCallback,
        Trainer,
        TrainingArguments,
        set_seed,
    )

    from benchmarks import peers

    peers.quiet()
    config, names = prepared.config.train, prepared.task.label_names
    tokenizer = AutoTokenizer.from_pretrained(prepared.checkpoint.folder)
    set_seed(config.seed)
    model = AutoModelForTokenClassification.from_pretrained(
        prepared.checkpoint.folder, num_labels=len(names)
    )
    encoded, read = {}, {}
    for split in prepared.tables:
        encoded[split], read[split] = features(prepared, split, tokenizer, prepared.max_tokens)
    steps = peers.total_steps(len(prepared.tables["train"]), config)
    arguments = TrainingArguments(
        **{
            **peers.optimiser_arguments(config, folder, steps, warmup_steps(config, steps)),
            "use_cpu": config.device == "cpu",
        },
        eval_strategy="epoch",
        save_strategy="epoch",
        per_device_eval_batch_size=config.batch_size,
        save_total_limit=1,
        load_best_model_at_end=True,
        metric_for_best_model=F1,
        greater_is_better=True,
    )
    clock = epoch_clock()
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=encoded["train"],
        eval_dataset=encoded["validation"],
        processing_class=tokenizer,
        data_collator=DataCollatorForTokenClassification(tokenizer),
        compute_metrics=lambda found: {
            F1: entity_f1(prepared, "validation", found, read["validation"])
        },
        callbacks=[clock],
    )
    trainer.remove_callback(PrinterCallback)  # stdout is for the result
    trainer.train()
    trainer.compute_metrics = None  # it only works for the validation rows
    test: Any = trainer.predict(encoded["test"])
    assert trainer.state.best_metric is not None
    scores = {
        "validation": trainer.state.best_metric,
        "test": entity_f1(prepared, "test", test, read["test"]),
    }
    return scores, clock.seconds


def warmup_steps(config: ResolvedTrainConfig, steps: int) -> int:
    """Number of warm-up steps, computed as in warmstart.

    Args:
        config: the training settings.
        steps: number of steps of the whole training.
    """
    if config.warmup_steps is not None:
        return config.warmup_steps
    share = DEFAULT_WARMUP_SHARE if config.warmup_share is None else config.warmup_share
    return min(int(share * steps), steps - 1)


def features(
    prepared: Any, split: str, tokenizer: Any, max_tokens: int
) -> tuple[list[dict[str, Any]], np.ndarray[Any, np.dtype[np.int64]]]:
    """Rows as in Transformers' documentation: labels only at first pieces.

    Args:
        prepared: the run that warmstart prepared.
        split: name of the split.
        tokenizer: the checkpoint's tokenizer.
        max_tokens: longest row.

    Returns:
        The rows, and the words of the split that have a label, in order, int64 [R]: some words have
        no token at all, others are beyond the limit.
    """
    table, labels = prepared.splits[split].table, prepared.splits[split].labels
    words = table.columns.column("words").to_pylist()
    encoded = tokenizer(words, is_split_into_words=True, truncation=True, max_length=max_tokens)
    rows, read = [], []
    for row in range(len(words)):
        own = labels.classes[labels.bounds[row] : labels.bounds[row + 1]].tolist()
        before, tags = None, []
        for word in encoded.word_ids(row):
            if word is None or word == before:
                tags.append(IGNORED)
            else:
                tags.append(own[word])
                read.append(labels.bounds[row] + word)
            before = word
        rows.append({**{name: values[row] for name, values in encoded.items()}, "labels": tags})
    return rows, np.array(read, dtype=np.int64)


def entity_f1(
    prepared: Any, split: str, found: Any, read: np.ndarray[Any, np.dtype[np.int64]]
) -> float:
    """Entity F1 of a ``Trainer``'s output, with the same function that scores warmstart.

    Args:
        prepared: the run that warmstart prepared.
        split: name of the split.
        found: ``predictions`` [N, L, C] and ``label_ids`` [N, L].
        read: the words that have a label, in order, int64 [R]; the others are predicted ``O``.
    """
    from warmstart.data.tags.word_table import layout_of
    from warmstart.tasks.predictions.tag_predictions import TagPredictions

    task, labels = prepared.task, prepared.splits[split].labels
    layout = layout_of(prepared.splits[split].table, prepared.config.data)
    at_words = found.label_ids != IGNORED
    words = np.arange(len(layout.words.starts))
    predicted = np.full(len(words), task.label_names.index("O"))
    predicted[read] = found.predictions.argmax(-1)[at_words]
    shares = np.ones(len(words))
    tags = TagPredictions(task.label_names, "BIO", layout, words, predicted, shares)
    return float(task.score(tags, labels).metrics[F1].value or 0)


def epoch_clock() -> Any:
    """A callback that adds up the seconds of the epochs' steps, without evaluation."""
    from transformers import TrainerCallback

    class EpochClock(TrainerCallback):
        seconds = 0.0
        began = 0.0

        def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self.began = time.perf_counter()

        def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self.seconds += time.perf_counter() - self.began

    return EpochClock()


ENGINES = {"warmstart": warmstart, "transformers-trainer": transformers_trainer}


def summary(engine: str, runs: Sequence[Row]) -> Row:
    """The row of one engine: means over seeds, and the standard error of the mean F1.

    Args:
        engine: name of the engine.
        runs: the runs of all engines.
    """
    own = [one for one in runs if one["engine"] == engine]
    row: Row = {"workload": WORKLOAD, "engine": engine, "seeds": [one["seed"] for one in own]}
    for metric in ("test_f1", "validation_f1"):
        values = [one[metric] for one in own]
        row[metric] = mean(values)
        row[f"{metric}_standard_error"] = standard_error(values)
    for name in ("samples_per_second", "train_seconds", "seconds"):
        row[name] = mean(one[name] for one in own)
    row["peak_mib"] = max(one["peak_mib"] for one in own)
    row["runs"] = own
    return row


def verdicts(ours: Row, peer: Row) -> list[Verdict]:
    """Whether F1 is at least the peer's minus its standard error, and the speed twice the peer's.

    Args:
        ours: warmstart's row.
        peer: the ``Trainer``'s row.
    """
    claim = "warmstart mean test entity F1 >= transformers-trainer mean - one standard error"
    error = peer["test_f1_standard_error"]
    target = None if error is None else peer["test_f1"] - error
    holds = None if target is None else ours["test_f1"] >= target
    ratio = ours["samples_per_second"] / peer["samples_per_second"]
    speed = f"warmstart / transformers-trainer, samples per second, at least {SPEED_TARGET:g}"
    return [
        Verdict(claim, ours["test_f1"], target, holds),
        Verdict(speed, ratio, SPEED_TARGET, ratio >= SPEED_TARGET),
    ]
