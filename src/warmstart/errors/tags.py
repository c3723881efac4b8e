"""Texts of the errors about word tags, CoNLL files and exports with character spans."""

from collections.abc import Sequence

from warmstart.errors.base import DataError


def mixed_tags(where: str, plain: str, prefixed: str) -> DataError:
    """Some tags have a prefix of a tag scheme and others have none."""
    return DataError(
        f"{where} has the tag {plain!r}, which has no prefix, and the tag {prefixed!r}, which has",
        "tags of one kind: O and tags with a prefix (B-PER), or only tags without a prefix (NOUN)",
        "correct the tags; if no prefix is meant (parts of speech): --set data.tag_scheme=plain",
    )


def mixed_schemes(where: str, prefixes: Sequence[str]) -> DataError:
    """Prefixes of IOBES and of BILOU in one corpus."""
    return DataError(
        f"{where} has tags with the prefixes {', '.join(prefixes)}, from two tag schemes",
        "the prefixes of one scheme: B, I, E, S (IOBES) or B, I, L, U (BILOU)",
        "write one scheme in all files; to accept E with L and S with U as equal: "
        "--set data.tag_scheme=IOBES",
    )
