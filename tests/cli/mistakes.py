"""One mistake of a user on the command line, and what its message must contain."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

ROWS = "text,label\n" + "".join(
    f"the cat {n} was wonderful,good\nthe dog {n} was awful,bad\n" for n in range(10)
)
"""A correct file: a header and lines 2 to 21."""

DATA = "train --model tiny --output run"
TRAIN = f"{DATA} --train rows.csv"


@dataclass(frozen=True)
class Case:
    """One mistake.

    Args:
        name: the error.
        words: the command, without the error if the error is in the words.
        fault: the words that are wrong.
        files: files that the error needs in the folder, by name.
        make: or a function that creates them.
        found, expected, do: texts that the message's three parts must contain.
        mends: words from the advice; used instead of ``fault``, they make the command work.
        removing: the advice is to remove the words of ``fault``; then the command works.
        code: the exit code.
    """

    name: str
    words: str
    fault: str = ""
    files: dict[str, str | bytes] = field(default_factory=dict)
    make: Callable[[Path, ExitStack], None] | None = None
    found: tuple[str, ...] = ()
    expected: tuple[str, ...] = ()
    do: tuple[str, ...] = ()
    mends: str = ""
    removing: bool = False
    code: int = 1


def bad_file(name: str, content: str | bytes, file: str = "bad.csv", **parts: Any) -> Case:
    """A training file with an error in it."""
    return Case(name, f"{DATA} --train {file}", files={file: content}, **parts)


def bad_setting(fault: str, mends: str, expected: str) -> Case:
    """A value that ``--set`` does not accept."""
    fault_words, mending = f"--set {fault}", f"--set {mends}" if mends else ""
    return Case(
        fault, TRAIN, fault_words, found=(fault_words,), expected=(expected,), mends=mending
    )


def json_lines(*rows: dict[str, Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def no_weights(folder: Path, _: ExitStack) -> None:
    (copied(folder) / "model.safetensors").unlink()


def pickled(folder: Path, _: ExitStack) -> None:
    weights = copied(folder) / "model.safetensors"
    torch.save(load_file(weights), weights.with_name("pytorch_model.bin"))
    weights.unlink()


def fewer_embeddings(folder: Path, _: ExitStack) -> None:
    config = copied(folder) / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "vocab_size": 50}))


def copied(folder: Path) -> Path:
    return Path(shutil.copytree(folder / "tiny", folder / "copy"))


def begun(folder: Path, _: ExitStack) -> None:
    """A run directory before the first evaluation."""
    (folder / "run").mkdir()
    (folder / "run" / "task.json").write_text("{}")
    (folder / "run" / "config.yaml").write_text("data: {train: rows.csv}\n")


def empty_corpus(folder: Path, _: ExitStack) -> None:
    (folder / "none.jsonl").write_text("")


def held(folder: Path, stack: ExitStack) -> None:
    """The same, locked by another process until the test ends."""
    begun(folder, stack)
    program = (
        "import sys, filelock; lock = filelock.FileLock(sys.argv[1]); lock.acquire(); "
        "print('held', flush=True); sys.stdin.read()"
    )
    words = [sys.executable, "-c", program, "run/.lock"]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    stack.enter_context(process)
    stack.callback(process.terminate)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
