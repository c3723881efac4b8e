"""Detect the encoding of a file and convert it to UTF-8; report the first invalid byte.

Three encodings are detected: UTF-8 (with or without a byte order mark), UTF-16 (either byte order,
with or without a mark) and GB18030 (including its subsets GBK and GB2312, which Chinese Windows
uses). Any other encoding is rejected and not guessed: all bytes are valid Latin-1, for example, so
a wrong guess would not be noticed later. Pyarrow needs UTF-8, so all text is UTF-8 from here on.

Offsets are in bytes from 0; lines are counted from 1.

Source: The Unicode Standard, section 3.10 (encoding schemes, byte order mark); GB 18030-2022, whose
two-byte area contains GB 2312 at the codes in which both bytes are 0xA1 or higher.
"""

import codecs
from collections.abc import Iterator

import numpy as np

from warmstart import errors
from warmstart.data.reading.content import Content, blocks, collected, find_byte
from warmstart.errors import DataError

_SAMPLE = 1 << 20
"""Number of bytes that are used to decide whether a text is Chinese."""

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16: this mark starts with the mark of UTF-16
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

_COMMON_CHINESE = frozenset(
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能子那得于着下自之年过"
)
"""The most frequent characters of modern Chinese: more than a fifth of ordinary text."""


def to_utf8(content: Content, encoding: str, path: str) -> tuple[Content, str]:
    """The text in UTF-8 without a byte order mark, and the name of its original codec.

    Args:
        content: the content of a whole file.
        encoding: ``auto``, or the name of a Python codec.
        path: the file as shown in messages.

    Raises:
        DataError: the encoding is unknown, cannot decode the bytes, or would decode them to the
            wrong text; or the text contains a NUL character.

    >>> bytes(to_utf8("文字".encode("utf-16"), "auto", "a.txt")[0]).decode()
    '文字'
    """
    codec = detect(content, path) if encoding == "auto" else _named(content, encoding, path)
    # Offsets in errors of the utf-8-sig decoder do not include the byte order mark.
    decoder = "utf-8" if codec == "utf-8-sig" else codec
    if (offset := _first_invalid(content, decoder)) is not None:
        raise _undecodable(content, offset, decoder, codec, path)
    text = content if codec == "utf-8" else collected(_transcoded(content, codec))
    if (nul := find_byte(text, b"\0")) >= 0:
        raise errors.files.nul_byte(path, _line_feeds(text, nul) + 1)
    return text, codec


def detect(content: Content, path: str) -> str:
    """Name of the codec of the text.

    Args:
        content: the content of a whole file.
        path: the file as shown in messages.

    Raises:
        DataError: neither UTF-8, UTF-16 nor GB18030; the message names the first invalid byte.
    """
    if (mark := _mark(content)) is not None:
        return mark
    invalid = _first_invalid(content, "utf-8")
    # In UTF-16, every second byte of English text is zero. Chinese text has few zero bytes, but it
    # is not valid UTF-8.
    zeros = sum(block.count(0) for block in blocks(content))
    may_be_utf16 = zeros * 4 > len(content) or invalid is not None
    if may_be_utf16 and (codec := _utf16_without_mark(content)):
        return codec
    if invalid is None:
        return "utf-8"
    if _is_gb18030(content):
        return "gb18030"
    raise _undecodable(content, invalid, "utf-8", "UTF-8, UTF-16 or GB18030", path)


def _named(content: Content, encoding: str, path: str) -> str:
    """The codec that the user named; fails if the bytes are clearly in another encoding."""
    try:
        codec = codecs.lookup(encoding).name
        b"a".decode(codec, errors="ignore")  # fails for hex, base64 and similar codecs
    except (LookupError, UnicodeError):
        raise errors.files.unknown_encoding(encoding) from None
    detected = _contradiction(content, codec)
    if detected is not None:
        raise errors.files.wrong_encoding(path, named=encoding, detected=detected)
    mark = _mark(content)
    return mark if mark is not None else _utf16_without_mark(content) or codec


def _contradiction(content: Content, codec: str) -> str | None:
    """The actual encoding of the bytes if it clearly differs from ``codec``, else ``None``."""
    mark, unmarked = _mark(content), _utf16_without_mark(content)
    if mark is not None:
        return None if mark[:6] == codec[:6] else mark
    if unmarked is not None:
        return None if codec in {"utf-16", unmarked} else unmarked
    is_utf8 = _first_invalid(content, "utf-8") is None
    if codec.startswith(("utf-16", "utf-32")):
        return "utf-8" if is_utf8 else None
    if codec == "utf-8" or all(block.isascii() for block in blocks(content)):
        return None
    if is_utf8:
        return "utf-8"
    return "gb18030" if not codec.startswith("gb") and _is_gb18030(content, sure=True) else None


