"""Error messages about searches: their space, their study, and the packages they need."""

import re
from collections.abc import Sequence
from typing import Any

from warmstart.errors.base import ConfigError, RunError, UsageError
from warmstart.errors.counts import counted

EXAMPLE = "train.learning_rate: {low: 1e-5, high: 1e-3, log: true}"


def packages_missing() -> RunError:
    """Optuna is not installed."""
    return RunError(
        found="optuna is not installed",
        expected="optuna, which chooses the values of each trial",
        do="pip install 'warmstart[search]'",
    )


def space_not_found(name: str, known: Sequence[str], problem: Exception) -> ConfigError:
    """There is no such file or space."""
    return ConfigError(
        found=f"cannot read the space {name}: {problem}",
        expected=f"a YAML file, or one of {', '.join(known)}",
        do=f"write a file with one line for each setting, such as {EXAMPLE}",
    )


def no_space(name: str) -> ConfigError:
    """The space has no settings."""
    return ConfigError(
        found=f"{name}: no settings",
        expected="a mapping from dotted names of settings to values",
        do=f"write one line for each setting, such as {EXAMPLE}",
    )


def not_searchable(setting: str, name: str) -> ConfigError:
    """A setting that must be equal in all trials."""
    return ConfigError(
        found=f"{name}: {setting}, which must be the same in all trials",
        expected="settings of train and model, which leave the rows and the metric as they are",
        do=f"remove {setting} from the space, and set it for all trials in the config",
    )


def too_few_values(setting: str, values: Sequence[Any], name: str) -> ConfigError:
    """A list with nothing to choose."""
    return ConfigError(
        found=f"{name}: {setting} has {counted(len(values), 'value')}",
        expected="at least two values, or a range",
        do=f"add values: {setting}: [A, B], or remove it from the space",
    )


def not_a_range(setting: str, values: Any, name: str) -> ConfigError:
    """Neither a list nor a range."""
    return ConfigError(
        found=f"{name}: {setting}: {values}",
        expected="a list of values, or a range of numbers with low and high (and log or step)",
        do=f"for example {EXAMPLE}",
    )


def empty_range(setting: str, values: Any, name: str) -> ConfigError:
    """A range without two values."""
    return ConfigError(
        found=f"{name}: {setting}: {values} is empty",
        expected="low below high, and a step not larger than their distance",
        do="correct low, high or step",
    )


def not_logarithmic(setting: str, values: Any, name: str) -> ConfigError:
    """A logarithmic range from 0, or in steps."""
    return ConfigError(
        found=f"{name}: {setting}: {values}",
        expected="for log: true, low above 0 and no step",
        do="raise low, or remove log or step",
    )


def too_few_trials(count: int) -> UsageError:
    """``--trials`` is below 1."""
    return UsageError(found=f"--trials {count}", expected="at least 1", do="--trials 20")


def study_exists(study: str, storage: str) -> UsageError:
    """Another search uses the study."""
    return UsageError(
        found=f"the study {study} exists already in {_without_password(storage)}",
        expected="a new name, or the wish to add trials to it",
        do=f"add to it: --join; or begin another one: --study {study}-2",
    )


def no_study(study: str, storage: str) -> UsageError:
    """``--join`` names a study that does not exist."""
    return UsageError(
        found=f"there is no study {study} in {_without_password(storage)}",
        expected="the name of a study to join",
        do="correct --study, or leave out --join to begin it",
    )


def other_study(study: str, differences: str) -> ConfigError:
    """The study to join searches something else."""
    return ConfigError(
        found=f"the study {study} has another {differences}",
        expected="the same metric and space in all searches of a study",
        do=f"use its own, or begin another study: --study {study}-2",
    )


def storage_unreachable(storage: str, problem: str) -> RunError:
    """The storage of the study cannot be opened."""
    return RunError(
        found=f"cannot open the storage {_without_password(storage)}: {problem}",
        expected="a database that can be reached, or a file NAME.log in a folder that is writable",
        do="check its address and that it runs, or leave out --storage to use a file of the "
        "experiment",
    )


def driver_missing(storage: str) -> RunError:
    """The package that speaks with the database is not installed."""
    database = re.split(r"[+:]", storage)[0]
    install = "pip install 'warmstart[postgresql]', and write postgresql+psycopg://USER@HOST/NAME"
    others = f"install a driver of SQLAlchemy for {database}"
    return RunError(
        found=f"cannot open the storage {_without_password(storage)}: the package that connects to "
        f"{database} is not installed",
        expected="a database with its driver, or a file NAME.log",
        do=install if database == "postgresql" else others,
    )


def _without_password(storage: str) -> str:
    """The URL of a database, fit to be shown.

    >>> _without_password("postgresql+psycopg://ada:secret@db/studies")
    'postgresql+psycopg://ada:***@db/studies'
    """
    return re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", storage)


def join_what() -> UsageError:
    """``--join`` without a storage."""
    return UsageError(
        found="--join without --storage",
        expected="the storage of the study to join",
        do="--storage URL --study NAME --join",
    )


def which_space() -> UsageError:
    """``search`` without a space."""
    return UsageError(
        found="no space to search",
        expected="the settings to vary and their values",
        do="--space small-data, --space bert-paper, or a file of your own: --space SPACE.yaml",
    )


def nested_with(options: Sequence[str]) -> UsageError:
    """Options of a shared study next to ``--nested``, which has a study for each fold."""
    return UsageError(
        found=f"{' and '.join(options)} with --nested",
        expected="one of the two: a nested search has a study of its own in each fold",
        do=f"leave out {' and '.join(options)}",
    )
