"""Distributed processes that train one model together, one per device.

``torchrun`` or ``accelerate launch`` starts the same command several times. Rank 0 reads the
command line, does all I/O and prints. The other ranks wait for runs that rank 0 starts and process
their share of the rows (``training.train_run.follow``). This module contains the communication.

Gradients are summed on the devices (NCCL on GPUs). All other communication uses the CPU (gloo): two
short exchanges per step do not make a device wait, and they fail immediately if a process has
ended, so that no process waits forever. All ranks must call the methods of ``Processes`` in the
same order; between the calls, they can compute independently.

Source: PyTorch documentation, "Distributed communication package" and "torchrun".
"""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from warmstart import errors

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")

PACK_BYTES = 16 * 2**20
"""Tensors are concatenated up to this size for one message, because most tensors are small."""

LAUNCHER = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
"""Environment variables in which a launcher describes a process; the last one may be missing."""

MPI = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
"""Environment variables with the number of processes that MPI started, which cannot be used."""

JOINING = timedelta(minutes=5)
"""All processes must have started within this time."""

TIMEOUT = timedelta(days=30)
"""For exchanges. Long, because the others wait while rank 0 downloads files or fits baselines."""


@dataclass(frozen=True, slots=True)
class Processes:
    """The group of processes that train together.

    Args:
        index: the rank of this process, from 0.
        count: the number of processes (world size).
    """

    index: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this process is rank 0, which reads, writes and prints."""
        return self.index == 0

    def any(self, *flags: bool) -> list[bool]:
        """For each flag, whether it is true in any process; the same result in all processes."""
        if self.count == 1:
            return list(flags)
        import torch
        from torch import distributed

        reduced = torch.tensor(flags, dtype=torch.uint8)
        with _connected():
            distributed.all_reduce(reduced, op=distributed.ReduceOp.MAX)
        return [bool(flag) for flag in reduced.tolist()]

    def sum(self, tensors: "Sequence[Tensor]") -> None:
        """Sum each tensor over all processes, in place (all-reduce).

        Args:
            tensors: in the same order in all processes; contiguous, of one dtype, on one device.
        """
        if self.count == 1:
            return
        import torch
        from torch import distributed

        for pack in _packs(tensors):
            flat = pack[0] if len(pack) == 1 else torch.cat([part.flatten() for part in pack])
            with _connected():
                distributed.all_reduce(flat)
            if len(pack) > 1:
                sums = torch.split(flat, [part.numel() for part in pack])
                for part, total in zip(pack, sums, strict=True):
                    part.copy_(total.view_as(part))

    def copy_first(self, tensors: "Sequence[Tensor]") -> None:
        """Overwrite each tensor with that of rank 0 (broadcast)."""
        if self.count == 1:
            return
        from torch import distributed

        for tensor in tensors:
            with _connected():
                distributed.broadcast(tensor, src=0)

    def gather(self, value: T) -> list[T]:
        """The values of all processes in the order of their ranks, in every process."""
        if self.count == 1:
            return [value]
        from torch import distributed

        values: list[T] = [value] * self.count
        with _connected():
            distributed.all_gather_object(values, value)
        return values

    def from_first(self, value: T) -> T:
        """The value of rank 0, in every process."""
        if self.count == 1:
            return value
        from torch import distributed

        values = [value]
        with _connected():
            distributed.broadcast_object_list(values, src=0)
        return values[0]

    def agreed(self, work: Callable[[], T]) -> T:
        """Call ``work`` in every process; return its result if it succeeded in all of them.

        Args:
            work: runs in each process without communication.

        Raises:
            WarmstartError: the error of the lowest rank in which ``work`` failed; raised in every
                process, so that rank 0 can print it.
        """
        results: list[T] = []
        failure: errors.WarmstartError | None = None
        try:
            results.append(work())
        except errors.WarmstartError as error:
            failure = error
        for error_of_rank in self.gather(failure):
            if error_of_rank is not None:
                raise error_of_rank
        return results[0]


ALONE = Processes()
"""A single process, the usual case: all methods return their input."""

_current = ALONE


def current() -> Processes:
    """The group of this process; ``ALONE`` before ``join`` is called."""
    return _current


def started() -> int:
    """The number of processes that a launcher started; 1 without a launcher.

    Raises:
        RunError: the variables of the launcher are incomplete, or are not whole numbers.
    """
    given = {name: os.environ[name] for name in LAUNCHER if name in os.environ}
    if given.keys() <= {"WORLD_SIZE"}:  # some clusters set it for every job
        of_mpi = {name: os.environ[name] for name in MPI if os.environ.get(name, "1") != "1"}
        if of_mpi:
            raise errors.launch.unusable_launcher(of_mpi)
        return 1
    numbers = {name: int(text) for name, text in given.items() if re.fullmatch("[0-9]{1,9}", text)}
    rank, count = numbers.get("RANK", 0), numbers.get("WORLD_SIZE", 0)
    if numbers.keys() != given.keys() or "RANK" not in numbers or rank >= count:
        raise errors.launch.unusable_launcher(given)
    return count


def join() -> Processes:
    """Initialise the process group of the launcher; ``current`` then returns it.

    Raises:
        RunError: the other processes cannot be reached, or the launcher's variables are wrong.
    """
    global _current
    if (count := started()) > 1:
        # Before the group exists: this module's functions have it as a default argument. Imported
        # later (by ``torch._dynamo``, for example), they would keep the group, and its threads.
        import torch.distributed.nn
        from torch import distributed
        from torch.distributed.rendezvous import rendezvous

        nccl = torch.cuda.is_available() and distributed.is_nccl_available()
        backend = "cpu:gloo,cuda:nccl" if nccl else "gloo"
        try:
            store, rank, _ = next(rendezvous("env://", timeout=JOINING))
        except (RuntimeError, ValueError) as error:
            minutes = JOINING.total_seconds() / 60
            raise errors.launch.not_joined(count, minutes, _reason(error)) from error
        with _connected():
            distributed.init_process_group(
                backend, store=store, rank=rank, world_size=count, timeout=TIMEOUT
            )
        store.set_timeout(TIMEOUT)
        _current = Processes(distributed.get_rank(), distributed.get_world_size())
    return _current


def leave(*, failed: bool = False) -> None:
    """Leave the process group at the end; rank 0 first tells the others that no run follows.

    Without this, a thread of gloo may still hold a tensor when the process ends, which then aborts.

    Args:
        failed: whether this process ends with an error. The others may then be in another exchange:
            they are not told anything, and find the connection closed.
    """
    global _current
    if _current.count > 1:
        from torch import distributed

        if _current.first and not failed:
            with suppress(errors.RunError):
                _current.from_first(None)
        if not failed or "nccl" not in distributed.get_backend():
            # NCCL would wait for the other processes, and ends with its own process.
            distributed.destroy_process_group()
        _current = ALONE


@contextmanager
def _connected() -> Iterator[None]:
    """Convert the ``RuntimeError`` of gloo for a lost process to a ``RunError``."""
    try:
        yield
    except (RuntimeError, ValueError) as error:
        raise errors.launch.lost_process(_reason(error)) from error


def _reason(error: Exception) -> str:
    """PyTorch's message without the source location and the suggested reasons."""
    reason = re.sub(r"^\[[^\]]*\.cc:\d+\] ", "", str(error)).partition("\n")[0]
    return reason.partition(". This is")[0]


def _packs(tensors: "Sequence[Tensor]") -> "Iterator[list[Tensor]]":
    """The tensors in order, in packs of at most ``PACK_BYTES``; a larger tensor is its own pack."""
    pack: list[Tensor] = []
    size = 0
    for tensor in tensors:
        if pack and size + tensor.nbytes > PACK_BYTES:
            yield pack
            pack, size = [], 0
        pack.append(tensor)
        size += tensor.nbytes
    yield pack
