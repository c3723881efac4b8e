"""Error messages about the GLUE benchmark: its names, its folders, and its files."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

from warmstart.errors.base import ConfigError, DataError, Interrupted, RunError, UsageError
from warmstart.errors.counts import counted


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


def unknown_task(name: str, known: Sequence[str]) -> UsageError:
    """``--tasks`` names a task that GLUE does not have."""
    nearest = _nearest(name, known)
    return UsageError(
        found=f"GLUE has no task {name!r}",
        expected=f"names with commas, of: {', '.join(known)}",
        do=f"--tasks {nearest}" if nearest else f"--tasks {known[0]}",
    )


def task_twice(name: str) -> UsageError:
    """``--tasks`` names a task twice."""
    return UsageError(
        found=f"the task {name} is named twice",
        expected="every task once",
        do="name it once",
    )


def fixed(setting: str) -> ConfigError:
    """A setting that decides which rows are scored, or what is learned of them."""
    return ConfigError(
        found=f"{setting} is given for GLUE",
        expected="the rows and labels of GLUE, so that scores can be compared",
        do="leave it out; or train on your own rows: warmstart train glue/mrpc --set "
        f"{setting}=VALUE",
    )


def files_missing(folder: str, missing: Mapping[str, Sequence[str]], *, named: bool) -> DataError:
    """The folder lacks files of tasks.

    Args:
        folder: the folder that ``data.dir`` names.
        missing: the files that each task lacks.
        named: whether the tasks were named; otherwise no task is complete.
    """
    lacks = "; ".join(f"{task} needs {', '.join(files)}" for task, files in missing.items())
    return DataError(
        found=f"{folder} lacks files of GLUE: {lacks}",
        expected="the folder of the GLUE download, with the folders CoLA, MRPC, SST-2 … in it",
        do="add the files, or leave these tasks out of --tasks"
        if named
        else "--set data.dir=FOLDER with the folder that contains CoLA, MRPC …; without data.dir, "
        "the rows are read from the Hub",
    )


def folder_in_use(path: Path, *, begun: bool) -> RunError:
    """The output folder is not empty; ``begun``: it contains results of GLUE."""
    content = "results of GLUE" if begun else "other files"
    resume = f"continue with: warmstart glue --output {path} --resume; or " if begun else ""
    return RunError(
        found=f"{path} already contains {content}",
        expected="a new or empty folder",
        do=f"{resume}choose another folder: --output {path}-2",
    )


def nothing_to_resume(path: Path) -> RunError:
    """The folder does not contain an interrupted ``warmstart glue``."""
    return RunError(
        found=f"{path} contains no results of GLUE" if path.is_dir() else f"{path} does not exist",
        expected="the folder that warmstart glue has begun",
        do=f"begin there: warmstart glue --output {path}",
    )


def resume_what() -> UsageError:
    """``--resume`` without the folder."""
    return UsageError(
        found="--resume without --output",
        expected="the folder of the benchmark to resume",
        do="warmstart glue --output DIR --resume",
    )


def resume_with_options(path: Path, options: Sequence[str]) -> UsageError:
    """``--resume`` with options that the benchmark in the folder already has."""
    return UsageError(
        found=f"--resume with {', '.join(options)}",
        expected="the options with which the benchmark began",
        do=f"warmstart glue --output {path} --resume",
    )


def in_use(path: Path) -> RunError:
    """Another process works in the folder."""
    return RunError(
        found=f"another process works on GLUE in {path}",
        expected="one process for each folder",
        do=f"wait until it has ended, or choose another folder: --output {path}-2",
    )


def interrupted(path: Path, task: str, done: int, count: int) -> Interrupted:
    """The user stopped the benchmark."""
    return Interrupted(
        found=f"stopped in {task}, after {done} of {counted(count, 'task')}; all runs that had "
        "begun are saved",
        expected="the benchmark to be resumed; nothing is computed twice",
        do=f"warmstart glue --output {path} --resume",
    )


def all_tasks_failed(path: Path, failed: Mapping[str, str]) -> RunError:
    """No task could be trained."""
    name, cause = next(iter(failed.items()))
    return RunError(
        found=f"no task was finished; {name}: {cause}",
        expected="at least one task that can be trained",
        do=f"remove the cause, then continue with: warmstart glue --output {path} --resume",
    )


def unreadable(path: Path, problem: Exception) -> RunError:
    """A file of the benchmark is damaged."""
    return RunError(
        found=f"cannot read {path}: {problem}",
        expected="the file as warmstart wrote it",
        do=f"restore it from a copy, or begin again: --output {path.parent}-2",
    )


def _nearest(name: str, known: Sequence[str]) -> str | None:
    """The most similar name: ``sst2`` for ``SST-2``."""
    plain = name.lower().replace("-", "").replace("_", "")
    return next(iter(get_close_matches(plain, known, n=1)), None)
