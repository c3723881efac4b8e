"""Each encoding is detected and named; everything else is refused at its first invalid byte."""

import codecs
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.reading_helpers import refusal, table, written
from warmstart.data.reading.encodings import detect, to_utf8
from warmstart.errors import DataError

CHINESE = "text,label\n" + "这部电影很好看,1\n我不喜欢这个地方,0\n今天天气真的不错,1\n" * 3
MIXED = "text,label\nnaïve café,1\n你好 world,0\n"


@pytest.mark.parametrize("text", [CHINESE, MIXED, "text,label\nplain,1\n"])
@pytest.mark.parametrize(
    ("codec", "mark", "name"),
    [
        ("utf-8", b"", "utf-8"),
        ("utf-8", codecs.BOM_UTF8, "utf-8-sig"),
        ("utf-16-le", codecs.BOM_UTF16_LE, "utf-16"),
        ("utf-16-be", codecs.BOM_UTF16_BE, "utf-16"),
        ("utf-16-le", b"", "utf-16-le"),
        ("utf-16-be", b"", "utf-16-be"),
        ("utf-32-le", codecs.BOM_UTF32_LE, "utf-32"),
        ("utf-32-le", b"", "utf-32-le"),
        ("utf-32-be", b"", "utf-32-be"),
    ],
)
def test_unicode_is_detected_and_named(
    tmp_path: Path, text: str, codec: str, mark: bytes, name: str
) -> None:
    read = table(path := written(tmp_path, mark + text.encode(codec)))
    assert read.columns.column_names == ["text", "label"]
    assert read.columns["text"][0].as_py() == text.split("\n")[1].split(",")[0]
    assert read.files[0].encoding == name
    assert len(table(path, encoding=name)) == len(read)


@pytest.mark.parametrize("codec", ["gb18030", "gbk", "gb2312"])
def test_chinese_windows_text_is_detected(tmp_path: Path, codec: str) -> None:
    read = table(path := written(tmp_path, CHINESE.encode(codec)))
    assert read.columns["text"][0].as_py() == "这部电影很好看"
    assert read.files[0].encoding == "gb18030"
    assert table(path, encoding=codec).columns.equals(read.columns)


@pytest.mark.parametrize(
    ("codec", "text"),
    [
        ("cp1252", "text,label\nfine,1\nle café noir est très bon,0\n"),
        ("latin-1", "text,label\nl'étudiant élégant,1\n"),
        ("big5", "text,label\n" + "這部電影很好看,1\n我不喜歡這個地方,0\n" * 5),
        ("euc-kr", "text,label\n" + "이 영화는 정말 재미있어요 그리고 배우들도 좋았습니다,1\n" * 5),
        ("euc-jp", "text,label\n" + "この映画はとても面白かったです。俳優も良かった,1\n" * 5),
        ("shift_jis", "text,label\n" + "この映画はとても面白かったです。俳優も良かった,1\n" * 5),
    ],
)
def test_other_encodings_are_refused_and_can_be_named(
    tmp_path: Path, codec: str, text: str
) -> None:
    content = text.encode(codec)
    error = refusal(path := written(tmp_path, content))
    offset = next(at for at, byte in enumerate(content) if byte > 0x7F)
    line = content.count(b"\n", 0, offset) + 1
    assert f"{path}:{line}: byte 0x{content[offset]:02X} at offset {offset}" in error.found
    assert "--set data.encoding=" in error.do
    assert table(path, encoding=codec).columns["text"][-1].as_py() in text


def test_the_advice_for_chinese_in_big5_is_big5(tmp_path: Path) -> None:
    text = "這部電影的導演拍得非常好，我們看完以後都覺得很感動，下次還會再來看。,1\n" * 8
    assert "data.encoding=big5" in refusal(written(tmp_path, text.encode("big5"))).do


@pytest.mark.parametrize(
    ("content", "named", "detected"),
    [
        (MIXED.encode(), "latin-1", "utf-8"),
        (MIXED.encode(), "gb18030", "utf-8"),
        (b"text,label\nabcd,1\nab,1\n", "utf-16", "utf-8"),
        (MIXED.encode("utf-16"), "utf-8", "utf-16"),
        (MIXED.encode("utf-16-be"), "utf-16-le", "utf-16-be"),
        (b"text,label\n" + MIXED.encode("utf-16-le"), "latin-1", None),
        (MIXED.encode("utf-16-le"), "cp1252", "utf-16-le"),
        (codecs.BOM_UTF8 + b"text,label\na,1\n", "cp1252", "utf-8-sig"),
        (CHINESE.encode("gb18030") * 3, "latin-1", "gb18030"),
    ],
)
def test_an_encoding_named_wrong(
    tmp_path: Path, content: bytes, named: str, detected: str | None
) -> None:
    error = refusal(path := written(tmp_path, content), encoding=named)
    if detected is None:
        assert "NUL" in error.found
        return
    assert error.found == f"{path} is {detected}, but data.encoding is {named}"
    assert error.do == f"--set data.encoding={detected}"


