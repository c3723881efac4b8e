"""What the loop reports of its steps, without making a device wait for it.

Losses and gradient norms stay on the device as tensors; every ``FLUSH_SECONDS`` the loop flushes:
they are fetched together and written as one event a step. It also does so before anything is kept –
an evaluation, a checkpoint –, so a step whose loss is no number is noticed before it can spoil what
is on disk.
"""

import math
import time
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from warmstart.runs.events import Event, EventLog
from warmstart.training.checkpoint import Progress

FLUSH_SECONDS = 0.5


class NotFinite(Exception):
    """A step's loss or gradient is no finite number; ``step`` says which."""

    def __init__(self, step: int) -> None:
        super().__init__(f"step {step}")
        self.step = step


@dataclass(slots=True)
class StepRecorder:
    """Collects steps and writes them out together.

    Args:
        log: where events go.
        check_gradients: whether an infinite gradient is an error; with float16 it is routine, and
            the loss scaler's business.
    """

    log: EventLog
    check_gradients: bool
    _events: list[Event] = field(default_factory=list)
    _losses: list[Tensor] = field(default_factory=list)
    _norms: list[Tensor] = field(default_factory=list)
    _flushed: float = 0.0

    def add(self, loss: Tensor, norm: Tensor, event: Event) -> None:
        """Note a step.

        Args:
            loss: its mean loss in nats, on any device.
            norm: length of its gradient before clipping, on the same device.
            event: the rest of the event: step, epoch, learning_rate, rows, labels, tokens, seconds.
        """
        self._events.append({"event": "step", **event})
        self._losses.append(loss)
        self._norms.append(norm)

    @property
    def due(self) -> bool:
        """Whether the last flush is a while ago."""
        return time.perf_counter() - self._flushed > FLUSH_SECONDS

    def flush(self, progress: Progress) -> Progress:
        """Fetch what is on the device and write it; ``progress`` with the losses added to its sums.

        Raises:
            NotFinite: the loss of a step not yet written is no number.
        """
        self._flushed = time.perf_counter()
        if not self._events:
            return progress
        losses, norms = torch.stack([torch.stack(self._losses), torch.stack(self._norms)]).tolist()
        events = self._events
        for event, loss, norm in zip(events, losses, norms, strict=True):
            event["loss"], event["gradient_norm"] = loss, norm
        self._events, self._losses, self._norms = [], [], []
        self.log.write(*events)
        for event in events:
            good = math.isfinite(event["loss"])
            if not good or (self.check_gradients and not math.isfinite(event["gradient_norm"])):
                raise NotFinite(event["step"])
            progress = replace(
                progress,
                loss_sum=progress.loss_sum + event["loss"] * event["labels"],
                loss_count=progress.loss_count + event["labels"],
                train_seconds=progress.train_seconds + event["seconds"],
            )
        return progress
