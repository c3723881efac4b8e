"""The same rows give the same split, examples and weights, whatever the format of the file."""

import csv
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.torch import load_file

from tests.runs_in_memory import (
    number_settings,
    settings,
    tagging_settings,
    topic_settings,
    whole_run,
)
from warmstart import config_file
from warmstart.data.examples.batches import Examples
from warmstart.data.examples.targets import RowTargets
from warmstart.data.examples.token_targets import WordTags
from warmstart.preparation.prepare import Prepared, prepare

Rows = list[dict[str, Any]]


def delimited(rows: Rows, path: Path, delimiter: str) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0].keys(), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)


def lines_of(rows: Rows) -> str:
    return "\n".join(map(json.dumps, rows))


WRITERS: dict[str, Callable[[Rows, Path], Any]] = {
    "a.csv": lambda rows, path: delimited(rows, path, ","),
    "a.tsv": lambda rows, path: delimited(rows, path, "\t"),
    "a.jsonl": lambda rows, path: path.write_text(lines_of(rows)),
    "a.json": lambda rows, path: path.write_text(json.dumps(rows, indent=1)),
    "lines.json": lambda rows, path: path.write_text(lines_of(rows)),
    "a.jsonl.gz": lambda rows, path: path.write_bytes(gzip.compress(lines_of(rows).encode())),
    "a.parquet": lambda rows, path: pq.write_table(pa.Table.from_pylist(rows), path),
}


def prepared(config: dict[str, Any], rows: Rows, name: str, folder: Path, **data: Any) -> Prepared:
    """The run of this config with the rows in a file of this name."""
    WRITERS[name](rows, folder / name)
    changed = {**config["data"], **data, "train": str(folder / name)}
    return prepare(config_file.load({**config, "data": changed}))


def content(run: Prepared) -> dict[str, list[Any]]:
    """The row ids, tokens and targets of each split."""
    return {name: arrays_of(found) for name, found in run.examples.items()}


def arrays_of(examples: Examples) -> list[Any]:
    assert isinstance(examples.targets, RowTargets | WordTags)
    tokens = examples.tokens
    arrays = (tokens.rows, tokens.offsets, tokens.input_ids, examples.targets.values)
    return [array.tolist() for array in arrays]


KINDS: dict[str, tuple[Callable[[Path], dict[str, Any]], Callable[[str], Any], dict[str, Any]]] = {
    "names": (settings, str, {}),
    "floats": (settings, lambda label: float(label == "good"), {}),
    "together": (settings, str, {"duplicates": "together"}),
    "a sample": (settings, str, {"limit": 40}),
    "numbers": (number_settings, float, {}),
    "topics": (topic_settings, str, {}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_format_gives_the_same_examples(tmp_path: Path, kind: str) -> None:
    config_of, label_of, data = KINDS[kind]
    config = config_of(tmp_path)
    label = config["data"].get("label", "label")
    with Path(config["data"]["train"]).open(encoding="utf-8", newline="") as file:
        rows = [{**row, label: label_of(row[label])} for row in csv.DictReader(file)]
    found = {name: content(prepared(config, rows, name, tmp_path, **data)) for name in WRITERS}
    assert len(found["a.csv"]["validation"][0]) > 10
    assert [name for name in WRITERS if found[name] != found["a.csv"]] == []


def test_every_format_of_lists_gives_the_same_examples(tmp_path: Path) -> None:
    config = tagging_settings(tmp_path)
    with Path(config["data"]["train"]).open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    names = [name for name in WRITERS if name not in ("a.csv", "a.tsv")]
    found = {name: content(prepared(config, rows, name, tmp_path)) for name in names}
    assert [name for name in names if found[name] != found["a.jsonl"]] == []


def test_an_array_and_json_lines_give_the_same_weights(tmp_path: Path) -> None:
    config = settings(tmp_path, epochs=1)
    with Path(config["data"]["train"]).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    weights = []
    for name in ("a.json", "a.jsonl", "a.csv"):
        run = prepared(config, rows, name, tmp_path)
        _, job = whole_run(run, tmp_path / f"run-{name}")
        weights.append(load_file(job.run.model / "model.safetensors"))
    first, *others = weights
    for other in others:
        assert all(bool((other[name] == tensor).all()) for name, tensor in first.items())
