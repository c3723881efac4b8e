"""Whole commands and the network: a checkpoint is downloaded once, and local files need none.

Guarantee 7 of the design: with a folder or the bundled model no network call is made, even for
metrics. The hub runs on this machine and is set as the mirror, for ``hub_commands.py``.
``models/checkpoints/test_model_hub.py`` is quick and checks the same for reading a checkpoint.
"""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.hub_commands import commands
from tests.launched import in_another_process
from tests.runs_in_memory import write_reviews
from tests.tiny import tiny_checkpoint
from tests.tiny.hub import Hub

pytestmark = pytest.mark.slow

Session = dict[str, Any]

WITHOUT_REPORT = """
import sys
from warmstart import cli
from warmstart.api import Run
Run.report = lambda run: run.path  # it takes longer than the training, and asks nobody: see above
sys.exit(cli.main())
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub's repositories, and rows to learn from."""
    folder: Path = tmp_path_factory.mktemp("end-to-end")
    tiny_checkpoint(folder / "repos" / "org" / "tiny")
    write_reviews(folder / "reviews.csv", rows=24)
    return folder


@pytest.fixture(scope="module")
def session(folder: Path) -> Session:
    """The output of the commands while the hub was running."""
    ran = in_another_process("tests.hub_commands", folder)
    content: Session = json.loads(ran.stderr.splitlines()[-1])
    assert {name: said["code"] for name, said in content.items()} == dict.fromkeys(content, 0), (
        ran.stderr
    )
    return content


def test_a_hub_checkpoint_is_downloaded_once(session: Session) -> None:
    downloads = Counter(
        request.rpartition("/")[2]
        for request in session["hub train"]["requests"]
        if request.startswith("GET") and "/resolve/" in request
    )
    assert downloads.keys() >= {"config.json", "tokenizer.json", "model.safetensors"}
    assert set(downloads.values()) == {1}


def test_a_run_needs_no_hub_once_it_is_trained(session: Session) -> None:
    for command in ("evaluate", "predict", "info"):
        assert session[f"hub {command}"]["requests"] == []


@pytest.mark.parametrize("kind", ["folder", "bundled"])
def test_local_checkpoints_need_no_network(session: Session, kind: str) -> None:
    asked = {name: said["requests"] for name, said in session.items() if name.startswith(kind)}
    assert len(asked) == 4
    assert not any(asked.values()), asked


@pytest.mark.usefixtures("session")
def test_from_the_cache_alone_when_the_hub_is_gone(folder: Path) -> None:
    """In another process, so that nothing is remembered except on disk."""
    words = commands(folder, "org/tiny", folder / "offline")["train"]
    ran = subprocess.run(
        [
            *(sys.executable, "-c", WITHOUT_REPORT),
            *words,
            "--set",
            "model.local_files_only=true",
            "--json",
        ],
        env=Hub("http://127.0.0.1:9").environment(folder / "home"),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr
    scores = json.loads(ran.stdout)["scores"]
    with_hub = json.loads((folder / "hub/evaluation/validation/scores.json").read_text())
    assert scores["validation"] == with_hub["scores"]
