"""Searches on several machines: two commands, each with its folder, share a study in PostgreSQL.

The server belongs to the test, and listens on 127.0.0.1 only.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

import warmstart
from tests.runs_in_memory import settings, write_reviews
from warmstart import config_file
from warmstart.experiments.study import known_studies

pytest.importorskip("optuna")

SPACE = "train.learning_rate: {low: 5e-3, high: 2e-2, log: true}\n"


def programs() -> Path | None:
    """The folder of PostgreSQL's programs, the newest if there are several; None without them."""
    debian = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name)
    )
    found = [path for path in debian if (path / "initdb").exists()]
    if not found and (program := shutil.which("initdb")):
        return Path(program).resolve().parent
    return found[-1] if found else None


def missing(what: str) -> None:
    """Skip the test, or fail if this machine must have what is missing."""
    if os.environ.get("WARMSTART_REQUIRE_POSTGRESQL") == "1":
        pytest.fail(f"{what} is missing and WARMSTART_REQUIRE_POSTGRESQL=1")
    pytest.skip(f"needs {what}")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
    return port


@pytest.fixture
def url() -> Iterator[str]:
    """The URL of an empty database."""
    folder = programs()
    if folder is None:
        missing("PostgreSQL: apt install postgresql")
    assert folder is not None
    if find_spec("psycopg") is None:
        missing("psycopg: pip install 'warmstart[postgresql]'")
    as_root = os.geteuid() == 0  # PostgreSQL refuses to run as root
    user = ["runuser", "-u", "postgres", "--"] if as_root else []
    with TemporaryDirectory(dir="/tmp") as place:  # a folder that user may enter; a short path
        if as_root:
            shutil.chown(place, "postgres")
        data, port = f"{place}/data", free_port()

        def call(program: str, *words: str) -> None:
            command = [*user, str(folder / program), "-D", data, *words]
            with Path(place, "log").open("a") as log:
                subprocess.run(command, cwd="/", check=True, stdout=log, stderr=log, timeout=120)

        call("initdb", "-U", "ada", "-A", "trust", "-E", "UTF8", "--no-sync")
        options = f"-c listen_addresses=127.0.0.1 -p {port} -k {place} -c fsync=off"
        call("pg_ctl", "-w", "-o", options, "start")
        try:
            yield f"postgresql+psycopg://ada@127.0.0.1:{port}/postgres"
        finally:
            call("pg_ctl", "-m", "immediate", "stop")


@pytest.mark.slow
def test_two_commands_work_on_one_study_from_two_folders(tmp_path: Path, url: str) -> None:
    config = settings(tmp_path, epochs=4, learning_rate=1e-5)
    config["data"]["test"] = str(write_reviews(tmp_path / "test.csv", rows=40, seed=9))
    path = tmp_path / "small.yaml"
    path.write_text(config_file.dump(config_file.load(config)), encoding="utf-8")
    (tmp_path / "space.yaml").write_text(SPACE, encoding="utf-8")
    chosen = ["--sampler", "random", "--pruner", "none", "--trials", "8"]

    def started(*words: str) -> "subprocess.Popen[str]":
        where = ["--storage", url, "--study", "ours", "--space", "space.yaml", *chosen]
        return subprocess.Popen(
            [sys.executable, "-m", "warmstart", "search", str(path), *where, *words],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    one = started("--output", "one")
    until = time.monotonic() + 240
    while not (study := known_studies(url).get("ours")) or "space" not in study.user_attrs:
        assert time.monotonic() < until
        assert one.poll() is None, one.communicate()
        time.sleep(0.2)
    two = started("--output", "two", "--join")
    for process in (one, two):
        _, error = process.communicate(timeout=400)
        assert process.returncode == 0, error

    made = known_studies(url)["ours"].trials
    assert {trial.state.name for trial in made} == {"COMPLETE"}
    # Each command counts the trials before it begins one; both may begin the last at one time.
    assert len(made) in (8, 9)
    runs: dict[str, Any] = {}
    for name in ("one", "two"):
        found = warmstart.Experiment(tmp_path / name).results
        runs[name] = {trial["trial"] for trial in found["trials"]}
        assert "default" in runs[name]
        assert len(runs[name]) > 1
        assert found["best"] in runs[name]
    assert runs["one"] & runs["two"] == {"default"}
    assert len(runs["one"] | runs["two"]) == len(made) + 1


@pytest.mark.slow
def test_a_database_that_cannot_be_reached_is_an_error_before_any_work(
    tmp_path: Path, url: str
) -> None:
    closed = f"postgresql+psycopg://ada:secret@127.0.0.1:{free_port()}/postgres"
    none = url.replace("/postgres", "/none")
    for storage, message in ((closed, "127.0.0.1"), (none, 'database "none" does not exist')):
        with pytest.raises(warmstart.WarmstartError, match="cannot open the storage") as problem:
            warmstart.search(
                settings(tmp_path),
                space={"train.epochs": [1, 2]},
                storage=storage,
                output=tmp_path / "out",
            )
        assert message in problem.value.found
        assert "secret" not in str(problem.value)
        assert "check its address and that it runs" in problem.value.do
        assert not (tmp_path / "out").exists()
