"""Pairs of texts from file to prediction: all code that reads the first text reads the second."""

import ast
import json
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest

from tests.cli.conftest import ran
from tests.preparation.test_prepare import rows_of
from tests.runs_in_memory import BAD, GOOD, OTHER, settings
from warmstart import api, config_file
from warmstart.api import Run
from warmstart.data.reading.sources import read
from warmstart.errors import DataError
from warmstart.evaluation.baseline_scores import baseline_scores
from warmstart.preparation.prepare import prepare
from warmstart.report.report_content import gather
from warmstart.tasks.task import Split
from warmstart.tasks.text_classification import TextClassification
from warmstart.training.train_run import train_run


def write_pairs(path: Path, rows: int, seed: int) -> Path:
    """A question and a review; label 1 if the review is what the question asks for."""
    draw = np.random.default_rng(seed)
    lines = ["question\treview\tfits"]
    for number in range(rows):
        good, fits = draw.random() < 0.5, draw.random() < 0.5
        wish = "excellent" if good == fits else "terrible"
        words = [str(draw.choice(OTHER)) for _ in range(draw.integers(2, 14))]
        words.insert(1, str(draw.choice(GOOD if good else BAD)))
        lines.append(f"which {wish} story {number % 9}?\t{' '.join(words)} {number}\t{int(fits)}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def pair_settings(folder: Path, **train: Any) -> dict[str, Any]:
    config = settings(folder, **train)
    config["data"] = {
        "train": str(write_pairs(folder / "pairs.tsv", 90, seed=0)),
        "test": str(write_pairs(folder / "test.tsv", 40, seed=1)),
        "validation": 0.2,
        "text": "question",
        "text_pair": "review",
        "label": "fits",
        "group": "question",
    }
    config["model"]["max_tokens"] = 20
    return config


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("pairs")
    train_run(prepare(config_file.load(pair_settings(folder, epochs=1))), folder / "run")
    found = api.load(folder / "run")
    found.report()
    return found


def kept(run: Run, split: str) -> list[dict[str, Any]]:
    (path,) = run.path.glob(f"evaluation/{split}/predictions.parquet")
    rows: list[dict[str, Any]] = pyarrow.parquet.read_table(path).to_pylist()
    return rows


def test_what_was_scored_is_what_is_served(run: Run) -> None:
    rows = kept(run, "test")
    assert list(rows[0])[:5] == ["row", "file", "line", "text", "text_pair"]
    answers = run.predict([r["text"] for r in rows], [r["text_pair"] for r in rows])
    for row, answer in zip(rows, answers, strict=True):
        assert row["probability:1"] == pytest.approx(answer["probabilities"]["1"], abs=1e-6)
        assert row["truncated"] == answer["truncated"]
    assert {row["truncated"] for row in rows} == {True, False}


def test_both_texts_are_read(run: Run) -> None:
    texts, others = ["which excellent story", "it was great"], ["it was great", "a dog"]
    forth, back, other = run.predict(
        [texts[0], texts[1], texts[0]], [others[0], texts[0], others[1]]
    )
    assert len({answer["probabilities"]["1"] for answer in (forth, back, other)}) == 3


def test_a_group_may_be_one_of_the_texts(run: Run) -> None:
    """All answers to a question are in the same split."""
    held_out = {row["text"] for row in kept(run, "validation")}
    rows = set(rows_of(json.loads((run.path / "data.json").read_text()), "train"))
    lines = (run.path.parent / "pairs.tsv").read_text().splitlines()[1:]
    trained = {line.split("\t")[0] for row, line in enumerate(lines) if row in rows}
    assert trained
    assert held_out
    assert not trained & held_out


def test_a_file_of_pairs_is_scored_as_the_test_split_was(run: Run) -> None:
    file = str(run.path.parent / "test.tsv")
    with pytest.warns(UserWarning, match="truncated to 20 tokens"):
        assert run.evaluate(file) == run.scores["test"]
    assert run.predict_file(file)["text_pair"].to_pylist() == [
        row["text_pair"] for row in kept(run, "test")
    ]


def test_the_report_shows_both_texts(run: Run) -> None:
    mistakes = gather(run.path).mistakes
    assert mistakes is not None
    (segment,) = mistakes.rows[0].text
    shown = {f"{row['text']} | {row['text_pair']}" for row in kept(run, "test")}
    assert segment.text in shown


def test_the_baseline_reads_both_texts(tmp_path: Path) -> None:
    """Only the second text decides the label: with the first alone, TF-IDF is at chance level."""
    rows = [f"the film\ta {'dog' if n % 3 else 'cat'} {n}\t{min(n % 3, 1)}" for n in range(60)]
    file = tmp_path / "told.tsv"
    file.write_text("\n".join(["q\ta\tlabel", *rows]) + "\n")
    config = config_file.load({"data": {"train": str(file), "text": "q", "text_pair": "a"}})
    table = read(str(file), config.data, "data.train")
    task = TextClassification.learn(config, table)
    split = Split(table, task.labels(table))
    scores, _ = baseline_scores(task, config, split, {"test": split})
    assert scores["tfidf"]["test"].scores.metrics["accuracy"].value == 1.0


def test_a_second_text_is_missing(run: Run) -> None:
    with pytest.raises(DataError) as caught:
        run.predict(["a story"])
    assert caught.value.found == "only one text, but the run was trained on pairs of texts"
    assert "'review' (data.text_pair)" in caught.value.expected
    assert "--text-pair" in caught.value.do


@pytest.mark.parametrize(
    ("texts", "pairs", "found"),
    [
        (["a", "b"], ["c"], "2 first and 1 second text"),
        ([], ["c"], "0 first and 1 second text"),
        (["a"], [""], "text_pair 1 of 1 is ''"),
        (["a"], "c", "text_pairs is 'c'"),
    ],
)
def test_second_texts_that_do_not_fit(run: Run, texts: Any, pairs: Any, found: str) -> None:
    with pytest.raises(DataError) as caught:
        run.predict(texts, pairs)
    assert caught.value.found == found
    assert "run.predict([" in caught.value.do


def test_a_model_of_single_texts_takes_no_second(tmp_path: Path) -> None:
    train_run(prepare(config_file.load(settings(tmp_path, epochs=1))), tmp_path / "run")
    with pytest.raises(DataError) as caught:
        api.load(tmp_path / "run").predict(["a"], ["b"])
    assert caught.value.found == "a second text, but the run was trained on single texts"
    assert "'text' (data.text)" in caught.value.expected
    assert caught.value.do.startswith("run.predict(['one text'")


# --- commands


def test_predict_on_the_command_line(run: Run) -> None:
    words = "--text a --text-pair b --text c --text-pair d --json".split()
    found = ran("predict", str(run.path), *words)
    assert found.code == 0
    assert json.loads(found.out)["predictions"] == run.predict(["a", "c"], ["b", "d"])


@pytest.mark.parametrize(
    ("words", "code", "found"),
    [
        ("--text a", 1, "only one text, but the run was trained on pairs"),
        ("--text-pair a", 1, "0 first and 1 second text"),
        ("--text-pair a --data b.csv", 2, "both --text and --data"),
        ("--text-pair a --output b.csv", 2, "--text with --output b.csv"),
    ],
)
def test_half_a_pair_on_the_command_line(run: Run, words: str, code: int, found: str) -> None:
    answer = ran("predict", str(run.path), *words.split())
    assert answer.code == code
    assert found in answer.err


def test_the_printed_command_and_the_lines_of_the_card_take_pairs(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    (_, *command) = shlex.split(run.usage.command.format(run=run.path))
    assert ran(*command).code == 0
    card = (run.path / "README.md").read_text(encoding="utf-8")
    lines = next(block for block in re.findall(r"```python\n(.*?)```", card, re.DOTALL))
    monkeypatch.chdir(run.path)
    *before, last = ast.parse(lines).body
    assert isinstance(last, ast.Expr)
    names: dict[str, Any] = {}
    exec(compile(ast.Module(before, []), "card", "exec"), names)
    found = eval(compile(ast.Expression(last.value), "card", "eval"), names)
    (served,) = run.predict(["Your text here."], ["The second text."])
    best = found[0] if isinstance(found, list) else found
    assert best["label"] == served["label"]
    assert best["score"] == pytest.approx(max(served["probabilities"].values()), abs=1e-6)


def test_training_and_checking_by_flags(run: Run) -> None:
    file = str(run.path.parent / "pairs.tsv")
    flags = "--text question --text-pair review --label fits".split()
    config = ran("train", "--train", file, *flags, "--print-config", "--json")
    assert json.loads(config.out)["data"]["text_pair"] == "review"
    model = ("--set", f"model.name={run.path.parent / 'checkpoint'}")
    check = ran("check", file, *flags, *model, "--json")
    (train, _) = json.loads(check.out)["splits"]
    assert train["rows"] == 80
    both = ran("check", "demo", "--text-pair", "review")
    assert both.code == 2
    assert "--text-pair" in both.err
    assert "--set data.text_pair=review" in both.err


def test_a_run_of_pairs_is_described(run: Run) -> None:
    assert json.loads(ran("info", str(run.path), "--json").out)["labels"] == ["0", "1"]
