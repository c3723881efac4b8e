"""The comparison of vectors: both engines give the same ones, and the ratio is judged."""

from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import embedding


@pytest.mark.slow  # it loads sentence-transformers
def test_both_engines_give_the_same_vectors() -> None:
    texts = ["The cat sat.", "A much longer sentence about the cat that sat on the mat.", "No."]
    vectors = [encode()(texts) for encode in (embedding.ours, embedding.sentence_transformers)]
    assert np.abs(vectors[0] - vectors[1]).max() < 1e-5


@pytest.mark.parametrize(("ratio", "holds"), [(2.4, [False, True]), (3.0, [True, True])])
def test_the_ratio_of_medians_is_judged(
    ratio: float, holds: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[list[str]] = []

    def measured(_: Any, name: str, texts: list[str], folder: Path) -> dict[str, float]:
        np.save(folder / f"{name}.npy", np.ones((2, 3)))
        given.append(texts)
        rate = 100.0 * (ratio if name == embedding.OURS else 1)
        return {"samples_per_second": rate, "cores_used": 1.0}

    def sentences(_: Path) -> Any:
        return Namespace(texts=["a b", "c", "d e f"])

    monkeypatch.setattr(embedding, "own_process", measured)
    monkeypatch.setattr(embedding, "cola", sentences)
    found = embedding.run(Namespace(data=Path(), limit=4, repeats=2))
    assert [one.holds for one in found.verdicts] == holds
    assert [row["engine"] for row in found.rows] == [*embedding.ENGINES] * 2
    assert all(row["largest_difference_millionths"] == 0 for row in found.rows)
    assert given[0] == ["a b", "c", "d e f", "a b"]
    assert given[-1] == ["d e f", "a b", "a b", "c"]
