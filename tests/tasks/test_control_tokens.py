"""``data.control_tokens``: names of control tokens in texts and prompts that act as tokens."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from transformers import AutoTokenizer

import warmstart
from tests.runs_in_memory import (
    filling_settings,
    settings,
    tagging_settings,
    write_reviews,
    writing_settings,
)
from warmstart.api import Run
from warmstart.errors import ConfigError, DataError
from warmstart.preparation.prepare import Prepared

END = "<|endoftext|>"
Make = Callable[[Path], dict[str, Any]]


def checked(folder: Path, make: Make, rows: list[dict[str, Any]], **data: Any) -> Prepared:
    """A run over these rows, as training and as validation rows."""
    file = folder / "rows.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)) + "\n", "utf-8")
    made = make(folder)
    files = {"train": str(file), "validation": str(file), "allow_same_file": True}
    return warmstart.check({**made, "data": {**files, "control_tokens": "tokens", **data}})


def times(prepared: Prepared, row: int, name: str) -> int:
    """How often the token of this name is in a row."""
    number = prepared.checkpoint.tokenizer.convert_tokens_to_ids(name)
    return int(np.count_nonzero(prepared.examples["train"].tokens.ids_of(row) == number))


@pytest.mark.parametrize(
    ("make", "name", "around"),
    [
        (settings, "[SEP]", 1),
        (settings, "[MASK]", 0),
        (filling_settings, "[PAD]", 0),
        (writing_settings, END, 2),
    ],
)
def test_names_act_as_tokens(tmp_path: Path, make: Make, name: str, around: int) -> None:
    texts = ["the cat", f"my {name} house {name}", "a story", f"{name} read"]
    rows = [{"text": text, "label": str(place % 2)} for place, text in enumerate(texts)]
    prepared = checked(tmp_path, make, rows)
    assert [times(prepared, row, name) - around for row in range(4)] == [0, 2, 0, 1]
    said = "\n".join(one.text for one in prepared.findings.messages)
    assert f"2 of 4 training rows contain the name of a control token ({name}, first in" in said
    assert "it is read as the token (data.control_tokens)" in said


def test_a_word_acts_as_token(tmp_path: Path) -> None:
    rows = [{"words": [first, "cat"], "tags": ["O", "B-x"]} for first in ("the", "[SEP]", "my")]
    prepared = checked(tmp_path, tagging_settings, rows)
    assert [times(prepared, row, "[SEP]") for row in range(3)] == [1, 2, 1]


@pytest.mark.parametrize("long_documents", ["truncate", "chunk"])
def test_their_bytes_are_never_counted(tmp_path: Path, long_documents: str) -> None:
    """Bits per byte are over the bytes of the words; the name alone has 13."""
    texts = [f"the cat{END}saw 猫{END}", END, f"{END}my house " * 9]
    rows = [{"prompt": f"a{END}", "text": text} for text in texts]
    overlap = {"overlap_tokens": 4} if long_documents == "chunk" else {}

    def make(folder: Path) -> dict[str, Any]:
        made = writing_settings(folder)
        return {**made, "model": {**made["model"], "max_tokens": 20}}

    prepared = checked(
        tmp_path, make, rows, prompt="prompt", long_documents=long_documents, **overlap
    )
    assert times(prepared, 0, END) == 5  # at the beginning and the end, one in the prompt, two
    examples = prepared.examples["train"]
    found = examples.targets.text_bytes  # type: ignore[attr-defined]
    tokenizer, counted = prepared.checkpoint.tokenizer, np.zeros(3, np.int64)
    np.add.at(counted, examples.tokens.rows, found)
    if long_documents == "chunk":
        assert counted.tolist() == [len(text.replace(END, "").encode()) for text in texts]
        return
    for row in range(3):
        start = int(examples.targets.predict_from[row])  # type: ignore[attr-defined]
        ids = examples.tokens.ids_of(row)[start:]
        shown = tokenizer.decode(ids, skip_special_tokens=True)
        assert counted[row] == len(shown.encode())


@pytest.fixture(scope="module", autouse=True)
def _no_report() -> Iterator[None]:
    """A report takes longer than a small training."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "report", lambda run: run.path)
        yield


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run whose training rows and prompts contain control tokens."""
    folder = tmp_path_factory.mktemp("writer")
    made = writing_settings(folder, epochs=1)
    made["data"]["control_tokens"] = "tokens"
    made["generate"] = {"max_new_tokens": 2, "temperature": 0.0}
    return warmstart.train(made, output=folder / "run", progress=False)


MANY = END * 40
"""More tokens than the tiny model has positions, if each name is read as text."""


def test_prompts_are_read_as_in_training(writer: Run) -> None:
    assert warmstart.load(writer.path).config.data.control_tokens == "tokens"
    made, _ = writer.generate([MANY, "the cat"])
    assert made["prompt"] == MANY
    assert warmstart.generate(writer.path, [MANY]) == [made]
    with pytest.raises(DataError, match="prompt 1 of 1 has"):
        writer.generate([MANY], control_tokens="text")


def test_evaluation_of_a_file_reads_them_as_in_training(writer: Run, tmp_path: Path) -> None:
    file = tmp_path / "new.csv"
    file.write_text(f"text\nthe cat {END}\n", "utf-8")
    writer.evaluate(str(file))
    (predictions,) = (writer.path / "evaluation").glob("file-*/predictions.parquet")
    table = pq.read_table(predictions)
    assert table["bytes"].to_pylist() == [len("the cat ")]


def test_another_value_is_refused(writer: Run) -> None:
    with pytest.raises(ConfigError, match="control_tokens='token'") as caught:
        writer.generate(["a"], control_tokens="token")  # type: ignore[arg-type]
    assert caught.value.expected == "text or tokens"
    assert "control_tokens='tokens' reads names" in caught.value.do


def test_predictions_read_them_as_in_training(tmp_path: Path) -> None:
    made = settings(tmp_path, epochs=1)
    made["data"]["limit"] = 16
    run = warmstart.train(made, ["data.control_tokens=tokens"], output=tmp_path / "run")
    engine = run.open("torch")
    plain, marked = run.predict(["the cat", "the cat [SEP]"])
    assert engine.config.data.control_tokens == "tokens"
    assert plain["probabilities"] != marked["probabilities"]
    tokenizer = AutoTokenizer.from_pretrained(run.path / "model")
    assert tokenizer("the cat [SEP]")["input_ids"].count(tokenizer.sep_token_id) == 2
    with pytest.raises(ConfigError, match="control_tokens"):
        run.evaluate(made["data"]["train"], ["data.control_tokens=text"])


@pytest.mark.parametrize(("architecture", "name"), [("gpt2", END), ("bert", "[SEP]")])
def test_a_new_tokenizer_learns_nothing_from_their_names(
    tmp_path: Path, architecture: str, name: str
) -> None:
    file = write_reviews(tmp_path / "plain.csv")
    lines = file.read_text("utf-8").splitlines()
    marked = tmp_path / "marked.csv"
    changed = [lines[0], *(line.replace(" ", name, 1) for line in lines[1:])]
    marked.write_text("\n".join(changed) + "\n", "utf-8")
    size = {"architecture": architecture, "layers": 1, "hidden": 32, "heads": 2, "context": 24}

    def vocabulary(read_as: str) -> Prepared:
        return warmstart.check(
            {
                "task": "text-generation" if architecture == "gpt2" else "fill-mask",
                "data": {"train": str(marked), "validation": 0.2, "control_tokens": read_as},
                "pretrain": {**size, "vocabulary": 280 if architecture == "gpt2" else 80},
            }
        )

    literal, acting = vocabulary("text"), vocabulary("tokens")
    around = times(literal, 0, name)
    assert times(acting, 0, name) == around + 1
    learned = set(acting.checkpoint.tokenizer.get_vocab())
    assert learned != set(literal.checkpoint.tokenizer.get_vocab())
    assert not {"endoftext", "<|", "end"} & learned
    assert not {"[", "]"} & learned or architecture == "gpt2"
