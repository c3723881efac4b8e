"""Kill a command, or fill its disk, at the n-th call that changes a file; then do what a user does.

    python -m tests.crash_driver FOLDER SCENARIO POINTS

``FOLDER`` is a new folder. ``POINTS`` calls are tried, spread over all calls; 0 means
all of them. Each problem is printed on its own line as JSON; without a problem, nothing is printed.

A command runs in a forked process, so that the libraries are imported once. The calls are those of
``os`` and ``io`` on paths in the folder; libraries in Rust write their files between two of them.
"""

import builtins
import contextlib
import errno
import hashlib
import io
import json
import os
import random
import re
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import runs_in_memory, traced_once
from warmstart import cli
from warmstart.api import Run
from warmstart.runs.directory import ENTRIES, RunDirectory

CHANGING = ("mkdir", "rename", "replace", "unlink", "remove", "rmdir", "fsync", "truncate", "link")
"""Functions of ``os`` that change a file or a folder."""

SECONDS = re.compile(r" \(\d+\.\d s\)")
"""A duration in a notice: it differs in every run."""

NEEDS_SPACE = ("open", "mkdir", "fsync")
"""The calls that fail on a full disk."""


@dataclass
class Calls:
    """Counts calls, and ends the process or raises an error at the n-th one.

    Args:
        folder: calls on paths outside of it are not counted.
        number: number of the call, counted from 1; 0 for none.
        full: whether the disk is full from this call on; otherwise the process is killed.
    """

    folder: Path
    number: int
    full: bool = False
    made: int = 0
    log: list[str] = field(default_factory=list)

    def before(self, name: str, path: Any, named: dict[str, Any]) -> None:
        """Note a call that is about to be made."""
        if not self._is_inside(path, named):
            return
        self.made += 1
        if self.full:
            if 0 < self.number <= self.made and name in NEEDS_SPACE:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        elif self.made == self.number:
            os.kill(os.getpid(), signal.SIGKILL)

    def _is_inside(self, path: Any, named: dict[str, Any]) -> bool:
        if named.get("dir_fd") is not None:
            return True  # ``shutil.rmtree`` gives a name below an open folder
        if isinstance(path, int):
            path = Path(f"/proc/self/fd/{path}").readlink()
        return Path(os.path.normpath(Path(path).absolute())).is_relative_to(self.folder)


def interpose(calls: Calls) -> None:
    """Count all calls of this process, which must be a forked one."""

    def counted(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any, *arguments: Any, **named: Any) -> Any:
            calls.before(name, path, named)
            return original(path, *arguments, **named)

        return call

    for name in CHANGING:
        setattr(os, name, counted(name, getattr(os, name)))
    original = io.open

    def opened(file: Any, mode: str = "r", *arguments: Any, **named: Any) -> Any:
        if set(mode) & set("wax+"):
            calls.before("open", file, {})
        return original(file, mode, *arguments, **named)

    io.open = opened  # type: ignore[assignment]
    builtins.open = opened  # type: ignore[assignment]


@dataclass
class Ended:
    """How a command ended: its exit code (-9 for killed), what it printed, its number of calls."""

    code: int
    said: str
    calls: int


def command(folder: Path, words: list[str], number: int = 0, *, full: bool = False) -> Ended:
    """Run a command in a forked process whose working directory is ``folder``."""
    said, count = folder / "said.txt", folder.parent / f"{folder.name}.calls"
    child = os.fork()
    if child == 0:
        code = 70
        try:
            os.chdir(folder)
            output = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(output, 1)
            os.dup2(output, 2)
            calls = Calls(folder / "run", number, full)
            interpose(calls)
            code = cli.main(words)
            count.write_text(str(calls.made))
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    _, status = os.waitpid(child, 0)
    calls_made = int(count.read_text()) if count.exists() else 0
    return Ended(os.waitstatus_to_exitcode(status), said.read_text(errors="replace"), calls_made)


def quick_report(run: Run) -> Path:
    """The files of a report, without drawing anything."""
    directory = RunDirectory(run.path)
    for name in ("README.md", "figures/loss.png", "report.html"):
        path = directory.write_text(name, "")
    return path


Settings = Callable[..., dict[str, Any]]

