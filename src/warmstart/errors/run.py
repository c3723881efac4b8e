"""Error messages about runs: missing, locked or damaged directory, full disk, divergence."""

import errno
import os
import re
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path

from warmstart.errors.base import Interrupted, RunError
from warmstart.errors.counts import counted


def not_a_directory(path: Path) -> RunError:
    """The output path is a file."""
    return RunError(
        found=f"{path} is a file",
        expected="a folder for the run, new or empty",
        do=f"choose another one: --output {path}-run",
    )


def not_empty(path: Path, *, is_run: bool, is_finished: bool) -> RunError:
    """The output folder is not empty."""
    run = "a finished run" if is_finished else "a run that is not finished"
    what = run if is_run else "files that do not belong to a run"
    resume = f"resume it: warmstart train {path} --resume; or "
    replace = "; or replace it: --overwrite" if is_run else ""
    return RunError(
        found=f"{path} already contains {what}",
        expected="a new or empty folder; existing files are only overwritten on request",
        do=f"{resume * (is_run and not is_finished)}choose another folder: --output "
        f"{_unused(path)}{replace}",
    )


def _unused(path: Path) -> Path:
    """``run-2`` for ``run``, or the next number that does not exist yet."""
    numbered = (path.with_name(f"{path.name}-{number}") for number in count(2))
    return next(one for one in numbered if not os.path.lexists(one))


def overwrites_no_run(path: Path, held: Sequence[str]) -> RunError:
    """``--overwrite`` was given for a folder that is not a run directory."""
    names = ", ".join(held[:3]) + (", …" if len(held) > 3 else "")
    return RunError(
        found=f"{path} contains {names}, but no run",
        expected="a run directory: --overwrite replaces a run and never removes other files",
        do=f"choose another folder: --output {path}/run",
    )


def replaces_its_input(path: Path, setting: str, value: str) -> RunError:
    """``--overwrite`` would remove the checkpoint or a data file of the new run."""
    return RunError(
        found=f"{setting}: {value} is in {path}, which --overwrite would empty",
        expected="an output folder without any file that the new run reads",
        do=f"choose another folder: --output {_unused(path)}",
    )


def not_a_run(path: Path) -> RunError:
    """A command was given a path that is not a run directory."""
    if not path.exists():
        state = "does not exist"
    else:
        state = "contains no run" if path.is_dir() else "is a file, not a run directory"
    if path.joinpath("experiment.json").is_file():
        return RunError(
            found=f"{path} is an experiment of several runs",
            expected="the run directory of one of them",
            do=f"name one of the runs in {path}/trials"
            + f", or the best: {path}/best" * path.joinpath("best").is_dir()
            + f", or the final one: {path}/final" * path.joinpath("final").is_dir(),
        )
    is_inside = path.parent.joinpath("config.yaml").is_file()  # RUN/model, RUN/report.html
    return RunError(
        found=f"{path} {state}",
        expected="a run directory, as `warmstart train` writes it (config.yaml, task.json, model/)",
        do=f"name the run that contains it: {path.parent}"
        if is_inside
        else "name the folder that training printed at its end, or train first: warmstart demo",
    )


def never_began(path: Path) -> RunError:
    """The run was stopped before its settings and data were saved."""
    return RunError(
        found=f"the run in {path} was stopped before its first step; nothing of it was saved",
        expected="a run that began to train",
        do="start it again with the same command, which uses the folder again",
    )


def no_model(path: Path) -> RunError:
    """The run has not saved a model yet."""
    return RunError(
        found=f"{path} has no finished model/",
        expected="a run that reached at least one evaluation",
        do=f"resume training: warmstart train {path} --resume",
    )


def no_model_yet(path: Path) -> RunError:
    """Another process is training the run, and has not saved a model yet."""
    return RunError(
        found=f"{path} has no finished model/ yet: another process is using it",
        expected="a run that reached at least one evaluation",
        do="wait until it has been evaluated, and repeat the command",
    )


def replaced(path: Path) -> RunError:
    """Another process replaced the run while a command used it."""
    return RunError(
        found=f"the run in {path} was replaced by another one in the meantime (--overwrite)",
        expected="one and the same run from the beginning of a command to its end",
        do="repeat the command, which then uses the new run",
    )


def incomplete_model(folder: Path, name: str) -> RunError:
    """A file of the saved model is missing."""
    return RunError(
        found=f"cannot read {folder}/{name}: the file is missing",
        expected="the model as it was saved: without this file, its predictions could be wrong",
        do=f"restore the file from a copy, or train again: {_again(folder.parent)}",
    )


def changed_model(folder: Path, damage: str) -> RunError:
    """A file of the model of a finished run was damaged or replaced."""
    run = folder.parent
    return RunError(
        found=f"{folder} was changed after the run was finished: {damage}",
        expected="the model as it was saved, whose scores the run has",
        do=f"restore the file from a copy, or train again: {_again(run)}; if you changed the model "
        f"yourself, remove {folder}/manifest.json and score it again: warmstart evaluate {run} "
        "--data FILE",
    )


