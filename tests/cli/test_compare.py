"""``warmstart compare``: tables on stderr, verdicts on stdout, JSON, and wrong options."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Warmstart
from tests.evaluation.stored_run_files import ROWS, classes, write_run


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the runs ``good`` and ``bad``, and two seeds of a third setting."""
    monkeypatch.chdir(tmp_path)
    write_run(Path("good"), classes(0.9, 1), baselines={"majority": classes(0.5, 8)})
    write_run(Path("bad"), classes(0.7, 2), ["train.epochs=9"])
    for seed in (1, 2):
        overrides = ["train.epochs=5", f"train.seed={seed}"]
        write_run(Path(f"seeds/{seed}"), classes(0.85, seed + 2), overrides)
    return tmp_path


def test_verdicts_go_to_stdout_and_tables_to_stderr(runs: Path, warmstart: Warmstart) -> None:
    ran = warmstart("compare", "good", "bad", "seeds", "--metric", "accuracy")
    assert ran.code == 0
    assert "good is better than bad\n" in ran.out
    assert "good is better than baseline majority of good\n" in ran.out
    assert f"accuracy on test, n = {ROWS} rows" in ran.err
    assert "differences, margin 0.01" in ran.err
    assert "< 0.001" in ran.err
    assert "seeds (2 seeds) is the mean of runs that differ only in seeds: seeds/1," in ran.err
    assert "bad is not compared with a baseline: none has stored predictions" in ran.err


def test_json_is_one_object(runs: Path, warmstart: Warmstart) -> None:
    ran = warmstart("compare", "bad", "good", "--metric", "log_loss", "--margin", "9", "--json")
    content = json.loads(ran.out)
    assert list(content) == ["metric", "split", "margin", "runs", "pairs"]
    assert (content["metric"], content["split"], content["margin"]) == ("log_loss", "test", 9)
    assert content["pairs"][0]["verdict"] == "worse, but less than the margin"
    plain = warmstart("compare", "bad", "good", "--metric", "log_loss", "--margin", "9")
    assert plain.out.splitlines()[0] == "bad is worse than good, but less than the margin"
    assert "lower is better" in plain.err


def test_a_difference_that_is_not_decided_says_what_is_needed(
    runs: Path, warmstart: Warmstart
) -> None:
    write_run(Path("few"), classes(0.8, 4, 30), ["train.epochs=3"], splits=["validation"])
    write_run(Path("too"), classes(0.8, 5, 30), ["train.epochs=4"], splits=["validation"])
    ran = warmstart("compare", "few", "too", "--split", "validation", "--metric", "accuracy")
    assert ran.out.startswith("few and too: not decided: about ")
    assert ran.out.endswith(" rows would be needed\n")
    ran = warmstart("compare", "few", "too")
    assert ran.code == 1
    assert "few has no predictions for a test split" in ran.err
    assert "--split validation, which every run has" in ran.err


def test_predictions_of_another_program_are_options(runs: Path, warmstart: Warmstart) -> None:
    Path("other.tsv").write_text("n\tanswer\n" + "".join(f"{n}\tgood\n" for n in range(ROWS)))
    words = ("compare", "good", "--predictions", "other.tsv", "--prediction-column", "answer")
    for more in ((), ("--row-column", "n")):
        assert warmstart(*words, *more).out.startswith("good is better than other.tsv\n")
    for wrong, said in {
        ("--predictions", "other.tsv"): "--predictions without --prediction-column",
        ("--prediction-column", "answer"): "--prediction-column without --predictions",
        ("--row-column", "n"): "--row-column without --predictions",
    }.items():
        ran = warmstart("compare", "good", *wrong)
        assert ran.code == 2
        assert said in ran.err
        assert "--predictions FILE --prediction-column COLUMN" in ran.err


def test_wrong_arguments_are_usage_errors(runs: Path, warmstart: Warmstart) -> None:
    for words, said in {
        ("good", "good"): "good is given twice",
        ("good", "bad", "--metric", "acuracy"): "--metric accuracy",
        ("good", "bad", "--margin", "-1"): "--margin 0.01",
        ("good", "bad", "--split", "train"): "one of: test, validation",
        ("bad",): "only bad, without stored predictions of a baseline",
        ("seeds",): "only runs of the same settings with different seeds",
    }.items():
        ran = warmstart("compare", *words)
        assert ran.code == 2, words
        assert said in ran.err
        assert not ran.out