def test_an_encoding_that_does_not_decode_the_bytes(tmp_path: Path) -> None:
    content = b"text,label\n" + b"good,1\n" * 10 + b"caf\xe9,1\n"
    error = refusal(path := written(tmp_path, content), encoding="utf-8")
    assert f"{path}:12: byte 0xE9 at offset 84 is not valid utf-8" in error.found


def test_half_a_character_at_the_end(tmp_path: Path) -> None:
    content = MIXED.encode("utf-16") + b"a"
    assert (
        f"at offset {len(content) - 1} is not valid utf-16"
        in refusal(written(tmp_path, content)).found
    )


@pytest.mark.parametrize(
    "name",
    ["klingon", "hex", "rot13", "unicode_escape", "raw_unicode_escape", "utf-7", "idna", "a\0b"],
)
def test_an_unknown_encoding(tmp_path: Path, name: str) -> None:
    error = refusal(written(tmp_path, "a,b\n1,2\n"), encoding=name)
    assert repr(name) in error.found
    assert error.do == "--set data.encoding=auto"


def test_faults_are_placed_in_the_file_not_in_the_block() -> None:
    content = b"x" * (1 << 22) + b"\n\n\xff\xff"
    with pytest.raises(DataError, match=f"a:3: byte 0xFF at offset {(1 << 22) + 2} "):
        to_utf8(content, "auto", "a")


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1))
def test_utf8_is_never_taken_for_something_else(text: str) -> None:
    if not text.startswith("\ufeff"):
        assert detect(text.encode(), "a") == "utf-8"
        assert to_utf8(text.encode(), "auto", "a") == (text.encode(), "utf-8")


@pytest.mark.parametrize("encoding", ["auto", "cp1252"])
def test_text_full_of_nul_characters_is_no_utf16(tmp_path: Path, encoding: str) -> None:
    path = written(tmp_path, "text,label\na,1\n".encode("utf-32-le") + b"\0\0")
    assert refusal(path, encoding=encoding).found == f"{path}:1: a NUL byte"


ENGLISH = "text,label\n" + "a fine film with a good story,1\nnot worth the money,0\n" * 40

ROWS = {
    "cp1252": "l'h\u00f4tel o\u00f9 No\u00ebl f\u00eate \u201cquoted\u201d \u00a35",
    "cp1250": "P\u0159\u00edli\u0161 \u017elu\u0165ou\u010dk\u00fd k\u016f\u0148",
    "cp1254": "ark\u0131 \u00e7ok g\u00fczel \u0131\u015f\u0131k",
    "cp1251": "\u042d\u0442\u043e \u043f\u0440\u0435\u043a\u0440\u0430\u0441\u043d\u043e",
    "koi8-r": "\u041e\u0447\u0435\u043d\u044c \u0445\u043e\u0440\u043e\u0448\u043e",
    "iso8859-5": "\u0441\u043f\u0430\u0441\u0438\u0431\u043e",
    "cp866": "\u0441\u043f\u0430\u0441\u0438\u0431\u043e",
    "cp1253": "\u03c5\u03c0\u03ad\u03c1\u03bf\u03c7\u03b7 \u03c4\u03b1\u03b9\u03bd\u03af\u03b1",
    "cp1255": "\u05d4\u05d9\u05d4 \u05e1\u05e8\u05d8 \u05e0\u05e4\u05dc\u05d0",
    "cp1256": "\u0643\u0627\u0646 \u0647\u0630\u0627 \u0641\u064a\u0644\u0645\u0627",
    "tis-620": "\u0e2b\u0e19\u0e31\u0e07\u0e40\u0e23\u0e37\u0e48\u0e2d\u0e07",
    "euc-kr": "\uc774 \uc601\ud654\ub294 \uc815\ub9d0 \uc7ac\ubbf8\uc788\uc5b4\uc694",
    "euc-jp": "\u3053\u306e\u6620\u753b\u306f\u9762\u767d\u304b\u3063\u305f\u3067\u3059",
    "shift_jis": "\u3053\u306e\u6620\u753b\u306f\u9762\u767d\u304b\u3063\u305f\u3067\u3059",
    "big5": "\u9019\u90e8\u96fb\u5f71\u7684\u5c0e\u6f14\u975e\u5e38\u597d",
}


@pytest.mark.parametrize("codec", ROWS)
def test_one_row_in_another_encoding_is_refused(tmp_path: Path, codec: str) -> None:
    """Every start and end of the row: for many of them the bytes are valid GB18030."""
    row = ROWS[codec]
    for start in range(len(row) - 1):
        for stop in range(start + 1, len(row) + 1, 3):
            content = (ENGLISH + row[start:stop] + ",1\n").encode(codec)
            if content.decode("utf-8", errors="replace").count("\ufffd"):
                with pytest.raises(DataError) as caught:
                    detect(content, "a.csv")
                assert "--set data.encoding=" in caught.value.do
    error = refusal(path := written(tmp_path, (ENGLISH + row + ",1\n").encode(codec)))
    advised = error.do.removeprefix("--set data.encoding=").split()[0]
    assert len(table(path, encoding=advised)) == 81
    assert table(path, encoding=codec).columns["text"][-1].as_py() == row


