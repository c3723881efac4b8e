"""Whole commands with a hub on this machine; prints exit codes and requests of each command.

Run by ``test_hub_end_to_end.py`` in a separate process: ``huggingface_hub`` reads ``HF_ENDPOINT``
when it is imported, so the hub must be started first.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from tests.tiny.hub import serve_hub


def main(folder: Path) -> None:
    """Train, evaluate and predict with a checkpoint from the hub, a folder and a package."""
    said: dict[str, Any] = {}
    with serve_hub(folder / "repos") as hub:
        environment = hub.environment(folder / "home")  # with the number of threads
        os.environ.clear()
        os.environ.update(environment)
        from warmstart import cli
        from warmstart.api import Run

        write_report = Run.report
        checkpoints = {
            "hub": "org/tiny",
            "folder": str(folder / "repos" / "org" / "tiny"),
            "bundled": "bundled/minilm-l6",
        }
        for kind, name in checkpoints.items():
            # Drawing takes longer than the rest. That it sends no requests is tested once.
            Run.report = write_report if kind == "folder" else lambda run: run.path
            for command, arguments in commands(folder, name, folder / kind).items():
                before = len(hub.requests)
                code = cli.main(arguments)
                said[f"{kind} {command}"] = {"code": code, "requests": hub.requests[before:]}
    print(json.dumps(said), file=sys.__stderr__)


def commands(folder: Path, name: str, run: Path) -> dict[str, list[str]]:
    """The words of each command."""
    data = str(folder / "reviews.csv")
    # fmt: off
    return {
        "train": ["train", "--model", name, "--train", data, "--validation", "0.5",
                  "--text", "text", "--label", "label", "--set", "train.epochs=1",
                  "--set", "model.max_tokens=16", "--output", str(run)],
        "evaluate": ["evaluate", str(run), "--data", data],
        "predict": ["predict", str(run), "--text", "a wonderful story"],
        "info": ["info", str(run)],
    }
    # fmt: on


if __name__ == "__main__":
    main(Path(sys.argv[1]))
