"""How good is a first run? Every engine with its own defaults, on the same rows.

Engines: ``warmstart`` with nothing set but files and columns; Transformers' ``Trainer`` with its
defaults (3 epochs, 5e-5, batches of 8), and with 5 epochs and batches of 32; logistic regression
on normalised mean-pooled embeddings of the same checkpoint (C chosen on the validation rows);
logistic regression on TF-IDF (warmstart's baseline); and ``setfit`` if it is installed, for few
rows. All train on the same training rows; those that need a validation split use the same one, a
tenth of them. The score is the task's main metric on the test rows.

Data sets: Banking77 (whole, and 8, 16 or 64 rows of each intent), CoLA (out of domain), the
bundled corpus of recipe ``demo``; WikiQA and the Broad Twitter Corpus without the engines that
cannot rank or tag.

A run takes minutes. With ``--work FILE`` each finished run is written to the file, and runs in the
file are not repeated.
"""

import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.default_sets import SETS
from benchmarks.machine import own_process, peak_mib
from benchmarks.outcome import Outcome, Row, Verdict
from benchmarks.quality import append_run, finished_runs, standard_error

DESCRIPTION = "scores of every engine with its own defaults"
SHARED = Path("../shared/data")
STRENGTHS = (0.1, 1.0, 3.0, 10.0, 20.0, 100.0)
"""C of the logistic regression on embeddings."""


def add_options(parser: ArgumentParser) -> None:
    """Add the options for data, data sets, engines, seeds, and the file of finished runs."""
    parser.add_argument("--data", type=Path, default=SHARED, metavar="FOLDER")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--work", type=Path, metavar="FILE", help="JSON lines with finished runs")
    parser.add_argument(
        "--limit", type=int, metavar="ROWS", help="only this many training rows, to try the suite"
    )


def run(options: Namespace) -> Outcome:
    """Run every engine on every data set with every seed, alternately."""
    known = finished_runs(options.work)
    rows = []
    with TemporaryDirectory() as folder:
        for name in options.sets:
            runs = []
            for seed in options.seeds:
                settings = SETS[name](options.data, Path(folder), seed)
                if options.limit is not None:
                    settings["data.limit"] = options.limit
                for engine in options.engines:
                    if name in ONLY.get(engine, SETS):
                        runs.append(_run_once(options, known, name, engine, seed, settings))
            rows += _summaries(name, [run for run in runs if run["score"] is not None])
    notes = [
        "score: mean over seeds of the main metric on the test rows",
        "seconds: from reading the files to the scored test rows, with baselines and report data",
    ]
    return Outcome(rows, _verdicts(rows), notes)


def _run_once(
    options: Namespace,
    known: list[Row],
    name: str,
    engine: str,
    seed: int,
    settings: Mapping[str, Any],
) -> Row:
    key = {"set": name, "engine": engine, "seed": seed, "limit": options.limit}
    for done in known:
        if key.items() <= done.items():
            return done
    print(f"defaults: {name}, {engine}, seed {seed} …", file=sys.stderr, flush=True)
    found = {**key, **own_process(measure, engine, dict(settings), seed)}
    append_run(options.work, found)
    return found


def measure(engine: str, settings: Mapping[str, Any], seed: int) -> Row:
    """Train once and score the test rows; runs in its own process.

    Args:
        engine: a key of ``ENGINES``.
        settings: files and columns, by the dotted names of warmstart's settings.
        seed: seed of everything that is random.
    """
    from warmstart import config_file
    from warmstart.preparation.prepare import prepare

    began = time.perf_counter()
    prepared = prepare(config_file.load({}, {**settings, "train.seed": seed}))
    with TemporaryDirectory() as folder:
        score = ENGINES[engine](prepared, Path(folder))
    return {
        "score": score,
        "seconds": time.perf_counter() - began,
        "peak_mib": peak_mib(),
        "metric": prepared.task.metrics[0].name,
        "rows": {split: len(table) for split, table in prepared.tables.items()},
    }