def generates_instead(task: str, command: str) -> RunError:
    """``predict`` on a run whose model generates text."""
    return RunError(
        found=f"the task of the run is {task}, which makes no prediction for a row",
        expected="a run of another task, such as text-classification",
        do=f"{command.format(run='RUN')}; or warmstart evaluate RUN --data FILE, to score it",
    )


def does_not_write(path: Path, task: str) -> RunError:
    """Text generation was requested from a run of another task."""
    return RunError(
        found=f"the task of the run in {path} is {task}",
        expected="a run of the task text-generation",
        do=f"for its predictions: warmstart predict {path} --text '…'",
    )


def already_finished(path: Path) -> RunError:
    """``--resume`` for a finished run."""
    return RunError(
        found=f"the run in {path} is finished",
        expected="an interrupted run to resume",
        do=f"use it: warmstart predict {path} --text '…'; or train again: warmstart train {path} "
        f"--output {_unused(path)}",
    )


def nothing_to_resume(path: Path) -> RunError:
    """``--resume`` for a run without a checkpoint."""
    return RunError(
        found=f"{path} contains no checkpoint",
        expected="a run that was stopped after its first checkpoint",
        do=f"start again: warmstart train {path} --output {path} --overwrite",
    )


def damaged_checkpoints(path: Path, damaged: Mapping[Path, str]) -> RunError:
    """No checkpoint of the run is intact; ``damaged`` says what is damaged in each of them."""
    (newest, reason), *others = damaged.items()
    older = "".join(f"; {folder.name}: {damage}" for folder, damage in others)
    return RunError(
        found=f"cannot read {newest}: {reason}{older}",
        expected="at least one checkpoint as it was written; the model saved so far, in "
        f"{path}/model, is not affected",
        do=f"restore the folder from a copy, or train again: {_again(path)}",
    )


def damaged_average(folder: Path, damage: str) -> RunError:
    """A model that train.average needs was damaged."""
    path = folder.parents[1]
    return RunError(
        found=f"cannot read {folder}: {damage}",
        expected="the models for train.average as they were written; the best single model, in "
        f"{path}/model, is not affected",
        do=f"restore the folder from a copy, or train again: {_again(path)}",
    )


def changed_since(path: Path, what: Sequence[str]) -> RunError:
    """The data, settings or versions of the run changed, so that it cannot be resumed exactly."""
    return RunError(
        found=f"changed since the run in {path} was started: {', '.join(what)}",
        expected="the same data, settings, checkpoint and versions, so that the result is that of "
        "a run without interruption",
        do=f"undo the change; or start a new run: {_again(path)}; or start it from the weights "
        f"saved in {path}: {_again(path, continued=True)}",
    )


def locked(path: Path) -> RunError:
    """Another process has locked the run directory."""
    return RunError(
        found=f"another process is using {path}",
        expected="one process at a time that trains in a run directory or exports its model",
        do="wait until it has ended, or stop it, and repeat the command; a new training can use "
        f"another folder: --output {path}-2",
    )