def _mark(content: Content) -> str | None:
    """The encoding shown by the byte order mark, if there is one."""
    head = bytes(content[:4])
    return next((codec for mark, codec in _MARKS if head.startswith(mark)), None)


def _first_invalid(content: Content, codec: str) -> int | None:
    """Offset of the first byte sequence that is not valid in ``codec``; ``None`` if all are."""
    decoder = codecs.getincrementaldecoder(codec)()
    offset = 0  # of the next block
    # Number of bytes of a character that was split between two blocks and that the decoder still
    # keeps: the offset in an error counts from the first of them.
    pending = 0
    try:
        for block in blocks(content):
            pending = len(decoder.getstate()[0])
            decoder.decode(block)
            offset += len(block)
        pending = len(decoder.getstate()[0])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        return offset - pending + error.start
    except UnicodeError:  # "utf-16" without a byte order mark
        return 0
    return None


def _transcoded(content: Content, codec: str) -> Iterator[bytes]:
    """``content`` in UTF-8, block by block."""
    decoder = codecs.getincrementaldecoder(codec)()
    for block in blocks(content):
        yield decoder.decode(block).encode()
    yield decoder.decode(b"", final=True).encode()


def _line_feeds(content: Content, stop: int) -> int:
    """Number of line feeds before the offset ``stop``."""
    return sum(block.count(b"\n") for block in blocks(content, 0, stop))


def _utf16_without_mark(content: Content) -> str | None:
    """The UTF-16 codec (with byte order) in which the bytes are plausible text, if any."""
    if len(content) % 2 or find_byte(content, b"\0") < 0:
        return None
    ascii_units = {"utf-16-le": 0, "utf-16-be": 0}
    for block in blocks(content):
        units = np.frombuffer(block, "<u2")
        # A zero code unit is a NUL character, which does not occur in text.
        if np.any(units == 0):
            return None
        ascii_units["utf-16-le"] += int(np.count_nonzero(units < 0x80))
        ascii_units["utf-16-be"] += int(np.count_nonzero(units & 0x80FF == 0))
    codec = max(ascii_units, key=ascii_units.__getitem__)
    # Every text contains some ASCII: delimiters, digits or spaces.
    return codec if ascii_units[codec] and _first_invalid(content, codec) is None else None


def _is_gb18030(content: Content, *, sure: bool = False) -> bool:
    """Whether the bytes decode as GB18030 and the result is Chinese.

    Latin-1, Big5, Shift JIS, EUC-JP and EUC-KR are often valid GB18030 too, but decode to nonsense:
    second bytes are ASCII letters, or the most frequent Chinese characters are missing. A text that
    is too short to decide counts as Chinese, unless ``sure``.
    """
    if _first_invalid(content, "gb18030") is not None:
        return False
    sample = bytes(content[:_SAMPLE])
    text = sample.decode("gb18030", errors="ignore")
    wide = [character for character in text if not character.isascii()]
    high_bytes = int(np.count_nonzero(np.frombuffer(sample, np.uint8) >= 0x80))
    if high_bytes < 1.8 * len(wide):
        return False
    common = sum(character in _COMMON_CHINESE for character in wide)
    return common >= 0.04 * len(wide) if len(wide) >= 50 else not sure


def _undecodable(content: Content, offset: int, codec: str, named: str, path: str) -> DataError:
    """The error for the byte at ``offset``, with the most likely encoding of the text around it.

    ``codec`` cannot decode the byte; ``named`` is the name of the encoding in the message.
    """
    from charset_normalizer import from_bytes

    if codec.startswith("utf-16"):
        # Line breaks are counted in decoded text, because 0x0A is also a byte of other characters.
        # Without a byte order mark, the codec "utf-16" does not respect errors="ignore".
        unmarked = codec == "utf-16" and _mark(content) is None
        order = "utf-16-le" if unmarked else codec
        decoder = codecs.getincrementaldecoder(order)(errors="ignore")
        line_ends = sum(decoder.decode(b).count("\n") for b in blocks(content, 0, offset))
    else:
        line_ends = _line_feeds(content, offset)
    guess = from_bytes(bytes(content[max(0, offset - 8192) : offset + 8192])).best()
    likely = guess.encoding if guess is not None and guess.encoding != "ascii" else "cp1252"
    return errors.files.undecodable(
        path,
        line_ends + 1,
        offset=offset,
        byte=content[offset],
        encoding=named,
        guess=likely,
    )
