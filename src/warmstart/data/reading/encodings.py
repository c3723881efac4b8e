"""Bytes to UTF-8: the encoding is detected and named, or the faulty byte is.

UTF-8 (with or without a byte order mark), UTF-16 (either byte order, with or without a mark) and
GB18030 (with its subsets GBK and GB2312, in which Chinese Windows writes text) are told apart.
Everything else is refused, never guessed: any bytes at all decode as Latin-1, and nothing after
this would notice. Pyarrow reads UTF-8, so text is UTF-8 from here on.

Offsets are bytes from 0, lines count from 1.

Source: The Unicode Standard, section 3.10 (encoding schemes, byte order mark); GB 18030-2022, whose
two-byte area holds GB 2312 where both bytes are 0xA1 or more.
"""

import codecs
from collections.abc import Iterator

import numpy as np

from warmstart import errors
from warmstart.data.reading.content import Content, blocks, collected, find_byte
from warmstart.errors import DataError

_SAMPLE = 1 << 20
"""Bytes that tell whether a text is Chinese."""

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

_COMMON_CHINESE = frozenset(
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能子那得于着下自之年过"
)
"""Most frequent characters of modern Chinese: over a fifth of running text."""


def to_utf8(content: Content, encoding: str, path: str) -> tuple[Content, str]:
    """The same text in UTF-8 without a byte order mark, and the name of the codec it was in.

    Args:
        content: a whole file.
        encoding: ``auto``, or the name of a Python codec.
        path: the file, for messages.

    Raises:
        DataError: the encoding is unknown, does not decode the bytes, or decodes them into other
            text than was written; or the text holds a NUL character.

    >>> bytes(to_utf8("文字".encode("utf-16"), "auto", "a.txt")[0]).decode()
    '文字'
    """
    codec = detect(content, path) if encoding == "auto" else _named(content, encoding, path)
    # The decoder of utf-8-sig counts from behind the mark.
    decoder = "utf-8" if codec == "utf-8-sig" else codec
    if (fault := _fault(content, decoder)) is not None:
        raise _undecodable(content, fault, decoder, codec, path)
    text = content if codec == "utf-8" else collected(_transcoded(content, codec))
    if (nul := find_byte(text, b"\0")) >= 0:
        raise errors.files.nul_byte(path, _line_feeds(text, nul) + 1)
    return text, codec


def detect(content: Content, path: str) -> str:
    """Name of the codec that the bytes are written in.

    Args:
        content: a whole file.
        path: the file, for messages.

    Raises:
        DataError: neither UTF-8, UTF-16 nor GB18030; the message names the first byte at fault.
    """
    if (mark := _mark(content)) is not None:
        return mark
    fault = _fault(content, "utf-8")
    # Chinese in UTF-16 has few zero bytes, but is not UTF-8; English in it has every second one.
    zeros = sum(block.count(0) for block in blocks(content))
    if (zeros * 4 > len(content) or fault is not None) and (codec := _utf16_without_mark(content)):
        return codec
    if fault is None:
        return "utf-8"
    if _is_gb18030(content):
        return "gb18030"
    raise _undecodable(content, fault, "utf-8", "UTF-8, UTF-16 or GB18030", path)


def _named(content: Content, encoding: str, path: str) -> str:
    """The codec that the person named, unless the bytes are plainly in another."""
    try:
        codec = codecs.lookup(encoding).name
        b"a".decode(codec, errors="ignore")  # refuses hex, base64 and the like
    except (LookupError, UnicodeError):
        raise errors.files.unknown_encoding(encoding) from None
    detected = _contradiction(content, codec)
    if detected is not None:
        raise errors.files.wrong_encoding(path, named=encoding, detected=detected)
    mark = _mark(content)
    return mark if mark is not None else _utf16_without_mark(content) or codec


def _contradiction(content: Content, codec: str) -> str | None:
    """The encoding that the bytes are plainly in, if it is another than ``codec``."""
    mark, unmarked = _mark(content), _utf16_without_mark(content)
    if mark is not None:
        return None if mark[:6] == codec[:6] else mark
    if unmarked is not None:
        return None if codec in {"utf-16", unmarked} else unmarked
    is_utf8 = _fault(content, "utf-8") is None
    if codec.startswith(("utf-16", "utf-32")):
        return "utf-8" if is_utf8 else None
    if codec == "utf-8" or all(block.isascii() for block in blocks(content)):
        return None
    if is_utf8:
        return "utf-8"
    return "gb18030" if not codec.startswith("gb") and _is_gb18030(content, sure=True) else None


def _mark(content: Content) -> str | None:
    """The encoding that a byte order mark names, if there is one."""
    head = bytes(content[:4])
    return next((codec for mark, codec in _MARKS if head.startswith(mark)), None)


def _fault(content: Content, codec: str) -> int | None:
    """Offset of the first byte sequence that is not ``codec``."""
    decoder = codecs.getincrementaldecoder(codec)()
    offset = 0  # of what the decoder is given next
    pending = 0  # bytes it has kept of a character that was cut; its faults count from there
    try:
        for block in blocks(content):
            pending = len(decoder.getstate()[0])
            decoder.decode(block)
            offset += len(block)
        pending = len(decoder.getstate()[0])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        return offset - pending + error.start
    except UnicodeError:  # UTF-16 by name, but without the mark that tells its byte order
        return 0
    return None


def _transcoded(content: Content, codec: str) -> Iterator[bytes]:
    """``content`` in UTF-8, block by block."""
    decoder = codecs.getincrementaldecoder(codec)()
    for block in blocks(content):
        yield decoder.decode(block).encode()
    yield decoder.decode(b"", final=True).encode()


def _line_feeds(content: Content, stop: int) -> int:
    """How many there are before ``stop``."""
    return sum(block.count(b"\n") for block in blocks(content, 0, stop))


def _utf16_without_mark(content: Content) -> str | None:
    """The byte order in which all of it is text with line ends, if there is one."""
    if len(content) % 2 or find_byte(content, b"\0") < 0:
        return None
    ascii_units = {"utf-16-le": 0, "utf-16-be": 0}
    for block in blocks(content):
        units = np.frombuffer(block, "<u2")
        # A zero unit is a NUL character, which text has not.
        if np.any(units == 0):
            return None
        ascii_units["utf-16-le"] += int(np.count_nonzero(units < 0x80))
        ascii_units["utf-16-be"] += int(np.count_nonzero(units & 0x80FF == 0))
    codec = max(ascii_units, key=ascii_units.__getitem__)
    # Text has delimiters, digits or spaces.
    return codec if ascii_units[codec] and _fault(content, codec) is None else None


def _is_gb18030(content: Content, *, sure: bool = False) -> bool:
    """Whether the bytes decode as GB18030 and the result is Chinese.

    Latin-1, Big5, Shift JIS, EUC-JP and EUC-KR often decode as GB18030 too, into nonsense: with
    ASCII letters as second bytes, or without the characters that no Chinese text can do without.
    A text too short to tell counts as Chinese, unless ``sure``.
    """
    if _fault(content, "gb18030") is not None:
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
    """The message for the byte at ``offset``, with what the text around it looks like.

    ``codec`` is the one that does not decode it, ``named`` what the message calls that.
    """
    from charset_normalizer import from_bytes

    if codec.startswith("utf-16"):
        # Line ends are counted in decoded text: 0x0A is also half of other characters.
        # Without a mark, "utf-16" alone ignores no errors, whatever it is told.
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