RUNS: dict[str, tuple[Settings, dict[str, Any]]] = {
    "plain": (runs_in_memory.settings, {"checkpoint_every_steps": 4, "keep_checkpoints": 2}),
    "average of the best": (
        runs_in_memory.settings,
        {"average": {"of": "best", "count": 2}, "evaluations_per_epoch": 2, "epochs": 2},
    ),
    "average of the last": (
        runs_in_memory.settings,
        {"average": {"of": "last", "count": 2}, "evaluations_per_epoch": 2, "epochs": 2},
    ),
    "frozen": (runs_in_memory.settings, {"freeze": "backbone", "epochs": 2}),
    "linear probe": (runs_in_memory.settings, {"head_start": "linear-probe", "epochs": 1}),
    "adapters": (runs_in_memory.settings, {"lora": {"save": "adapter"}, "epochs": 1}),
    "stopped early": (
        runs_in_memory.settings,
        {
            "early_stopping": 1,
            "choose_threshold": True,
            "calibrate": "temperature",
            "epochs": 4,
            "evaluations_per_epoch": 2,
        },
    ),
    "tags": (runs_in_memory.tagging_settings, {"epochs": 1}),
    "ranking": (runs_in_memory.ranking_settings, {"epochs": 1}),
    "text": (runs_in_memory.writing_settings, {"epochs": 1}),
    "pretraining": (runs_in_memory.filling_settings, {"epochs": 1}),
    "exported": (runs_in_memory.settings, {"epochs": 1}),
}
"""The function with the settings of each kind of run, and its training settings."""

COMMANDS = {
    "overwrite": "train config.yaml --output run --overwrite",
    "export": "export run",
    "evaluate": "evaluate run --data reviews.csv",
    "report": "report run",
}
"""Commands that are killed in a finished run."""


def config_of(kind: str, folder: Path) -> dict[str, Any]:
    """The settings of a kind of run, with small batches of work."""
    make, train = RUNS[kind]
    content = make(folder, batch_size=16, **{"epochs": 2, **train})
    if kind == "pretraining":
        content.pop("model")
        content["pretrain"] = {
            "architecture": "bert", "vocabulary": 90, "layers": 1, "hidden": 32, "heads": 2,
        }  # fmt: skip
    if kind == "exported":
        content["export"] = {"onnx": True}
    return content


def left_over(run: Path) -> list[str]:
    """Files and folders of a finished run that should not exist."""
    known = {*ENTRIES, ".lock"}
    hidden = [str(path.relative_to(run)) for path in run.rglob(".*") if path.name != ".lock"]
    average = ["average"] if (run / "average").exists() else []
    return hidden + average + [path.name for path in run.iterdir() if path.name not in known]


def digest(run: Path) -> dict[str, Any]:
    """What must be equal in a run that was never interrupted."""
    found: dict[str, Any] = {}
    for name in ("model/model.safetensors", "adapter/adapter_model.safetensors", "samples.json"):
        if (run / name).exists():
            found[name] = hashlib.sha256((run / name).read_bytes()).hexdigest()
    for path in sorted(run.glob("evaluation/*/scores.json")):
        found[str(path.relative_to(run))] = json.loads(path.read_text())["scores"]
    found["checkpoints"] = sorted(path.name for path in run.glob("checkpoint/step-*"))
    found["files"] = sorted(path.name for path in run.iterdir() if path.name in ENTRIES)
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    notices = [event["text"] for event in events if event["event"] == "notice"]
    found["notices"] = [
        SECONDS.sub("", text) for text in notices if not text.startswith("that took")
    ]
    found["events"] = [e["event"] for e in events if e["event"] not in ("resume", "interrupted")]
    return found


def recover(folder: Path, verb: str, words: list[str]) -> list[Ended]:
    """What a user does after a crash: resume, and if that is refused, repeat with --overwrite."""
    ended = [command(folder, [verb, "run", "--resume"])]
    if ended[-1].code and "is finished" not in ended[-1].said:
        ended.append(command(folder, [*words, *["--overwrite"] * ("--overwrite" not in words)]))
    return ended


