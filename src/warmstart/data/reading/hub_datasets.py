"""Read Hugging Face data sets, ``hub:NAME[/CONFIG]:SPLIT``, with the optional package ``datasets``.

Class labels are converted to their names in the data set; the label -1 ("no label") becomes null.

Source: datasets documentation, ``load_dataset``.
"""

import hashlib
import re
from pathlib import Path
from typing import Any

import numpy as np

from warmstart import errors
from warmstart.data.mapped import mapped_table
from warmstart.data.reading.formats import all_rows, as_strings
from warmstart.data.reading.lines import Parsed
from warmstart.data.reading.python_tables import dataset_table

_SOURCE = re.compile(r"hub:(?P<name>[^:/]+(?:/[^:/]+){0,2}):(?P<split>.+)")
_BATCH_ROWS = 1 << 16

_TIMEOUT_SECONDS = 5
"""Timeout of the request that shows whether the Hub can be reached."""


def read_hub(source: str) -> tuple[Parsed, str]:
    """Rows of a split, and the sha256 of its columns in the Arrow stream format.

    Args:
        source: ``hub:NAME[/CONFIG]:SPLIT``; NAME is ``data-set`` or ``owner/data-set``.

    Raises:
        DataError: the source is malformed, ``datasets`` is not installed, the data set cannot be
            loaded, or the split is empty.
    """
    match = _SOURCE.fullmatch(source)
    if match is None:
        raise errors.files.bad_hub_source(source)
    dataset = _load(source, match["name"].split("/"), match["split"])
    table = as_strings(dataset_table(dataset))
    if not table.num_rows:
        raise errors.data.no_rows(source, 0)
    digest = hashlib.sha256()
    for batch in table.combine_chunks().to_batches(max_chunksize=_BATCH_ROWS):
        digest.update(batch.serialize())
    table = mapped_table(table.to_batches(), table.schema)
    return all_rows(table, np.arange(1, len(table) + 1, dtype=np.int64)), digest.hexdigest()


def _load(source: str, parts: list[str], split: str) -> Any:
    """Load the split; ``a/b`` is first tried as owner/name, then as name/configuration."""
    try:
        import datasets
    except ImportError:
        raise errors.files.datasets_missing(source) from None
    if (problem := _unreachable()) is not None and not _may_be_cached(datasets, parts):
        raise errors.files.hub_failed(source, problem) from problem
    attempts = [("/".join(parts[:2]), *parts[2:])]
    if len(parts) == 2:
        attempts.append((parts[0], parts[1]))
    failures: list[Exception] = []
    for attempt in attempts:
        try:
            return datasets.load_dataset(*attempt, split=split)
        except datasets.exceptions.DatasetNotFoundError as error:
            failures.append(error)
        except (OSError, ValueError, RuntimeError) as error:
            failures.append(error)
            break
    raise errors.files.hub_failed(source, failures[0]) from failures[0]


def _unreachable() -> Exception | None:
    """Why the Hub does not answer; None if it does, or if the libraries do not ask it.

    ``datasets`` tries for 20 seconds to reach it before it says so.
    """
    import requests
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return None
    try:
        requests.head(constants.ENDPOINT, timeout=_TIMEOUT_SECONDS)
    except requests.exceptions.RequestException:
        return ConnectionError(
            f"{constants.ENDPOINT} does not answer, and the data set is not in the cache"
        )
    return None


def _may_be_cached(datasets: Any, parts: list[str]) -> bool:
    """Whether the cache of ``datasets`` has a folder with the name of this data set."""
    names = {_plain("".join(parts[:2])), _plain(parts[0])}
    cache = Path(datasets.config.HF_DATASETS_CACHE)
    return cache.is_dir() and any(_plain(folder.name) in names for folder in cache.iterdir())


def _plain(name: str) -> str:
    """The name without what the cache changes: case and underscores."""
    return name.lower().replace("_", "")
