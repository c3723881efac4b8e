"""What a setting of ``data`` names: sources and file formats."""

from typing import Annotated, Literal

from pydantic import Field

Source = Annotated[str, Field(min_length=1)]
"""One file, archive member, URL or data set of the Hugging Face Hub."""
Sources = Source | Annotated[list[Source], Field(min_length=1)]
"""One source, or several, read one after the other."""

NO_ROWS = "none"
"""In place of the source of ``data.validation``: there are no validation rows."""

FileFormat = Literal[
    "auto", "csv", "tsv", "jsonl", "json", "parquet", "xlsx", "text", "conll", "spans", "squad"
]
"""``auto``, or the format of the files."""

FORMAT_SETTINGS = {
    "delimiter": ("csv", "tsv"),
    "columns": ("csv", "tsv", "conll"),
    "quoting": ("csv", "tsv"),
    "encoding": ("csv", "tsv", "jsonl", "json", "text", "conll", "spans", "squad"),
    "ragged": ("csv", "tsv"),
}
"""The settings of ``data`` that only some file formats read, and these formats."""
