"""Detect quotes that would merge several rows into one field, and report the line of the quote.

In a quoted CSV file (RFC 4180), a field that starts with ``"`` ends at the next single ``"``, even
if that is many lines later. If a file was written without quoting and a sentence starts with ``"``,
all rows up to the next ``"`` would silently become one field. The CSV parser cannot detect this.
These signs in the text show it:

1. the quote is never closed;
2. the field has text after its closing quote, which no CSV writer produces;
3. each line of the record has the number of delimiters of a row, so that it could be a row.

If the delimiter is a tab (or another character that is rare in text), sign 3 is enough, also if a
line has more delimiters than a row. Commas are frequent in text, and a text of several lines can
have the right number of them by coincidence. For commas, each line must also have a known label in
the label column.

Source: RFC 4180, section 2, rules 5 to 7.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from warmstart import errors
from warmstart.data.reading.lines import Ints, Mask

_NUMBER = r"^[-+]?\d+(\.\d+)?$"
_LINE_END = re.compile(r"\r\n|\r|\n")
_RARE_IN_TEXT = "\t|\x01\x1e\x1f"
_PIECE_BYTES = 1 << 24
_MOST_REPEATS = 1000
"""Limit of RE2 for ``{n}``; sign 3 is not checked in a table with more columns."""


@dataclass(frozen=True, slots=True)
class Records:
    """All R records of a file, including blank lines and records with a wrong field count.

    Args:
        texts: the records with their quotes and line breaks, R strings.
        lines: line of each record's first character, int64 [R].
        breaks: number of line breaks inside each record's fields, int64 [R].
        fits: whether each record has the right number of fields and is not a header, bool [R].
        label: index of the label among the fields, if there is a label column.
        labels: the values of the label column in the records with ``fits``.
    """

    texts: pa.LargeStringArray
    lines: Ints
    breaks: Ints
    fits: Mask
    label: int | None
    labels: pa.ChunkedArray | None


def check_quotes(records: Records, path: str, delimiter: str, columns: int) -> None:
    """Raise an error if a quote merges several rows, or if a field would lose its quotes.

    Args:
        records: all records of a file.
        path: the file as shown in messages.
        delimiter: the character between fields.
        columns: number of fields of a valid row.

    Raises:
        DataError: there is such a quote; the message names its line.
    """
    quoted = np.flatnonzero(_numpy(pc.match_substring(records.texts, '"')))
    pattern = _valid_record(delimiter)
    for piece in _pieces(records.texts, quoted):
        valid = _numpy(pc.match_substring_regex(_take(records.texts, piece), pattern))
        if not valid.all():
            first = int(piece[np.argmin(valid)])
            raise quote_error(_text(records, first), path, int(records.lines[first]), delimiter)
    multiline = quoted[records.breaks[quoted] > 0]
    if not len(multiline) or not 1 < columns <= _MOST_REPEATS:
        return
    pattern = _several_rows(delimiter, columns)
    suspects = [
        piece[_numpy(pc.match_substring_regex(_take(records.texts, piece), pattern))]
        for piece in _pieces(records.texts, multiline)
    ]
    for index in map(int, np.concatenate(suspects)):
        text = _text(records, index)
        if (
            delimiter in _RARE_IN_TEXT
            or not records.fits[index]
            or _every_line_labelled(text.rstrip("\r\n"), records, delimiter)
        ):
            raise quote_error(text, path, int(records.lines[index]), delimiter)


def quote_error(record: str, path: str, line: int, delimiter: str) -> errors.DataError:
    """The error for a record's first quote that is unclosed, or closed too early or too late.

    Args:
        record: the text of the record.
        path: the file as shown in messages.
        line: line of the record's first character.
        delimiter: the character between fields.
    """
    fields = list(_quoted_fields(record, delimiter))
    broken = (field for field in fields if field["rest"] or not field["close"])
    multiline = (field for field in fields if _LINE_END.search(field["content"]))
    field = next(broken, None) or next(multiline)
    opens = line + len(_LINE_END.findall(record, 0, field.start()))
    spanned = len(_LINE_END.findall(field["content"].rstrip("\r\n")))
    if not field["close"]:
        return errors.delimited.unclosed_quote(path, opens, spanned)
    if spanned:
        return errors.delimited.quote_spans_rows(path, opens, spanned)
    return errors.delimited.text_after_quote(path, opens, field[0])


def _every_line_labelled(text: str, records: Records, delimiter: str) -> bool:
    """Whether each line of a record has a known label in the label column (or a number)."""
    if records.label is None or not records.labels:
        return False
    candidates = [
        line.split(delimiter)[records.label].removeprefix('"').removesuffix('"')
        for line in _LINE_END.split(text)
    ]
    single = records.breaks[records.fits] == 0  # records of one line
    known = pc.unique(records.labels.filter(pa.array(single)) if single.any() else records.labels)
    if pc.all(pc.match_substring_regex(known, _NUMBER)).as_py():
        return all(re.match(_NUMBER, label) for label in candidates)
    return bool(pc.all(pc.is_in(pa.array(candidates), value_set=known)).as_py())


def _valid_record(delimiter: str) -> str:
    """RE2 pattern of a record with quotes as in RFC 4180, or inside of unquoted fields."""
    mark = _escaped(delimiter)
    field = rf'(?:"(?:[^"]|"")*"|[^"{mark}\r\n][^{mark}\r\n]*|)'
    return rf"^{field}(?:{mark}{field})*[\r\n]*$"


def _several_rows(delimiter: str, columns: int) -> str:
    """RE2 pattern of several lines that would each be a row if quotes were plain characters."""
    mark = _escaped(delimiter)
    or_more = "," if delimiter in _RARE_IN_TEXT else ""
    row = rf"(?:[^{mark}\r\n]*{mark}){{{columns - 1}{or_more}}}[^{mark}\r\n]*"
    return rf"^{row}(?:(?:\r\n|\r|\n){row})+[\r\n]*$"


def _quoted_fields(record: str, delimiter: str) -> Iterator[re.Match[str]]:
    """The fields that start with a quote, split as the CSV parser splits them."""
    mark = _escaped(delimiter)
    pattern = re.compile(
        r'"(?P<content>[^"]*(?:""[^"]*)*)(?P<close>"?)'
        rf"(?P<rest>[^{mark}\r\n]*)|[^{mark}\r\n]*"
    )
    position = 0
    while position <= len(record) and (field := pattern.match(record, position)):
        if field["content"] is not None:
            yield field
        position = field.end() + 1


def _escaped(delimiter: str) -> str:
    """The delimiter as an escape sequence, valid inside and outside of brackets in a pattern."""
    return f"\\x{ord(delimiter):02x}"


def _text(records: Records, index: int) -> str:
    """One record as a Python string."""
    return str(records.texts[index].as_py())


def _pieces(texts: pa.LargeStringArray, positions: Ints) -> list[Ints]:
    """Split the positions into pieces of limited text size, so that each can be copied."""
    sizes = pc.binary_length(texts).to_numpy()[positions]
    cuts = np.flatnonzero(np.diff(np.cumsum(sizes) // _PIECE_BYTES)) + 1
    return np.split(positions, cuts)


def _take(texts: pa.LargeStringArray, positions: Ints) -> pa.LargeStringArray:
    """The texts at ``positions``."""
    return texts.take(pa.array(positions))


def _numpy(mask: pa.BooleanArray) -> Mask:
    """A numpy copy of an Arrow mask."""
    return np.asarray(mask.to_numpy(zero_copy_only=False), dtype=np.bool_)
