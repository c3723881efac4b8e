"""``warmstart repeat`` and ``cross-validate``: tables, JSON, and wrong options."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Warmstart
from tests.runs_in_memory import settings
from warmstart import config_file
from warmstart.experiments.experiment_folder import ExperimentFolder


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A config of a small run, in the working directory."""
    monkeypatch.chdir(tmp_path)
    text = config_file.dump(config_file.load(settings(tmp_path, epochs=1)))
    Path("small.yaml").write_text(text, encoding="utf-8")
    return "small.yaml"


def test_json_is_one_object_and_tables_go_to_stderr(config: str, warmstart: Warmstart) -> None:
    ran = warmstart("repeat", config, "--seeds", "2", "--output", "out", "--json")
    assert ran.code == 0
    content = json.loads(ran.out)
    assert content == json.loads(Path("out/results.json").read_text(encoding="utf-8"))
    assert [trial["trial"] for trial in content["trials"]] == ["seed-42", "seed-43"]
    assert "validation, mean of 2 runs, n = 25 rows" in ran.err
    assert "seed-43  finished" in ran.err
    again = warmstart("repeat", "out", "--resume")
    assert again.code == 1
    assert "is finished" in again.err


WRONG: dict[str, tuple[tuple[str, ...], str]] = {
    "no number": (("repeat", "--seeds", "x"), "--seeds x"),
    "negative": (("repeat", "--seeds", "-3"), "--seeds -3"),
    "one seed": (("repeat", "--seeds", "1"), "1 seed for repeat"),
    "a use of the seed": (("repeat", "--vary", "rows"), "--vary rows"),
    "one fold": (("cross-validate", "--folds", "1"), "--folds 1"),
    "settings": (("repeat", "--resume", "--seeds", "3"), "--resume together with --seeds"),
    "folds": (("cross-validate", "--resume", "--folds", "3"), "--resume together with --folds"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_options_are_refused(config: str, warmstart: Warmstart, name: str) -> None:
    (command, *options), message = WRONG[name]
    ran = warmstart(command, config, *options)
    assert (ran.code, ran.out) == (2, "")
    assert f"error: {message}\n" in ran.err
    assert not Path("runs").exists()


def test_an_experiment_is_resumed_with_its_own_command(config: str, warmstart: Warmstart) -> None:
    content: dict[str, Any] = {"kind": "cross-validate", "name": "small", "options": {}}
    path = Path("out").absolute()
    ExperimentFolder.create(path, {**content, "settings": {}}, overwrite=False)
    ran = warmstart("repeat", "out", "--resume")
    assert ran.code == 1
    assert f"the experiment in {path} is of the kind cross-validate" in ran.err
    assert f"warmstart cross-validate {path} --resume" in ran.err
