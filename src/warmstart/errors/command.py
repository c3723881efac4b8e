"""Error messages about command-line arguments. Exit code 2, except for rejected output files."""

import shlex
from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from warmstart.errors.base import ConfigError, UsageError


def config_and_flags(config: str, flags: Mapping[str, Any], command: str) -> UsageError:
    """``train`` or ``check`` got a config and also flags that would define a new config."""
    first, names = next(iter(flags)), [name.replace("_", "-") for name in flags]
    setting = {"task": "task", "model": "model.name"}.get(first, f"data.{first}")
    value = flags[first][0] if isinstance(flags[first], list) else flags[first]
    return UsageError(
        found=f"both a config ({config}) and --{', --'.join(names)}",
        expected="a config or recipe, optionally changed with --set; or only flags",
        do=f"warmstart {command} {config} --set {shlex.quote(f'{setting}={value}')}",
    )


def unknown_option(
    option: str, command: str, known: Sequence[str], settings: Collection[str]
) -> UsageError:
    """An option that the command does not have; perhaps a setting.

    Args:
        option: as typed: ``--max-tokens``.
        command: the command with its program: ``warmstart train``.
        known: the options of the command.
        settings: names of all settings.
    """
    name = option.lstrip("-").replace("-", "_")
    meant = [one for one in settings if one.rpartition(".")[2] == name]
    nearest = get_close_matches(option, known, n=1, cutoff=0.7)
    tries = [f"{command} … {one}" for one in nearest]
    if "--set" in known:
        tries += [f"{command} … --set {setting}=VALUE" for setting in meant]
    return UsageError(
        found=f"{command} has no option {option}",
        expected=f"one of: {', '.join(known)}",
        do="; or ".join(tries) or f"{command} --help",
    )


def nothing_to_train() -> UsageError:
    """``warmstart train`` without a config and without flags."""
    return UsageError(
        found="nothing to train on",
        expected="a config file, a recipe, or a training file with --text and --label",
        do="warmstart train reviews.csv --text review --label stars; or warmstart recipes",
    )


def nothing_to_pretrain() -> UsageError:
    """``warmstart pretrain`` without a config."""
    return UsageError(
        found="nothing to pretrain on",
        expected="a config file or a recipe with a `pretrain` section",
        do="write a file with the lines `pretrain: {size: mini}` and `data: {train: FILE}`, then: "
        "warmstart pretrain CONFIG.yaml",
    )


def resume_with(run: str | Path, options: Sequence[str]) -> UsageError:
    """``--resume`` together with options that would change the run or prevent training."""
    return UsageError(
        found=f"--resume with {', '.join(options)}",
        expected="no other options: a resumed run keeps its own settings and folder",
        do=f"warmstart train {run} --resume; or train with other settings in a new folder: "
        f"warmstart train {run} --set train.epochs=…",
    )


def resume_what() -> UsageError:
    """``--resume`` without a run."""
    return UsageError(
        found="--resume without a run",
        expected="the run directory to resume",
        do="warmstart train RUN --resume",
    )


def text_or_data() -> UsageError:
    """``warmstart predict`` got neither or both of ``--text`` and ``--data``."""
    return UsageError(
        found="neither --text nor --data, or both",
        expected="exactly one of them",
        do="warmstart predict RUN --text '…' (add --text-pair '…' if the run was trained on "
        "pairs); or warmstart predict RUN --data FILE",
    )


def only_with_data(option: str) -> UsageError:
    """``warmstart predict --text`` with ``--set`` or ``--output``, which only apply to a file."""
    return UsageError(
        found=f"--text with {option}",
        expected=f"{option.split()[0]} together with --data",
        do="put the texts in a file: warmstart predict RUN --data FILE; "
        f"or leave {option.split()[0]} out: "
        "warmstart predict RUN --text '…' --json > predictions.json",
    )


def output_format(path: Path, known: Collection[str]) -> ConfigError:
    """The suffix of the predictions file is not that of a known format."""
    return ConfigError(
        found=f"--output {path}",
        expected=f"a file name that ends in one of: {', '.join(known)}",
        do=f"--output {path.with_suffix('.csv')}",
    )


def no_conll(path: Path, task: str, writers: Collection[str]) -> ConfigError:
    """A CoNLL file was requested for a task without words."""
    return ConfigError(
        found=f"--output {path}, for a run of the task {task}",
        expected=f"a CoNLL file only for a task with words and tags: {', '.join(writers)}",
        do=f"--output {path.with_suffix('.csv')}, or .parquet or .jsonl",
    )


def output_exists(path: Path) -> ConfigError:
    """The predictions file already exists."""
    return ConfigError(
        found=f"{path} already exists",
        expected="a new file; existing files are not overwritten",
        do=f"remove it, or choose another name: --output {path.with_stem(path.stem + '-2')}",
    )


def tensorboard_missing() -> ConfigError:
    """``train.tensorboard: true`` without the package."""
    return ConfigError(
        found="train.tensorboard is true, but the tensorboard package is not installed",
        expected="the package, or no TensorBoard files (events.jsonl is always written)",
        do="pip install tensorboard, or --set train.tensorboard=false",
    )
