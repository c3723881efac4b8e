"""Detect the encoding of a file and convert it to UTF-8; report the first invalid byte.

These encodings are detected: UTF-8 (with or without a byte order mark), UTF-16 and UTF-32 (either
byte order, with or without a mark) and GB18030 (including its subsets GBK and GB2312, which Chinese
Windows uses). GB18030 needs evidence that the text is Chinese (see ``_is_gb18030``). Any other
encoding is rejected and not guessed: all bytes are valid Latin-1, for example, so a wrong guess
would not be noticed later. Pyarrow needs UTF-8, so all text is UTF-8 from here on.

Offsets are in bytes from 0; lines are counted from 1.

Source: The Unicode Standard, section 3.10 (encoding schemes, byte order mark); GB 18030-2022, whose
two-byte area contains GB 2312 at the codes in which both bytes are 0xA1 or higher; Jun Da, "Modern
Chinese Character Frequency List", 2004, for the most frequent characters.
"""

import codecs
import re
from collections.abc import Iterator
from itertools import islice

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

_LEVEL_1 = range(0xB0A1, 0xD7FF)
"""The codes of the 3,755 usual characters of GB 2312."""

_PUNCTUATION = range(0xA1A1, 0xA3FF)
"""The codes of punctuation and full-width characters in GB 2312."""

_COMMON_CHINESE = frozenset(
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之"
    "年过发后作里用道行所然家种事成方多经么去法学如都同现当没动面起看定天分还进好小部其些主样"
    "理心她本前开但因只从想实日军者意无力它与长把机十民第公此已工使情明性知全三又关点正业外将"
    "两高间由问很最重并物手应战向头文体政美相见被利什二等产或新己制身果加西斯月话合回特代内信"
    "表化老给世位次度门任常先海通教儿原东声提立及比员解水名真论处走义各入几口认条平系气题活尔"
    "更别打女变四神总何电数安少报才结反受目太量再感建务做接必场件计管期市直德资命山金指克许统"
    "区保至队形社便空决治展马科司五基眼书非则听白却界达光放强即像难且权思王象完设式色路记南品"
    "住告类求据程北边死张该交规万取拉格望觉术领共确传师观清今切院让识候带导争运"
)
"""The most frequent characters of modern Chinese: half of ordinary text or more."""

_ENOUGH_CHARACTERS = 6
"""A text with fewer characters than this is not evidence for GB18030."""

_FEW_BYTES = 20
"""With fewer bytes outside of ASCII, a statistical guess of the encoding is not reliable."""

_POLISH = frozenset("ąćęłńóśźżĄĆĘŁŃÓŚŹŻ„”–—…’\xa0")
"""Characters of Polish texts outside of ASCII."""

_NOT_WESTERN = re.compile("[a-z][¹³¿][a-zœæ]|[£¯][a-z]{2}|[a-z]œ\\b|œ[wcnlrmpæ]|[a-z]Ÿ|Ÿ[a-z]")
"""Polish words in cp1250 that were decoded as cp1252: by³o, ró¿ne, £ódŸ, coœ, œwiat."""

_NOT_FOR_FILES = frozenset(
    {"charmap", "idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7"}
)
"""Codecs of Python that are not encodings of text files."""

_SHIFTS = {b"\x1b$B": "iso2022_jp", b"\x1b$@": "iso2022_jp", b"\x1b$)C": "iso2022_kr"}
"""Escape sequences of encodings that only use ASCII bytes."""

_SPECIAL = (b"\0", b"\x1b", b"~")
"""NUL, and the first bytes of escape sequences. Most texts have none of them, and a search for one
byte is much faster than one for a sequence."""

_HZ = re.compile(rb"~\{((?:[\x21-\x77][\x21-\x7e])+)~\}")
"""A part of a text in HZ (RFC 1843) with Chinese characters."""

_HZ_PARTS = 1000
"""Number of such parts that are looked at."""

