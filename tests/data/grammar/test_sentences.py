"""The bundled corpus: a balanced, reproducible test that counting words cannot solve."""

import csv
import hashlib
import io
import re
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import matthews_corrcoef

from warmstart import errors
from warmstart.data.grammar.lexicon import DEVELOPMENT, TEST, TIMES, Word
from warmstart.data.grammar.paradigms import PARADIGMS
from warmstart.data.grammar.sentences import SPLITS, Sentence, corpus, tsv

CORPUS = {split: corpus(split) for split in SPLITS}

FUNCTION_WORDS = set(
    "a again already always and are as because before both can cannot did does either ever every "
    "everybody from had has have herself himself into is less many might more must near neither "
    "never next no nobody nor not now of on or right should so than that the themselves these this "
    "to tomorrow tonight too very was were what when whether which who why will with would "
    "yesterday last week month night morning monday friday".split()
)


def words_of(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def counts(sentences: list[Sentence], label: int, size: int) -> Counter[tuple[str, ...]]:
    """How often each sequence of ``size`` words occurs in the sentences with this label."""
    found: Counter[tuple[str, ...]] = Counter()
    for sentence in sentences:
        if sentence.label == label:
            words = words_of(sentence.text)
            found.update(zip(*(words[start:] for start in range(size)), strict=False))
    return found


@pytest.mark.parametrize(("split", "rows"), [("train", 3136), ("validation", 392), ("test", 784)])
def test_size_and_length(split: str, rows: int) -> None:
    assert len(CORPUS[split]) == rows
    assert all(4 <= len(words_of(sentence.text)) <= 16 for sentence in CORPUS[split])


@pytest.mark.parametrize("split", SPLITS)
def test_pairs_stand_together_acceptable_first(split: str) -> None:
    sentences = CORPUS[split]
    for good, bad in zip(sentences[::2], sentences[1::2], strict=True):
        assert (good.label, good.mark, bad.label, bad.mark) == (1, "", 0, "*")
        assert good.source == bad.source
        assert len(set(words_of(good.text)) & set(words_of(bad.text))) >= 3


@settings(max_examples=8)
@given(seed=st.integers(0, 2**32))
def test_words_and_neighbours_are_as_often_right_as_wrong(seed: int) -> None:
    for split in SPLITS:
        sentences = [s for s in corpus(split, seed) if s.source != "inflection"]
        for size in (1, 2):
            assert counts(sentences, 1, size) == counts(sentences, 0, size)


@settings(max_examples=8)
@given(seed=st.integers(0, 2**32))
def test_no_sentence_comes_twice(seed: int) -> None:
    texts = [sentence.text for split in SPLITS for sentence in corpus(split, seed)]
    assert len(set(texts)) == len(texts)


@settings(max_examples=8)
@given(seed=st.integers(0, 2**32))
def test_only_function_words_are_common_to_training_and_test(seed: int) -> None:
    def vocabulary(split: str) -> set[str]:
        return {word for sentence in corpus(split, seed) for word in words_of(sentence.text)}

    development = vocabulary("train") | vocabulary("validation")
    assert development & vocabulary("test") <= FUNCTION_WORDS


def test_the_two_lexicons_share_no_form_but_time_expressions() -> None:
    def forms(lexicon: dict[str, tuple[Word, ...]]) -> set[str]:
        words = {word for kind, members in lexicon.items() if kind != "time" for word in members}
        return {
            form
            for word in words
            for form in (word.base, word.s, word.past, word.participle, word.ing, word.regular)
        }

    assert forms(DEVELOPMENT).isdisjoint(forms(TEST))
    assert [str(time) for time in DEVELOPMENT["time"]] == TIMES.split(", ")
    assert DEVELOPMENT["time"] == TEST["time"]


def test_every_kind_is_used_and_known_to_both_lexicons() -> None:
    used = {
        kind
        for templates in PARADIGMS.values()
        for template in templates
        for kind in re.findall(r"\{([a-z]+)", template)
    }
    assert used == set(DEVELOPMENT) == set(TEST)


@pytest.mark.parametrize("split", SPLITS)
def test_every_paradigm_is_in_every_split_half_acceptable(split: str) -> None:
    labels: dict[str, list[int]] = {}
    for sentence in CORPUS[split]:
        labels.setdefault(sentence.source, []).append(sentence.label)
    assert set(labels) == {*PARADIGMS, "filler_gap"}
    assert all(2 * sum(values) == len(values) for values in labels.values())


def test_the_bytes_are_the_same_everywhere() -> None:
    digests = {split: hashlib.sha256(tsv(split)).hexdigest() for split in SPLITS}
    assert digests == {
        "train": "fb8c311917821f42ff865d82e6a105538a2917074be86cf8926b30870838c13a",
        "validation": "2cae508c34de855b7b25ac4a8b17d0c7cc604eb71ee3b3d824de6bd95e6bb3f4",
        "test": "d162fc479df47c196e697bdac59fa657847c47272981e99fc5a19218e7327ca3",
    }


def test_another_seed_draws_other_words() -> None:
    assert tsv("test", seed=1) != tsv("test", seed=2)


def test_the_file_has_four_columns_and_reads_back() -> None:
    text = tsv("validation").decode("utf-8")
    assert text.endswith("\n")
    assert '"' not in text
    rows = list(csv.reader(io.StringIO(text), delimiter="\t", quoting=csv.QUOTE_NONE))
    assert rows == [[s.source, str(s.label), s.mark, s.text] for s in CORPUS["validation"]]


@pytest.mark.parametrize(("split", "limit"), [("validation", 0.2), ("test", 0.1)])
def test_tfidf_stays_near_chance(split: str, limit: float) -> None:
    vectors = TfidfVectorizer(ngram_range=(1, 2))
    train = vectors.fit_transform([sentence.text for sentence in CORPUS["train"]])
    model = LogisticRegression(max_iter=1000)
    model.fit(train, [sentence.label for sentence in CORPUS["train"]])
    predicted = model.predict(vectors.transform([s.text for s in CORPUS[split]]))
    assert abs(matthews_corrcoef([s.label for s in CORPUS[split]], predicted)) < limit


@pytest.mark.parametrize(
    ("word", "forms"),
    [
        ("carry", "carries carried carried carrying"),
        ("employ", "employs employed employed employing"),
        ("watch", "watches watched watched watching"),
        ("blame", "blames blamed blamed blaming"),
        ("take", "takes took taken taking"),
    ],
)
def test_forms(word: str, forms: str) -> None:
    made = Word(word)
    assert f"{made.s} {made.past} {made.participle} {made.ing}" == forms


@pytest.mark.parametrize("make", [corpus, tsv])
def test_an_unknown_split_is_named_with_those_there_are(make: Callable[[str], object]) -> None:
    with pytest.raises(errors.DataError) as caught:
        make("tset")
    assert "bundled/grammar/tset is not bundled" in caught.value.found
    assert "bundled/grammar/train, bundled/grammar/validation" in caught.value.expected
    assert caught.value.do == "use bundled/grammar/test"
