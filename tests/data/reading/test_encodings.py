"""Each encoding is detected and named; everything else is refused at its first invalid byte."""

import codecs
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.reading_helpers import refusal, table, written
from warmstart.data.reading.encodings import detect, to_utf8
from warmstart.errors import DataError

CHINESE = "text,label\n这部电影很好看,1\n我不喜欢这个地方,0\n今天天气真的不错,1\n" * 3
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
        ("big5", "text,label\n這部電影很好看,1\n我不喜歡這個地方,0\n" * 5),
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


@pytest.mark.parametrize("name", ["klingon", "hex", "rot13"])
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
    path = written(tmp_path, "text,label\na,1\n".encode("utf-32-le"))
    assert refusal(path, encoding=encoding).found == f"{path}:1: a NUL byte"