_SYSTEM_ERROR = re.compile(r"os error (\d+)")
"""The end of the texts of system errors that Rust libraries wrap: ``(os error 28)``."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def is_system_error(error: Exception) -> bool:
    """Whether a library wrapped an error of the operating system, of which only the text is left.

    Args:
        error: any exception.
    """
    return bool(_SYSTEM_ERROR.search(str(error))) or is_disk_full(error)


def is_disk_full(error: Exception) -> bool:
    """Whether an error means that the disk is full, whichever library raised it.

    Args:
        error: any exception.
    """
    return (isinstance(error, OSError) and error.errno in _FULL) or any(
        os.strerror(number) in str(error) for number in _FULL
    )


def cannot_write(path: Path, error: Exception) -> RunError:
    """The disk is full, or the folder is not writable."""
    text = (error.strerror if isinstance(error, OSError) else None) or str(error)
    number = error.errno if isinstance(error, OSError) else None
    if wrapped := _SYSTEM_ERROR.search(text):
        number = int(wrapped[1])
    if number in _FULL or any(os.strerror(full) in text for full in _FULL):
        do = "free some space, and repeat the command; everything saved earlier is intact"
    else:
        do = (
            "choose a folder that you have permission to write to: --output DIR for train and "
            "predict; for other commands, make a copy of the run there"
        )
    return RunError(
        found=f"cannot write {path}: {text}",
        expected="a writable folder on a disk with free space",
        do=do,
    )


def full_while_training(path: Path, error: RunError, processes: int) -> RunError:
    """The disk was full after the run in ``path`` had begun, so that it can be resumed."""
    return RunError(
        found=error.found,
        expected=error.expected,
        do=f"free some space, and resume the run: {_resume_command(path, processes)}; everything "
        "saved earlier is intact",
    )


_STILL_POSSIBLE = {
    "parity.json": "export again: warmstart export RUN; or use PyTorch (--engine torch)",
    "scores.json": "restore the file from a copy; or remove its folder and score again: warmstart "
    "evaluate RUN --data FILE",
    "predictions.parquet": "restore the file from a copy; or remove its folder and score again: "
    "warmstart evaluate RUN --data FILE",
    "samples.json": "remove the file, and generate texts again: warmstart generate RUN",
    "events.jsonl": "restore the file from a copy, or remove this line; the model is not affected: "
    "warmstart predict RUN",
    "environment.json": "restore the file from a copy; the model is not affected: warmstart "
    "predict RUN",
}
"""What can be done without a file, by its name."""


def unreadable(path: Path, error: object) -> RunError:
    """A file of the run directory is missing or damaged."""
    name = path.name.partition(":")[0]
    again = "restore the file from a copy, or train again from the run's config.yaml"
    if name.startswith("baseline-"):
        again = "restore the file from a copy; or remove it, to compare with the other baselines"
    return RunError(
        found=f"cannot read {path}: {error}",
        expected="a run directory as this version of warmstart wrote it",
        do=_STILL_POSSIBLE.get(name, again),
    )


def other_labels(path: Path, names: Sequence[str], outputs: Sequence[str]) -> RunError:
    """The labels in ``task.json`` at ``path`` are not those of the saved model."""
    if len(names) != len(outputs):
        reason = f"it has {len(names)} labels, and the model in {path.parent}/model has "
        return unreadable(path, f"{reason}{len(outputs)}")
    pairs = enumerate(zip(names, outputs, strict=True), start=1)
    number, name, output = next((n, a, b) for n, (a, b) in pairs if a != b)
    reason = f"label {number} is {name!r}, and that of the model in {path.parent}/model is "
    return unreadable(path, f"{reason}{output!r}")


def other_processes(path: Path, then: int, now: int) -> RunError:
    """A run was to be resumed with another number of processes."""
    return RunError(
        found=f"the run in {path} was started with {_processes(then)}, but would resume with {now}",
        expected="the same number of processes: each has its own dropout seed, so another number "
        "gives another result",
        do=f"{_resume_command(path, then)}; or start a new run: {_again(path)}",
    )


def diverged(path: Path, step: int, kept_step: int | None) -> RunError:
    """The training loss is no longer finite; ``step`` counts from 0, the message from 1."""
    kept = (
        "no checkpoint was written yet"
        if kept_step is None
        else f"the checkpoint after step {kept_step + 1} is kept in {path}/checkpoint"
    )
    return RunError(
        found=f"the loss of step {step + 1} is not a finite number; {kept}",
        expected="a finite loss in every step",
        do="train again with a lower learning rate (--set train.learning_rate=1e-5), a longer"
        " warm-up (--set train.warmup_share=0.2) or --set train.precision=float32",
    )


def out_of_memory(rows: int) -> RunError:
    """A single row does not fit into memory."""
    return RunError(
        found=f"out of memory, even with {rows} row at a time",
        expected="enough memory for the model and one row",
        do="shorten the input (--set model.max_tokens=128) or choose a smaller model",
    )


def too_large_to_train(needed: int, available: int) -> RunError:
    """Gradients and optimiser need more memory than there is; sizes are in bytes."""
    return RunError(
        found=f"training needs {needed / 2**30:.1f} GiB of memory for gradients and the moments of "
        f"AdamW alone, and {available / 2**30:.1f} GiB are free",
        expected="a model that fits into memory while it trains",
        do="choose a smaller model; or train a part of it: --set train.freeze=backbone or --set "
        "train.lora.rank=8; or end other programs that use memory",
    )


def interrupted(path: Path, step: int, processes: int = 1) -> Interrupted:
    """The user stopped the run of ``processes`` processes after ``step``, counted from 0."""
    return Interrupted(
        found=f"stopped after step {step + 1}; everything up to that step is saved in {path}",
        expected="the run to be resumed; its result is then the same as without the interruption",
        do=_resume_command(path, processes),
    )


def interrupted_after_training(path: Path, processes: int = 1) -> Interrupted:
    """The user stopped the run while the trained model was scored or the report was written."""
    return Interrupted(
        found=f"stopped after training; the trained model is saved in {path}",
        expected="to be resumed: scores, report and export are then completed, nothing is trained"
        " again",
        do=_resume_command(path, processes),
    )


def _again(path: Path, *, continued: bool = False) -> str:
    """The command that repeats a run in a new folder, or continues from its model there."""
    pretrained = path.joinpath("start").is_dir()
    verb = "pretrain" if pretrained and not continued else "train"
    sets = ["pretrain=null"] * pretrained + [f"model.name={path}"]
    changes = "".join(f" --set {one}" for one in sets) if continued else ""
    return f"warmstart {verb} {path}/config.yaml{changes} --output {path}-2"


def _resume_command(path: Path, processes: int) -> str:
    """The command that resumes a run with ``processes`` processes."""
    launcher = "" if processes == 1 else f"torchrun --nproc-per-node {processes} -m "
    return f"{launcher}warmstart train {path} --resume"


def _processes(count: int) -> str:
    return counted(count, "process", "processes")
