"""CoNLL files: all their variants, exact lines, and an error message for every broken file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmstart.data.tags.conll import ConllColumns, ConllFile, conll_lines, read_conll
from warmstart.data.tags.schemes import recognise_scheme, spans_of_tags, tag_sequences
from warmstart.errors import DataError

CONLL2003 = """-DOCSTART- -X- -X- O

EU NNP B-NP B-ORG
rejects VBZ B-VP O

Peter NNP B-NP B-PER
-DOCSTART- -X- -X- O

BRUSSELS NNP B-NP B-LOC
"""

CONLLU = """# newdoc id = a
# sent_id = 1
1-2\tdon't\t_\t_\t_\t_\t_\t_\t_\t_
1\tdo\tdo\tAUX\tVB\t_\t0\troot\t_\t_
2\tn't\tnot\tPART\tRB\t_\t1\tadvmod\t_\t_
2.1\tgo\tgo\tVERB\tVB\t_\t_\t_\t_\t_

# newdoc id = b
1\t#\t#\tSYM\tNN\t_\t0\troot\t_\t_
"""


def conll(text: str | list[bytes], **columns: Any) -> ConllFile:
    blocks = [text.encode()] if isinstance(text, str) else text
    return read_conll(blocks, "a.conll", ConllColumns(**columns))


def refused(text: str, **columns: Any) -> DataError:
    with pytest.raises(DataError) as caught:
        conll(text, **columns)
    return caught.value


def test_conll_2003_with_documents() -> None:
    found = conll(CONLL2003)
    assert found.columns.to_pydict() == {
        "words": [["EU", "rejects"], ["Peter"], ["BRUSSELS"]],
        "tags": [["B-ORG", "O"], ["B-PER"], ["B-LOC"]],
        "document": [0, 0, 1],
    }
    assert found.lines.tolist() == [3, 6, 9]
    assert found.notes == (
        "CoNLL file with 4 columns separated by spaces: words from column 1, tags from column 4.",
        "Documents: 2.",
    )


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_line_ends_and_a_byte_order_mark(end: str, mark: str) -> None:
    found = conll(mark + CONLL2003.replace("\n", end))
    assert found.columns["words"].to_pylist() == [["EU", "rejects"], ["Peter"], ["BRUSSELS"]]
    assert found.lines.tolist() == [3, 6, 9]


def test_without_borders_there_is_no_document() -> None:
    found = conll("EU B-ORG\n\n \t\n\nPeter B-PER")
    assert found.columns["document"].to_pylist() == [None, None]
    assert str(found.columns["document"].type) == "int64"
    assert found.lines.tolist() == [1, 5]
    assert len(found.notes) == 1


def test_columns_by_number_and_by_name() -> None:
    assert conll(CONLL2003, tags=2).columns["tags"].to_pylist()[0] == ["NNP", "VBZ"]
    assert conll(CONLL2003, tags="-2").columns["tags"].to_pylist()[0] == ["B-NP", "B-VP"]
    names = ["form", "pos", "chunk", "ner"]
    by_name = conll(CONLL2003, words="form", tags="chunk", names=names)
    assert by_name.columns["tags"].to_pylist()[0] == ["B-NP", "B-VP"]
    header = conll("ner word\nB-LOC Rome\nO is\n", words="word", tags="ner")
    assert header.columns.to_pydict() == {
        "words": [["Rome", "is"]], "tags": [["B-LOC", "O"]], "document": [None]
    }  # fmt: skip
    assert header.lines.tolist() == [2]
    plus = "# global.columns = ID FORM NER\n\n1 Rome B-LOC\n1-2 x y\n2 is O\n"
    found = conll(plus, words="FORM", tags="NER")
    assert found.columns["words"].to_pylist() == [["Rome", "is"]]


def test_words_alone() -> None:
    found = conll("Rome\nis\n\n#\n", tags=None)
    assert found.columns.column_names == ["words", "document"]
    assert found.columns["words"].to_pylist() == [["Rome", "is"], ["#"]]


def test_conllu_skips_what_are_no_words() -> None:
    found = conll(CONLLU, words="FORM", tags="UPOS")
    assert found.columns.to_pydict() == {
        "words": [["do", "n't"], ["#"]],
        "tags": [["AUX", "PART"], ["SYM"]],
        "document": [0, 1],
    }
    assert found.lines.tolist() == [4, 9]
    assert found.notes[1:] == (
        "Documents: 2.",
        "Comment lines skipped: 3.",
        "Lines skipped, with a range of words or a word left out: 2.",
    )


def test_comments_and_words_that_begin_with_a_number_sign() -> None:
    found = conll("# a tweet of today\n#\tO\n#Rome\tB-LOC\n\n#\tO\nis\tO\n")
    assert found.columns["words"].to_pylist() == [["#", "#Rome"], ["#", "is"]]
    assert found.notes[1:] == ("Comment lines skipped: 1.",)
    # Comments of MultiCoNER have a tab and as many words as there are columns.
    found = conll("# id 7f\tdomain=train\nRome _ _ B-LOC\n")
    assert found.columns["words"].to_pylist() == [["Rome"]]
    error = refused("Rome\tB-LOC\n#broken\n")
    assert error.found == "a.conll:2 has 1 column: #broken"
    assert "a.conll:3" in refused("Rome\tB-LOC\n\n-DOCSTART-s\n").found
    assert conll("#\tO\n\n#a\tO\n").columns["words"].to_pylist() == [["#"], ["#a"]]


def test_blocks_may_cut_a_sentence() -> None:
    whole = conll(CONLL2003)
    lines = [line.encode() for line in CONLL2003.splitlines(keepends=True)]
    cut = conll(lines)
    assert cut.columns.to_pydict() == whole.columns.to_pydict()
    assert cut.lines.tolist() == whole.lines.tolist()
    assert cut.notes == whole.notes


def test_words_keep_unusual_spaces_inside_a_tab_separated_file() -> None:
    found = conll("New York\t B-LOC\n\u00a0\tO\na\u2028b\tO \n \tO\n")
    assert found.columns["words"].to_pylist() == [["New York", "\u00a0", "a\u2028b", " "]]
    assert found.columns["tags"].to_pylist() == [["B-LOC", "O", "O", "O"]]


def test_a_line_with_another_number_of_columns() -> None:
    error = refused("EU NNP B-ORG\n\nrejects VBZ\n")
    assert error.found == "a.conll:3 has 2 columns: rejects VBZ"
    assert error.expected.startswith("3 columns, as in line 1")
    assert "tab" in error.do


def test_empty_words_are_kept_and_empty_tags_refused() -> None:
    found = conll("EU\tB-ORG\n\tO\n \tO\n")
    assert found.columns["words"].to_pylist() == [["EU", "", " "]]
    assert found.notes[1:] == ("Empty words, kept because each has a tag: 2.",)
    error = refused("EU\tB-ORG\nis\t \n")
    assert error.found == "a.conll:2 has an empty tag"
    assert "correct the line" in error.do


def test_files_without_sentences_or_tags() -> None:
    for text in ("\n\n", "-DOCSTART- O\n\n", "# alone\n", "word ner\n"):
        error = refused(text, words="word", tags="ner")
        assert error.found == "a.conll has no sentence"
        assert "written completely" in error.do
    error = refused("Rome\nis\n")
    assert error.found == "a.conll:1 has 1 column: Rome"
    assert "tag after each word" in error.do


def test_columns_that_are_not_there() -> None:
    error = refused(CONLL2003, tags="ner")
    assert "no column 'ner'" in error.found
    assert "EU NNP B-NP B-ORG" in error.found
    assert error.do.startswith("--set data.tags=1 ")
    assert "data.columns" in error.do
    names = ["form", "pos", "chunk", "ner"]
    error = refused(CONLL2003, words="word", tags="ner", names=names)
    assert "columns form, pos, chunk, ner" in error.found
    error = refused(CONLL2003, tags=5)
    assert error.found == "a.conll has 4 columns, and data.tags is 5"
    assert error.do == "--set data.tags=4"
    assert conll(CONLL2003, tags=4)
    assert refused(CONLL2003, words=-5).do == "--set data.words=-1"
    assert "is 0" in refused(CONLL2003, tags=0).found
    error = refused(CONLL2003, words="form", names=["form", "ner"])
    assert "4 columns, and 2 names are given (form, ner)" in error.found
    assert "with 4 names" in error.do
    error = refused(CONLL2003, words=4)
    assert "both name the column 4" in error.found
    assert error.do.startswith("--set data.tags=-1")


WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\t\r\n"), min_size=0).filter(
    lambda word: not word.startswith("-DOCSTART-")
)
SENTENCES = st.lists(
    st.lists(st.tuples(WORDS, st.sampled_from(["O", "B-A"])), min_size=1), max_size=5
)


@given(SENTENCES.filter(bool), st.booleans())
def test_what_is_written_is_read_again(
    sentences: list[list[tuple[str, str]]], in_documents: bool
) -> None:
    words = [[word for word, _ in sentence] for sentence in sentences]
    tags = [[tag for _, tag in sentence] for sentence in sentences]
    documents = [index // 2 for index in range(len(words))] if in_documents else None
    text = "".join(conll_lines(words, tags, documents))
    found = conll(text)
    assert found.columns.to_pydict() == {
        "words": words, "tags": tags, "document": documents or [None] * len(words)
    }  # fmt: skip


def test_writing_refuses_words_that_cannot_be_read() -> None:
    for word in ("a\tb", "a\nb", "-DOCSTART-"):
        with pytest.raises(DataError) as caught:
            list(conll_lines([["Rome"], [word]], [["O"], ["O"]]))
        assert caught.value.found == f"sentence 2 has the word {word!r}"
        assert ".jsonl" in caught.value.do
    assert list(conll_lines([[], ["a"]], [[], ["O"]], [0, 1])) == ["", "-DOCSTART-\tO\n\na\tO\n\n"]


def test_broad_twitter_corpus(shared_data: Callable[[str], Path]) -> None:
    sentences = words = entities = 0
    for section in "abefgh":
        path = shared_data(f"btc/{section}.conll")
        found = read_conll([path.read_bytes()], str(path), ConllColumns())
        assert not any("Comment" in note for note in found.notes)  # words with # are kept
        tags = tag_sequences(found.columns["tags"])
        assert recognise_scheme(tags, str(path)).scheme == "BIO"
        spans = spans_of_tags(tags)
        assert not spans.repaired.any()
        sentences += len(found.lines)
        words += len(tags.ids)
        entities += len(spans.spans)
    assert entities == 14_885
    assert (sentences, words) == (9_339, 150_387)
