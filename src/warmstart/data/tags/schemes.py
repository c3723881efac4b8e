"""Tag schemes: recognise BIO, IOB1, IOBES and BILOU, and convert between tags and spans.

A tag is a prefix, a hyphen and a type (``B-PER``), a prefix alone (``B``: entities without types),
or ``O`` for a word outside of every entity. The schemes and their prefixes:

==========  ======================================================================================
BIO         B begins an entity, I continues it (also called IOB2)
IOB1        I is inside an entity; B begins an entity directly after another one of the same type
IOBES       B begins, I continues and E ends an entity of several words; S is an entity of one word
BILOU       the same with L (last) for E and U (unit) for S
plain       no prefixes: every word has a tag of its own, such as a part of speech
==========  ======================================================================================

``M`` (middle, in BMES) is accepted for ``I`` in an IOBES corpus.

All schemes are read with one rule, that of conlleval: a word begins an entity if its prefix is B, S
or U, or if it cannot continue the previous word (which is ``O``, has another type, or has the
prefix E, S, L or U). An entity ends before the next beginning, before ``O``, or with its sentence.
For valid tags this agrees with the definition of the scheme. For invalid tags it is the repair,
which is also seqeval's default. An entity is counted as *repaired* if its tags are not the ones
that its scheme has for it.

Tags are flat arrays and every distinct tag is parsed once, so that 100,000 sentences take well
under a second.

Letters: N sentences, W words, S spans.

Source: Ramshaw & Marcus 1995 (IOB1); Ratinov & Roth 2009 (BILOU); conlleval.pl of CoNLL-2000
(``startOfChunk``, ``endOfChunk``); seqeval 1.2.2 (``metrics/sequence_labeling.py``).
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from warmstart import errors
from warmstart.data.tags.spans import Bools, Ints, Spans

SCHEMES = ("BIO", "IOB1", "IOBES", "BILOU", "plain")

REPAIR_RULE = "conlleval: a tag that cannot continue an entity of its type begins a new one"
"""Name and text of the rule for invalid tags."""

OUTSIDE = "O"

# One role for each prefix, the same in all schemes.
_B, _I, _E, _S, _O = range(5)
_ROLES = {"B": _B, "I": _I, "M": _I, "E": _E, "L": _E, "S": _S, "U": _S}
_LETTERS = {"IOBES": "BIES", "BILOU": "BILU"}


@dataclass(frozen=True, slots=True)
class TagSequences:
    """The tags of N sentences with W words.

    Args:
        ids: position of each word's tag in ``names``, int64 [W].
        names: the distinct tags.
        bounds: sentence i has the words ``bounds[i]`` to ``bounds[i + 1] - 1``, int64 [N + 1].
    """

    ids: Ints
    names: tuple[str, ...]
    bounds: Ints

    def to_lists(self) -> list[list[str]]:
        """The tags as texts, one list for each sentence."""
        texts = [self.names[index] for index in self.ids.tolist()]
        bounds = self.bounds.tolist()
        return [texts[start:end] for start, end in pairwise(bounds)]


@dataclass(frozen=True, slots=True)
class Recognition:
    """The scheme of a corpus.

    Args:
        scheme: one of ``SCHEMES``.
        evidence: one sentence for the user.
    """

    scheme: str
    evidence: str


@dataclass(frozen=True, slots=True)
class TagSpans:
    """The spans that tags describe.

    Args:
        spans: borders in words of the sentence.
        repaired: whether the tags of each span were invalid in their scheme, bool [S].
    """

    spans: Spans
    repaired: Bools


def tag_sequences(sentences: Iterable[Sequence[str]] | pa.ChunkedArray) -> TagSequences:
    """Tags as flat arrays; the names are in the order of their first occurrence.

    Args:
        sentences: the tags of each sentence, or a column of type list<string> without nulls.

    >>> tag_sequences([["B-PER", "O"], ["O"]]).ids.tolist()
    [0, 1, 1]
    """
    if isinstance(sentences, pa.ChunkedArray):
        lengths = pc.list_value_length(sentences).to_numpy().astype(np.int64)
        flat = pc.list_flatten(sentences)
    else:
        rows = [list(tags) for tags in sentences]
        lengths = np.array([len(tags) for tags in rows], np.int64)
        flat = pa.chunked_array([pa.array([tag for tags in rows for tag in tags], pa.string())])
    bounds = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])
    encoded = flat.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    ids = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return TagSequences(ids, tuple(encoded.dictionary.to_pylist()), bounds)


def recognise_scheme(tags: TagSequences, where: str) -> Recognition:
    """The scheme in which a corpus is tagged, with the evidence.

    The prefixes decide between IOBES, BILOU and the rest. BIO and IOB1 have the same prefixes: the
    corpus is IOB1 if more of its entities begin in a way that only IOB1 allows (with I) than in a
    way that only BIO allows (with B, although no entity of the same type ends directly before it).
    In a tie, for example in a corpus without entities, it is BIO. Both schemes give the same spans
    and differ only in the number of repaired entities.

    Args:
        tags: the tags of the training rows.
        where: the file, for messages.

    Raises:
        DataError: some tags have a prefix and others do not, or prefixes of IOBES and BILOU occur
            together.
    """
    split = [_split(name) for name in tags.names]
    inside = [name for name in tags.names if name != OUTSIDE]
    plain = [name for name, found in zip(tags.names, split, strict=True) if found is None]
    if inside and len(plain) == len(inside):
        return Recognition("plain", f"plain: none of the {len(inside)} tags has a prefix.")
    if plain:
        raise errors.tags.mixed_tags(where, plain[0], next(t for t in inside if t not in plain))
    letters = {found[0] for found in split if found and found[0] != OUTSIDE}
    if letters & set("ESM") and letters & set("LU"):
        raise errors.tags.mixed_schemes(where, sorted(letters))
    listed = ", ".join(sorted(letters))
    if letters & set("ESM"):
        return Recognition("IOBES", f"IOBES: the tags have the prefixes {listed}.")
    if letters & set("LU"):
        return Recognition("BILOU", f"BILOU: the tags have the prefixes {listed}.")
    return _bio_or_iob1(tags)


def has_prefix(tag: str) -> bool:
    """Whether a tag begins with a prefix of one of the schemes.

    Args:
        tag: any tag except ``O``.

    >>> [has_prefix(tag) for tag in ("B-PER", "B", "PER", "b-per")]
    [True, True, False, False]
    """
    return _split(tag) is not None


def spans_of_tags(tags: TagSequences, scheme: str = "BIO") -> TagSpans:
    """The spans that the tags describe; invalid tags are read by ``REPAIR_RULE``.

    Args:
        tags: tags in ``scheme``.
        scheme: one of ``SCHEMES``; decides which spans count as repaired. In ``plain``, every word
            with a tag other than ``O`` is a span of its own, whose type is the tag.

    >>> found = spans_of_tags(tag_sequences([["B-PER", "I-PER", "O", "I-LOC"]]))
    >>> found.spans.to_lists(1), found.repaired.tolist()
    ([[(0, 2, 'PER'), (3, 4, 'LOC')]], [False, True])
    """
    roles, types, names = _parsed(tags, scheme)
    sentence = np.repeat(np.arange(len(tags.bounds) - 1), np.diff(tags.bounds))
    begins = _begins(roles, types, tags.bounds)
    starts = np.flatnonzero(begins)
    # An entity ends at the next border: a beginning, a word outside of entities, a new sentence.
    borders = begins | (roles == _O)
    borders[tags.bounds[:-1][np.diff(tags.bounds) > 0]] = True
    places = np.append(np.flatnonzero(borders), len(roles))
    ends = places[np.searchsorted(places, starts, side="right")]
    rows = sentence[starts]
    first = tags.bounds[rows]
    spans = Spans(rows, starts - first, ends - first, types[starts], names)
    if scheme == "plain":
        return TagSpans(spans, np.zeros(len(spans), np.bool_))
    written = _roles_of_spans(spans, tags.bounds, scheme)
    wrong = np.concatenate([np.zeros(1, np.int64), np.cumsum(written != roles, dtype=np.int64)])
    return TagSpans(spans, wrong[ends] > wrong[starts])


def tags_of_spans(spans: Spans, bounds: Ints, scheme: str = "BIO") -> TagSequences:
    """The tags for spans in a scheme.

    Args:
        spans: spans with borders in words; no two of them share a word.
        bounds: first word of each sentence and the number of words, int64 [N + 1].
        scheme: one of ``SCHEMES``.

    >>> from warmstart.data.tags.spans import spans_from_lists
    >>> spans = spans_from_lists([[(1, 3, "PER")]])
    >>> tags_of_spans(spans, np.array([0, 4]), "BILOU").to_lists()
    [['O', 'B-PER', 'L-PER', 'O']]
    """
    words = int(bounds[-1])
    types = np.full(words, -1, np.int64)
    covered, owner = _covered(spans, bounds)
    types[covered] = spans.types[owner]
    roles = _roles_of_spans(spans, bounds, scheme)
    # Tag number: 0 is O, then every role of the first type, every role of the second type, …
    ids = np.where(roles == _O, 0, types * 4 + roles + 1)
    letters = _LETTERS.get(scheme, "BI  ")
    names = [OUTSIDE]
    for name in spans.names:
        for letter in letters.ljust(4):
            names.append(name if scheme == "plain" else f"{letter}-{name}" if name else letter)
    return _compact(ids, names, bounds)


def to_bio(tags: TagSequences, scheme: str) -> tuple[TagSequences, int]:
    """The tags in BIO, and the number of repaired entities.

    Args:
        tags: tags in ``scheme``.
        scheme: one of ``SCHEMES``; ``plain`` tags are returned unchanged.
    """
    if scheme == "plain":
        return tags, 0
    found = spans_of_tags(tags, scheme)
    return tags_of_spans(found.spans, tags.bounds), int(found.repaired.sum())


def _split(tag: str) -> tuple[str, str] | None:
    """Prefix and type of a tag; ``("O", "")`` for ``O``; None if the prefix is not known."""
    if tag == OUTSIDE:
        return OUTSIDE, ""
    prefix, _, kind = tag.partition("-")
    return (prefix, kind) if prefix in _ROLES else None


def _parsed(tags: TagSequences, scheme: str) -> tuple[Ints, Ints, tuple[str, ...]]:
    """Role and type of every word, int64 [W] each, and the names of the types, sorted."""
    if scheme == "plain":
        split = [("S", name) if name != OUTSIDE else (OUTSIDE, "") for name in tags.names]
    else:
        # Only predicted tags can lack a prefix here; ``word_labels`` refuses a file that has one.
        split = [_split(name) or (OUTSIDE, "") for name in tags.names]
    names = tuple(sorted({kind for prefix, kind in split if prefix != OUTSIDE}))
    number = {name: index for index, name in enumerate(names)}
    roles = np.array([_ROLES.get(prefix, _O) for prefix, _ in split], np.int64)
    types = np.array([number[k] if p != OUTSIDE else -1 for p, k in split], np.int64)
    return roles[tags.ids], types[tags.ids], names


def _begins(roles: Ints, types: Ints, bounds: Ints) -> Bools:
    """Whether an entity begins at each word, bool [W]."""
    before = np.concatenate([np.full(1, _O), roles[:-1]])
    before_type = np.concatenate([np.full(1, -1), types[:-1]])
    firsts = bounds[:-1][np.diff(bounds) > 0]
    before[firsts], before_type[firsts] = _O, -1
    cannot_continue = (before >= _E) | (before_type != types)  # E, S and O end an entity
    return np.asarray((roles != _O) & ((roles == _B) | (roles == _S) | cannot_continue))


def _covered(spans: Spans, bounds: Ints) -> tuple[Ints, Ints]:
    """The words inside of spans, and the span of each, int64 [covered words] both."""
    lengths = spans.ends - spans.starts
    owner = np.repeat(np.arange(len(spans)), lengths)
    within = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return (bounds[spans.rows] + spans.starts)[owner] + within, owner


def _roles_of_spans(spans: Spans, bounds: Ints, scheme: str) -> Ints:
    """The role of each word in a scheme, int64 [W]."""
    roles = np.full(int(bounds[-1]), _O, np.int64)
    covered, _ = _covered(spans, bounds)
    first, last = (bounds[spans.rows] + at for at in (spans.starts, spans.ends - 1))
    roles[covered] = _I
    if scheme == "IOB1":
        # B only where an entity of the same type ends directly before.
        ends = np.full(len(roles) + 1, -1, np.int64)
        ends[last + 1] = spans.types
        after_same = (ends[first] == spans.types) & (spans.starts > 0)
        roles[first[after_same]] = _B
        return roles
    roles[first] = _B
    if scheme in {"IOBES", "BILOU"}:
        roles[last] = _E
        roles[first[first == last]] = _S
    elif scheme == "plain":
        roles[covered] = _S
    return roles


def _compact(ids: Ints, names: Sequence[str], bounds: Ints) -> TagSequences:
    """The same tags with only the names that occur, ``O`` first."""
    used = np.union1d(np.zeros(1, np.int64), ids)
    return TagSequences(
        np.searchsorted(used, ids).astype(np.int64),
        tuple(names[index] for index in used.tolist()),
        bounds,
    )


def _bio_or_iob1(tags: TagSequences) -> Recognition:
    """Decide between the two schemes with the prefixes B and I."""
    bio, iob1 = (int(spans_of_tags(tags, scheme).repaired.sum()) for scheme in ("BIO", "IOB1"))
    found = spans_of_tags(tags).spans
    if not len(found):
        return Recognition("BIO", "BIO by default: every word has the tag O.")
    forms = Counter(B=len(found) - bio, I=bio)
    shown = f"entities that begin with B-: {forms['B']:,}, with I-: {forms['I']:,}"
    if bio > iob1:  # more entities contradict BIO than contradict IOB1
        clash = f"; repaired: {iob1:,}" if iob1 else ""
        return Recognition("IOB1", f"IOB1: {shown}{clash}.")
    clash = f"; repaired: {bio:,}" if bio else ""
    return Recognition("BIO", f"BIO: {shown}{clash}.")
