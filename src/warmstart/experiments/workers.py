"""Where trials run: one after the other in this process, or several at a time in their own.

They can also run in another place, a ``TrialPlace``, such as a Ray cluster (``ray_workers``).

A worker process gets its share of the processor's threads, and one of the GPUs if there are any. It
runs one trial after the other, so trials of one worker share what they read. If a worker dies (out
of memory, killed), another one takes its place and resumes its trial. The pool of
``concurrent.futures`` is not used: it ends as a whole when one of its processes dies, and cannot
ask a process to save its work.

This module imports nothing heavy: a worker sets its environment before it imports torch.
"""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Protocol

from warmstart import errors
from warmstart.experiments.experiment_folder import Outcome


class WorkOrder(Protocol):
    """Something to run in a worker; it can be sent to another process."""

    @property
    def name(self) -> str:
        """Its name in messages."""
        ...

    def run(self, stopping: Callable[[], bool]) -> Outcome:
        """Run it to its end, or resume it; an error becomes part of the outcome.

        Args:
            stopping: whether a stop was requested: the work is then saved and ends.
        """
        ...


class TrialPlace(Protocol):
    """A place outside of this machine's own worker processes where trials run."""

    def run(
        self, orders: Iterable[WorkOrder], over: Callable[[], bool], stopping: Callable[[], bool]
    ) -> Iterator[Outcome]:
        """Run trials; yields how each one ended, in the order in which they end.

        Args:
            orders: what to run; one is taken when there is room for it.
            over: whether no further one may start.
            stopping: whether a stop was requested: running trials are saved.
        """
        ...


MOST_ATTEMPTS = 3
"""A trial whose process died this often has failed."""

ALIKE = 3
"""After this number of failures in a row with the same error, no further trial is started."""

WORKER = "warmstart-worker"
"""Name of a worker process."""

POLL_SECONDS = 0.2
"""Time between two looks at ``stopping``."""


def outcomes(
    orders: Iterable[WorkOrder], workers: int | TrialPlace, stopping: Callable[[], bool]
) -> Iterator[Outcome]:
    """Run trials; yields how each one ended, in the order in which they end.

    An order is taken from ``orders`` when a worker is free. After an interrupted trial, or several
    failures with the same error, no further trial is started.

    Args:
        orders: what to run.
        workers: number of processes; with 1, trials run in this process. Or another place.
        stopping: whether a stop was requested: running trials are saved, and no further one starts.
    """
    failures: list[str] = []
    ended = False

    def over() -> bool:
        alike = len(failures) >= ALIKE and len(set(failures[-ALIKE:])) == 1
        return ended or alike or stopping()

    if not isinstance(workers, int):
        run = workers.run(orders, over, stopping)
    elif workers == 1:
        run = _one_by_one(orders, over)
    else:
        run = _in_workers(orders, workers, over, stopping)
    for outcome in run:
        failures = [*failures, cause(outcome)] if outcome.status == "failed" else []
        ended = ended or outcome.status == "interrupted"
        yield outcome


def cause(outcome: Outcome) -> str:
    """One line about an error: the first of a message in three parts, the last of a traceback."""
    lines = outcome.error.strip().splitlines() or [outcome.status]
    return lines[-1] if lines[0].startswith("Traceback") else lines[0]


def died(name: str) -> Outcome:
    """How a trial ended whose process has died too often.

    Args:
        name: name of the trial.
    """
    advice = "often memory ran out: use fewer workers, or a smaller train.batch_size"
    return Outcome(name, "failed", 0.0, f"its process died {MOST_ATTEMPTS} times; {advice}")


def run_here(order: WorkOrder) -> Outcome:
    """Run an order in this process, in its main thread; after a signal it is saved and ends.

    Args:
        order: what to run.
    """
    from warmstart.training.stop import stop_on_signals

    with stop_on_signals() as stopping:
        return order.run(stopping)


def _one_by_one(orders: Iterable[WorkOrder], over: Callable[[], bool]) -> Iterator[Outcome]:
    for order in orders:
        yield run_here(order)
        if over():
            return


