"""Made-up run directories for tests of the report and the card, and to look at them.

``python -m tests.report.example_run FOLDER`` writes one run like the CoLA recipe's and its report.
"""

import json
import sys
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from warmstart import config_file
from warmstart.config import DataConfig, LoraConfig, ModelConfig, RunConfig, TrainConfig
from warmstart.data.checking.check import Findings, SplitFindings
from warmstart.data.checking.label_messages import Finding
from warmstart.data.checking.lengths import describe_lengths
from warmstart.data.table import SourceFile
from warmstart.metrics.classification_metrics import classification_scores
from warmstart.metrics.scores import Scores

SENTENCES = (
    "The more we study verbs, the crazier they get.",
    "Which book did you file without reading?",
    "They caused him to become angry by making him.",
    "这本书我看完了，可是他没有看过。",
    "John <b>tried</b> & failed to be a good boy | himself.",
    "The keys to the cabinet is on the table.",
)
STEPS_PER_EPOCH = 60


def example_run(
    path: Path,
    labels: tuple[str, ...] = ("unacceptable", "acceptable"),
    *,
    rows: int = 516,
    epochs: int = 4,
    skill: float = 1.2,
    model: str = "google-bert/bert-base-uncased",
    scored: bool = True,
) -> Path:
    """Write a run directory.

    Args:
        path: a new folder.
        labels: label names, C of them.
        rows: number of rows of each scored split.
        epochs: number of trained epochs; 0 stops before the first step.
        skill: how much larger the logit of the true label is.
        model: name of the pretrained checkpoint.
        scored: whether the run was scored; otherwise it was interrupted.
    """
    path.mkdir(parents=True)
    config = RunConfig(
        model=ModelConfig(name=model, max_tokens=48),
        data=DataConfig(
            train="cola_public/raw/in_domain_train.tsv",
            test="cola_public/raw/out_of_domain_dev.tsv",
            columns=["source", "label", "mark", "sentence"],
            quoting="none",
            text="sentence",
        ),
        train=TrainConfig(
            epochs=max(epochs, 1),
            learning_rate=2e-5,
            weight_decay=0.1,
            seed=2018,
            lora=LoraConfig(rank=4, alpha=16),
        ),
    )
    (path / "config.yaml").write_text(config_file.dump(config), encoding="utf-8")
    write_json(path / "task.json", {"task": config.task, "facts": {"label_names": list(labels)}})
    write_json(path / "environment.json", ENVIRONMENT)
    write_json(path / "data.json", data_json(labels))
    events = training_events(labels, epochs, skill)
    if scored:
        events.append({"event": "finish", "status": "finished", "steps": epochs * STEPS_PER_EPOCH,
                       "seconds": 214.6, "best_step": 2 * STEPS_PER_EPOCH - 1})  # fmt: skip
        for split in ("validation", "test"):
            write_evaluation(path, split, labels, rows, skill)
    elif epochs:
        events.append({"event": "interrupted", "step": epochs * STEPS_PER_EPOCH - 1})
    lines = [json.dumps({**event, "time": 1.76e9 + i}) + "\n" for i, event in enumerate(events)]
    (path / "events.jsonl").write_text("".join(lines))
    return path


ENVIRONMENT = {
    "warmstart": "0.1.0",
    "processes": 1,
    "python": "3.11.9",
    "torch": "2.13.0",
    "transformers": "5.23.0",
    "platform": "Linux-6.1-x86_64",
    "device": "cpu",
    "cpu": "2 cores",
    "threads": 2,
    "precision": "float32",
    "execution": "padded to the longest row of a batch",
    "trains": [
        {
            "name": "layers 0-11",
            "parameters": 85_054_464,
            "trained": 0,
            "lowest_rate": 0.0,
            "highest_rate": 0.0,
            "from_epoch": None,
        },
        {
            "name": "head",
            "parameters": 1538,
            "trained": 1538,
            "lowest_rate": 2e-5,
            "highest_rate": 2e-5,
            "from_epoch": 1,
        },
    ],
}


def data_json(labels: tuple[str, ...]) -> dict[str, Any]:
    """Files, splits and findings as for CoLA."""
    random = np.random.default_rng(0)
    splits = {"train": 7696, "validation": 855, "test": 516}
    lengths = {
        split: np.minimum(5 + random.gamma(3.0, 2.6, rows), 70).astype(np.int64)
        for split, rows in splits.items()
    }
    described = describe_lengths(lengths, max_tokens=48)
    shares = np.linspace(1, 2.3, len(labels)) / np.linspace(1, 2.3, len(labels)).sum()
    findings = Findings(
        splits=tuple(
            SplitFindings(
                split=split,
                rows=rows,
                dropped={"ragged": 0, "empty_text": 2 if split == "train" else 0},
                label_counts={n: int(s * rows) for n, s in zip(labels, shares, strict=True)},
                lengths=described[split],
            )
            for split, rows in splits.items()
        ),
        repeats=(),
        messages=(
            Finding("warning", "2 training rows dropped: no text"),
            Finding("warning", "3 of 855 validation rows have the same text as a training row: the "
                    "score may be too high (first: cola_public/raw/in_domain_train.tsv:17 = 9)"),
            Finding("info", f"70.4% of 7,696 training rows have the label {labels[-1]!r}: "
                    "this is the accuracy of always predicting it"),
        ),
    )  # fmt: skip
    train = asdict(SourceFile("cola_public/raw/in_domain_train.tsv", "a5" * 32, "utf-8", 8551))
    test = asdict(SourceFile("cola_public/raw/out_of_domain_dev.tsv", "0f" * 32, "utf-8", 516))
    return {
        "files": {"train": [train], "validation": [train], "test": [test]},
        "splits": {
            "train": {"source": "train", "rows": [0, 1]},
            "validation": {"source": "train", "rows": [2]},
            "test": {"source": "test", "rows": "all"},
        },
        "max_tokens": 48,
        "findings": findings.to_json(),
    }


