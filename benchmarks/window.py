"""What is timed of one engine in one process, and what it says of the engine.

A window is a stretch of steps over given batches, or a whole run. It notes when the engine made its
first step, how many rows and real tokens each step held *as the model was given them*, when each
step ended, and the peak of the memory. Afterwards ``measurement`` refuses an engine that did other
work than it was given, so that a ratio of two engines compares the same work.

Rates are of an average row. Where a step takes as long as its tokens are many, the window's tokens
a second are divided by the mean length of all training rows; where every row is padded to the same
width, its rows a second are taken as they are. So two windows over different batches can be
compared, and samples and tokens a second always tell the same ratio.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.machine import peak_mib
from benchmarks.outcome import Row


@dataclass(slots=True)
class Window:
    """The steps that are timed.

    Args:
        lengths: tokens of every row, as the workload counts them.
        started_at: when the process was asked for, in seconds since 1970.
        batches: rows of each step, the warm-up's first; None times a whole run.
        warmup_steps: made before, not timed; at least 1, since its end starts the clock.
        epochs: of a whole run.
        fixed_width: the engine pads every row to the same width.
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
        """The rows of all batches, one after the other."""
        return [row for rows in self.batches or () for row in rows]

    def start(self) -> None:
        """A whole run, or a prediction, begins now: everything is loaded."""
        self._began, self._cpu_began = time.perf_counter(), time.process_time()

    def watch(self, model: Any, *, training: bool = True, added: int = 0) -> None:
        """Note what a model is given whenever it is called.

        Args:
            model: called with a mask that is 1 at real tokens: the keyword ``attention_mask`` of
                Transformers, or that entry of sentence-transformers' one mapping.
            training: note calls in training; else those in evaluation.
            added: tokens that the engine adds to each row, and the workload does not count.
        """

        def note(module: Any, given: tuple[Any, ...], named: dict[str, Any]) -> None:
            if module.training == training:
                mask = (given[0] if given else named)["attention_mask"]
                self.see(len(mask), int(mask.sum()) - added * len(mask))

        model.register_forward_pre_hook(note, with_kwargs=True)

    def see(self, rows: int, tokens: int, at: float | None = None) -> None:
        """Note the work of a step.

        Args:
            rows: of its batch.
            tokens: real ones.
            at: when the step began, in seconds since 1970; now, if not given.
        """
        if self.first_step_at is None:
            self.first_step_at = time.time() if at is None else at
        self._rows.append(rows)
        self._tokens.append(tokens)

    def tick(self) -> bool:
        """Note the end of a step; whether the window is over, which a whole run never is."""
        self._ticks.append(time.perf_counter())
        self._cpu_ticks.append(time.process_time())
        if self.batches is None or len(self._ticks) < len(self.batches):
            return False
        self._peak_mib = peak_mib()
        return True

    def finish(self) -> None:
        """A whole run, or a prediction, is over."""
        self._ticks.append(time.perf_counter())
        self._cpu_ticks.append(time.process_time())
        self._peak_mib = peak_mib()

    def measurement(self) -> Row:
        """Rates, start-up, memory, and the work that was seen.

        Raises:
            ValueError: the engine did other work than it was given.
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
            # Clearly less than ``threads``: somebody else was computing, the times are not ours.
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
                f"other work than was given: {rows} rows with {tokens} tokens, "
                f"not {wanted_rows} with {wanted_tokens}"
            )
