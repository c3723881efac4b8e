"""Error messages about command-line arguments. Exit code 2, except for rejected output files."""

import shlex
from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from warmstart.errors.base import ConfigError, UsageError
from warmstart.errors.counts import counted


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
    option: str,
    command: str,
    known: Sequence[str],
    settings: Collection[str],
    elsewhere: Mapping[str, str],
) -> UsageError:
    """An option that the command does not have; perhaps a setting.

    Args:
        option: as typed: ``--max-tokens``.
        command: the command with its program: ``warmstart train``.
        known: the options of the command.
        settings: names of all settings.
        elsewhere: names of other tools -> the setting.
    """
    name = option.lstrip("-").replace("-", "_")
    name = elsewhere.get(name, name).rpartition(".")[2]
    nearest = get_close_matches(f"--{name.replace('_', '-')}", known, n=1, cutoff=0.7)
    tries = [f"{command} … {one}" for one in nearest]
    if "--set" in known:
        meant = [one for one in settings if one.rpartition(".")[2] == name]
        tries += [f"{command} … --set {setting}=VALUE" for setting in meant]
    return UsageError(
        found=f"{command} has no option {option}",
        expected=f"one of: {', '.join(known)}",
        do="; or ".join(tries) or f"{command} --help",
    )


def unknown_command(name: str, known: Collection[str]) -> UsageError:
    """A command that does not exist."""
    nearest = get_close_matches(name, known, n=1)
    return UsageError(
        found=f"warmstart has no command {name!r}",
        expected=f"one of: {', '.join(known)}",
        do=f"warmstart {nearest[0] if nearest else '--help'}",
    )


def extra_argument(extra: str, command: str, places: Sequence[str]) -> UsageError:
    """More words than the command has places for.

    Args:
        extra: the words.
        command: the command with its program.
        places: what the command reads, besides its options.
    """
    return UsageError(
        found=f"{command} got {extra!r}, which belongs to no option",
        expected=f"{' '.join([command, *places])}, and options",
        do="write NAME=VALUE without spaces: --set data.text=text"
        if extra.startswith("=") or extra.endswith("=")
        else f"put quotes around a value with spaces: --text 'two words'; or {command} --help",
    )


def missing_argument(name: str, meaning: str, command: str) -> UsageError:
    """A command without something that it needs.

    Args:
        name: an option, or a name from the help.
        meaning: the help for it.
        command: the command with its program.
    """
    return UsageError(
        found=f"{command} without {name}",
        expected=f"{name}: {meaning}",
        do=f"{command} {f'… {name} …' if name.startswith('-') else name}; or {command} --help",
    )


def missing_value(option: str, meaning: str, command: str) -> UsageError:
    """An option without its value; ``meaning``: the help for it."""
    return UsageError(
        found=f"{option} without a value",
        expected=f"a value after {option} ({meaning})",
        do=f"{command} … {option} VALUE; or {command} --help",
    )


def needless_value(option: str, command: str) -> UsageError:
    """A value for an option that only switches something on."""
    return UsageError(
        found=f"{option} with a value",
        expected=f"{option} without a value",
        do=f"{command} … {option}",
    )


def wrong_value(
    option: str, value: str, expected: str, choices: Sequence[str], command: str
) -> UsageError:
    """A value of a wrong type, outside of the limits, or not among the allowed ones.

    Args:
        option: the option.
        value: its value.
        expected: what the value should be, if it is not one of ``choices``.
        choices: the allowed values.
        command: the command with its program.
    """
    nearest = get_close_matches(value, choices, n=1, cutoff=0.5) or choices[:1] or ["VALUE"]
    return UsageError(
        found=f"{option} {shlex.quote(value)}",
        expected=f"one of: {', '.join(choices)}" if choices else expected,
        do=f"{command} … {option} {nearest[0]}; or {command} --help",
    )


def repeated_option(option: str, command: str) -> UsageError:
    """An option that takes one value was given more than once."""
    return UsageError(
        found=f"{option} is given more than once",
        expected=f"{option} once, with one value",
        do=f"remove one of them; all options: {command} --help",
    )


def given_twice(name: str, first: str, second: str) -> ConfigError:
    """A setting that the command line has twice; ``first`` and ``second`` are the arguments."""
    return ConfigError(
        found=f"{name} is given twice: {first} and {second}",
        expected="one value for each setting",
        do=f"remove {first} or {second}",
    )


