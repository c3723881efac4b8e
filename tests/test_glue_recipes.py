"""The recipes of GLUE: rows of the Hub or of a folder, the same labels, the official metrics."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import warmstart
from tests.data.reading_helpers import table
from tests.glue_files import NAMES, write_glue
from tests.tiny import tiny_checkpoint
from warmstart import config_file, errors
from warmstart.data.reading import sources
from warmstart.data.reading.formats import all_rows
from warmstart.preparation.prepare import Prepared, prepare
from warmstart.tasks.capabilities import label_names_of

LABELS = {
    "cola": ("unacceptable", "acceptable"),
    "sst2": ("negative", "positive"),
    "mrpc": ("not_equivalent", "equivalent"),
    "qqp": ("not_duplicate", "duplicate"),
    "mnli": ("entailment", "neutral", "contradiction"),
    "qnli": ("entailment", "not_entailment"),
    "rte": ("entailment", "not_entailment"),
    "wnli": ("not_entailment", "entailment"),
}
"""The labels of the data set on the Hub, in the order of their ids."""


def prepared(name: str, folder: Path, **changes: Any) -> Prepared:
    """A recipe on made-up files, with a tiny model."""
    model = folder / "model"
    if not model.exists():
        tiny_checkpoint(model)
    given = {"model.name": str(model), "model.max_tokens": 64, "data.validation": 0.25}
    given |= {"train.epochs": 1, "train.batch_size": 8, "data.dir": str(folder)}
    overrides = {**given, **{key.replace("__", "."): value for key, value in changes.items()}}
    return prepare(config_file.load(f"glue/{name}", overrides))


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_reads_the_classic_folder(name: str, tmp_path: Path) -> None:
    """Train, validation and test have rows; the labels have the order of GLUE's ids."""
    found = prepared(name, write_glue(tmp_path, [name], rows=48))
    sizes = {split: len(rows.table) for split, rows in found.splits.items()}
    assert sizes == {"train": 36, "validation": 12, "test": 24}
    assert label_names_of(found.task) == LABELS.get(name, ())
    metric = found.config.train.best_metric or found.task.metrics[0].name
    official = {"cola": "matthews_correlation", "mrpc": "f1", "qqp": "f1"}
    official |= {"stsb": "pearson_correlation"}
    assert metric == official.get(name, "accuracy")
    test = found.splits["test"].labels.tolist()
    if name == "stsb":
        assert test[:3] == [0.0, 2.5, 5.0]
    else:
        assert test[:3] == ([0, 1, 2] if name == "mnli" else [0, 1, 0])


