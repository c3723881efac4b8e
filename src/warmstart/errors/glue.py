"""Error messages about the GLUE benchmark: its names, its folders, and its files."""

from collections.abc import Sequence
from difflib import get_close_matches

from warmstart.errors.base import DataError


def unknown_name(source: str, name: str, known: Sequence[str]) -> DataError:
    """A source of the Hub names a task that GLUE does not have."""
    nearest = _nearest(name, known)
    return DataError(
        found=f"{source}: GLUE has no task {name!r}",
        expected=f"one of: {', '.join(known)}",
        do=source.replace(f"/{name}:", f"/{nearest}:") if nearest else "use one of these names",
    )


def unknown_split(source: str, name: str, split: str, known: Sequence[str]) -> DataError:
    """A source of the Hub names a split that this task of GLUE does not have."""
    nearest = _nearest(split, known) or known[0]
    return DataError(
        found=f"{source}: {name} has no split {split!r}",
        expected=f"one of: {', '.join(known)}",
        do=source.removesuffix(split) + nearest,
    )


def no_file(folder: str, files: Sequence[Sequence[str]]) -> DataError:
    """The folder lacks the file of a split; ``files``: the alternatives."""
    usual = files[0][0]
    others = "".join(f", or {' and '.join(names)}" for names in files[1:])
    return DataError(
        found=f"{folder} has no {usual}{others}",
        expected="the folder of the GLUE download, with the folders CoLA, MRPC, SST-2 … in it",
        do=f"--set data.dir=FOLDER, where FOLDER contains {usual}; without data.dir, the rows are "
        "read from the Hub",
    )


def other_columns(path: str, column: str, names: Sequence[str]) -> DataError:
    """A file does not have the columns of the classic download."""
    return DataError(
        found=f"{path} has no column {column!r}; its columns: {', '.join(names[:12])}",
        expected="the file of the GLUE download, unchanged",
        do="download it again; or read your own file: --set data.train=FILE, without data.dir",
    )


def _nearest(name: str, known: Sequence[str]) -> str | None:
    """The most similar name: ``sst2`` for ``SST-2``."""
    plain = name.lower().replace("-", "").replace("_", "")
    return next(iter(get_close_matches(plain, known, n=1)), None)
