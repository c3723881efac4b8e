"""Error messages about experiments: their folder, their options, and trials that fail."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from warmstart.errors.base import ConfigError, Interrupted, RunError, UsageError
from warmstart.errors.counts import counted


def other_files(path: Path, held: Sequence[str]) -> RunError:
    """The output folder contains something that is not an experiment."""
    names = ", ".join(held[:3]) + (", …" if len(held) > 3 else "")
    return RunError(
        found=f"{path} contains {names}, but no experiment",
        expected="a new or empty folder, or that of an experiment",
        do=f"choose another folder: --output {path}-2",
    )


def not_empty(path: Path, *, finished: bool) -> RunError:
    """The output folder contains an experiment already."""
    state = "a finished experiment" if finished else "an experiment that is not finished"
    resume = "" if finished else "resume it with --resume instead of the config; or "
    return RunError(
        found=f"{path} already contains {state}",
        expected="a new or empty folder; an experiment is only overwritten on request",
        do=f"{resume}choose another folder: --output {path}-2; or replace it: --overwrite",
    )


def no_experiment(path: Path) -> RunError:
    """A command was given a folder that is not an experiment."""
    state = "contains no experiment" if path.is_dir() else "is not a folder"
    return RunError(
        found=f"{path} {state}" if path.exists() else f"{path} does not exist",
        expected="the folder of an experiment, with experiment.json",
        do="name the folder that the experiment printed",
    )


def of_other_kind(path: Path, kind: str, command: str) -> RunError:
    """An experiment is resumed with the command for another kind."""
    return RunError(
        found=f"the experiment in {path} is of the kind {kind}",
        expected=f"one of the kind {command}",
        do=f"resume it with its own command: warmstart {kind} {path} --resume",
    )


def already_finished(path: Path, report: Path) -> RunError:
    """There is nothing to resume."""
    return RunError(
        found=f"the experiment in {path} is finished",
        expected="one that was interrupted",
        do=f"read its report, {report}; or begin another one: --output {path}-2",
    )


def locked(path: Path) -> RunError:
    """Another process works on the experiment."""
    return RunError(
        found=f"another process works on the experiment in {path}",
        expected="one process for each experiment",
        do=f"wait until it has ended, or choose another folder: --output {path}-2",
    )


def damaged(path: Path, problem: Exception) -> RunError:
    """A file of the experiment cannot be read."""
    return RunError(
        found=f"cannot read {path}: {problem}",
        expected="the file as warmstart wrote it",
        do=f"restore it from a copy, or begin again: --output {path.parent}-2",
    )


def interrupted(path: Path, kind: str, done: int, count: int) -> Interrupted:
    """The user stopped the experiment."""
    return Interrupted(
        found=f"stopped after {done} of {counted(count, 'trial')}; those that had begun are saved",
        expected="the experiment to be resumed; nothing is computed twice",
        do=f"warmstart {kind} {path} --resume",
    )


def failed_alike(path: Path, kind: str, cause: str, count: int) -> RunError:
    """Several trials failed with the same error."""
    return RunError(
        found=f"{counted(count, 'trial')} failed with the same error: {cause}",
        expected="trials that can be trained",
        do=f"remove the cause, then continue with: warmstart {kind} {path} --resume (all errors "
        "are in its trials.jsonl)",
    )


def all_failed(path: Path, kind: str, cause: str) -> RunError:
    """No trial could be finished."""
    return RunError(
        found=f"no trial was finished; the last error: {cause}",
        expected="at least one trial that can be trained",
        do=f"remove the cause, then continue with: warmstart {kind} {path} --resume (all errors "
        "are in its trials.jsonl)",
    )


def pretrains(kind: str) -> ConfigError:
    """The config of an experiment pretrains a new model."""
    return ConfigError(
        found="the config has a group pretrain",
        expected=f"a config that fine-tunes: {kind} does not pretrain models",
        do="set pretrain=null, and model.name to a checkpoint or a run directory",
    )


def exports_nothing(kind: str) -> ConfigError:
    """``export.onnx`` in an experiment that chooses no model."""
    final = ", or --final to train one on all rows" if kind == "cross-validate" else ""
    return ConfigError(
        found=f"export.onnx: true, and {kind} chooses no model that could be exported",
        expected="an export of one model, as after train, repeat or search",
        do=f"--set export.onnx=false{final}",
    )


def nothing_to_choose_by(kind: str) -> ConfigError:
    """An experiment that compares its trials by scores, without the rows for these."""
    rows = "validation rows" if kind != "learning-curve" else "validation or test rows"
    return ConfigError(
        found=f"data.validation: none, and {kind} compares its trials by their scores",
        expected=f"{rows}, on which every trial is scored",
        do="--set data.validation=0.1",
    )


def final_without_validation(settings: Mapping[str, str]) -> ConfigError:
    """Settings of a cross-validation that its final run, without validation rows, cannot have.

    Args:
        settings: the value that leaves each one out.
    """
    named = " and ".join(settings)
    return ConfigError(
        found=f"{named} with --final, whose run has no validation rows",
        expected="settings that need no validation rows, for a run on all rows",
        do=" ".join(f"--set {name}={value}" for name, value in settings.items())
        + ", or without --final",
    )


def too_few_seeds(count: int) -> UsageError:
    """An experiment over fewer than two seeds."""
    return UsageError(
        found=f"{counted(count, 'seed')} for repeat",
        expected="at least 2: a single run shows no spread",
        do="--seeds 5; or for one run: warmstart train CONFIG",
    )


def too_many_seeds(count: int, most: int) -> UsageError:
    """A number of seeds that is probably meant as a seed."""
    return UsageError(
        found=f"{count:,} seeds for repeat, each of which would be a run",
        expected=f"a number of seeds up to {most:,}, or several seeds with commas",
        do=f"--seeds 5; or with these seeds: --seeds {count},{count + 1},{count + 2}",
    )


def repeated_seed(seed: int) -> UsageError:
    """A seed is named twice."""
    return UsageError(
        found=f"seed {seed} is given more than once",
        expected="different seeds: equal seeds give equal runs",
        do="leave it out, or give only a number of seeds: --seeds 5",
    )


def not_seeds(text: str) -> UsageError:
    """``--seeds`` is neither a number nor a list of seeds."""
    return UsageError(
        found=f"--seeds {text}",
        expected="a number of seeds, or several seeds from 0 on with commas: 1,2,3",
        do="--seeds 5",
    )


def seed_is_varied(setting: str) -> ConfigError:
    """The config sets a seed that the experiment varies."""
    return ConfigError(
        found=f"the config sets {setting}, which would be the same in every run",
        expected="only train.seed, from which the other seeds follow",
        do=f"remove it: --set {setting}=null; or vary only one use: --vary dropout",
    )


def too_few_workers(count: int) -> UsageError:
    """``--workers`` is below 1."""
    return UsageError(
        found=f"--workers {count}",
        expected="at least 1 process",
        do="--workers 1, or leave it out",
    )


def script_without_guard() -> UsageError:
    """A worker process imports the script that started it, which starts the experiment again."""
    return UsageError(
        found="a worker process could not begin: it imports the script that called warmstart",
        expected='a script in a file, with the call below the line: if __name__ == "__main__":',
        do="add this line above the call, and indent the call; or leave out workers",
    )


def resume_with(path: Path, kind: str, others: Sequence[str]) -> UsageError:
    """Options are given that an experiment to be resumed has already."""
    return UsageError(
        found=f"--resume together with {', '.join(others)}",
        expected="no settings: a resumed experiment keeps its own",
        do=f"warmstart {kind} {path} --resume",
    )


def too_few_folds(count: int, option: str = "--folds") -> UsageError:
    """A cross-validation, or a search in folds, with fewer than two folds."""
    return UsageError(
        found=f"{option} {count}",
        expected="at least 2 folds: one is held out, the others are for training",
        do=f"{option} 5",
    )


def too_few_repeats(count: int) -> UsageError:
    """A cross-validation that is not done once."""
    return UsageError(
        found=f"--repeats {count}", expected="1 or more", do="--repeats 1, or leave it out"
    )


def not_shares(shares: Sequence[float | str]) -> UsageError:
    """The shares of a learning curve are not usable."""
    return UsageError(
        found=f"shares {', '.join(map(str, shares))}",
        expected="at least two different shares of the training rows, above 0 and up to 1",
        do="--shares 0.1,0.3,1",
    )


def limit_is_varied(limit: int) -> ConfigError:
    """The config limits the training rows, as a learning curve does."""
    return ConfigError(
        found=f"data.limit: {limit}",
        expected="all training rows: a learning curve takes samples of them itself",
        do="remove it: --set data.limit=null",
    )


def share_without_rows(share: float, rows: int) -> UsageError:
    """A share of the training rows is less than one row."""
    return UsageError(
        found=f"share {share} of {counted(rows, 'training row')}",
        expected="at least one row",
        do="choose larger shares: --shares 0.1,0.3,1",
    )