_ENOUGH_HZ = 3
"""A text with fewer characters than this between ``~{`` and ``~}`` is not evidence for HZ."""


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
        DataError: no such encoding is detected; the message names the first invalid byte.
    """
    if (mark := _mark(content)) is not None:
        return mark
    invalid = _first_invalid(content, "utf-8")
    # In UTF-16, every second byte of English text is zero. Chinese text has few zero bytes, but it
    # is not valid UTF-8.
    special = {byte for block in blocks(content) for byte in _SPECIAL if byte in block}
    zeros = sum(block.count(0) for block in blocks(content)) if b"\0" in special else 0
    if invalid is not None or zeros * 4 >= len(content):
        codec = _without_mark(content)
        if codec is not None:
            return codec
    if invalid is None:
        if special - {b"\0"}:
            _refuse_escapes(content, path)
        return "utf-8"
    if _is_gb18030(content):
        return "gb18030"
    raise _undecodable(content, invalid, "utf-8", "UTF-8, UTF-16, UTF-32 or GB18030", path)


def _refuse_escapes(content: Content, path: str) -> None:
    """Fail if the text has escape sequences of an encoding that only uses ASCII bytes."""
    for escape, codec in _SHIFTS.items():
        if (offset := content.find(escape)) >= 0:
            raise errors.files.escape_sequence(path, _line_feeds(content, offset) + 1, codec)
    if (line := _hz_line(content)) is not None:
        raise errors.files.escape_sequence(path, line, "hz")


def _named(content: Content, encoding: str, path: str) -> str:
    """The codec that the user named; fails if the bytes are clearly in another encoding."""
    try:
        codec = codecs.lookup(encoding).name
        b"a".decode(codec, errors="ignore")  # fails for hex, base64 and similar codecs
    except (LookupError, UnicodeError, ValueError):  # ValueError: a NUL character in the name
        codec = "undefined"
    if codec in _NOT_FOR_FILES:
        raise errors.files.unknown_encoding(encoding)
    detected = _contradiction(content, codec)
    if detected is not None:
        raise errors.files.wrong_encoding(path, named=encoding, detected=detected)
    mark = _mark(content)
    return mark if mark is not None else _without_mark(content) or codec


def _contradiction(content: Content, codec: str) -> str | None:
    """The actual encoding of the bytes if it clearly differs from ``codec``, else ``None``."""
    mark, unmarked = _mark(content), _without_mark(content)
    if mark is not None:
        return None if mark[:6] == codec[:6] else mark
    if unmarked is not None:
        return None if codec in {unmarked[:6], unmarked} else unmarked
    is_utf8 = _first_invalid(content, "utf-8") is None
    if codec.startswith(("utf-16", "utf-32")):
        return "utf-8" if is_utf8 else None
    if codec == "utf-8" or all(block.isascii() for block in blocks(content)):
        return None
    if is_utf8:
        return "utf-8"
    return "gb18030" if not codec.startswith("gb") and _is_gb18030(content) else None


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
    if len(content) % 2:
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


def _without_mark(content: Content) -> str | None:
    """The UTF-16 or UTF-32 codec in which the bytes are plausible text, if any."""
    if find_byte(content, b"\0") < 0:
        return None
    return _utf32_without_mark(content) or _utf16_without_mark(content)


def _utf32_without_mark(content: Content) -> str | None:
    """The UTF-32 codec (with byte order) in which the bytes are valid, if any.

    Every fourth byte is zero, at the same place of each character, and no character is zero. Text
    in UTF-16 has this form only if it has no ASCII characters when it is read as UTF-32.
    """
    if len(content) % 4:
        return None
    for codec, order in (("utf-32-le", "<u4"), ("utf-32-be", ">u4")):
        ascii_units = 0
        for block in blocks(content):
            units = np.frombuffer(block, order)
            if np.any((units == 0) | (units >= 0x110000)):
                break
            ascii_units += int(np.count_nonzero(units < 0x80))
        else:
            if ascii_units and _first_invalid(content, codec) is None:
                return codec
    return None


def _hz_line(content: Content) -> int | None:
    """Line of the first ``~{`` of a text in HZ; None if the text is not in HZ.

    HZ writes each Chinese character as two bytes from 0x21 to 0x7E between ``~{`` and ``~}``. As
    these are also plain ASCII text, the characters must be usual ones of GB 2312.
    """
    found = list(islice(_HZ.finditer(content), _HZ_PARTS))
    codes = [
        (part[1][place] << 8 | part[1][place + 1]) | 0x8080
        for part in found
        for place in range(0, len(part[1]) - 1, 2)
    ]
    usual = sum(code in _LEVEL_1 or code in _PUNCTUATION for code in codes)
    if len(codes) < _ENOUGH_HZ or usual < 0.85 * len(codes):
        return None
    return _line_feeds(content, found[0].start()) + 1


def _is_gb18030(content: Content) -> bool:
    """Whether the bytes decode as GB18030 and the result is Chinese.

    Text in other encodings is often valid GB18030 too, but decodes to nonsense: second bytes are
    ASCII letters (Big5, Shift JIS, Latin-1), characters are rare ones (Cyrillic, Greek, Hebrew,
    EUC-JP), or the most frequent characters of Chinese are missing (EUC-KR, KOI8-R, Thai). In
    Chinese, more than nine of ten characters are in level 1 of GB 2312, and half of them are among
    the most frequent ones. A text that is too short to decide does not count as Chinese.
    """
    if _first_invalid(content, "gb18030") is not None:
        return False
    sample = bytes(content[:_SAMPLE])
    text = sample.decode("gb18030", errors="ignore")
    wide = [character for character in text if not character.isascii()]
    high_bytes = int(np.count_nonzero(np.frombuffer(sample, np.uint8) >= 0x80))
    if len(wide) < _ENOUGH_CHARACTERS or high_bytes < 1.8 * len(wide):
        return False
    codes = (int.from_bytes(character.encode("gb18030")) for character in wide)
    usual = sum(code in _LEVEL_1 or code in _PUNCTUATION for code in codes)
    common = sum(character in _COMMON_CHINESE for character in wide)
    return usual >= 0.85 * len(wide) and common >= 0.3 * len(wide)


def _undecodable(content: Content, offset: int, codec: str, named: str, path: str) -> DataError:
    """The error for the byte at ``offset``, with the most likely encoding of the text around it.

    ``codec`` cannot decode the byte; ``named`` is the name of the encoding in the message.
    """
    if codec.startswith("utf-16"):
        # Line breaks are counted in decoded text, because 0x0A is also a byte of other characters.
        # Without a byte order mark, the codec "utf-16" does not respect errors="ignore".
        unmarked = codec == "utf-16" and _mark(content) is None
        order = "utf-16-le" if unmarked else codec
        decoder = codecs.getincrementaldecoder(order)(errors="ignore")
        line_ends = sum(decoder.decode(b).count("\n") for b in blocks(content, 0, offset))
    else:
        line_ends = _line_feeds(content, offset)
    around = bytes(content[max(0, offset - 8192) : offset + 8192])
    decoded = around.decode("utf-8", errors="replace")
    faults = decoded.count("\ufffd")
    guess = _guess(content, around, codec)
    line = bytes(content[max(0, offset - 20) : offset + 20])
    reads = None if guess is None else line.decode(guess, errors="replace").split("\n")
    return errors.files.undecodable(
        path,
        line_ends + 1,
        offset=offset,
        byte=content[offset],
        encoding=named,
        guess=guess,
        reads=None if reads is None else max(reads, key=lambda part: not part.isascii()).strip(),
        mostly_utf8=sum(not character.isascii() for character in decoded) > 3 * faults + 2,
    )


def _guess(content: Content, around: bytes, failed: str) -> str | None:
    """The most likely encoding other than ``failed``; None if the bytes are not text."""
    from charset_normalizer import from_bytes

    if any(byte < 0x20 and byte not in b"\t\n\r\f\x1b" for byte in around):
        return None
    # cp1252 lacks five of the bytes 0x80 to 0x9F, which no text in Latin-1 has.
    candidates = ["gb18030", "cp1252", "cp1250", "latin-1"]
    high_bytes = sum(byte >= 0x80 for byte in around)
    if (best := from_bytes(around).best()) is not None and high_bytes >= _FEW_BYTES:
        if not _has_western_symbols(around, best.encoding):
            candidates.insert(0, best.encoding)
    elif best is None or not best.encoding.startswith(("gb", "big5", "euc", "shift", "cp9")):
        candidates.remove("gb18030")
    if _is_polish(around):
        candidates.insert(0, "cp1250")
    for candidate in candidates:
        same = codecs.lookup(candidate).name == codecs.lookup(failed).name
        if not same and candidate != "ascii" and _first_invalid(content, candidate) is None:
            return candidate
    return None


def _is_polish(around: bytes) -> bool:
    """Whether all bytes outside of ASCII are Polish in cp1250, and impossible words in cp1252."""
    polish = around.decode("cp1250", errors="replace")
    western = around.decode("cp1252", errors="replace")
    wide = {character for character in polish if not character.isascii()}
    return wide <= _POLISH and _NOT_WESTERN.search(western) is not None


def _has_western_symbols(around: bytes, guess: str) -> bool:
    """Whether all bytes of which cp1252 and ``guess`` give other characters are symbols in cp1252.

    A symbol such as £ is beside a digit or a space; only ° is also beside a letter (n° 5). In a
    language of another encoding the same byte is a letter (Ł) among letters.
    """
    western = around.decode("cp1252", errors="replace")
    other = around.decode(guess, errors="replace")
    if len(western) != len(other) or not guess.startswith(("cp125", "iso8859", "mac")):
        return False
    padded = f" {western} "
    return western != other and all(
        not any(map(str.isalpha, padded[index : index + 3]))
        for index, (one, two) in enumerate(zip(western, other, strict=True))
        if one not in (two, "°")
    )
