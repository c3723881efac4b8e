"""Quotes that swallow lines: found, and named with the line where they open.

In a quoted CSV (RFC 4180) a field that begins with ``"`` ends at the next single ``"``, be it lines
away. In a file that was never quoted, where a sentence begins with ``"``, every row up to the next
such character would silently become one field. The parser cannot know; the shape of the text tells:

- the quote never closes;
- the field goes on after its closing quote, which no writer of quoted files produces;
- each line of the record has as many delimiters as a row, so that each is a row by itself.

Tabs hardly occur inside a text: there the third sign is enough, and more delimiters than a row has
are no excuse. Commas do, and an honest text of several lines may have the right number of them by
chance; there, each line must also have a known label in its place.

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
_SELDOM_IN_TEXT = "\t|\x01\x1e\x1f"
_PIECE_BYTES = 1 << 24
_MOST_REPEATS = 1000
"""RE2's limit on ``{n}``; a wider table is spared the third sign."""


@dataclass(frozen=True, slots=True)
class Records:
    """The records of a file as they stand in it, before blank and ragged ones are taken out.

    Args:
        texts: quotes and line ends included, R records.
        lines: line of each one's first character, int64 [R].
        breaks: line ends inside each one's fields, int64 [R].
        fits: whether each is a row with the right number of fields, and no header, bool [R].
        label: position of the label among the fields, if there is a label column.
        labels: its values in the records that fit.
    """

    texts: pa.LargeStringArray
    lines: Ints
    breaks: Ints
    fits: Mask
    label: int | None
    labels: pa.ChunkedArray | None


def refuse_swallowing(records: Records, path: str, delimiter: str, columns: int) -> None:
    """Raise if a quote swallows a line, or if a field would lose its quotes.

    Args:
        records: all of a file's.
        path: the file, for messages.
        delimiter: between fields.
        columns: fields of a proper row.

    Raises:
        DataError: there is such a quote; the message names the line where it opens.
    """
    quoted = np.flatnonzero(_numpy(pc.match_substring(records.texts, '"')))
    pattern = _proper(delimiter)
    for piece in _pieces(records.texts, quoted):
        proper = _numpy(pc.match_substring_regex(_take(records.texts, piece), pattern))
        if not proper.all():
            first = int(piece[np.argmin(proper)])
            raise faulty_quote(_text(records, first), path, int(records.lines[first]), delimiter)
    several = quoted[records.breaks[quoted] > 0]
    if not len(several) or not 1 < columns <= _MOST_REPEATS:
        return
    pattern = _rows_alone(delimiter, columns)
    alike = [
        piece[_numpy(pc.match_substring_regex(_take(records.texts, piece), pattern))]
        for piece in _pieces(records.texts, several)
    ]
    for index in map(int, np.concatenate(alike)):
        text = _text(records, index)
        if (
            delimiter in _SELDOM_IN_TEXT
            or not records.fits[index]
            or _labelled(text.rstrip("\r\n"), records, delimiter)
        ):
            raise faulty_quote(text, path, int(records.lines[index]), delimiter)


def faulty_quote(record: str, path: str, line: int, delimiter: str) -> errors.DataError:
    """The message for a record's first quote that never closes, or closes too early or too late.

    Args:
        record: as it stands in the file.
        path: the file.
        line: of the record's first character.
        delimiter: between fields.
    """
    fields = list(_quoted_fields(record, delimiter))
    broken = (field for field in fields if field["rest"] or not field["close"])
    long = (field for field in fields if _LINE_END.search(field["content"]))
    field = next(broken, None) or next(long)
    opens = line + len(_LINE_END.findall(record, 0, field.start()))
    swallowed = len(_LINE_END.findall(field["content"].rstrip("\r\n")))
    if not field["close"]:
        return errors.data.unclosed_quote(path, opens, swallowed)
    if swallowed:
        return errors.data.swallowed_rows(path, opens, swallowed)
    return errors.data.text_after_quote(path, opens, field[0])


def _labelled(text: str, records: Records, delimiter: str) -> bool:
    """Whether each line of a record, taken alone, has a label where a row has it."""
    if records.label is None or not records.labels:
        return False
    found = [
        line.split(delimiter)[records.label].removeprefix('"').removesuffix('"')
        for line in _LINE_END.split(text)
    ]
    alone = records.breaks[records.fits] == 0
    known = pc.unique(records.labels.filter(pa.array(alone)) if alone.any() else records.labels)
    if pc.all(pc.match_substring_regex(known, _NUMBER)).as_py():
        return all(re.match(_NUMBER, label) for label in found)
    return bool(pc.all(pc.is_in(pa.array(found), value_set=known)).as_py())


def _proper(delimiter: str) -> str:
    """RE2 pattern of a record whose quotes stand as RFC 4180 has them, or inside bare fields."""
    mark = _escaped(delimiter)
    field = rf'(?:"(?:[^"]|"")*"|[^"{mark}\r\n][^{mark}\r\n]*|)'
    return rf"^{field}(?:{mark}{field})*[\r\n]*$"


def _rows_alone(delimiter: str, columns: int) -> str:
    """RE2 pattern of several lines that would each be a row if quotes were ordinary."""
    mark = _escaped(delimiter)
    or_more = "," if delimiter in _SELDOM_IN_TEXT else ""
    row = rf"(?:[^{mark}\r\n]*{mark}){{{columns - 1}{or_more}}}[^{mark}\r\n]*"
    return rf"^{row}(?:(?:\r\n|\r|\n){row})+[\r\n]*$"


def _quoted_fields(record: str, delimiter: str) -> Iterator[re.Match[str]]:
    """The fields that begin with a quote, as the parser sees them."""
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
    """The delimiter for use in a pattern, inside brackets and outside."""
    return f"\\x{ord(delimiter):02x}"


def _text(records: Records, index: int) -> str:
    """One record as Python text."""
    return str(records.texts[index].as_py())


def _pieces(texts: pa.LargeStringArray, positions: Ints) -> list[Ints]:
    """The positions in pieces whose texts may be copied: not the whole file at once."""
    sizes = pc.binary_length(texts).to_numpy()[positions]
    cuts = np.flatnonzero(np.diff(np.cumsum(sizes) // _PIECE_BYTES)) + 1
    return np.split(positions, cuts)


def _take(texts: pa.LargeStringArray, positions: Ints) -> pa.LargeStringArray:
    """The texts at ``positions``."""
    return texts.take(pa.array(positions))


def _numpy(mask: pa.BooleanArray) -> Mask:
    """A numpy copy of an Arrow mask."""
    return np.asarray(mask.to_numpy(zero_copy_only=False), dtype=np.bool_)
