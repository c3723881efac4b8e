"""The folder of ``warmstart glue``.

glue.json       tasks, settings and seeds
cola/, …        the experiment of each task
results.json    the official scores of all tasks
glue.html       the same as a page
submission/     the files for the GLUE server, also as submission.zip
.lock           held by the process that works on the benchmark
"""

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from warmstart import errors
from warmstart.runs.safe_files import locked_by, refuse_unwritable, write_atomically, write_errors


@dataclass(frozen=True, slots=True)
class BenchmarkFolder:
    """The paths of the files, and how they are read and written.

    Args:
        place: the folder.
    """

    place: Path

    @property
    def plan(self) -> Path:
        """What was asked for."""
        return self.place / "glue.json"

    @property
    def results(self) -> Path:
        """The official scores; missing until all tasks have been tried."""
        return self.place / "results.json"

    @property
    def page(self) -> Path:
        """The page with the official scores."""
        return self.place / "glue.html"

    @property
    def submission(self) -> Path:
        """The folder with the files for the server."""
        return self.place / "submission"

    @property
    def archive(self) -> Path:
        """The zip file with the files for the server."""
        return self.place / "submission.zip"

    def refuse_unusable(self) -> None:
        """Raise if a new benchmark cannot begin here.

        Raises:
            RunError: it is no folder, is not empty, or is not writable.
        """
        if self.place.exists() and not self.place.is_dir():
            raise errors.run.not_a_directory(self.place)
        with write_errors(self.place):
            held = self.place.is_dir() and any(self.place.iterdir())
        if held:
            raise errors.glue.folder_in_use(self.place, begun=self.plan.is_file())
        refuse_unwritable(self.place)

    def locked(self) -> AbstractContextManager[None]:
        """A lock of the folder for this process.

        Raises:
            RunError: another process works on the benchmark.
        """
        return locked_by(self.place / ".lock", errors.glue.in_use(self.place))


def write_object(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file.

    Args:
        path: the file.
        content: its content.
    """
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, indent=1) + "\n"
    write_atomically(path, lambda place: place.write_text(text, encoding="utf-8"))


def read_object(path: Path) -> dict[str, Any]:
    """The content of a JSON file.

    Args:
        path: the file.

    Raises:
        RunError: it is missing or damaged.
    """
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise errors.glue.unreadable(path, error) from error
    return content
