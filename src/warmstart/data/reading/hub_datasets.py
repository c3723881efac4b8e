"""Read Hugging Face data sets, ``hub:NAME[/CONFIG]:SPLIT``, with the optional package ``datasets``.

Class labels are converted to their names in the data set; the label -1 ("no label") becomes null.

Source: datasets documentation, ``load_dataset`` and ``ClassLabel``.
"""

import hashlib
import re
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from warmstart import errors
from warmstart.data.mapped import mapped_table
from warmstart.data.reading.formats import all_rows, as_strings
from warmstart.data.reading.lines import Parsed

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
    table = dataset.with_format("arrow")[:]
    if not table.num_rows:
        raise errors.data.no_rows(source, 0)
    for position, (name, feature) in enumerate(dataset.features.items()):
        if type(feature).__name__ == "ClassLabel":
            codes = table.column(name)
            known = pc.if_else(pc.less(codes, 0), None, codes)
            table = table.set_column(position, name, pc.take(pa.array(feature.names), known))
    table = as_strings(table)
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
