"""Options that replace a setting, and options that do not exist."""

import json
import re
from pathlib import Path

import pytest

from tests.cli.conftest import Trained, Warmstart
from tests.runs_in_memory import write_reviews

NUMBERS = ("--epochs", "7", "--batch-size", "5", "--learning-rate", "3e-4")


@pytest.mark.parametrize("source", [("demo",), ("--train", "a.csv", "--label", "label")])
def test_numbers_of_the_training_are_options(warmstart: Warmstart, source: tuple[str, ...]) -> None:
    printed = warmstart("train", *source, *NUMBERS, "--print-config", "--json")
    train = json.loads(printed.out)["train"]
    assert (train["epochs"], train["batch_size"], train["learning_rate"]) == (7, 5, 3e-4)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("train demo --epochs 7 --set train.epochs=2", "--epochs 7 and --set train.epochs=2"),
        ("train demo --set train.epochs=1 --set train.epochs=2", "epochs=1 and --set train.e"),
        (
            "train demo --learning-rate 1 --set train.learning_rate=1",
            "learning_rate is given twice",
        ),
        ("train --train a.csv --set data.train=b.csv", "--train and --set data.train=b.csv"),
        ("train --train a.csv --text t --set data.text=u", "--text and --set data.text=u"),
        ("train a.csv --task fill-mask --set task=x", "--task and --set task=x"),
        ("train a.csv --model a/b --set model.name=x", "--model and --set model.name=x"),
        ("check a.csv --set data.train=b.csv", "--train and --set data.train=b.csv"),
        ("info demo --set data.limit=5 --set data.limit=5", "data.limit is given twice"),
    ],
)
def test_a_setting_given_twice_is_refused(words: str, said: str, warmstart: Warmstart) -> None:
    refused = warmstart(*words.split())
    assert refused.code == 1
    assert said in refused.err
    assert "expected: one value for each setting" in refused.err


@pytest.mark.parametrize(
    ("words", "option"),
    [
        ("train demo --output a --output b", "--output"),
        ("train demo -o a --output=b", "--output"),
        ("train demo --epochs 1 --epochs 1", "--epochs"),
        ("train demo --model a --model b --resume", "--model"),
        ("pretrain demo -oa -ob", "--output"),
        ("check a.csv --text a --text b", "--text"),
        ("info demo --labels 2 --labels 3", "--labels"),
        ("predict run --engine torch --engine onnx", "--engine"),
        ("generate run --seed 1 --seed 2", "--seed"),
        ("export run --max-drop 1 --max-drop 2", "--max-drop"),
    ],
)
def test_an_option_given_twice_is_refused(words: str, option: str, warmstart: Warmstart) -> None:
    refused = warmstart(*words.split())
    assert refused.code == 2
    assert refused.err.startswith(f"error: {option} is given more than once\n")


def test_options_that_may_be_repeated(warmstart: Warmstart) -> None:
    words = "--train a.csv --train b.csv --set train.seed=1 --set train.epochs=2 --json --json"
    printed = warmstart("train", *words.split(), "--print-config")
    assert json.loads(printed.out)["data"]["train"] == ["a.csv", "b.csv"]


def test_a_wrong_number_is_refused(warmstart: Warmstart) -> None:
    refused = warmstart("train", "demo", "--epochs", "-1")
    assert refused.code == 1
    assert "train.epochs is -1" in refused.err


def test_a_resumed_run_keeps_its_numbers(trained: Trained, warmstart: Warmstart) -> None:
    refused = warmstart("train", str(trained.path), "--resume", "--epochs", "7")
    assert refused.code == 2
    assert "--resume with --epochs" in refused.err


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        (("train", "demo", "--epoch", "2"), "warmstart train … --epochs"),
        (("train", "demo", "--max-tokens", "2"), "--set model.max_tokens=VALUE"),
        (("train", "demo", "--weight-decay=0.1"), "--set train.weight_decay=VALUE"),
        (("check", "a.csv", "--tests", "b.csv"), "warmstart check … --test"),
        (("report", "run", "--sets", "b.csv"), "warmstart report --help"),
    ],
)
def test_an_unknown_option_gets_an_answer_in_three_parts(
    warmstart: Warmstart, words: tuple[str, ...], advice: str
) -> None:
    refused = warmstart(*words)
    assert refused.code == 2
    option = next(word for word in words if word.startswith("--")).partition("=")[0]
    assert refused.err.startswith(f"error: warmstart {words[0]} has no option {option}\n")
    assert re.search(r"expected: one of: --", refused.err)
    assert advice in refused.err.partition("try:")[2]


