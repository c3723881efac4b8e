"""A run must not replace its own input: ``model.name=R`` with ``--output R --overwrite``.

``--overwrite`` removes the earlier run before the new one is written. If the checkpoint or a data
file is in the earlier run, a later step does not find it, or finds the new run's file: the scores
"before training" would be those of the model after training.
"""

from collections.abc import Iterator
from pathlib import Path

from warmstart import errors
from warmstart.data.reading.paths import expanded
from warmstart.preparation.prepare import Prepared
from warmstart.runs.directory import RunDirectory


def refuse_replaced_inputs(prepared: Prepared, directory: RunDirectory) -> None:
    """Raise if the directory to be replaced contains an input of this run.

    Args:
        prepared: the prepared run, with the paths of its inputs.
        directory: the run directory that ``--overwrite`` would empty.

    Raises:
        RunError: the checkpoint or a data file is in it.
    """
    for setting, shown, path in _inputs(prepared):
        if directory.would_lose(path):
            raise errors.run.replaces_its_input(directory.path, setting, shown)


def _inputs(prepared: Prepared) -> Iterator[tuple[str, str, Path]]:
    """The setting, its value and the path of everything that was read from a disk."""
    yield "model.name", prepared.checkpoint.name, prepared.checkpoint.folder
    for table in prepared.tables.values():
        for file in table.files:
            # A member of an archive is ``archive.zip!member``. If the input is not a local file
            # (a URL, a hub data set), nothing exists at this path.
            for name in (file.path, file.path.partition("!")[0]):
                if expanded(name).exists():
                    yield table.setting, file.path, expanded(name)
