"""Values opened once, opened again after ``forget``, and in a copy."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from time import sleep

import pytest

from warmstart.run import Run
from warmstart.serving.open_once import OpenOnce


def test_threads_get_the_same_value_of_one_opening() -> None:
    values: OpenOnce[object] = OpenOnce()
    together, opened = Barrier(8), []

    def open_slowly() -> object:
        sleep(0.05)
        opened.append(object())
        return opened[-1]

    def work(_: int) -> object:
        together.wait()
        return values.get("a", open_slowly)

    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(work, range(8)))) == 1
    assert len(opened) == 1
    assert values.get("b", open_slowly) is opened[1]


def test_two_runs_are_not_opened_at_the_same_time() -> None:
    """Transformers changes global state while it loads a model."""
    together, inside, most = Barrier(4), [0], [0]

    def open_slowly() -> str:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        sleep(0.02)
        inside[0] -= 1
        return "open"

    def work(_: int) -> str:
        together.wait()
        return OpenOnce[str]().get("a", open_slowly)

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(work, range(4))) == ["open"] * 4
    assert most == [1]


def test_opening_one_value_may_open_another() -> None:
    inner: OpenOnce[str] = OpenOnce()
    outer: OpenOnce[str] = OpenOnce()
    assert outer.get("a", lambda: inner.get("b", lambda: "both")) == "both"


def test_a_failed_opening_is_tried_again_and_a_forgotten_value_opened_again() -> None:
    values: OpenOnce[str] = OpenOnce()
    with pytest.raises(ZeroDivisionError):
        values.get("a", lambda: str(1 // 0))
    assert values.get("a", lambda: "first") == "first"
    assert values.get("a", lambda: "second") == "first"
    values.forget("a", "never opened")
    assert values.get("a", lambda: "third") == "third"


def test_a_copy_has_nothing_open() -> None:
    values: OpenOnce[str] = OpenOnce()
    values.get("a", lambda: "first")
    for copied in (copy.deepcopy(values), pickle.loads(pickle.dumps(values))):
        assert copied.get("a", lambda: "second") == "second"


def test_a_run_can_be_pickled_and_compared_by_its_folder() -> None:
    run = Run(Path("runs/one"))
    assert pickle.loads(pickle.dumps(run)) == run
    assert hash(run) == hash(Run(Path("runs/one")))
    assert repr(run) == f"Run(path={run.path!r})"