def test_check_reads_files_of_every_split(tiny: Path, warmstart: Warmstart, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write_reviews(tmp_path / f"{name}.csv", rows=20, seed=ord(name))
    words = ("--validation", str(tmp_path / "b.csv"), "--test", str(tmp_path / "c.csv"))
    model = ("--set", f"model.name={tiny}")
    found = warmstart("check", str(tmp_path / "a.csv"), *words, *model, "--json")
    splits = json.loads(found.out)["splits"]
    assert [(split["split"], split["rows"]) for split in splits] == [
        ("train", 20),
        ("validation", 20),
        ("test", 20),
    ]
    filled = warmstart("check", str(tmp_path / "a.csv"), "--task", "fill-mask", *model, "--json")
    assert json.loads(filled.out)["splits"][0]["label_counts"] == {}
    refused = warmstart("check", "demo", "--task", "fill-mask")
    assert refused.code == 2
    assert "--task" in refused.err


def test_a_dry_run_checks_that_packages_are_there(
    warmstart: Warmstart, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("warmstart.training.monitoring.listeners.find_spec", lambda name: None)
    data = str(write_reviews(tmp_path / "a.csv", rows=40))
    words = ("--train", data, "--label", "label", "--model", str(tiny), "--dry-run")
    assert warmstart("train", *words).code == 0
    refused = warmstart("train", *words, "--set", "train.tensorboard=true")
    assert refused.code == 1
    assert "tensorboard package is not installed" in refused.err


def test_f1_means_one_of_the_f1_scores(warmstart: Warmstart, tiny: Path, tmp_path: Path) -> None:
    data = str(write_reviews(tmp_path / "a.csv", rows=40))
    words = ("check", data, "--label", "label", "--set", f"model.name={tiny}")
    refused = warmstart(*words, "--set", "train.best_metric=F1")
    advice = refused.err.partition("--set ")[2].split()[0]
    assert advice == "train.best_metric=f1"
    assert warmstart(*words, "--set", advice).code == 0


def test_one_row_cannot_be_split_by_another_share(warmstart: Warmstart, tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("one line of text\n", "utf-8")
    words = ("--task", "text-generation", "--set", "model.name=bundled/gpt2-mini")
    refused = warmstart("check", str(tmp_path / "one.txt"), *words)
    assert refused.code == 1
    assert "share" not in refused.err.partition("try:")[2]
    (tmp_path / "more.txt").write_text("another line\n", "utf-8")
    more = ("--set", f"data.validation={tmp_path / 'more.txt'}")
    assert warmstart("check", str(tmp_path / "one.txt"), *words, *more).code == 0


def test_an_empty_prompt_has_its_own_reason(warmstart: Warmstart, tmp_path: Path) -> None:
    rows = [
        {"prompt": "" if row < 3 else "a", "text": "" if row == 5 else "b"} for row in range(20)
    ]
    lines = "\n".join(map(json.dumps, rows))
    (tmp_path / "a.jsonl").write_text(lines, "utf-8")
    words = ("--task", "text-generation", "--set", "model.name=bundled/gpt2-mini")
    found = warmstart(
        "check", str(tmp_path / "a.jsonl"), *words, "--set", "data.prompt=prompt", "--json"
    )
    dropped = json.loads(found.out)["splits"][0]["dropped"]
    assert (dropped["empty_text"], dropped["empty_prompt"]) == (1, 3)
    assert "3 training rows dropped: no prompt" in found.err
