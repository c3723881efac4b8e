"""Read Hugging Face data sets, ``hub:NAME[/CONFIG]:SPLIT``, with the optional package ``datasets``.

Class labels are converted to their names in the data set; the label -1 ("no label") becomes null.

Source: datasets documentation, ``load_dataset``.
"""

import hashlib
import re
from typing import Any

import numpy as np

from warmstart import errors
from warmstart.data.mapped import mapped_table
from warmstart.data.reading.formats import all_rows, as_strings
from warmstart.data.reading.lines import Parsed
from warmstart.data.reading.python_tables import dataset_table

_SOURCE = re.compile(r"hub:(?P<name>[^:/]+(?:/[^:/]+){0,2}):(?P<split>.+)")
_BATCH_ROWS = 1 << 16


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