def training_events(labels: tuple[str, ...], epochs: int, skill: float) -> list[dict[str, Any]]:
    """A training loss that falls, and a validation loss that rises after the second epoch."""
    random = np.random.default_rng(1)
    steps = max(epochs, 1) * STEPS_PER_EPOCH
    events: list[dict[str, Any]] = [
        {"event": "start", "steps": steps, "steps_per_epoch": STEPS_PER_EPOCH, "epochs": epochs,
         "rows": 7696, "batch_size": 32, "precision": "float32", "device": "cpu"}
    ]  # fmt: skip
    losses: list[float] = []
    for step in range(epochs * STEPS_PER_EPOCH):
        epoch = (step + 1) / STEPS_PER_EPOCH
        losses.append(float(0.18 + 0.5 * np.exp(-epoch / 1.6) + random.normal(0, 0.07)))
        events.append({"event": "step", "step": step, "epoch": epoch, "loss": losses[-1],
                       "learning_rate": 2e-5 * (1 - step / steps), "gradient_norm": 1.1,
                       "rows": 32, "tokens": 361, "seconds": 0.8})  # fmt: skip
        if (step + 1) % STEPS_PER_EPOCH == 0:
            scores = made_up(labels, 855, skill * (0.7 + 0.15 * min(epoch, 3)))[0]
            events.append({"event": "evaluation", "step": step, "epoch": epoch,
                           "split": "validation", "best": epoch <= 3,
                           "loss": 0.47 + 0.035 * (epoch - 2) ** 2,
                           "train_loss": float(np.mean(losses[-STEPS_PER_EPOCH:])),
                           "train_seconds": 48.3 + epoch, "seconds": 3.2,
                           "scores": scores.metrics_json()})  # fmt: skip
    return events


@cache
def made_up(labels: tuple[str, ...], rows: int, skill: float) -> tuple[Scores, Any, Any]:
    """Scores of a made-up classifier, its probabilities [N, C] and the true classes [N]."""
    random = np.random.default_rng(2)
    classes = len(labels)
    targets = np.minimum(random.geometric(1.2 / classes, rows) - 1, classes - 1)
    targets = classes - 1 - targets
    if rows > 100:
        targets[64:96] = classes - 1
    logits = random.normal(0, 1, (rows, classes)) * 1.6
    logits[np.arange(rows), targets] += skill * 1.6
    odds = np.exp(logits)
    probabilities = odds / odds.sum(axis=1, keepdims=True)
    return (
        classification_scores(probabilities, targets, labels, intervals=True),
        probabilities,
        targets,
    )


def write_evaluation(
    path: Path, split: str, labels: tuple[str, ...], rows: int, skill: float
) -> None:
    """``evaluation/SPLIT/`` with scores, baselines and predictions."""
    scores, probabilities, targets = made_up(labels, rows, skill)
    baselines = {"majority": made_up(labels, rows, -9.0), "tfidf": made_up(labels, rows, 0.15)}
    folder = path / "evaluation" / split
    folder.mkdir(parents=True)
    majority = {
        name: {**score.to_json(), **({"value": 0.0, "low": 0.0, "high": 0.0}
               if name == "matthews_correlation" else {})}
        for name, score in baselines["majority"][0].metrics.items()
    }  # fmt: skip
    write_json(folder / "scores.json", {
        "split": split, "n": rows, "loss": scores.metrics["log_loss"].value,
        "scores": scores.metrics_json(), "details": dict(scores.details),
        "baselines": {"majority": majority, "tfidf": baselines["tfidf"][0].metrics_json()},
    })  # fmt: skip
    columns: dict[str, Any] = {
        "row": np.arange(rows),
        "file": ["cola_public/raw/out_of_domain_dev.tsv"] * rows,
        "line": np.arange(1, rows + 1),
        "text": [SENTENCES[i % len(SENTENCES)] for i in range(rows)],
        "label": [labels[i] for i in targets],
        "prediction": [labels[i] for i in probabilities.argmax(axis=1)],
        "truncated": np.arange(rows) % 7 == 0,
    }
    columns |= {f"probability:{name}": probabilities[:, i] for i, name in enumerate(labels)}
    pq.write_table(pa.table(columns), folder / "predictions.parquet")


def write_json(path: Path, content: Any) -> None:
    """Write JSON in the same way as a run."""
    path.write_text(json.dumps(content, ensure_ascii=False))


if __name__ == "__main__":
    from warmstart.report.html import write_report

    print(write_report(example_run(Path(sys.argv[1]))))
