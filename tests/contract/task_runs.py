"""The small run of each task, and of its variants, that the contract tests use."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from tests.answering_runs import answering_settings
from tests.runs_in_memory import (
    filling_settings,
    number_settings,
    pairing_settings,
    pretraining_settings,
    ranking_settings,
    settings,
    tagging_settings,
    topic_settings,
    windowed,
    writing_settings,
)


def documents_of_tags(folder: Path) -> dict[str, Any]:
    """A tagging run whose rows belong to documents of three rows each."""
    config = tagging_settings(folder)
    file = Path(config["data"]["train"])
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    lines = [json.dumps({**row, "document": f"d{n // 3}"}) for n, row in enumerate(rows)]
    file.write_text("\n".join(lines), "utf-8")
    return config


CASES: dict[str, Callable[[Path], dict[str, Any]]] = {
    "text-classification": settings,
    "text-classification, rare labels": partial(settings, class_weights="balanced", loss="focal"),
    "text-classification, windows": partial(windowed, settings),
    "text-regression": number_settings,
    "text-regression, windows": partial(windowed, number_settings),
    "multi-label-classification": topic_settings,
    "multi-label-classification, rare labels": partial(
        topic_settings, class_weights="balanced", loss="focal"
    ),
    "text-ranking": ranking_settings,
    "text-ranking, two logits": partial(ranking_settings, loss="cross-entropy"),
    "text-ranking, pairwise": partial(ranking_settings, loss="pairwise"),
    "text-ranking, listwise": partial(ranking_settings, loss="listwise"),
    "token-classification": tagging_settings,
    "token-classification, documents": documents_of_tags,
    "question-answering": answering_settings,
    "question-answering, no answer": partial(answering_settings, unanswerable=0.4),
    "text-generation": writing_settings,
    "fill-mask": filling_settings,
    "next-sentence": pairing_settings,
    "bert-pretraining": pretraining_settings,
}
"""For each task, and each kind of loss, the settings of a small run with made-up data."""
