"""Texts of the errors about run directories: missing, locked, half written, full disk, diverged."""

import errno
import re
from collections.abc import Sequence
from pathlib import Path

from warmstart.errors.base import Interrupted, RunError


def not_a_directory(path: Path) -> RunError:
    """The output path is a file."""
    return RunError(
        found=f"{path} is a file",
        expected="a folder for the run, new or empty",
        do=f"choose another one: --output {path}-run",
    )


def not_empty(path: Path, is_run: bool) -> RunError:
    """The output folder holds something already."""
    what = "a run" if is_run else "files that are not a run's"
    go_on = f"go on with it: warmstart train {path} --resume; or " if is_run else ""
    replace = "; or replace it: --overwrite" if is_run else ""
    return RunError(
        found=f"{path} already holds {what}",
        expected="a new or empty folder; nothing is overwritten unasked",
        do=f"{go_on}choose another folder: --output {path}-2{replace}",
    )


def not_ours_to_overwrite(path: Path, held: Sequence[str]) -> RunError:
    """``--overwrite`` was given for a folder that is no run directory."""
    names = ", ".join(held[:3]) + (", …" if len(held) > 3 else "")
    return RunError(
        found=f"{path} holds {names}, but no run",
        expected="--overwrite to replace an earlier run; other files are never removed",
        do=f"choose another folder: --output {path}/run",
    )


def replaces_its_input(path: Path, setting: str, value: str) -> RunError:
    """``--overwrite`` would remove the checkpoint or a data file of the new run."""
    return RunError(
        found=f"{setting}: {value} lies in {path}, which --overwrite would empty",
        expected="an output folder that holds nothing the new run reads",
        do=f"choose another folder: --output {path}-2",
    )


def not_a_run(path: Path) -> RunError:
    """A command was given a folder in which no run was started."""
    there = "holds no run" if path.is_dir() else "is a file and no run directory"
    state = there if path.exists() else "does not exist"
    return RunError(
        found=f"{path} {state}",
        expected="a run directory, as `warmstart train` writes it (config.yaml, task.json, model/)",
        do="name the folder that training printed at its end, or train first: warmstart demo",
    )


def no_model(path: Path) -> RunError:
    """The run has not kept any model yet."""
    return RunError(
        found=f"{path} has no finished model/",
        expected="a run that reached at least one evaluation",
        do=f"go on training: warmstart train {path} --resume",
    )


def gives_no_labels(task: str) -> RunError:
    """``predict`` with labels in mind, on a run of a language model."""
    other = {
        "fill-mask": "warmstart predict RUN --text 'a text with a mask', for the likeliest words; ",
        "text-generation": "warmstart generate RUN --prompt 'Once upon a time'; ",
    }
    return RunError(
        found=f"the run learned {task}: it has no labels to predict",
        expected="a run of a task with labels, such as text-classification",
        do=other.get(task, "") + "warmstart evaluate RUN --data FILE, to score it on a file",
    )


def does_not_write(path: Path, task: str) -> RunError:
    """A run was asked for texts whose task is another one."""
    return RunError(
        found=f"the run in {path} learned {task}",
        expected="a run of the task text-generation, whose model goes on with a text",
        do=f"for its own answers: warmstart predict {path} --text '…'",
    )


def already_finished(path: Path) -> RunError:
    """A finished run was asked to resume."""
    return RunError(
        found=f"the run in {path} is finished",
        expected="an interrupted run to resume",
        do=f"use it: warmstart predict {path} --text '…'; or train anew: --output {path}-2",
    )


def nothing_to_resume(path: Path) -> RunError:
    """``--resume`` without any checkpoint."""
    return RunError(
        found=f"{path} holds no checkpoint",
        expected="a run that was stopped after its first checkpoint",
        do=f"start it again: warmstart train {path}/config.yaml --output {path} --overwrite",
    )


def changed_since(path: Path, what: Sequence[str]) -> RunError:
    """What the run was made of is not what it was: a resume could not be exact."""
    return RunError(
        found=f"since the run in {path} began, this changed: {', '.join(what)}",
        expected="the same data, settings and versions, so that the resumed run is the same run",
        do=f"undo the change, or start anew: warmstart train {path}/config.yaml --output {path}-2",
    )


