"""The rows on which a finished run was trained, read again from their files."""

import warnings

from warmstart.data.table import Table
from warmstart.preparation.distinct_rows import distinct
from warmstart.preparation.row_ids import given_rows
from warmstart.preparation.stages import limited, read_sources, split_tables
from warmstart.runs.directory import RunDirectory


def training_splits(directory: RunDirectory) -> dict[str, Table]:
    """The training and validation rows of a run; warns about files that have changed since.

    Args:
        directory: the run directory.

    Raises:
        DataError: a file no longer exists, or cannot be read.
    """
    config = directory.read_config()
    if config.data.duplicates != "drop":  # which leaves out training rows with a text of the test
        config = config.model_copy(update={"data": config.data.model_copy(update={"test": None})})
    tables, _ = distinct(config, split_tables(config, read_sources(config), given_rows(directory)))
    tables = limited(config, tables)
    tables.pop("test", None)
    known = {file["sha256"] for file in directory.read_json("data.json")["files"]["train"]}
    for file in tables["train"].files:
        if file.sha256 not in known:
            warnings.warn(f"{file.path} has changed since the run read it", stacklevel=3)
    return tables
