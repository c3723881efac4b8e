"""JSON lines: what is not one flat object per line is refused with its line, fast and safely."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.data.reading_helpers import refusal, table, written

GOOD = '{"text": "a", "label": "x"}\n'


@pytest.mark.parametrize("before", [0, 5000])
@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"text": "a", "text": "b", "label": "x"}', "the key 'text' is repeated"),
        ('{"text": "a", "label": "x", "more": {"k": 1, "k": 2}}', "the key 'k' is repeated"),
        ('{"text": "a", "label": "x"} {"text": "b", "label": "x"}', "Extra data"),
        ('{"text": "a", "label": "x"}{"text": "b", "label": "x"}', "Extra data"),
        ('{"text": "a"} {"text": "b"}\n{"text":\n"c"}', "Extra data"),
        ('{"text":\n"a"}', "Expecting value"),
        ('{"text": "a", "label": "x"},', "Extra data"),
        ("[" * 10_000, "recursion"),
        ('{"text": ' + "[" * 10_000 + "]" * 10_000 + "}", "recursion"),
        ('{"text": ' + '{"a":' * 10_000, "recursion"),
    ],
)
def test_a_line_that_is_not_one_object(tmp_path: Path, line: str, reason: str, before: int) -> None:
    path = written(tmp_path, GOOD * before + line + "\n" + GOOD, "a.jsonl")
    error = refusal(path)
    assert error.found.startswith(f"{path}:{before + 1} is not a JSON object (")
    assert reason in error.found


@pytest.mark.parametrize(
    ("value", "kind"),
    [(["a", "b"], "a list"), ({"de": "a"}, "an object"), ([], "a list"), ([1], "a list")],
)
@pytest.mark.parametrize("setting", ["text", "text_pair", "prompt"])
def test_a_list_or_an_object_is_not_a_text(
    tmp_path: Path, value: object, kind: str, setting: str
) -> None:
    path = written(tmp_path, GOOD + json.dumps({"x": value, "text": "b"}) + "\n", "a.jsonl")
    error = refusal(path, **{setting: "x"})
    assert error.found.startswith(f"{path}:2: the column 'x' (data.{setting}) is {kind} here: ")
    assert f"--set data.{setting}=COLUMN" in error.do
    assert len(table(path)) == 2  # a column that is not used may contain anything


def test_lists_of_words_are_not_refused(tmp_path: Path) -> None:
    path = written(tmp_path, '{"text": ["The", "cat"], "tags": ["O", "O"]}\n', "a.jsonl")
    read = table(path, words="text", tags="tags")
    assert read.columns["text"].to_pylist() == ['["The", "cat"]']


CHAT = [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Hello."}]


@pytest.mark.skipif(shutil.which("jq") is None, reason="the advice needs jq")
@pytest.mark.parametrize(
    ("value", "text"), [(CHAT, "user: Hi.\nassistant: Hello."), (["two", "parts"], "two parts")]
)
def test_the_advice_turns_a_list_into_a_text(tmp_path: Path, value: object, text: str) -> None:
    line = json.dumps({"messages": value}) + "\n"
    path = written(tmp_path, line, "a.jsonl")
    error = refusal(path, text="messages")
    assert ("--set data.prompt=COLUMN" in error.do) == (value == CHAT)
    command = error.do[error.do.index("jq -c") :].replace("FILE.jsonl", "FILE")
    command = command.replace("FILE", "a.jsonl", 1).replace("NEW.jsonl", "b.jsonl")
    subprocess.run(["bash", "-c", command], cwd=tmp_path, check=True)
    column = "text" if value == CHAT else "messages"
    assert table(tmp_path / "b.jsonl", text=column).columns[column].to_pylist() == [text]


def test_nan_is_a_missing_value(tmp_path: Path) -> None:
    path = written(tmp_path, '{"text": "a", "label": NaN}\n' + GOOD, "a.jsonl")
    assert table(path).columns["label"].to_pylist() == [None, "x"]
    path = written(tmp_path, '{"text": "a", "label": NaN}\n{"label": 0.5}\n', "b.jsonl")
    assert table(path).columns["label"].to_pylist() == [None, "0.5"]


def test_an_integer_of_many_digits_keeps_them(tmp_path: Path) -> None:
    digits = "9" * 5000
    path = written(tmp_path, f'{{"text": "a", "label": {digits}}}\n', "a.jsonl")
    assert table(path).columns["label"].to_pylist() == [digits]


def test_a_new_key_in_every_line_is_refused(tmp_path: Path) -> None:
    lines = "".join(f'{{"text": "a", "k{n}": "x"}}\n' for n in range(20_000))
    error = refusal(path := written(tmp_path, lines, "a.jsonl"))
    assert error.found == f"{path}:5000: the file has more than 5,000 columns"
    assert "jq -c '{text, label}'" in error.do


def test_keys_that_first_occur_late_are_columns(tmp_path: Path) -> None:
    """The first lines are read alone, to find the columns."""
    late = '{"text": "b", "label": "y", "more": 1}\n'
    read = table(written(tmp_path, GOOD * 5000 + late + GOOD, "a.jsonl"))
    assert read.columns["more"].to_pylist() == [None] * 5000 + ["1", None]
    assert read.columns["label"][5000].as_py() == "y"
    assert read.lines.tolist() == list(range(1, 5003))


def test_infinities_stay_numbers_inside_of_lists(tmp_path: Path) -> None:
    line = '{"a": [Infinity, -Infinity, "Infinity", NaN], "b": -Infinity}\n'
    row = table(written(tmp_path, line, "a.jsonl")).columns.to_pylist()[0]
    assert row == {"a": '[Infinity, -Infinity, "Infinity", null]', "b": "-Infinity"}
