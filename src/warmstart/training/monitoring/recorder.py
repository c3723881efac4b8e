"""Record the loss and gradient norm of every step without making the loop wait for the device.

Losses and norms stay on the device as tensors. Every ``FLUSH_SECONDS`` the loop flushes: all values
are copied to the CPU together and written as one event per step. The loop also flushes before an
evaluation and before a checkpoint, so that a loss that is not finite is found before the weights
are saved.
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
    """The loss or gradient norm of step ``step`` is not finite."""

    def __init__(self, step: int) -> None:
        super().__init__(f"step {step}")
        self.step = step


@dataclass(slots=True)
class StepRecorder:
    """Collects steps and writes them to the event log together.

    Args:
        log: the event log.
        check_gradients: whether an infinite gradient norm is an error; with float16 it is normal,
            and the loss scaler skips the step.
    """

    log: EventLog
    check_gradients: bool
    _events: list[Event] = field(default_factory=list)
    _losses: list[Tensor] = field(default_factory=list)
    _norms: list[Tensor] = field(default_factory=list)
    _flushed: float = 0.0

    def add(self, loss: Tensor, norm: Tensor, event: Event) -> None:
        """Add a step.

        Args:
            loss: its mean loss in nats, on any device.
            norm: its gradient norm before clipping, on the same device.
            event: the rest of the event: step, epoch, learning_rate, rows, labels, tokens, seconds.
        """
        self._events.append({"event": "step", **event})
        self._losses.append(loss)
        self._norms.append(norm)

    @property
    def due(self) -> bool:
        """Whether the last flush was more than ``FLUSH_SECONDS`` ago."""
        return time.perf_counter() - self._flushed > FLUSH_SECONDS

    def flush(self, progress: Progress) -> Progress:
        """Write all collected steps, and return ``progress`` with their losses added to its sums.

        Raises:
            NotFinite: the loss or gradient norm of a collected step is not finite.
        """
        self._flushed = time.perf_counter()
        if not self._events:
            return progress
        # One copy from the device for all steps: [2, steps].
        losses, norms = torch.stack([torch.stack(self._losses), torch.stack(self._norms)]).tolist()
        events = self._events
        for event, loss, norm in zip(events, losses, norms, strict=True):
            event["loss"], event["gradient_norm"] = loss, norm
        self._events, self._losses, self._norms = [], [], []
        self.log.write(*events)
        for event in events:
            finite = math.isfinite(event["loss"])
            if not finite or (self.check_gradients and not math.isfinite(event["gradient_norm"])):
                raise NotFinite(event["step"])
            progress = replace(
                progress,
                loss_sum=progress.loss_sum + event["loss"] * event["labels"],
                loss_count=progress.loss_count + event["labels"],
                train_seconds=progress.train_seconds + event["seconds"],
            )
        return progress