def test_the_advice_shows_the_text_that_the_encoding_gives(tmp_path: Path) -> None:
    error = refusal(written(tmp_path, (ENGLISH + "only \u00a35 each,1\n").encode("cp1252")))
    assert error.do.startswith(
        "--set data.encoding=cp1252 if the text should read 'only \u00a35 each,1'"
    )


def test_a_degree_sign_beside_a_letter_is_western(tmp_path: Path) -> None:
    row = "Le caf\u00e9 n\u00b0 {} \u00e9tait tr\u00e8s bon \u00e0 Orl\u00e9ans,bon\n"
    rows = "".join(row.format(number) for number in range(60))
    error = refusal(written(tmp_path, f"text,label\n{rows}".encode("latin-1")))
    assert error.do.startswith(
        "--set data.encoding=cp1252 if the text should read 'Le caf\u00e9 n\u00b0"
    )


@pytest.mark.parametrize("codec", ["cp1252", "latin-1", "utf-8", "big5"])
def test_an_encoding_that_failed_is_not_advised_again(tmp_path: Path, codec: str) -> None:
    path = written(tmp_path, ENGLISH.encode() + b"caf\x81\xff\x8d,1\n")
    if codec == "latin-1":
        assert len(table(path, encoding=codec)) == 81
        return
    error = refusal(path, encoding=codec)
    advised = error.do.removeprefix("--set data.encoding=").split()[0]
    assert advised != codec
    assert len(table(path, encoding=advised)) == 81


def test_a_byte_of_another_encoding_in_utf8(tmp_path: Path) -> None:
    content = CHINESE.encode() + b"caf\xe9 noir,1\n" + CHINESE.encode().partition(b"\n")[2]
    error = refusal(path := written(tmp_path, content))
    assert f"{path}:11: byte 0xE9" in error.found
    assert "correct this line: the text around it is UTF-8" in error.do
    repaired = written(tmp_path, content.replace(b"caf\xe9", "caf\u00e9".encode()), "b.csv")
    assert len(table(repaired)) == 19


def test_bytes_that_are_not_text_get_no_encoding(tmp_path: Path) -> None:
    error = refusal(written(tmp_path, b"\x03\x8f\x01\xff\x9d" * 40))
    assert "data.encoding=" not in error.do
    assert "check that it is a text file" in error.do


def test_chinese_that_is_too_short_to_be_sure_is_refused(tmp_path: Path) -> None:
    error = refusal(path := written(tmp_path, "text,label\n\u5e72\u51c0,1\n".encode("gbk")))
    assert "is not valid UTF-8, UTF-16, UTF-32 or GB18030" in error.found
    assert table(path, encoding="gb18030").columns["text"][0].as_py() == "\u5e72\u51c0"


@pytest.mark.parametrize("codec", ["iso2022_jp", "iso2022_kr"])
def test_encodings_with_escape_sequences_are_not_read_as_ascii(tmp_path: Path, codec: str) -> None:
    text = ROWS["euc-jp" if codec.endswith("jp") else "euc-kr"]
    error = refusal(path := written(tmp_path, f"text,label\nx,0\n{text},1\n".encode(codec)))
    assert "an escape sequence of" in error.found
    assert error.do == f"--set data.encoding={codec}"
    assert table(path, encoding=codec).columns["text"][-1].as_py() == text


@pytest.mark.parametrize("order", ["le", "be"])
def test_utf_16_and_utf_32_are_told_apart(tmp_path: Path, order: str) -> None:
    for text in ("a\na\na\na\n", "a\n\nb\n\n", "😀\n" * 9, "文\n字\n"):
        for codec in (f"utf-16-{order}", f"utf-32-{order}"):
            read = table(path := written(tmp_path, text.encode(codec), "a.txt"))
            assert read.columns["text"].to_pylist() == text.split()
            assert read.files[0].encoding == codec
            assert len(table(path, encoding=codec[:6])) == len(read)
            assert f"--set data.encoding={codec}" in refusal(path, encoding="utf-8").do


def test_hz_is_refused_and_can_be_named(tmp_path: Path) -> None:
    path = written(tmp_path, CHINESE.encode("hz"))
    error = refusal(path)
    assert error.found == f"{path}:2: an escape sequence of hz"
    assert error.do == "--set data.encoding=hz"
    assert table(path, encoding="hz").columns["text"][0].as_py() == "这部电影很好看"
    for text in ("text,label\nx ~{name}~} y ~{other}~} ~{again},1\n", "text,label\n~{A~} ~~,1\n"):
        assert table(written(tmp_path, text)).files[0].encoding == "utf-8"
