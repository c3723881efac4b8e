"""JSON arrays: records are rows; the content of a ``.json`` file decides how it is read."""

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.data.reading_helpers import refusal, table, written
from warmstart.data.reading import json_arrays

RECORDS = [
    {"text": "a\nb", "label": 1.50, "n": 3},
    {"text": "\u00e9 \u4e2d", "label": None},
    {"text": "c", "label": True, "more": "x"},
]
ROWS = {
    "text": ["a\nb", "\u00e9 \u4e2d", "c"],
    "label": ["1.5", None, "true"],
    "n": ["3", None, None],
    "more": [None, None, "x"],
}
GOOD = {"text": "a", "label": "x"}


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("name", ["a.json", "a.json.gz", "a.txt"])
def test_records_are_rows(
    tmp_path: Path, name: str, indent: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = ("\ufeff " + json.dumps(RECORDS, indent=indent, ensure_ascii=False)).encode("utf-8")
    if name.endswith(".gz"):
        import gzip

        content = gzip.compress(content)
    settings = {"format": "json"} if name == "a.txt" else {}
    for block in (json_arrays.BLOCK, 1):  # one block for all records, or one for each
        monkeypatch.setattr(json_arrays, "BLOCK", block)
        read = table(written(tmp_path, content, name), **settings)
        assert read.columns.to_pydict() == ROWS
        assert read.lines.tolist() == [1, 2, 3]
        assert read.where(2) == f"{tmp_path / name} (record 3)"
        assert read.files[0].format == "json"


def test_an_array_gives_the_rows_of_json_lines(tmp_path: Path) -> None:
    lines = [json.dumps({"text": f"t{n}", "label": n / 3, "words": [n]}) for n in range(3000)]
    array = table(written(tmp_path, "[" + ",\n".join(lines) + "]", "a.json"))
    assert array.columns.equals(table(written(tmp_path, "\n".join(lines), "a.jsonl")).columns)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ([GOOD], "json"),
        ([{"text": "a", "labels": ["x", "y"]}], "json"),
        ([{"words": ["a"], "tags": ["O"]}], "json"),
        ([{"text": "a", "spans": []}], "spans"),
        ([{"text": "a", "label": []}, {"text": "a", "label": [[0, 1, "PER"]]}], "spans"),
        (["Anna", {"entities": [[0, 4, "PER"]]}], "spans"),
        ({"classes": ["PER"], "annotations": [["Anna", {"entities": [[0, 4, "PER"]]}]]}, "spans"),
        ({"data": {"text": "Anna"}, "annotations": []}, "spans"),
        (GOOD, "jsonl"),
        ("\n\n".join([json.dumps(GOOD)] * 2), "jsonl"),
        ('{"text": "a", "spans": []}\n' * 2, "spans"),
    ],
)
def test_the_content_decides(tmp_path: Path, content: object, kind: str) -> None:
    text = content if isinstance(content, str) else json.dumps(content)
    assert table(written(tmp_path, text, "a.json")).files[0].format == kind


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            '[{"text": "a"}, {"text": "a", "text": "b"}]',
            " (record 2) is not a JSON object (the key",
        ),
        ('[{"text": "a"}, 3]', " (record 2) is not a JSON object (it is a int): 3"),
        ('["a"]', " (record 1) is not a JSON object (it is a str)"),
        ("[{}]", " (record 1) is not a JSON object (it is empty)"),
        ('[{"text": "a"},\r\n]', ":2 is not JSON (Expecting value): ]"),
        ('[{"text": "a"}\n{"text": "b"}]', ":2 is not JSON (Expecting ',' or ']'): {"),
        ('[{"text": "a"}\n', ":2 is not JSON (Expecting ',' or ']'): the file ends here"),
        ('[{"text": "a"}, {"te', ":1 is not JSON (Unterminated string"),
        ("[" * 10_000, ":1 is not JSON (maximum recursion depth"),
        ('"a"', ' is not an array: "a"'),
        ("[ ]", " has no rows"),
        ('{"text":\n"a"}', " is one object and not an array: "),
    ],
)
def test_what_is_no_array_of_records_is_refused(tmp_path: Path, text: str, found: str) -> None:
    path = written(tmp_path, text, "a.json")
    assert refusal(path).found.startswith(f"{path}{found}")


def test_a_broken_array_is_not_read_as_lines(tmp_path: Path) -> None:
    text = json.dumps([GOOD]) + "\nx"
    error = refusal(written(tmp_path, text, "a.json"), format="json")
    assert ":2 is not JSON (Extra data after the array): x" in error.found


def test_the_formats_name_each_other(tmp_path: Path) -> None:
    array, lines = json.dumps([GOOD], indent=1), json.dumps(GOOD) + "\n" + json.dumps(GOOD)
    assert refusal(written(tmp_path, array, "a.jsonl")).do.endswith("--set data.format=json")
    assert len(table(tmp_path / "a.jsonl", format="json")) == 1
    error = refusal(written(tmp_path, lines, "a.json"), format="json")
    assert error.do.startswith("--set data.format=jsonl")
    assert len(table(tmp_path / "a.json", format="jsonl")) == 2


TEXTS = [{"text": "it's \u00e9", "label": "x"}, {"text": "b", "label": None}]
FORMS = {
    "columns": {
        "text": {"0": "it's \u00e9", "1": "b"},
        "label": {"0": "x", "1": None},
    },
    "list": {"text": ["it's \u00e9", "b"], "label": ["x", None]},
    "index": {"0": TEXTS[0], "1": TEXTS[1]},
    "split": {
        "columns": ["text", "label"],
        "index": [0, 1],
        "data": [["it's \u00e9", "x"], ["b", None]],
    },
    "data": {"version": 1, "data": TEXTS},
    "table": {"schema": {"fields": []}, "data": TEXTS},
    "quotes": {"it's": TEXTS},
}


@pytest.mark.parametrize("form", FORMS)
def test_the_command_that_converts_another_form_works(tmp_path: Path, form: str) -> None:
    path = written(tmp_path, json.dumps(FORMS[form]), "FILE.json")
    error = refusal(path)
    assert error.found.startswith(f"{path} is one object, with ")
    command = "python -c " + error.do.partition("python -c ")[2]
    python = shlex.quote(sys.executable)
    command = command.replace("python", python, 1).replace("< FILE", "< FILE.json")
    subprocess.run(command, shell=True, check=True, cwd=tmp_path)
    assert table(tmp_path / "NEW.json").columns.to_pylist() == TEXTS


@pytest.mark.skipif(shutil.which("jq") is None, reason="the advice uses jq")
def test_the_advice_for_lists_works_for_an_array(tmp_path: Path) -> None:
    error = refusal(written(tmp_path, json.dumps([{"text": ["a", "b"]}]), "FILE"), format="json")
    command = error.do.partition("each list: ")[2]
    subprocess.run(command, shell=True, check=True, cwd=tmp_path)
    assert table(tmp_path / "NEW.jsonl").columns["text"].to_pylist() == ["a b"]


def test_an_export_is_read_as_records_on_request(tmp_path: Path) -> None:
    record = {"text": "a", "label": "x", "entities": []}
    read = table(written(tmp_path, json.dumps([record]), "a.json"))
    with pytest.raises(Exception, match="--set data.format=json"):
        read.column("label", "data.label")
    assert table(tmp_path / "a.json", format="json").column("label", "data.label").to_pylist() == [
        "x"
    ]