@pytest.mark.parametrize("name", ["mrpc", "rte"])
def test_the_rows_of_the_hub_and_of_a_folder_are_the_same(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_glue(tmp_path, [name], rows=24)
    local = prepared(name, folder)

    def from_hub(source: str) -> Any:
        columns = table(source, dir=str(folder)).columns
        labels = columns["label"].to_pylist()
        if name == "mrpc":  # the Hub has ids with names, of which a row gets the name
            labels = [LABELS[name][int(label)] for label in labels]
        columns = columns.set_column(columns.column_names.index("label"), "label", [labels])
        lines = range(1, len(labels) + 1)
        return all_rows(columns, torch.tensor([*lines]).numpy()), source

    monkeypatch.setattr(sources, "read_hub", from_hub)
    hub = prepared(name, tmp_path, data__dir=None)
    assert label_names_of(hub.task) == label_names_of(local.task)
    for split, rows in hub.splits.items():
        assert rows.labels.tolist() == local.splits[split].labels.tolist()
        assert rows.table.columns.drop(["label"]).equals(
            local.splits[split].table.columns.drop(["label"])
        )


def test_cola_of_glue_and_cola_offline_train_the_same_weights(tmp_path: Path) -> None:
    """The same training rows and settings: the files differ, and the labels only get names."""
    folder = write_glue(tmp_path, ["cola"], rows=64)
    raw = tmp_path / "cola_public" / "raw"
    raw.mkdir(parents=True)
    for name, file in {"train": "in_domain_train", "dev": "out_of_domain_dev"}.items():
        (raw / f"{file}.tsv").write_bytes((folder / "CoLA" / f"{name}.tsv").read_bytes())
    tiny_checkpoint(tmp_path / "model")
    same = {"model.name": str(tmp_path / "model"), "data.dir": str(tmp_path)}
    same |= {"train.epochs": 2, "train.batch_size": 8, "train.learning_rate": 1e-3}
    offline = config_file.load("cola-offline", same)
    same |= {"model.max_tokens": offline.model.max_tokens, "data.validation": 0.1}
    same |= {"data.split_seed": offline.data.split_seed}
    train = offline.train.model_dump(exclude_unset=True)
    same |= {f"train.{name}": value for name, value in train.items()}
    same |= {"train.warmup_share": None}
    runs = [
        warmstart.train(offline, output=tmp_path / "offline", progress=False),
        warmstart.train("glue/cola", same, output=tmp_path / "glue", progress=False),
    ]
    first, second = (load_file(run.path / "model" / "model.safetensors") for run in runs)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    scores = [run.scores["test"]["matthews_correlation"] for run in runs]
    assert scores[0] == scores[1]
    answers = [run.predict(["the cat was very old"])[0] for run in runs]
    assert answers[0]["label"] in ("0", "1")
    names = {"0": "unacceptable", "1": "acceptable"}
    assert answers[1]["label"] == names[answers[0]["label"]]


@pytest.mark.parametrize("name", ["mrpc", "qqp"])  # qqp drops rows without a text
def test_the_test_rows_of_glue_have_no_labels_to_score(name: str, tmp_path: Path) -> None:
    folder = write_glue(tmp_path, [name], rows=24)
    with pytest.raises(errors.DataError) as caught:
        prepared(name, folder, data__test=f"hub:nyu-mll/glue/{name}:test")
    assert caught.value.found.endswith(
        "test.tsv: none of the 12 rows has a label in the column 'label'"
    )
    assert "validation rows (often called dev)" in caught.value.do
    run = warmstart.train(prepared(name, folder).config, output=tmp_path / "run", progress=False)
    source, where = f"hub:nyu-mll/glue/{name}:test", {"data.dir": str(folder)}
    with pytest.raises(errors.DataError, match="none of the 12 rows has a label"):
        run.evaluate(source, where)
    assert len(run.predict_file(source, where)) == 12  # what it advises


def test_the_mismatched_rows_of_mnli_are_evaluated_like_a_file(tmp_path: Path) -> None:
    folder = write_glue(tmp_path, ["mnli"], rows=36)
    run = warmstart.train(prepared("mnli", folder).config, output=tmp_path / "run", progress=False)
    source = "hub:nyu-mll/glue/mnli:validation_mismatched"
    scores = run.evaluate(source, {"data.dir": str(folder)})
    assert scores["accuracy"]["n"] == 18


@pytest.mark.parametrize(
    ("typed", "do"),
    [("glue/mrcp", "glue/mrpc (the recipe)"), ("glue/SST-2", "glue/sst2 (the recipe)")],
)
def test_a_name_that_is_almost_one_of_glue(typed: str, do: str) -> None:
    with pytest.raises(errors.ConfigError) as caught:
        config_file.load(typed)
    assert caught.value.do == do
    config_file.load(do.removesuffix(" (the recipe)"))
    with pytest.raises(errors.ConfigError, match=r"there is no recipe|does not exist"):
        config_file.load("./glue/mrpc")  # a path


def test_a_setting_for_a_file_format_is_refused_in_a_folder_of_glue(tmp_path: Path) -> None:
    folder = write_glue(tmp_path, ["rte"], rows=24)
    with pytest.raises(errors.ConfigError, match=r"data\.quoting"):
        prepared("rte", folder, data__quoting="none")
