"""Rows of which nothing can be learned are counted and left out, in every split."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import warmstart
from tests.cli.conftest import ran
from tests.runs_in_memory import filling_settings, writing_settings
from tests.tiny.decoders import tiny_gpt2
from warmstart.errors import DataError
from warmstart.run import Run

LONG = " ".join(["cat"] * 70)
"""A prompt that is longer than the limit of the tiny decoder, 64 tokens."""

UNKNOWN = ("\U0001f600 \U0001f680", "\u200b", "\u200d\u200b", "\U0001f600")
"""Texts of which the tiny tokenizer knows no character."""


def write_rows(path: Path, rows: Sequence[dict[str, str]]) -> Path:
    path.write_text("\n".join(map(json.dumps, rows)) + "\n", "utf-8")
    return path


def prompts(path: Path, long: int, short: int) -> Path:
    texts = [f"the cat saw my house {row}" for row in range(long + short)]
    starts = [LONG] * long + ["my cat"] * short
    rows = [{"prompt": one, "text": text} for one, text in zip(starts, texts, strict=True)]
    return write_rows(path, rows)


def prompted(folder: Path, **data: Any) -> dict[str, Any]:
    tiny_gpt2(folder / "decoder", max_positions=64)
    prompts(folder / "rows.jsonl", long=20, short=20)
    files = {"train": str(folder / "rows.jsonl"), "validation": 0.2, "prompt": "prompt", **data}
    return {**writing_settings(folder, epochs=1), "data": files}


def unknown(folder: Path, **data: Any) -> dict[str, Any]:
    known = [{"text": f"the cat saw my house {row}"} for row in range(20)]
    lost = [{"text": UNKNOWN[row % 4]} for row in range(20)]
    rows = write_rows(folder / "rows.jsonl", [*known, *lost])
    return {**filling_settings(folder, epochs=1), "data": {"train": str(rows), **data}}


KINDS = {"prompt": (prompted, "the prompt fills"), "unknown": (unknown, "knows no character")}


@pytest.mark.parametrize("kind", KINDS)
def test_they_are_counted_and_not_scored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(Run, "report", lambda run: run.path)
    make, reason = KINDS[kind]
    made = make(tmp_path, validation=0.25)
    findings = warmstart.check(made).findings
    train, validation = findings.splits
    assert train.rows + validation.rows == 20
    assert sum(train.dropped.values()) + sum(validation.dropped.values()) == 20
    assert any(reason in message.text for message in findings.messages)
    run = warmstart.train(made, output=tmp_path / "run", progress=False)
    scores = run.scores["validation"]
    assert all(score["n"] == validation.rows for score in scores.values())
    with pytest.warns(UserWarning, match=rf"of 40 rows, left out: 20 \(.*{reason}"):
        scores = run.evaluate(str(tmp_path / "rows.jsonl"))
    assert all(score["n"] == 20 for score in scores.values())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_split_of_such_rows_is_refused(tmp_path: Path, kind: str, split: str) -> None:
    make, _ = KINDS[kind]
    lost = tmp_path / "lost.jsonl"
    if kind == "prompt":
        prompts(lost, long=12, short=0)
    else:
        write_rows(lost, [{"text": text} for text in UNKNOWN])
    made = make(tmp_path)
    made["data"] |= {"validation": made["data"]["train"], split: str(lost)}
    with pytest.raises(DataError, match=rf"data\.{split} has \d+ (rows|texts), and"):
        warmstart.check(made)


def test_the_advice_for_long_prompts_works(tmp_path: Path) -> None:
    made = prompted(tmp_path, train=str(prompts(tmp_path / "lost.jsonl", long=12, short=0)))
    with pytest.raises(DataError) as refused:
        warmstart.check(made)
    advice = refused.value.do.partition(",")[0].removeprefix("--set ")
    assert warmstart.check(made, [advice]).findings.splits[0].rows == 9


def test_check_counts_them_in_its_table(tmp_path: Path) -> None:
    unknown(tmp_path)
    sets = ("--set", "task=fill-mask", "--set", "data.validation=0.3")
    printed = ran("check", str(tmp_path / "rows.jsonl"), *sets)
    assert printed.code == 0, printed.err
    assert "dropped rows" in printed.err
    assert "the tokenizer knows no character" in " ".join(printed.err.split())