@dataclass(slots=True)
class _Worker:
    """A process that runs orders, and the one that it runs now.

    Args:
        process: the process.
        connection: sends trials to it and receives their outcomes.
        place: its environment variables.
        order: what it runs.
        attempts: number of processes that have tried this order, with this one.
        told: whether it was asked to stop.
    """

    process: SpawnProcess
    connection: "Connection[WorkOrder, Outcome]"
    place: Mapping[str, str]
    order: WorkOrder | None = None
    attempts: int = 0
    told: bool = False

    @classmethod
    def started(cls, place: Mapping[str, str]) -> "_Worker":
        """A new process without a trial."""
        context = multiprocessing.get_context("spawn")  # a fork would copy the threads of torch
        ours, theirs = context.Pipe()
        process = context.Process(
            target=_work, args=(theirs, dict(place)), name=WORKER, daemon=True
        )
        process.start()
        theirs.close()  # so that both sides notice when the other process ends
        return cls(process, ours, place)

    def begin(self, order: WorkOrder, attempts: int = 1) -> None:
        """Start a trial."""
        self.order, self.attempts = order, attempts
        self.connection.send(order)

    def ended(self) -> Outcome | None:
        """The outcome of its trial, after which it is free; None if the process died."""
        try:
            outcome = self.connection.recv()
        except (EOFError, OSError):
            return None
        self.order = None
        return outcome


def _in_workers(
    orders: Iterable[WorkOrder],
    count: int,
    over: Callable[[], bool],
    stopping: Callable[[], bool],
) -> Iterator[Outcome]:
    waiting = iter(orders)
    workers = [_Worker.started(place) for place in places(count)]
    try:
        while True:
            for worker in workers:
                if worker.order is None and not over() and (order := next(waiting, None)):
                    worker.begin(order)
            busy = {worker.connection: worker for worker in workers if worker.order is not None}
            if not busy:
                return
            if stopping():
                _tell(busy.values())
            for connection in wait(list(busy), timeout=POLL_SECONDS):
                worker = busy[connection]  # type: ignore[index]
                outcome = worker.ended()
                if outcome is None:
                    workers.remove(worker)
                    workers.append(_Worker.started(worker.place))
                    outcome = _after_death(worker, workers[-1], stopping())
                if outcome is not None:
                    yield outcome
    finally:
        for worker in workers:
            worker.connection.close()
            if worker.order is not None:  # the caller has an error, or a second signal came
                worker.process.kill()
            worker.process.join()


def _tell(workers: Iterable[_Worker]) -> None:
    """Ask workers to save their trials and stop, once."""
    for worker in workers:
        if not worker.told:
            worker.process.terminate()
            worker.told = True


def _after_death(dead: _Worker, next_one: _Worker, stopping: bool) -> Outcome | None:
    """Let another worker resume the trial of a dead one; or how the trial ended.

    Raises:
        UsageError: the process could not import the script that started the experiment.
    """
    assert dead.order is not None
    name = dead.order.name
    if stopping:
        return Outcome(name, "interrupted", 0.0)
    dead.process.join()
    if dead.process.exitcode == 1:  # an exception outside of a trial: not a lack of memory
        raise errors.experiment.script_without_guard()
    if dead.attempts < MOST_ATTEMPTS:
        next_one.begin(dead.order, dead.attempts + 1)
        return None
    return died(name)


def places(workers: int) -> list[dict[str, str]]:
    """For each worker, its environment variables: its share of the threads, and its GPU.

    Args:
        workers: their number.
    """
    import torch

    threads = str(max(1, torch.get_num_threads() // workers))
    shared = {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    devices = list(map(str, range(torch.cuda.device_count())))
    if devices and visible:
        devices = visible.split(",")
    return [
        {**shared, **({"CUDA_VISIBLE_DEVICES": devices[number % len(devices)]} if devices else {})}
        for number in range(workers)
    ]


def _work(connection: "Connection[Outcome, WorkOrder]", place: Mapping[str, str]) -> None:
    """What a worker process does: run trials until the connection is closed."""
    os.environ.update(place)
    requested = False

    def note(_number: int, _frame: object) -> None:
        nonlocal requested
        requested = True

    signal.signal(signal.SIGTERM, note)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C: the main process decides what follows
    parent = multiprocessing.parent_process()

    def stopping() -> bool:
        return requested or parent is None or not parent.is_alive()

    while True:
        try:
            connection.send(connection.recv().run(stopping))
        except (EOFError, OSError):  # the main process needs no more trials, or ended
            return