def warmstart(prepared: Any, folder: Path) -> float:
    """A whole run of warmstart."""
    from warmstart.training.train_run import train_run

    finished = train_run(prepared, folder / "run")
    metric = prepared.task.metrics[0].name
    return float(finished.evaluations["test"]["scores"][metric]["value"])


def tfidf(prepared: Any, folder: Path) -> float:
    """Warmstart's baseline of the task: TF-IDF, BM25, or the most frequent tag of a word."""
    from warmstart.evaluation.baseline_scores import baseline_scores

    test = {"test": prepared.splits["test"]}
    found, _ = baseline_scores(prepared.task, prepared.config, prepared.splits["train"], test)
    metric = prepared.task.metrics[0].name
    values = [scores["test"].metrics[metric].value for scores in found.values()]
    return max(value for value in values if value is not None)


def embeddings(prepared: Any, folder: Path) -> float:
    """Logistic regression on mean-pooled, normalised embeddings of the checkpoint."""
    from sklearn.linear_model import LogisticRegression

    vectors = {name: _embedded(prepared, name) for name in prepared.splits}
    labels = {name: split.labels.tolist() for name, split in prepared.splits.items()}
    fitted = [
        LogisticRegression(C=strength, max_iter=1000).fit(vectors["train"], labels["train"])
        for strength in STRENGTHS
    ]
    best = max(
        fitted, key=lambda one: _score(prepared, "validation", one.predict(vectors["validation"]))
    )
    return _score(prepared, "test", best.predict(vectors["test"]))


def _embedded(prepared: Any, split: str) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The mean of the last hidden states of each row, normalised, [N, H]."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(prepared.checkpoint.folder)
    model = AutoModel.from_pretrained(prepared.checkpoint.folder).eval()
    texts = _texts(prepared, split)
    found = []
    with torch.inference_mode():
        for start in range(0, len(texts), 64):
            batch = tokenizer(
                texts[start : start + 64],
                padding=True,
                truncation=True,
                max_length=prepared.max_tokens,
                return_tensors="pt",
            )
            hidden = model(**batch).last_hidden_state
            mask = batch["attention_mask"].unsqueeze(-1)
            pooled = (hidden * mask).sum(1) / mask.sum(1)
            found.append(torch.nn.functional.normalize(pooled).numpy())
    return np.concatenate(found)


def trainer(prepared: Any, folder: Path) -> float:
    """Transformers' ``Trainer`` with its own defaults; the last weights are scored."""
    return _trained(prepared, folder, {})


def trainer_5_epochs(prepared: Any, folder: Path) -> float:
    """The ``Trainer`` with 5 epochs and batches of 32, at its default rate of 5e-5."""
    return _trained(prepared, folder, {"num_train_epochs": 5, "per_device_train_batch_size": 32})


def _trained(prepared: Any, folder: Path, changes: Mapping[str, Any]) -> float:
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        PrinterCallback,
        Trainer,
        TrainingArguments,
        set_seed,
    )

    from benchmarks import peers
    from benchmarks.corpora import Rows

    peers.quiet()
    tokenizer = AutoTokenizer.from_pretrained(prepared.checkpoint.folder)
    set_seed(prepared.config.train.seed)
    model = AutoModelForSequenceClassification.from_pretrained(
        prepared.checkpoint.folder, num_labels=len(prepared.task.label_names)
    )
    inputs = {
        name: peers.features(
            Rows(_texts(prepared, name), split.labels.tolist()), tokenizer, prepared.max_tokens
        )
        for name, split in prepared.splits.items()
    }
    arguments = TrainingArguments(
        output_dir=str(folder),
        seed=prepared.config.train.seed,
        save_strategy="no",
        use_cpu=True,
        dataloader_pin_memory=False,
        report_to="none",
        disable_tqdm=True,
        **changes,
    )
    engine = Trainer(
        model=model,
        args=arguments,
        train_dataset=inputs["train"],
        processing_class=tokenizer,
        data_collator=DataCollatorWithPadding(tokenizer),
    )
    engine.remove_callback(PrinterCallback)  # stdout is for the result
    engine.train()
    logits: Any = engine.predict(inputs["test"]).predictions
    return _score(prepared, "test", logits.argmax(-1))


