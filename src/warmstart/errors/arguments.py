"""Error messages about arguments of Python functions that have the wrong type."""

from warmstart.errors.base import ConfigError, DataError


def _of(value: object) -> str:
    return f"of type {type(value).__name__}"


def no_path(name: str, value: object) -> DataError:
    """Something else in place of a path."""
    return DataError(
        f"{name} is {_of(value)}",
        "a path, as a text or a pathlib.Path",
        f"print({name}); a path is a text, such as 'runs/first'",
    )


def no_source(name: str, value: object) -> DataError:
    """Something else in place of a file or a table, or an empty list."""
    return DataError(
        f"{name} is {'an empty list' if value == [] else _of(value)}",
        "the name of a file, a pandas, polars or pyarrow table, a datasets.Dataset, a list of "
        "dicts, or a list of files or tables",
        "name a file: run.evaluate('FILE.csv')",
    )


def no_config(value: object) -> ConfigError:
    """Something else in place of a config."""
    return ConfigError(
        f"the config is {_of(value)}",
        "the path of a YAML file, the name of a recipe, or settings as a dict",
        "warmstart.train({'data': {'train': 'FILE.csv'}})",
    )


def no_overrides(value: object) -> ConfigError:
    """Something else in place of settings that replace others."""
    return ConfigError(
        f"the overrides are {_of(value)}",
        "a list of texts SETTING=VALUE, or a dict of settings",
        "give them as a list, ['train.epochs=2'], or as a dict, {'train.epochs': 2}",
    )
