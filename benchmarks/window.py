"""Measure one engine in one process: time, work and memory of a window of steps.

A window is a sequence of steps with given batches, or a whole run. It records the time of the first
step, the number of rows and real tokens *that the model received* in each step, the end of each
step, and the peak memory. ``measurement`` raises an error if an engine did different work than
it was given, so that a ratio of two engines compares the same work.

Rates refer to an average row. If the time of a step depends on its tokens, samples per second are
the window's tokens per second divided by the mean length of all training rows. If all rows are
padded to the same width, they are simply the window's rows per second. So windows with different
batches can be compared, and samples and tokens per second give the same ratio between engines.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.machine import peak_mib
from benchmarks.outcome import Row


@dataclass(slots=True)
class Window:
    """The timed steps.

    Args:
        lengths: number of tokens of each row of the workload.
        started_at: time when the process was requested, in seconds since 1970.
        batches: rows of each step, warm-up steps first; None measures a whole run.
        warmup_steps: number of untimed steps; at least 1, because the end of the last one is the
            start of the measurement.
        epochs: number of epochs of a whole run.
        fixed_width: whether the engine pads every row to the same width.
    """

    lengths: Sequence[int]
    started_at: float
    batches: Sequence[Sequence[int]] | None = None
    warmup_steps: int = 0
    epochs: int = 1
    fixed_width: bool = False
    first_step_at: float | None = None
    _began: float = 0.0
    _cpu_began: float = 0.0
    _rows: list[int] = field(default_factory=list)
    _tokens: list[int] = field(default_factory=list)
    _ticks: list[float] = field(default_factory=list)
    _cpu_ticks: list[float] = field(default_factory=list)
    _peak_mib: float = 0.0

    @property
    def positions(self) -> list[int]:
        """The rows of all batches, concatenated."""
        return [row for rows in self.batches or () for row in rows]

    def start(self) -> None:
        """Mark the start of a whole run or a prediction, after loading."""
        self._began, self._cpu_began = time.perf_counter(), time.process_time()

    def watch(self, model: Any, *, training: bool = True, added: int = 0) -> None:
        """Record the rows and tokens of each call of a model.

        Args:
            model: a model that is called with an attention mask: the keyword ``attention_mask`` of
                Transformers, or this key of the mapping that sentence-transformers passes.
            training: whether to record calls in training mode, or in evaluation mode.
            added: tokens that the engine adds to each row and that do not count.
        """

        def record(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            if module.training == training:
                mask = (args[0] if args else kwargs)["attention_mask"]
                self.see(len(mask), int(mask.sum()) - added * len(mask))

        model.register_forward_pre_hook(record, with_kwargs=True)

    def see(self, rows: int, tokens: int, at: float | None = None) -> None:
        """Record the work of a step.

        Args:
            rows: number of rows of its batch.
            tokens: number of real tokens.
            at: start of the step, in seconds since 1970; None for now.
        """
        if self.first_step_at is None:
            self.first_step_at = time.time() if at is None else at
        self._rows.append(rows)
        self._tokens.append(tokens)

    def tick(self) -> bool:
        """Record the end of a step; True at the end of a window, always False for a whole run."""
        self._ticks.append(time.perf_counter())
        self._cpu_ticks.append(time.process_time())
        if self.batches is None or len(self._ticks) < len(self.batches):
            return False
        self._peak_mib = peak_mib()
        return True

    def finish(self) -> None:
        """Mark the end of a whole run or a prediction."""
        self._ticks.append(time.perf_counter())
        self._cpu_ticks.append(time.process_time())
        self._peak_mib = peak_mib()

    def measurement(self) -> Row:
        """Rates, start-up time, memory, and the recorded work.

        Raises:
            ValueError: the engine did different work than it was given.
        """
        if self.first_step_at is None:
            raise ValueError("the engine made no step")
        first = self.warmup_steps
        began, cpu_began = self._began, self._cpu_began
        if self.batches is not None:
            began, cpu_began = self._ticks[first - 1], self._cpu_ticks[first - 1]
        seconds = self._ticks[-1] - began
        rows, tokens = sum(self._rows[first:]), sum(self._tokens[first:])
        self._check(rows, tokens)
        mean_length = sum(self.lengths) / len(self.lengths)
        average_rows = rows if self.fixed_width or self.batches is None else tokens / mean_length
        return {
            "startup_seconds": self.first_step_at - self.started_at,
            "seconds": seconds,
            "steps": len(self._rows) - first,
            "rows": rows,
            "tokens": tokens,
            "samples_per_second": average_rows / seconds,
            "tokens_per_second": average_rows * mean_length / seconds,
            "peak_mib": self._peak_mib,
            # If clearly below ``threads``, other processes were running; times are not reliable.
            "cores_used": (self._cpu_ticks[-1] - cpu_began) / seconds,
        }

    def _check(self, rows: int, tokens: int) -> None:
        expected: Sequence[Sequence[int]] = [range(len(self.lengths))] * self.epochs
        if self.batches is not None:
            expected = self.batches[self.warmup_steps :]
        wanted_rows = sum(map(len, expected))
        wanted_tokens = sum(self.lengths[i] for positions in expected for i in positions)
        if (rows, tokens) != (wanted_rows, wanted_tokens):
            raise ValueError(
                f"different work than was given: {rows} rows with {tokens} tokens, "
                f"not {wanted_rows} with {wanted_tokens}"
            )
