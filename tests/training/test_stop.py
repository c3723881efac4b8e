"""Signals: the first one is caught, the second has its usual effect, and handlers are restored."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from warmstart.training.stop import stop_on_signals

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@pytest.fixture(autouse=True)
def _usual_handlers() -> Iterator[None]:
    """As in a terminal: a process that a script starts in the background ignores SIGINT."""
    usual = zip(SIGNALS, (signal.default_int_handler, signal.SIG_DFL), strict=True)
    before = [signal.signal(number, handler) for number, handler in usual]
    yield
    for number, handler in zip(SIGNALS, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_noted_and_not_obeyed(number: signal.Signals) -> None:
    with stop_on_signals() as asked:
        assert not asked()
        signal.raise_signal(number)
        assert asked()


def test_a_second_signal_interrupts() -> None:
    with pytest.raises(KeyboardInterrupt), stop_on_signals() as asked:  # noqa: PT012
        signal.raise_signal(signal.SIGINT)
        assert asked()
        signal.raise_signal(signal.SIGINT)


def test_a_second_signal_of_the_other_kind_is_not_swallowed() -> None:
    """A user presses Ctrl-C after SIGTERM has arrived."""
    with pytest.raises(KeyboardInterrupt), stop_on_signals():  # noqa: PT012
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)


def test_handlers_are_put_back() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    with stop_on_signals():
        assert all(
            signal.getsignal(number) is not handler
            for number, handler in zip(SIGNALS, before, strict=True)
        )
    assert [signal.getsignal(number) for number in SIGNALS] == before
    with pytest.raises(ZeroDivisionError), stop_on_signals() as asked:  # noqa: PT012
        signal.raise_signal(signal.SIGINT)
        assert asked()
        _ = 1 / 0
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_outside_the_main_thread_no_handler_is_installed() -> None:
    """A notebook server or a job queue trains in a thread, where Python allows no handlers."""
    said: list[object] = []

    def train() -> None:
        with stop_on_signals() as asked:
            said.extend([asked(), *map(signal.getsignal, SIGNALS)])

    before = [signal.getsignal(number) for number in SIGNALS]
    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    assert said == [False, *before]


SECOND_SIGNAL = """
import signal, sys
from warmstart.training.stop import stop_on_signals

def second(frame, event, argument):
    # In the middle of what an Event does when it is set, with its lock held.
    if frame.f_code.co_name == "notify_all":
        sys.setprofile(None)
        handler(signal.SIGTERM, None)

with stop_on_signals() as asked:
    handler = signal.getsignal(signal.SIGTERM)
    sys.setprofile(second)
    handler(signal.SIGTERM, None)
    sys.setprofile(None)
    print(asked())
"""


def test_a_second_signal_during_the_first_does_not_wait_for_ever() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", SECOND_SIGNAL], capture_output=True, text=True, timeout=30
    )
    assert ran.stdout == "True\n", ran.stderr