def other_processes(path: Path, then: int, now: int) -> RunError:
    """A run of several processes was to go on with more or fewer of them."""
    return RunError(
        found=f"the run in {path} was begun by {_processes(then)} and would go on with {now}",
        expected="as many as before: each draws its own dropout, so that others make another run",
        do=f"{_resume_command(path, then)}; or start anew: "
        f"warmstart train {path}/config.yaml --output {path}-2",
    )


def processes_differ(process: int, what: Sequence[str]) -> RunError:
    """What one process read or would compute with is not what the first one has."""
    return RunError(
        found=f"process {process} differs from the first in: {', '.join(what)}",
        expected="the same files and versions for all processes that train together",
        do="on several machines, keep the files on a disk that all of them see, under one path, and"
        " install the same versions",
    )


def lost_process(reason: str) -> RunError:
    """Another process of the training ended, or was never there."""
    return RunError(
        found=f"another process of this training cannot be reached: {reason}",
        expected="all processes at work until the end",
        do="read what it said; a run that had begun goes on from its last checkpoint: the same"
        " launcher with -m warmstart train RUN --resume",
    )


def locked(path: Path) -> RunError:
    """Another process holds the run directory."""
    return RunError(
        found=f"another process is at work in {path}",
        expected="one process per run directory",
        do=f"wait for it or stop it, or choose another folder: --output {path}-2",
    )


def cannot_write(path: Path, error: Exception) -> RunError:
    """The disk is full, or the folder may not be written.

    safetensors wraps the system's error in its own and keeps only its text: ``… (os error 28)``.
    """
    text = (error.strerror if isinstance(error, OSError) else None) or str(error)
    number = error.errno if isinstance(error, OSError) else None
    if wrapped := re.search(r"os error (\d+)", text):
        number = int(wrapped[1])
    if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        do = "free some space, then go on with --resume; what was saved before is intact"
    else:
        do = "choose a folder you may write to: --output DIR"
    return RunError(
        found=f"cannot write {path}: {text}",
        expected="a writable folder on a disk with room",
        do=do,
    )


def unreadable(path: Path, error: Exception) -> RunError:
    """A file of the run directory is missing or damaged."""
    return RunError(
        found=f"cannot read {path}: {error}",
        expected="a run directory as warmstart wrote it",
        do="restore the file, or train again from the run's config.yaml",
    )


def diverged(path: Path, step: int, kept_step: int | None) -> RunError:
    """The training loss is no number any more."""
    kept = (
        "no checkpoint was written yet"
        if kept_step is None
        else f"the checkpoint after step {kept_step} is kept in {path}/checkpoint"
    )
    return RunError(
        found=f"the loss of step {step} is not a finite number; {kept}",
        expected="a loss that falls",
        do="train anew with a lower rate (--set train.learning_rate=1e-5), a longer warm-up"
        " (--set train.warmup_share=0.2) or --set train.precision=float32",
    )


def out_of_memory(rows: int) -> RunError:
    """A single row does not fit."""
    return RunError(
        found=f"memory ran out even with {rows} row at a time",
        expected="room for the model and one row",
        do="shorten the input (--set model.max_tokens=128) or choose a smaller model",
    )


def interrupted(path: Path, step: int, processes: int = 1) -> Interrupted:
    """The person stopped the run of so many processes; it is saved."""
    return Interrupted(
        found=f"stopped after step {step}; everything up to there is saved in {path}",
        expected="to be continued, with the same result as if it had never stopped",
        do=_resume_command(path, processes),
    )


def interrupted_after_training(path: Path, processes: int = 1) -> Interrupted:
    """The person stopped the run while the trained model was scored or the report was written."""
    return Interrupted(
        found=f"stopped after training; the trained model is saved in {path}",
        expected="to be resumed: scores, report and export are then completed, nothing is trained"
        " again",
        do=_resume_command(path, processes),
    )


def _resume_command(path: Path, processes: int) -> str:
    """What to type to go on with a run of so many processes."""
    launcher = "" if processes == 1 else f"torchrun --nproc-per-node {processes} -m "
    return f"{launcher}warmstart train {path} --resume"


def _processes(count: int) -> str:
    return f"{count} process" + ("" if count == 1 else "es")
