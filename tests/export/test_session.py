"""Batches of similar length, and the packages that are needed."""

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmstart.errors import ExportError
from warmstart.export import session
from warmstart.export.session import (
    CALL_TOKENS,
    MAX_TOKENS_PER_BATCH,
    batches_by_length,
    refuse_missing,
    threads,
)


@given(st.lists(st.integers(1, 2000), min_size=1, max_size=200))
def test_every_row_once_with_little_padding_in_batches_of_bounded_size(lengths: list[int]) -> None:
    array = np.array(lengths)
    batches = list(batches_by_length(array))
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    for rows in batches:
        longest = array[rows].max()
        assert (longest - array[rows]).sum() <= CALL_TOKENS
        assert len(rows) == 1 or longest * len(rows) <= MAX_TOKENS_PER_BATCH


def test_rows_of_one_length_are_one_batch_until_it_is_full() -> None:
    rows = MAX_TOKENS_PER_BATCH // 8
    assert [len(batch) for batch in batches_by_length(np.full(rows + 1, 8))] == [rows, 1]


def test_what_is_not_installed_is_named_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(ExportError) as caught:
        refuse_missing("onnx", "onnxscript", "onnxruntime")
    assert caught.value.found == "not installed: onnxscript"
    assert "pip install 'warmstart[onnx]'" in caught.value.do


@pytest.mark.parametrize(
    ("variable", "expected"),
    [("3", 3), (" 3 ", 3), ("3,2", 3), ("10000", 8), ("", 2), ("0", 2), ("-1", 2), ("many", 2)],
)
def test_threads_are_those_requested_or_one_per_core(
    variable: str, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", variable)
    monkeypatch.setattr(session.psutil, "cpu_count", lambda logical: 4 if logical else 2)
    monkeypatch.setattr(session.os, "sched_getaffinity", lambda process: set(range(8)))
    assert threads() == expected
    monkeypatch.setattr(session.os, "sched_getaffinity", lambda process: {0})
    assert threads() == 1
