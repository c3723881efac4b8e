"""The scores of a finished run, computed again from its files with plain Transformers.

Each case is a way in which a reported score and the saved model have disagreed in other tools:
means of batch means, weights of the training loss in a score, the last model instead of the kept
one, windows counted as rows, tokens of overlapping windows counted twice, labels in another unit.
"""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.csv
import pyarrow.parquet
import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)

from tests.quick import slow_except
from tests.runs_in_memory import (
    number_settings,
    settings,
    windowed,
    write_numbers,
    write_reviews,
    writing_settings,
)
from tests.tiny import tiny_checkpoint
from warmstart import config_file
from warmstart.preparation.prepare import prepare
from warmstart.training.train_run import train_run

CLASSIFIERS: dict[str, dict[str, Any]] = {
    "a smaller last batch": {"batch_size": 7},
    "balanced": {"class_weights": "balanced"},
    "focal": {"loss": "focal", "focal_gamma": 2.0},
    "average of the last": {"epochs": 3, "average": {"of": "last", "count": 2}},
    "average of the best": {"epochs": 4, "average": {"of": "best", "count": 2}},
    "an earlier model is the best": {"epochs": 4, "learning_rate": 2e-2, "schedule": "constant"},
    "windows": {},
}
ONE = {"epochs": 1, "learning_rate": 2e-2}


def trained(config: dict[str, Any], path: Path) -> dict[str, float]:
    """Train in ``path``; the scores on the validation rows."""
    train_run(prepare(config_file.load(config)), path)
    stored = json.loads((path / "evaluation/validation/scores.json").read_text("utf-8"))
    return {name: score["value"] for name, score in stored["scores"].items()}


def validation_rows(run: Path, file: Path, *columns: str) -> list[list[Any]]:
    """The columns of the training file at the rows of the validation split."""
    table = pyarrow.parquet.read_table(run / "evaluation/validation/predictions.parquet")
    rows = pyarrow.csv.read_csv(file).take(table.column("row"))
    return [rows.column(name).to_pylist() for name in columns]


def predicted(run: Path, column: str) -> list[float]:
    """A column of the predictions of the validation split."""
    table = pyarrow.parquet.read_table(run / "evaluation/validation/predictions.parquet")
    return [float(value) for value in table.column(column).to_pylist()]


def pieces(ids: list[int], size: int, overlap: int) -> Iterator[list[int]]:
    """Windows of ``size``; each begins with the last ``overlap`` ids of the one before."""
    for start in range(0, max(1, len(ids) - overlap), size - overlap):
        yield ids[start : start + size]


@torch.no_grad()
def logits_of(run: Path, texts: list[str], *, window: int | None = None) -> Tensor:
    """One text at a time; with ``window``, the mean over windows with two repeated tokens."""
    model = AutoModelForSequenceClassification.from_pretrained(run / "model").eval()
    tokenizer = AutoTokenizer.from_pretrained(run / "model")
    found = []
    for text in texts:
        ids = tokenizer(text, add_special_tokens=False).input_ids
        parts = [ids] if window is None else list(pieces(ids, window - 2, overlap=2))
        rows = [[tokenizer.cls_token_id, *part, tokenizer.sep_token_id] for part in parts]
        found.append(torch.cat([model(torch.tensor([row])).logits for row in rows]).mean(0))
    return torch.stack(found)


@pytest.mark.parametrize("case", slow_except(list(CLASSIFIERS), "average of the best", "windows"))
def test_of_a_classifier(case: str, tmp_path: Path) -> None:
    tiny_checkpoint(tmp_path / "checkpoint", layers=1)
    write_reviews(tmp_path / "reviews.csv", 60)
    config = settings(tmp_path, **{**ONE, **CLASSIFIERS[case]})
    if case == "windows":
        config = windowed(settings, tmp_path, **ONE)
    scores = trained(config, tmp_path / "run")
    texts, labels = validation_rows(tmp_path / "run", tmp_path / "reviews.csv", "text", "label")
    window = config["model"].get("max_tokens")
    logits = logits_of(tmp_path / "run", texts, window=window)
    classes = torch.tensor([("bad", "good").index(label) for label in labels])
    stored = predicted(tmp_path / "run", "probability:good")
    assert stored == pytest.approx(logits.softmax(1)[:, 1].tolist(), abs=1e-5)
    loss, right = float(cross_entropy(logits, classes)), logits.argmax(1) == classes
    assert scores["log_loss"] == pytest.approx(loss, rel=1e-4)
    assert scores["accuracy"] == pytest.approx(float(right.float().mean()))


def test_of_a_regression_with_large_labels(tmp_path: Path) -> None:
    tiny_checkpoint(tmp_path / "checkpoint", layers=1)
    config = number_settings(tmp_path, **ONE)
    data = write_numbers(tmp_path / "numbers.csv", 60)
    lines = [line.rsplit(",", 1) for line in data.read_text().splitlines()[1:]]
    scaled = [f"{text},{float(number) * 1e5 + 5e5}" for text, number in lines]
    data.write_text("\n".join(["text,score", *scaled]) + "\n")
    scores = trained(config, tmp_path / "run")
    texts, labels = validation_rows(tmp_path / "run", data, "text", "score")
    values = logits_of(tmp_path / "run", texts)[:, 0].double().numpy()
    assert predicted(tmp_path / "run", "value") == pytest.approx(values.tolist(), rel=1e-6)
    expected = float(np.square(values - np.array(labels)).mean())
    assert scores["mean_squared_error"] == pytest.approx(expected, rel=1e-4)


def test_of_a_decoder_with_long_documents(tmp_path: Path) -> None:
    config = writing_settings(tmp_path, **ONE)
    write_reviews(tmp_path / "documents.csv", 60)
    config["model"]["max_tokens"] = 12
    config["data"] |= {"long_documents": "chunk", "overlap_tokens": 3}
    scores = trained(config, tmp_path / "run")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "run/model").eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "run/model")
    nats, count, size = 0.0, 0, 0
    (texts,) = validation_rows(tmp_path / "run", tmp_path / "documents.csv", "text")
    for text in texts:
        ids = tokenizer(text, add_special_tokens=False).input_ids
        ids = [tokenizer.bos_token_id, *ids, tokenizer.eos_token_id]
        size += len(text.encode())
        for number, piece in enumerate(pieces(ids, 12, overlap=3)):
            with torch.no_grad():
                shares = model(torch.tensor([piece])).logits[0].log_softmax(-1)
            for place in range(3 if number else 1, len(piece)):
                nats -= float(shares[place - 1, piece[place]])
                count += 1
    assert scores["bits_per_byte"] == pytest.approx(nats / size / math.log(2), rel=1e-4)
    assert scores["perplexity"] == pytest.approx(math.exp(nats / count), rel=1e-4)
