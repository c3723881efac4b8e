"""Labels that files write as ids get the names of ``data.label_names``."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.runs_in_memory import settings, tagging_settings, topic_settings
from warmstart import config_file
from warmstart.errors import ConfigError, DataError
from warmstart.preparation.prepare import Prepared, prepare
from warmstart.tasks.capabilities import label_names_of

NAMES = ["sad", "dull", "glad"]


def prepared(folder: Path, text: str, names: Any, **data: Any) -> Prepared:
    """A classification run over a file with this content."""
    made = settings(folder)
    (folder / "reviews.csv").write_text(text)
    return prepare(
        config_file.load({**made, "data": {**made["data"], "label_names": names, **data}})
    )


def rows(*labels: object) -> str:
    lines = (f"the cat {number},{label}" for number, label in enumerate(labels * 10))
    return "\n".join(["text,label", *lines, ""])


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        ((0, 1, 2), NAMES),
        (("2.0", "1.0", "0.0"), NAMES),
        ((1, 2, 10), {10: "glad", 1: "sad", 2: "dull"}),
        ((-1, 0, 1), {"-1": "sad", "0": "dull", "1": "glad"}),
        (("n", "o", "p"), {"n": "sad", "o": "dull", "p": "glad"}),
    ],
)
def test_ids_get_their_names_in_the_order_of_the_ids(
    tmp_path: Path, labels: tuple[object, ...], names: Any
) -> None:
    found = prepared(tmp_path, rows(*labels), names)
    assert label_names_of(found.task) == tuple(NAMES)
    assert list(found.findings.splits[0].label_counts) == sorted(NAMES)


def test_the_names_are_given_on_the_command_line_and_stay_in_config_yaml(tmp_path: Path) -> None:
    made = settings(tmp_path)
    config = config_file.load(made, ["data.label_names={0: no, 1: yes}"])
    assert config.data.label_names == {"0": "no", "1": "yes"}
    (tmp_path / "config.yaml").write_text(config_file.dump(config))
    assert config_file.load(tmp_path / "config.yaml").data == config.data
    assert config_file.load(made, ["data.label_names=[a, b]"]).data.label_names == ["a", "b"]
    # YAML reads true as a boolean; the file has the text.
    flags_in_text = {"true": "yes", "false": "no"}
    flags = {True: "yes", False: "no"}
    boolean = config_file.load({**made, "data": {**made["data"], "label_names": flags}})
    assert boolean.data.name_of_label == flags_in_text
    (tmp_path / "config.yaml").write_text(
        "data: {train: a.csv, label_names: {true: yes, false: no}}\n"
    )
    assert config_file.load(tmp_path / "config.yaml").data.name_of_label == flags_in_text


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["sad", "dull"], "reviews.csv:4: the label '2' has no name in data.label_names"),
        ([*NAMES, "odd"], "no training row has the label '3', which data.label_names calls 'odd'"),
    ],
)
def test_ids_and_names_that_do_not_fit_are_refused(
    tmp_path: Path, names: list[str], found: str
) -> None:
    with pytest.raises(DataError) as caught:
        prepared(tmp_path, rows(0, 1, 2), names)
    assert found in caught.value.found


@pytest.mark.parametrize("names", [["a", "a"], {0: "a", 1: "a"}, ["a", " "], ["a"], "a", [1, 2]])
def test_names_that_are_no_names_are_refused(tmp_path: Path, names: Any) -> None:
    made = settings(tmp_path)
    with pytest.raises(ConfigError, match=r"data\.label_names"):
        config_file.load({**made, "data": {**made["data"], "label_names": names}})


def test_another_file_may_have_the_names_themselves(tmp_path: Path) -> None:
    other = tmp_path / "more.csv"
    other.write_text(rows("glad", "sad"))
    found = prepared(tmp_path, rows(0, 1, 2), NAMES, validation=str(other))
    assert found.splits["validation"].labels.tolist()[:2] == [2, 0]
    other.write_text(rows("glad", 0))
    with pytest.raises(DataError, match="the label 'glad' has no name"):
        prepared(tmp_path, rows(0, 1, 2), NAMES, validation=str(other))


def test_names_in_the_training_file_get_the_order_of_the_setting(tmp_path: Path) -> None:
    found = prepared(tmp_path, rows("glad", "dull", "sad"), NAMES)
    assert label_names_of(found.task) == tuple(NAMES)
    plain = prepared(tmp_path, rows("glad", "dull", "sad"), None)
    assert label_names_of(plain.task) == ("dull", "glad", "sad")


@pytest.mark.parametrize("labels", [[[1, 0, 1], [0, 1, 0]], [[0, 2], [1]]])
def test_lists_of_ids_get_their_names(tmp_path: Path, labels: list[list[int]]) -> None:
    made = topic_settings(tmp_path)
    path = tmp_path / "topics.jsonl"
    lines = [{"text": f"the cat {n}", "topics": labels[n % 2]} for n in range(40)]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    data = {**made["data"], "train": str(path), "label_names": NAMES}
    found = prepare(config_file.load({**made, "data": data}))
    assert label_names_of(found.task) == tuple(NAMES)
    assert found.splits["train"].labels[0][0].tolist() in (
        [True, False, True],
        [False, True, False],
    )
    assert not any("'0'" in message.text for message in found.findings.messages)


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_tags_of_words_get_their_names(tmp_path: Path, suffix: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    made = tagging_settings(tmp_path)
    path = tmp_path / f"ids.{suffix}"
    lines = [{"words": ["Ada", "Li", f"w{n}"], "tags": [1, 2, 0]} for n in range(20)]
    if suffix == "jsonl":
        path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    else:
        pq.write_table(pa.Table.from_pylist(lines), path)
    data = {**made["data"], "train": str(path), "label_names": ["O", "B-PER", "I-PER"]}
    found = prepare(config_file.load({**made, "data": data}))
    assert label_names_of(found.task) == ("O", "B-PER", "I-PER")
    with pytest.raises(DataError, match="no training row has the label '3'"):
        prepare(
            config_file.load({**made, "data": {**data, "label_names": ["O", "B-A", "I-A", "X"]}})
        )
