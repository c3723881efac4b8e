"""The data sets of suite ``defaults``: files and columns, and nothing else."""

import csv
import random
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

COLA = {
    "data.format": "tsv",
    "data.columns": ["source", "label", "mark", "sentence"],
    "data.quoting": "none",
    "data.text": "sentence",
}


def banking(rows: int | None) -> Callable[[Path, Path, int], dict[str, Any]]:
    """Settings of Banking77, or of a sample of it.

    Args:
        rows: rows of each intent; None for all.
    """

    def settings(data: Path, folder: Path, seed: int) -> dict[str, Any]:
        train = data / "banking77" / "train.csv"
        if rows is not None:
            train = _sampled(train, folder / f"banking-{rows}-{seed}.csv", rows, seed)
        return {
            "data.train": str(train),
            "data.test": str(data / "banking77" / "test.csv"),
            "data.label": "category",
        }

    return settings


def _sampled(source: Path, target: Path, rows: int, seed: int) -> Path:
    """A file with ``rows`` random rows of each label."""
    with source.open(encoding="utf-8", newline="") as file:
        header, *content = csv.reader(file)
    random.Random(seed).shuffle(content)
    seen: Counter[str] = Counter()
    kept = []
    for text, label in content:
        seen[label] += 1
        if seen[label] <= rows:
            kept.append((text, label))
    with target.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *kept])
    return target


def cola(data: Path, folder: Path, seed: int) -> dict[str, Any]:
    """Settings of CoLA, scored out of domain."""
    files = {"train": "in_domain_train.tsv", "test": "out_of_domain_dev.tsv"}
    return {f"data.{k}": str(data / "cola" / name) for k, name in files.items()} | COLA


def demo(data: Path, folder: Path, seed: int) -> dict[str, Any]:
    """Settings of the bundled corpus."""
    files = {split: f"bundled/grammar/{split}" for split in ("train", "validation", "test")}
    return {f"data.{split}": name for split, name in files.items()} | COLA


def wikiqa(data: Path, folder: Path, seed: int) -> dict[str, Any]:
    """Settings of WikiQA."""
    return {
        "task": "text-ranking",
        "data.train": str(data / "wikiqa" / "WikiQA-train.tsv"),
        "data.test": str(data / "wikiqa" / "WikiQA-test.tsv"),
        "data.quoting": "none",
        "data.ragged": "drop",
        "data.text": "Question",
        "data.text_pair": "Sentence",
        "data.label": "Label",
    }


def btc(data: Path, folder: Path, seed: int) -> dict[str, Any]:
    """Settings of the Broad Twitter Corpus."""
    files = {"validation": "g.conll", "test": "h.conll"}
    return {
        "task": "token-classification",
        "data.train": [str(data / "btc" / f"{section}.conll") for section in "abef"],
        **{f"data.{split}": str(data / "btc" / name) for split, name in files.items()},
    }


SETS: Mapping[str, Callable[[Path, Path, int], dict[str, Any]]] = {
    "banking-8": banking(8),
    "banking-16": banking(16),
    "banking-64": banking(64),
    "banking": banking(None),
    "cola": cola,
    "demo": demo,
    "wikiqa": wikiqa,
    "btc": btc,
}
