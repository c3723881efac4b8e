"""Helpers to write a file, read it, and get the message of the error."""

from pathlib import Path
from typing import Any

import pytest

from warmstart.config import DataConfig
from warmstart.data.reading.sources import read
from warmstart.data.table import Table
from warmstart.errors import DataError


def table(source: Path | str | list[str], **settings: Any) -> Table:
    """The table that ``data.train=source`` gives."""
    data = DataConfig(train="unused", **settings)
    return read(source if isinstance(source, list) else str(source), data, "data.train")


def written(folder: Path, content: str | bytes, name: str = "a.csv") -> Path:
    """A file with exactly this content."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def refusal(source: Path | str | list[str], **settings: Any) -> DataError:
    """The error that reading raises."""
    with pytest.raises(DataError) as caught:
        table(source, **settings)
    return caught.value