def points(calls: int, wanted: int, seed: str) -> list[int]:
    """The numbers of the calls to try."""
    if not wanted or wanted >= calls:
        return list(range(1, calls + 1))
    pick = random.Random(seed)
    edges = [1 + calls * part // wanted for part in range(wanted + 1)]
    return [pick.randrange(a, b) for a, b in pairwise(edges)]


def problems_of_runs(folder: Path, kind: str, wanted: int) -> Iterator[dict[str, Any]]:
    """Kill a run, or fill its disk, and resume it; its result must be that of a whole run."""
    content = config_of(kind, folder)
    verb = "pretrain" if "pretrain" in content else "train"
    words = [verb, "config.yaml", "--output", "run"]

    def fresh(name: str) -> Path:
        work = folder / name
        work.mkdir()
        (work / "config.yaml").write_text(yaml.safe_dump(content))
        return work

    work = fresh("whole")
    whole = command(work, words)
    if whole.code:
        yield {"kind": kind, "said": whole.said}
        return
    expected = digest(work / "run")
    for place, number in enumerate(points(whole.calls, wanted, kind)):
        work, full = fresh(f"{number}"), place % 3 == 2
        tried = [command(work, words, number, full=full)]
        tried += recover(work, verb, words)
        found = digest(work / "run") if (work / "run" / "events.jsonl").exists() else None
        codes = [one.code for one in tried]
        left = left_over(work / "run")
        resumable = codes[1] == 0 or "is finished" in tried[1].said or len(codes) > 2
        fine = 70 not in codes and resumable and found == expected and not left
        if full and "--resume" in tried[0].said:  # printed advice must work
            fine = fine and codes[0] == 1 and (codes[1] == 0 or "is finished" in tried[1].said)
        if not fine or (full and codes[0] not in (0, 1)):
            different = [k for k in expected if found is None or found.get(k) != expected[k]]
            said = [one.said[-1500:] for one in tried]
            yield {"kind": kind, "call": number, "full": full, "codes": codes, "left": left,
                   "different": different, "said": said}  # fmt: skip
        shutil.rmtree(work)


def problems_of_commands(folder: Path, name: str, wanted: int) -> Iterator[dict[str, Any]]:
    """Kill a command on a finished run, and repeat it; in between, the run can be used."""
    base = folder / "base"
    base.mkdir()
    content = runs_in_memory.settings(folder, epochs=1, batch_size=32)
    (base / "config.yaml").write_text(yaml.safe_dump(content))
    runs_in_memory.write_reviews(base / "reviews.csv", rows=20, seed=3)
    words = COMMANDS[name].split()
    made = [command(base, ["train", "config.yaml", "--output", "run"])]
    if name == "export":
        made.append(command(base, words))
    predict = ["predict", "run", "--text", "so nice", "--json"]
    before = command(base, predict).said
    if name == "overwrite":
        content["train"]["seed"] = 7
        (base / "config.yaml").write_text(yaml.safe_dump(content))
    shutil.copytree(base, folder / "done")
    done = command(folder / "done", words)
    after = command(folder / "done", predict).said
    if any(one.code for one in [*made, done]):
        yield {"command": name, "said": [one.said for one in [*made, done]]}
        return
    for place, number in enumerate(points(done.calls, wanted, name)):
        work, full = folder / f"{number}", place % 3 == 2
        shutil.copytree(base, work)
        tried = [command(work, words, number, full=full)]
        seen = command(work, predict)
        usable = seen.said in (before, after) or (name == "overwrite" and "resume" in seen.said)
        tried += recover(work, "train", words) if name == "overwrite" else [command(work, words)]
        if name == "overwrite" and "is finished" in tried[-1].said:
            tried.append(command(work, words) if tried[-1].said else tried[-1])
        final, left = command(work, predict).said, left_over(work / "run")
        codes = [one.code for one in [*tried, seen]]
        if 70 in codes or not usable or final != after or left or tried[-1].code:
            said = [one.said[-1500:] for one in [*tried, seen]]
            yield {"command": name, "call": number, "full": full, "codes": codes, "left": left,
                   "said": said}  # fmt: skip
        shutil.rmtree(work)


def main(folder: Path, scenario: str, wanted: int) -> None:
    """Print every problem of a scenario."""
    if scenario != "report":
        Run.report = quick_report  # type: ignore[method-assign]
    traced_once.use(pytest.MonkeyPatch(), folder / "traced")
    os.environ["WARMSTART_CACHE"] = str(folder / "cache")
    found = problems_of_commands if scenario in COMMANDS else problems_of_runs
    for problem in found(folder, scenario, wanted):
        print(json.dumps(problem), flush=True)


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        main(Path(sys.argv[1]).resolve(), sys.argv[2], int(sys.argv[3]))