def wrong_usage(message: str, command: str) -> UsageError:
    """Another mistake in the arguments; ``message``: Typer's."""
    return UsageError(
        found=message.rstrip("."),
        expected=f"the arguments of {command}",
        do=f"{command} --help",
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


def text_or_data(command: str, *, both: bool) -> UsageError:
    """``warmstart predict`` or ``embed`` got neither or both of ``--text`` and ``--data``."""
    return UsageError(
        found="both --text and --data" if both else "neither --text nor --data",
        expected="exactly one of them",
        do=f"warmstart {command} RUN --text '…' (add --text-pair '…' if the run was trained on "
        f"pairs); or warmstart {command} RUN --data FILE; or warmstart {command} RUN --data - to "
        "read the standard input",
    )


def only_with_data(option: str, command: str) -> UsageError:
    """``predict`` or ``embed`` with ``--text`` and an option that only applies to a file."""
    return UsageError(
        found=f"--text with {option}",
        expected=f"{option.split()[0]} together with --data",
        do=f"put the texts in a file: warmstart {command} RUN --data FILE; "
        f"or leave {option.split()[0]} out: "
        f"warmstart {command} RUN --text '…' --json > output.json",
    )


def settings_of_what(name: str | Path, sets: Sequence[str]) -> UsageError:
    """``--set`` for ``info`` of a run or a checkpoint, which have no settings to change."""
    return UsageError(
        found=f"--set {sets[0]}, but {name} is not a config",
        expected="--set only together with a config or recipe",
        do=f"warmstart info {shlex.quote(str(name))}; or warmstart info CONFIG.yaml "
        f"--set {shlex.quote(sets[0])}",
    )


def labels_of_what(name: str | Path, labels: int, kind: str) -> UsageError:
    """``--labels`` for ``info`` of a run or a config; ``kind`` is ``run`` or ``config``."""
    return UsageError(
        found=f"--labels {labels}, but {name} is a {kind}",
        expected="--labels only together with a checkpoint (Hub id or folder)",
        do=f"warmstart info {shlex.quote(str(name))}",
    )


def output_format(path: Path, known: Collection[str]) -> ConfigError:
    """The suffix of the output file is not that of a known format."""
    return ConfigError(
        found=f"--output {path}",
        expected=f"a file name that ends in one of: {', '.join(known)}",
        do=f"--output {path.with_suffix(next(iter(known)))}",
    )


def no_conll(path: Path, task: str, writers: Collection[str]) -> ConfigError:
    """A CoNLL file was requested for a task without words."""
    return ConfigError(
        found=f"--output {path}, for a run of the task {task}",
        expected=f"a CoNLL file only for a task with words and tags: {', '.join(writers)}",
        do=f"--output {path.with_suffix('.csv')}, or .parquet or .jsonl",
    )


def output_exists(path: Path) -> ConfigError:
    """The output file already exists."""
    other = f"choose another name: --output {path.with_stem(path.stem + '-2')}"
    if path.is_dir():
        return ConfigError(found=f"{path} is a folder", expected="a file", do=other)
    return ConfigError(
        found=f"{path} already exists",
        expected="a new file; existing files are not overwritten without --overwrite",
        do=f"{other}; or replace it with --overwrite",
    )


def output_is_kept(path: Path, what: str) -> ConfigError:
    """``--overwrite`` would replace a file that is still needed; ``what``: what it is."""
    return ConfigError(
        found=f"{path}, the output file, is {what}",
        expected="another file; this one is never overwritten",
        do=f"choose another name: --output {path.stem}-output{path.suffix}",
    )


def nothing_to_overwrite(command: str, output: str) -> UsageError:
    """``--overwrite`` without ``--output``; ``output``: the name of a possible file."""
    return UsageError(
        found="--overwrite without --output",
        expected="the output file",
        do=f"warmstart {command} RUN --data FILE --output {output} --overwrite",
    )


def only_for_rows(option: str, command: str, output: str) -> UsageError:
    """``--keep-columns`` where only the results themselves are printed."""
    return UsageError(
        found=f"{option}, but the columns are not printed",
        expected=f"{option} together with --json, or with --output and a file of rows",
        do=f"warmstart {command} RUN --data FILE {option} --output {output}",
    )


def top_k_of_what(count: int, task: str, able: Collection[str]) -> ConfigError:
    """``--top-k`` for a task whose predictions are not labels with probabilities."""
    return ConfigError(
        found=f"--top-k {count}, for a run of the task {task}",
        expected=f"a run that gives each label or answer a probability: {', '.join(able)}",
        do="leave --top-k out",
    )


def top_k_out_of_range(count: int, most: int, unit: str) -> ConfigError:
    """``--top-k`` is not between 1 and the number of labels, or of answers that are kept."""
    has = "the run has" if unit == "label" else "a question has at most"
    return ConfigError(
        found=f"--top-k {count}, and {has} {counted(most, unit)}",
        expected=f"a number from 1 to {most}",
        do=f"--top-k {min(max(count, 1), most)}",
    )


def labels_not_read(setting: str) -> ConfigError:
    """A setting about labels, for a file that is predicted."""
    return ConfigError(
        found=f"--set {setting}=…, for a file that is predicted",
        expected="no setting about labels: predictions do not read them",
        do=f"leave {setting} out; or score the predictions: warmstart evaluate RUN --data FILE",
    )


def tensorboard_missing() -> ConfigError:
    """``train.tensorboard: true`` without the package."""
    return ConfigError(
        found="train.tensorboard is true, but the tensorboard package is not installed",
        expected="the package, or no TensorBoard files (events.jsonl is always written)",
        do="pip install tensorboard, or --set train.tensorboard=false",
    )
