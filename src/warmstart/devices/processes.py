"""The processes that train one model together, one for each device.

``torchrun`` or ``accelerate launch`` start the same command several times. The *first* process
reads the command line, checks, writes and prints, as if it were alone; the others wait for the runs
it begins and do their share of the rows (``training.run.follow``). What they do together is here.

Whatever they agree on goes through the processor (gloo) and not through the devices (NCCL on GPUs,
for the gradients): two short exchanges a step keep no device waiting, and fail at once where a
process has ended, so that none is left behind. Between agreements each may compute what it likes;
at them all must come by, in the same order.

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
"""Tensors are packed up to this size for one message: most of a model's are small."""

PATIENCE = timedelta(days=30)
"""While the first process downloads or fits baselines, the others wait for nothing else."""


@dataclass(frozen=True, slots=True)
class Processes:
    """Those that train together, as one of them sees them.

    Args:
        index: which of them this is, counted from 0.
        count: how many there are.
    """

    index: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this one reads, writes and prints."""
        return self.index == 0

    def any(self, *flags: bool) -> list[bool]:
        """For each flag, whether it is true in any process: the same answer in all."""
        if self.count == 1:
            return list(flags)
        import torch
        from torch import distributed

        found = torch.tensor(flags, dtype=torch.uint8)
        with _connected():
            distributed.all_reduce(found, op=distributed.ReduceOp.MAX)
        return [bool(flag) for flag in found.tolist()]

    def sum(self, tensors: "Sequence[Tensor]") -> None:
        """Add each tensor up over the processes, in place.

        Args:
            tensors: in the same order everywhere; of one type, on one device, contiguous.
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
        """Overwrite each tensor with the first process's."""
        if self.count == 1:
            return
        from torch import distributed

        for tensor in tensors:
            with _connected():
                distributed.broadcast(tensor, src=0)

    def gather(self, value: T) -> list[T]:
        """Every process's value, in their order, in all of them."""
        if self.count == 1:
            return [value]
        from torch import distributed

        values: list[T] = [value] * self.count
        with _connected():
            distributed.all_gather_object(values, value)
        return values

    def from_first(self, value: T) -> T:
        """The first process's value, in all of them."""
        if self.count == 1:
            return value
        from torch import distributed

        values = [value]
        with _connected():
            distributed.broadcast_object_list(values, src=0)
        return values[0]

    def agreed(self, work: Callable[[], T]) -> T:
        """The result of ``work``, once it went well in every process.

        Args:
            work: done by each of them on its own; exchanges nothing.

        Raises:
            WarmstartError: what the first process in which it failed says, in all of them; so the
                one that prints knows it too.
        """
        results: list[T] = []
        failure: errors.WarmstartError | None = None
        try:
            results.append(work())
        except errors.WarmstartError as error:
            failure = error
        for found in self.gather(failure):
            if found is not None:
                raise found
        return results[0]


ALONE = Processes()
"""One process, the usual case: every exchange gives back what it was given."""

_current = ALONE


def current() -> Processes:
    """Those this process has joined; ``ALONE`` before ``join``."""
    return _current


def started() -> int:
    """How many processes a launcher started together; 1 without one."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1


def join() -> Processes:
    """Meet the other processes that the launcher started, and be ``current`` with them.

    Raises:
        RunError: they cannot be reached.
    """
    global _current
    if started() > 1:
        import torch
        from torch import distributed

        nccl = torch.cuda.is_available() and distributed.is_nccl_available()
        backend = "cpu:gloo,cuda:nccl" if nccl else "gloo"
        with _connected():
            distributed.init_process_group(backend, timeout=PATIENCE)
        _current = Processes(distributed.get_rank(), distributed.get_world_size())
    return _current


def part() -> None:
    """Go separate ways when all is done; the others wait for another run, and learn of none."""
    global _current
    if _current.count > 1:
        from torch import distributed

        if _current.first:
            with suppress(errors.RunError):
                _current.from_first(None)
        distributed.destroy_process_group()
        _current = ALONE


@contextmanager
def _connected() -> Iterator[None]:
    """Say in our words that another process is gone; gloo reports it as a ``RuntimeError``."""
    try:
        yield
    except (RuntimeError, ValueError) as error:
        # Without the place in gloo's source, and without its guesses at the reason.
        reason = re.sub(r"^\[[^\]]*\.cc:\d+\] ", "", str(error)).partition("\n")[0]
        raise errors.run.lost_process(reason.partition(". This is")[0]) from error


def _packs(tensors: "Sequence[Tensor]") -> "Iterator[list[Tensor]]":
    """The tensors in order, in packs of at most ``PACK_BYTES``; a larger one stands alone."""
    pack: list[Tensor] = []
    size = 0
    for tensor in tensors:
        if pack and size + tensor.nbytes > PACK_BYTES:
            yield pack
            pack, size = [], 0
        pack.append(tensor)
        size += tensor.nbytes
    yield pack
