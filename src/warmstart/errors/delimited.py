"""Error messages about CSV and TSV files: delimiters, headers, quotes and numbers of fields."""

import shlex
from collections.abc import Sequence

from warmstart.errors.base import DataError
from warmstart.errors.counts import counted
from warmstart.errors.data import _short
from warmstart.errors.files import _listed


def title_line(path: str, line: int, *, text: str, header: int, delimiter: str | None) -> DataError:
    """A title above the header.

    Args:
        path: the file.
        line: the first line of the title.
        text: its text.
        header: the line of the header.
        delimiter: the delimiter of the file, if it is not the one that was used.
    """
    mark = "" if delimiter is None else f", and --set data.delimiter={shlex.quote(delimiter)}"
    if delimiter == "\t":
        mark = ", and --set data.format=tsv"
    return DataError(
        f"{path}:{line} looks like a title; the names of the columns are in line {header}: "
        f"{_short(text, 60)}",
        "a file that starts with the names of its columns",
        f"remove the lines above them: tail -n +{header} FILE > NEW.csv{mark}",
    )


def repeated_header(path: str, lines: Sequence[int], *, first_line: int, named: bool) -> DataError:
    """Rows that are equal to the header, as in a file that was put together from several files.

    Args:
        path: the file.
        lines: the lines of these rows.
        first_line: the first line of the file with content.
        named: the names of the columns are from ``data.columns``.
    """
    others = f" (and {len(lines) - 1:,} more such lines)" if len(lines) > 1 else ""
    return DataError(
        f"{path}:{lines[0]} repeats the names of the columns{others}",
        "rows, and the names at most once, in the first line",
        "remove data.columns: the file has a header"
        if named and list(lines) == [first_line]
        else "remove these lines: awk 'NR == 1 { h = $0 } NR == 1 || $0 != h' FILE > NEW.csv",
    )


def header_only(path: str, line: int) -> DataError:
    """A header without any row below it."""
    return DataError(
        f"{path}:{line} is a header, but no row follows",
        "at least one row",
        "check that the file is complete; if this line is a row, name its columns: "
        "--set 'data.columns=[NAME,NAME,…]'",
    )


def unusable_delimiter(delimiter: str) -> DataError:
    """``data.delimiter`` is a quote, a line break, or not an ASCII character."""
    return DataError(
        f"data.delimiter is {delimiter!r}",
        "one ASCII character other than a double quote or a line break",
        "--set data.delimiter=';' or another that the file uses, or convert the file",
    )


def wrong_delimiter(path: str, line: int, *, delimiter: str, likely: str) -> DataError:
    """The delimiter gives one column, but another character would give several."""
    return DataError(
        f"{path}:{line} has only one column when split at {delimiter!r}, but contains {likely!r}",
        "columns separated by the delimiter",
        "--set data.format=tsv" if likely == "\t" else f"--set data.delimiter='{likely}'",
    )


def column_count(path: str, line: int, *, columns: int, fields: int) -> DataError:
    """``data.columns`` names more or fewer columns than the rows have fields."""
    return DataError(
        f"{path}:{line} has {fields} field{'s' * (fields != 1)}, but data.columns names {columns}",
        "one name for each field, in file order",
        f"give {counted(fields, 'name')} in data.columns; if the file has a header, --set "
        "data.columns=null",
    )


def duplicate_columns(path: str, line: int, names: Sequence[str]) -> DataError:
    """Several columns with the same name."""
    return DataError(
        f"{path}:{line} has repeated column names: {_listed([_short(name) for name in names])}",
        "a different name for each column",
        "rename them; if this line is a row, not a header: --set 'data.columns=[NAME,NAME,…]'",
    )


def ragged_row(
    path: str, line: int, *, fields: int, columns: int, text: str, quoting: str
) -> DataError:
    """A row with too many or too few fields, under ``data.ragged: error``."""
    stray = ", --set data.quoting=none if quotes are ordinary characters here"
    return DataError(
        f"{path}:{line} has {fields} field{'s' * (fields != 1)}: {_short(text, 60)}",
        f"{columns} fields, as many as there are columns",
        "correct the line, or drop such rows (they are counted) with --set data.ragged=drop"
        + (stray if quoting == "double" and '"' in text else ""),
    )


def unclosed_quote(path: str, line: int, lines: int) -> DataError:
    """An opening quote without a closing quote: the rest of the file would be one field."""
    affected = f"the next {f'{lines:,} lines' if lines > 1 else 'line'} would become part of it"
    return DataError(
        f"{path}:{line}: a field starts with a quote here that is never closed"
        + (f"; {affected}" if lines else ""),
        "an opening and a closing quote around a field; quotes inside it doubled",
        "--set data.quoting=none if quotes are ordinary characters in this file; or close the "
        "quote",
    )


def quote_spans_rows(path: str, line: int, lines: int) -> DataError:
    """A quoted field that spans lines which look like rows, or that ends in the middle of one."""
    return DataError(
        f"{path}:{line}: a field starts with a quote here; up to the closing quote, the next "
        f"{f'{lines:,} lines' if lines > 1 else 'line'} would become part of it",
        "an opening and a closing quote around a field, quotes inside it doubled, and no rows "
        "between them",
        "--set data.quoting=none if quotes are ordinary characters in this file; or correct the "
        "quotes",
    )


def text_after_quote(path: str, line: int, text: str) -> DataError:
    """A quoted field with text after its closing quote, whose quotes would be lost."""
    return DataError(
        f"{path}:{line}: a quoted field has text after its closing quote: {_short(text, 60)}",
        "a delimiter or the end of the line after a closing quote; quotes inside a quoted field "
        "doubled",
        "--set data.quoting=none if quotes are ordinary characters in this file; or double the "
        "quotes inside the field",
    )


def endless_row(path: str, limit: int) -> DataError:
    """A row longer than the parser supports; ``limit`` in bytes."""
    return DataError(
        f"{path} has a row of more than {limit:,} bytes",
        "shorter rows; note that an unclosed quote turns the rest of a file into one row",
        "--set data.quoting=none if quotes are ordinary characters in this file",
    )
