"""Configs from files, mappings, ``--set`` and flags: their meaning, and all their errors."""

from pathlib import Path
from typing import Any

import pytest

from warmstart import config_file, errors
from warmstart.config import (
    TrainConfig,
)

SMALLEST = {"data": {"train": "a.csv"}}


def refused(source: Any, overrides: list[str] | None = None) -> errors.ConfigError:
    """The error that ``load`` raises."""
    with pytest.raises(errors.ConfigError) as caught:
        config_file.load(source, overrides or [])
    return caught.value


def written(folder: Path, text: str) -> Path:
    """A config file with this content."""
    path = folder / "bad.yaml"
    path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize(
    ("group", "line", "found", "expected", "advice"),
    [
        ("train", "epochs: -1", "train.epochs is -1", "a whole number ≥ 0", "train.epochs: auto"),
        ("train", "epochs: 2.0", "train.epochs is 2.0", "a whole number", "train.epochs: 2"),
        ("train", "epochs: '5'", "train.epochs is '5'", "a whole number", "train.epochs: 5"),
        ("train", "epochs: five", "train.epochs is five", "a whole number", "train.epochs: auto"),
        ("train", "epochs: true", "train.epochs is true", "a whole number", "train.epochs: auto"),
        ("train", "epochs: null", "train.epochs is null", "a whole number", "train.epochs: auto"),
        ("train", "epochs: [1]", "train.epochs is [1]", "a whole number", "train.epochs: auto"),
        ("train", "epochs: {a: 1}", 'train.epochs is {"a": 1}', "a whole", "train.epochs: auto"),
        (
            "train",
            "learning_rate: 2",
            "train.learning_rate is 2",
            "a number > 0 and < 1",
            "train.learning_rate: auto",
        ),
        (
            "train",
            "schedule: cos",
            "train.schedule is cos",
            '"linear", "cosine" or "constant"',
            "train.schedule: cosine",
        ),
        (
            "train",
            "early_stopping: 0",
            "train.early_stopping is 0",
            "a whole number ≥ 1 or null",
            "train.early_stopping: null",
        ),
        (
            "model",
            "max_tokens: 2",
            "model.max_tokens is 2",
            '"auto" or a whole number ≥ 3',
            "model.max_tokens: auto",
        ),
        (
            "data",
            "validation: 20",
            "data.validation is 20",
            'a number > 0 and < 1, "none", non-empty text or a non-empty list of texts',
            "data.validation: 0.1",
        ),
        ("data", "columns: a", "data.columns is a", "a non-empty list", 'data.columns: ["a"]'),
        ("data", "columns: [a, 1]", 'data.columns is ["a", 1]', "list", 'data.columns: ["a", "1"]'),
        ("data", "label: 1", "data.label is 1", "text", "data.label: '1'"),
        ("data", "label: true", "data.label is true", "text", "data.label: 'true'"),
        ("data", "stratify: no", "data.stratify is 'no'", "true or false", "data.stratify: false"),
        ("data", "delimiter: ';;'", "data.delimiter is ;;", "one character", "null"),
        ("data", "quoting: None", "data.quoting is None", '"double" or "none"', "quoting: none"),
        (
            "train",
            "learning_rte: 2e-5",
            "train.learning_rte is not a setting",
            "a known setting, such as train.learning_rate",
            "train.learning_rate: 2.0e-05",
        ),
        ("train", "text: body", "train.text is not a setting", "data.text", "data.text: body"),
        ("train", "lr: 0.1", "train.lr is not a setting", "", "train.learning_rate: 0.1"),
        ("train", "max_length: 64", "train.max_length is not", "", "model.max_tokens: 64"),
        (
            "train",
            "zzzzzz: 1",
            "train.zzzzzz is not a setting",
            "a known setting",
            "remove it; `warmstart recipes cola`",
        ),
        (
            "train",
            "{warmup_steps: 0, warmup_share: 0.1}",
            "train.warmup_share is 0.1 and train.warmup_steps is 0",
            "one of the two",
            "--set train.warmup_steps=null or --set train.warmup_share=null",
        ),
        (
            "data",
            "{train: a, format: jsonl, delimiter: ';'}",
            "data.delimiter is set and data.format is jsonl",
            "no data.delimiter",
            "--set data.delimiter=null",
        ),
    ],
)
def test_one_fault_is_said_in_words_with_its_line(
    tmp_path: Path, group: str, line: str, found: str, expected: str, advice: str
) -> None:
    train = "" if line.startswith("{train") else "data:\n  train: a.csv\n"
    text = f"{train if group != 'data' else ''}{group}:\n  {line}\n"
    if group == "data" and train:
        text += "  train: a.csv\n"
    path = written(tmp_path, text)
    error = refused(path)
    number = next(n for n, row in enumerate(text.splitlines(), 1) if line in row)
    assert error.found.startswith(f"{path}:{number}: {found}")
    assert expected in error.expected
    assert advice in error.do
    # One error, three lines: no message of pydantic.
    assert len(str(error).splitlines()) == 3


