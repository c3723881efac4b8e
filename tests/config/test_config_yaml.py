"""YAML is read by the rules of YAML 1.2, with line numbers, and contains only plain values."""

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from warmstart import errors
from warmstart.config import config_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2e-5", 2e-5),
        ("-1.5E+3", -1500.0),
        (".5", 0.5),
        ("1.", 1.0),
        ("010", 10),
        ("1_000", "1_000"),
        ("12:30", "12:30"),
        ("2024-01-01", "2024-01-01"),
        ("no", "no"),
        ("on", "on"),
        ("True", True),
        ("~", None),
        ("", None),
        ("'2e-5'", "2e-5"),
        ('"\\t"', "\t"),
        ("1.2.3", "1.2.3"),
        ("e5", "e5"),
        ("[a, 1, null]", ["a", 1, None]),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_what_a_value_means(text: str, value: object) -> None:
    read = config_yaml.read_yaml(f"key: {text}", "a.yaml").content["key"]
    assert (read, type(read)) == (value, type(value))


def test_pyyaml_itself_is_left_as_it_was() -> None:
    assert yaml.safe_load("2e-5") == "2e-5"
    assert yaml.safe_load("no") is False


def test_every_key_has_its_line() -> None:
    text = "# settings\ntask: x\ntrain:\n\n  epochs: 3\n  seed: 1\n"
    assert config_yaml.read_yaml(text, "a.yaml").lines == {
        ("task",): 2,
        ("train",): 3,
        ("train", "epochs"): 5,
        ("train", "seed"): 6,
    }


def test_keys_are_text_however_they_look() -> None:
    assert config_yaml.read_yaml("1: a\nnull: b\nno: c\n<<: d", "a.yaml").content == {
        "1": "a",
        "null": "b",
        "no": "c",
        "<<": "d",
    }


@pytest.mark.parametrize("text", ["", "# nothing but a comment\n", "---\n"])
def test_an_empty_document(text: str) -> None:
    assert config_yaml.read_yaml(text, "a.yaml").content is None


@pytest.mark.parametrize(
    ("text", "found", "advice"),
    [
        (
            "task: x\ntrain: a: b\n",
            "a.yaml:2:9: mapping values are not allowed here",
            "correct line 2",
        ),
        ("columns: [a, b\ntrain: 1\n", "a.yaml:2:6: ", "correct line 2"),
        ("train:\n\tepochs: 1\n", "a.yaml:2:1: found character '\\t'", "correct line 2"),
        ("task: 'x\n", "a.yaml:2:1: found unexpected end of stream", "correct line 2"),
        (
            "task: x\nmodel: \0\n",
            "a.yaml:2:8: the character #x0000 is not allowed",
            "correct line 2",
        ),
        ("a: &x 1\nb: *x\n", "a.yaml:2: an alias (*x)", "write the plain value in line 2"),
        ("a: !!python/name:os.system\n", "a.yaml:1: a tag (", "write the plain value in line 1"),
        ("a: !!str 1\n", "a.yaml:1: a tag (", "write the plain value in line 1"),
        ("a: 1\n---\nb: 2\n", "a.yaml:2: a second document", "write the plain value in line 2"),
        ("[a]: 1\n", "a.yaml:1: a key that is not a name", "write the plain value in line 1"),
        ("a: " + "[" * 5000 + "]" * 5000, "a.yaml:1: more than 10 levels", "in line 1"),
    ],
)
def test_what_is_refused(text: str, found: str, advice: str) -> None:
    with pytest.raises(errors.ConfigError) as caught:
        config_yaml.read_yaml(text, "a.yaml")
    assert caught.value.found.startswith(found)
    assert advice in caught.value.do


def test_aliases_cannot_expand_without_bound() -> None:
    bomb = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 99))
    with pytest.raises(errors.ConfigError, match=r"an alias \(\*a0\)"):
        config_yaml.read_yaml(bomb, "a.yaml")


def test_a_key_given_twice_counts_once_and_is_said() -> None:
    text = "train:\n  epochs: 1\n  seed: 2\n  epochs: 3\ntrain:\n  seed: 4\n"
    document = config_yaml.read_yaml(text, "a.yaml")
    assert document.content == {"train": {"epochs": 1, "seed": 2}}
    assert document.lines["train", "seed"] == 3
    assert [fault.found for fault in document.faults] == [
        "a.yaml:4: train.epochs was already set in line 2",
        "a.yaml:5: train was already set in line 1",
    ]
    assert document.faults[0].do == "delete line 2 or line 4"


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
VALUES = SCALARS.filter(lambda value: value not in (float("inf"), float("-inf")))


@example({"a": "2e-5", "b": "null", "c": "1", "d": "", "e": "- x", "f": "#", "2": ["1.", "~"]})
@given(st.dictionaries(st.text(), VALUES | st.lists(VALUES, min_size=1), min_size=1))
def test_what_is_written_reads_back(content: dict[str, object]) -> None:
    assert config_yaml.read_yaml(config_yaml.write_yaml(content), "a.yaml").content == content


@example({"no": "no", "a": "12:30", "b": "2024-01-01", "c": 2e-5, "d": 1e300, "e": "=", "f": "<<"})
@given(st.dictionaries(st.text(), VALUES, min_size=1))
def test_readers_of_yaml_1_1_understand_what_is_written(content: dict[str, object]) -> None:
    assert yaml.safe_load(config_yaml.write_yaml(content)) == content