def setfit(prepared: Any, folder: Path) -> float | None:
    """SetFit with its defaults on the same checkpoint; None if it is not installed."""
    return _setfit(prepared, folder, {})


def setfit_20(prepared: Any, folder: Path) -> float | None:
    """SetFit with 20 positive and 20 negative pairs of each row, as in its paper."""
    return _setfit(prepared, folder, {"num_iterations": 20})


def _setfit(prepared: Any, folder: Path, changes: Mapping[str, Any]) -> float | None:
    try:
        from datasets import Dataset
        from setfit import SetFitModel, Trainer, TrainingArguments
    except ImportError:
        return None
    texts, labels = _texts(prepared, "train"), prepared.splits["train"].labels.tolist()
    model = SetFitModel.from_pretrained(str(prepared.checkpoint.folder))
    arguments = TrainingArguments(
        output_dir=str(folder), seed=prepared.config.train.seed, **changes
    )
    arguments.report_to = "none"
    engine = Trainer(
        model=model,
        args=arguments,
        train_dataset=Dataset.from_dict({"text": texts, "label": labels}),
    )
    engine.train()
    return _score(prepared, "test", np.asarray(model.predict(_texts(prepared, "test"))))


def _texts(prepared: Any, split: str) -> list[str]:
    table = prepared.splits[split].table
    texts: list[str] = table.column(prepared.config.data.text, "data.text").to_pylist()
    return texts


def _score(prepared: Any, split: str, predicted: Any) -> float:
    """The main metric of predicted classes, [N]."""
    from sklearn.metrics import f1_score, matthews_corrcoef

    labels = prepared.splits[split].labels.tolist()
    if prepared.task.metrics[0].name == "matthews_correlation":
        return float(matthews_corrcoef(labels, predicted))
    return float(f1_score(labels, predicted, average="macro"))


ENGINES: Mapping[str, Callable[[Any, Path], float | None]] = {
    "warmstart": warmstart,
    "trainer": trainer,
    "trainer-5-epochs": trainer_5_epochs,
    "embeddings-lr": embeddings,
    "tfidf-lr": tfidf,
    "setfit": setfit,
    "setfit-20": setfit_20,
}


CLASSIFIES = frozenset(SETS) - {"wikiqa", "btc"}
ONLY: Mapping[str, Sequence[str] | frozenset[str]] = {
    "trainer": CLASSIFIES,
    "trainer-5-epochs": CLASSIFIES,
    "embeddings-lr": CLASSIFIES,
    "setfit": ("banking-8", "banking-16"),
    "setfit-20": ("banking-8", "banking-16", "banking-64"),
}
"""Data sets of the engines that do not run on all of them."""


def _summaries(name: str, runs: Sequence[Row]) -> list[Row]:
    rows = []
    for engine in dict.fromkeys(run["engine"] for run in runs):
        own = [run for run in runs if run["engine"] == engine]
        scores = [run["score"] for run in own]
        rows.append(
            {
                "set": name,
                "engine": engine,
                "metric": own[0]["metric"],
                "score": mean(scores),
                "standard_error": standard_error(scores),
                "lowest": min(scores),
                "highest": max(scores),
                "seconds": mean(run["seconds"] for run in own),
                "peak_mib": max(run["peak_mib"] for run in own),
                "runs": own,
            }
        )
    return rows


def _verdicts(rows: Sequence[Row]) -> list[Verdict]:
    """Warmstart is not below the best other engine minus its standard error."""
    found = []
    for name in dict.fromkeys(row["set"] for row in rows):
        engines = {row["engine"]: row for row in rows if row["set"] == name}
        ours = engines.pop("warmstart", None)
        if ours is None or not engines:
            continue
        best = max(engines.values(), key=lambda row: row["score"])
        target = best["score"] - (best["standard_error"] or 0.0)
        claim = f"{name}: {ours['metric']} of warmstart >= {best['engine']} − standard error"
        found.append(Verdict(claim, ours["score"], target, ours["score"] >= target))
    return found
