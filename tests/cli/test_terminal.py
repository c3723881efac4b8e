"""The command line and the terminal: signals, pipes, colours, widths, encodings, bugs."""

import io
import json
import re
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Trained, Warmstart, own_process
from tests.cli.mistakes import ROWS
from warmstart import api
from warmstart.cli.output import with_interval

COLOUR = re.compile(r"\x1b\[(?:\d+;)*[39][0-7](?:;\d+)*m")
"""The escape sequence of a foreground colour."""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("train a.yaml b.yaml", "warmstart train got 'b.yaml'"),
        ("trian", "warmstart has no command 'trian'"),
        ("--foo", "warmstart has no option --foo"),
        ("predict", "warmstart predict without RUN"),
        ("evaluate run", "warmstart evaluate without --data"),
        ("info bundled/minilm-l6 --labels 1", "--labels 1"),
        ("export run --max-drop=-1", "--max-drop -1"),
        ("predict run --engine onnx-int8", "--engine onnx-int8"),
        ("generate run --engine int8", "--engine int8"),
        ("predict run --engine", "--engine without a value"),
        ("predict run -o", "-o without a value"),
        ("train demo --epochs", "--epochs without a value"),
        ("train demo --epochs two", "--epochs two"),
        ("train demo --learning-rate 1,5", "--learning-rate 1,5"),
        ("predict run --json=1", "--json with a value"),
    ],
)
def test_wrong_usage_is_exit_code_2_with_three_parts(
    words: str, said: str, warmstart: Warmstart
) -> None:
    ran = warmstart(*words.split())
    assert ran.code == 2
    assert re.fullmatch(rf"error: {re.escape(said)}.*\n  expected: .+\n  try:      .+\n", ran.err)
    assert not ran.out


def test_a_wrong_choice_names_the_right_ones(warmstart: Warmstart) -> None:
    ran = warmstart("predict", "run", "--engine", "onxx")
    assert "expected: one of: torch, onnx, int8\n" in ran.err
    assert "try:      warmstart predict … --engine onnx;" in ran.err


def test_a_bug_is_exit_code_70_with_a_traceback_and_where_to_report_it(
    trained: Trained, warmstart: Warmstart, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Path) -> None:
        raise KeyError("not the person's fault")

    monkeypatch.setattr(api, "load", fail)
    ran = warmstart("predict", str(trained.path), "--text", "nice")
    assert ran.code == 70
    assert not ran.out
    assert "Traceback (most recent call last)" in ran.err
    assert "not the person's fault" in ran.err
    assert "https://github.com/warmstart-ai/warmstart/issues" in ran.err


def test_ctrl_c_before_training_is_exit_code_130(
    trained: Trained, warmstart: Warmstart, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(api, "load", interrupt)
    ran = warmstart("predict", str(trained.path), "--text", "nice")
    assert (ran.code, ran.out) == (130, "")
    assert "warmstart train RUN --resume" in ran.err
    assert "Traceback" not in ran.err


def test_colour_only_where_it_is_wanted(
    tiny: Path, trained: Trained, warmstart: Warmstart, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("check", str(trained.folder / "reviews.csv"), "--set", f"model.name={tiny}")
    assert "\x1b" not in warmstart(*words).err
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert COLOUR.search(warmstart(*words).err)
    monkeypatch.setenv("NO_COLOR", "1")
    ran = warmstart(*words)
    assert not COLOUR.search(ran.err)
    assert "\n! 2 of 2 labels" in ran.err


@pytest.mark.parametrize("columns", [30, 40, 60, 80])
def test_a_narrow_terminal_cuts_no_score(
    columns: int, trained: Trained, warmstart: Warmstart, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.chdir(trained.folder)  # the title contains the path as it is typed
    ran = warmstart("evaluate", "run", "--data", "test.csv")
    assert ran.code == 0
    table = ran.err.partition("n = 20")[2]
    assert max(map(len, table.splitlines())) <= columns
    assert "…" not in table
    assert table.count("[") == table.count("]") == 9


def test_a_narrow_terminal_keeps_the_names_of_the_splits(
    tiny: Path, warmstart: Warmstart, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.csv").write_text(ROWS + "film " * 200 + ",good\n")
    monkeypatch.setenv("COLUMNS", "40")
    ran = warmstart("check", str(tmp_path / "a.csv"), "--set", f"model.name={tiny}")
    assert ran.code == 0
    assert re.search("^train ", ran.err, re.MULTILINE)
    assert re.search("^validation ", ran.err, re.MULTILINE)
    assert "marks the limit of 128" in " ".join(ran.err.split())


def test_names_are_no_markup(
    trained: Trained, warmstart: Warmstart, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "[bold] :smile:.csv"
    data.write_bytes((trained.folder / "test.csv").read_bytes())
    monkeypatch.chdir(tmp_path)
    ran = warmstart("evaluate", str(trained.path), "--data", data.name)
    assert "[bold] :smile:.csv, n = 20" in ran.err


@pytest.mark.parametrize("words", [["recipes", "cola"], ["--help"]])
def test_a_reader_that_has_seen_enough_is_no_error(words: list[str], tmp_path: Path) -> None:
    process = own_process(*words, cwd=tmp_path)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait() in (0, 1)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
def test_a_full_disk_behind_stdout_is_no_bug(
    warmstart: Warmstart, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Path("/dev/full").open("wb", buffering=0) as raw:
        stdout = io.TextIOWrapper(raw, "utf-8", write_through=True)
        monkeypatch.setattr(sys, "stdout", stdout)
        ran = warmstart("recipes")
        monkeypatch.undo()
        stdout.detach()
    assert ran.code == 1
    assert "cannot write stdout: No space left on device" in ran.err
    assert "free some space" in ran.err


def test_what_stdout_cannot_spell_is_spelt_out(
    tiny: Path, warmstart: Warmstart, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "café 模型"
    model.symlink_to(tiny)
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, "koi8-r", write_through=True))
    assert warmstart("info", str(model)).code == 0
    assert rb"393 \xd7 32" in written.getvalue()
    written.seek(0)
    written.truncate()
    assert warmstart("info", str(model), "--json").code == 0
    assert json.loads(written.getvalue())["name"] == str(model)


def test_large_scores_are_not_broken_in_the_table() -> None:
    score = {"value": -20455457311.277, "low": 116485.69, "high": 0.5, "n": 24}
    assert with_interval(score) == "-2.046e10 [116,486, 0.500]"


def test_the_version(warmstart: Warmstart) -> None:
    from warmstart import __version__

    assert warmstart("--version").out == f"warmstart {__version__}\n"