@pytest.mark.parametrize(
    ("content", "found", "advice"),
    [
        ({}, "data.train is missing", "data.train: FILE"),
        ({"data": None}, "data.train is missing", "data.train: FILE"),
        ({"data": {"train": None}}, "data.train is null", "data.train: FILE"),
        ({"data": {"train": ""}}, "data.train is ''", "data.train: FILE"),
        ({"data": {"train": []}}, "data.train is []", "data.train: FILE"),
        ({"data": {"train": 5}}, "data.train is 5", "data.train: '5'"),
        ({"data": {"train": {"a"}}}, """data.train is "{'a'}\"""", "data.train: "),
        ({"data": "a.csv"}, "data is a.csv", "set one setting of the group, such as data.train"),
        ({**SMALLEST, "train": [3]}, "train is [3]", "such as train.epochs"),
        ({**SMALLEST, "epochs": 3}, "epochs is not a setting", "train.epochs: 3"),
        ({**SMALLEST, "training": {"epochs": 3}}, "training is not a setting", "train:"),
        (
            {**SMALLEST, "task": "text-clasification"},
            "task is text-clasification",
            "task: text-classification",
        ),
    ],
)
def test_faults_of_a_config_made_in_python(
    content: dict[str, Any], found: str, advice: str
) -> None:
    error = refused(content)
    assert error.found == found
    assert advice in error.do


def test_all_faults_are_in_one_message_each_with_its_place(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "task: text-clasification\n"
        "model: {max_tokens: 1}\n"
        "data:\n"
        "  format: jsonl\n"
        "  columns: [a, b]\n"
        "  text: body\n"
        "  label: body\n"
        "train:\n"
        "  epochs: -1\n"
        "  epochs: 3\n"
        "  warmup_steps: 1\n"
        "  warmup_share: 0.1\n"
        "lr: 2e-5\n",
    )
    message = str(refused(path, ["train.seed=-1", "nope=1", "train=3", "train.batch_size"]))
    assert message.startswith(f"{path} has 13 errors\n")
    for line in (
        f"  {path}:1: task is text-clasification",
        f"  {path}:2: model.max_tokens is 1",
        f"  {path}:3: data.train is missing",
        f"  {path}:5: data.columns is set and data.format is jsonl",
        f"  {path}:7: data.text and data.label are both body",
        f"  {path}:9: train.epochs is -1",
        f"  {path}:10: train.epochs was already set in line 9",
        f"  {path}:12: train.warmup_share is 0.1 and train.warmup_steps is 1",
        f"  {path}:13: lr is not a setting",
        "  --set train.seed=-1: train.seed is -1",
        "  --set nope=1: nope is not a setting",
        "  --set train=3: train is 3",
        "  --set train.batch_size",
    ):
        assert line in message.splitlines()
    assert message.count("\n    expected: ") == message.count("\n    try:      ") == 13
    assert message.endswith("  try:      correct all 13 errors as described above")


