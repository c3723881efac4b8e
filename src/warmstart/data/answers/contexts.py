"""The contexts of questions: many questions share one, which is kept and tokenised once.

Letters: N rows, K different contexts.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from warmstart.config import DataConfig
from warmstart.data.table import Table
from warmstart.data.tags.spans import Ints


@dataclass(frozen=True, slots=True)
class Contexts:
    """The context of each of N rows.

    Args:
        texts: the different contexts, K texts in order of first appearance.
        of_row: the context of each row, int64 [N].
    """

    texts: pa.Array
    of_row: Ints

    @classmethod
    def of(cls, column: pa.ChunkedArray) -> "Contexts":
        """The contexts of a column, N texts.

        Args:
            column: without nulls.
        """
        codes, distinct = [], pa.array([], pa.large_string())
        known: dict[str, int] = {}
        texts: list[pa.Array] = []
        for chunk in column.chunks:
            encoded = chunk.cast(pa.large_string()).dictionary_encode()
            numbers = np.empty(len(encoded.dictionary), dtype=np.int64)
            new = []
            for place, text in enumerate(encoded.dictionary):
                key = text.as_py()
                if key not in known:
                    known[key] = len(known)
                    new.append(place)
                numbers[place] = known[key]
            texts.append(encoded.dictionary.take(pa.array(new, pa.int64())))
            codes.append(numbers[encoded.indices.to_numpy(zero_copy_only=False)])
        distinct = pa.concat_arrays([distinct, *texts])
        return cls(distinct, np.concatenate([np.zeros(0, np.int64), *codes]))

    def __iter__(self) -> Iterator[str]:
        """The context of each row; consecutive rows with one context get the same object."""
        last, text = -1, ""
        for number in self.of_row.tolist():
            if number != last:
                last, text = number, self.texts[number].as_py()
            yield text

    def __getitem__(self, row: int) -> str:
        """The context of the row at this position."""
        text: str = self.texts[int(self.of_row[row])].as_py()
        return text


def contexts_of(table: Table, data: DataConfig) -> Contexts:
    """The contexts of a table.

    Args:
        table: N rows.
        data: names the column with the contexts, ``data.text_pair``.

    Raises:
        DataError: there is no such column.
    """
    assert data.text_pair is not None, "question answering refuses settings without it"
    return Contexts.of(table.column(data.text_pair, "data.text_pair"))