@pytest.mark.parametrize(
    ("override", "place", "value"),
    [
        ("train.learning_rate=2e-5", "train.learning_rate", 2e-5),
        ("train.learning_rate= 2e-5 ", "train.learning_rate", 2e-5),
        ("train.max_gradient_norm=null", "train.max_gradient_norm", None),
        ("train.weight_decay=0", "train.weight_decay", 0.0),
        ("data.columns=[a, 'b c']", "data.columns", ["a", "b c"]),
        ("data.test=[a.csv, b.csv]", "data.test", ["a.csv", "b.csv"]),
        ("data.text=a=b", "data.text", "a=b"),
        ("data.text=1", "data.text", "1"),
        ("data.text=a: b", "data.text", "a: b"),
        ("model.revision=0123456", "model.revision", "0123456"),
        ("model.revision=null", "model.revision", None),
        ("data.validation=0.2", "data.validation", 0.2),
        ("data.validation=b.csv", "data.validation", "b.csv"),
        ("data.delimiter=|", "data.delimiter", "|"),
        ("data.delimiter=:", "data.delimiter", ":"),
        ("data.delimiter=\t", "data.delimiter", "\t"),
        ('data.delimiter="\\t"', "data.delimiter", "\t"),
        ("data.dir=https://a.org/b.zip#sha256=0a", "data.dir", "https://a.org/b.zip#sha256=0a"),
        ("data.stratify=false", "data.stratify", False),
    ],
)
def test_what_an_override_means(override: str, place: str, value: object) -> None:
    config = config_file.load(SMALLEST, [override])
    group, _, name = place.partition(".")
    found = getattr(getattr(config, group), name)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("override", "found", "advice"),
    [
        ("train.epochs", "--set train.epochs", "--set train.epochs=VALUE"),
        ("=3", "--set =3", "=VALUE"),
        ("train.epochs=-1", "--set train.epochs=-1: train.epochs is -1", "--set train.epochs=auto"),
        ("train.lr=1e-4", "--set train.lr=1e-4: train.lr is not a", "train.learning_rate=0.0001"),
        ("train.epochs.x=1", "--set train.epochs.x=1: train.epochs.x is not", "remove it"),
        ("data=a.csv", "--set data=a.csv: data is a.csv", "such as data.train"),
        ("data.columns=[a", "--set data.columns=[a: data.columns is '[a'", "data.columns="),
        ("data.validation=2", "--set data.validation=2: ", "--set data.validation=0.1"),
    ],
)
def test_faults_of_an_override(override: str, found: str, advice: str) -> None:
    error = refused(SMALLEST, [override])
    assert error.found.startswith(found)
    assert advice in error.do


def test_an_override_replaces_the_value_in_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, "data: {train: a.csv}\ntrain: {epochs: -1}\n")
    assert config_file.load(path, ["train.epochs=2"]).train.epochs == 2
    assert refused(path).found == f"{path}:2: train.epochs is -1"


def test_overrides_leave_what_was_given_untouched() -> None:
    given_mapping: dict[str, Any] = {"data": {"train": Path("a.csv"), "columns": ("a", "b")}}
    config = config_file.load(given_mapping, ["data.text=a", "data.label=b"])
    assert config.data.train == "a.csv"
    assert config.data.columns == ["a", "b"]
    assert given_mapping == {"data": {"train": Path("a.csv"), "columns": ("a", "b")}}
    again = config_file.load(config, ["data.text=c"])
    assert (again.data.text, config.data.text) == ("c", "a")
    assert config_file.load(config) == config


def test_a_group_whose_lines_are_all_commented_out_is_empty(tmp_path: Path) -> None:
    path = written(tmp_path, "data:\n  train: a.csv\ntrain:\n  # epochs: 3\n")
    assert config_file.load(path).train == TrainConfig()
    assert config_file.load(path, ["train.epochs=1"]).train.epochs == 1


@pytest.mark.parametrize("content", [b"\xef\xbb\xbfdata: {train: a.csv}", b"data: {train: a.csv}"])
def test_a_byte_order_mark_is_no_content(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.yaml").write_bytes(content)
    assert config_file.load(tmp_path / "a.yaml").data.train == "a.csv"


def test_files_that_hold_no_config(tmp_path: Path) -> None:
    path = written(tmp_path, "")
    assert refused(path).found == f"{path}: data.train is missing"
    path = written(tmp_path, "text,label\ngood,1\n")
    assert refused(path).found == f"{path} contains text,label good,1, not settings"
    assert "warmstart train FILE --text" in refused(path).do
    path.write_bytes("task: x\n# größe\n".encode("latin-1"))
    assert refused(path).found == f"{path}:2: bytes that are not UTF-8"
    assert refused(path).do == "save the file as UTF-8"
    path.write_text("task: [x\n")
    assert refused(path).found.startswith(f"{path}:2:1: ")


def test_paths_that_are_no_file(tmp_path: Path) -> None:
    assert refused(tmp_path).do.startswith(
        f"{tmp_path}/config.yaml, if the folder is a run directory"
    )
    assert refused(tmp_path / "x.yaml").found == f"{tmp_path / 'x.yaml'} does not exist"
    assert "cola" in refused(tmp_path / "x.yaml").do
    file = written(tmp_path, "")
    assert refused(file / "x.yaml").found == f"{file / 'x.yaml'}: Not a directory"
    assert refused(file / "x.yaml").do == "check its permissions"
