"""Run a classifier's ONNX file with ONNX Runtime, from tokenised rows to logits; without torch.

The same code runs the model during verification and when serving, so what is served is what was
checked. Rows are batched by length. Rows of equal length need no padding; rows of different length
share a batch only if their padding costs less than a separate call.

The model outputs logits for each row, [B, C], or for each token, [B, L, C]; of the latter only
those of the tokens that the head reads are used. For question answering it has two outputs, the
logits of start and end, [B, L] each.

Shapes: N rows, T tokens, A tokens that the head reads, B rows of a batch, L its longest row, C
classes.

Source: ONNX Runtime documentation, "Thread management" (one thread per core; operators one after
the other, since a BERT has almost no parallel branches).
"""

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from warmstart import errors
from warmstart.data.examples.batches import Examples
from warmstart.data.examples.long_rows import mean_of_windows
from warmstart.data.examples.token_targets import ReadsTokens
from warmstart.data.examples.tokens import Ints, Tokens
from warmstart.tasks.task import FloatArray

FILES = {"onnx": "model.onnx", "int8": "model.int8.onnx"}
"""The file of each engine, in a run's ``export/``."""

PARITY = "export/parity.json"
"""The results of the checks, in the run directory."""

PADDING_KEY = "pad_token_id"
"""Metadata key of the padding id in the ONNX file."""

INPUTS = frozenset({"input_ids", "attention_mask", "token_type_ids"})
"""Inputs that a classifier can have."""

MAX_TOKENS_PER_BATCH = 1024
"""Largest padded batch; 512 and 4,096 differ by less than 3 % in float32 and are slower in int8."""

CALL_TOKENS = 24
"""Number of padding tokens that cost as much time as one more call."""


def refuse_missing(*names: str) -> None:
    """Raise if a package is not installed.

    Args:
        names: import names of the packages.

    Raises:
        ExportError: a package is missing.
    """
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        raise errors.export.packages_missing(missing)


def open_session(path: Path, profile: Path | None = None) -> Any:
    """Open an ONNX Runtime session on the CPU.

    Args:
        path: a file written by ``warmstart export``.
        profile: prefix of the file for ONNX Runtime's profile of all operators; None for none.

    Raises:
        ExportError: ONNX Runtime is not installed, or the file is no model.
    """
    refuse_missing("onnxruntime")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors only: its warnings are about graph details
    if profile is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile)
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions have no common class of their own
        raise errors.export.unusable_file(path, str(error)) from error


def run_session(session: Any, path: Path, feed: dict[str, Any]) -> list[Any]:
    """Run a session on one batch.

    Args:
        session: from ``open_session``.
        path: its file, for the message.
        feed: the inputs by name.

    Raises:
        ExportError: the model does not accept these inputs: it belongs to another run.
    """
    try:
        return list(session.run(None, feed))
    except Exception as error:  # as in `open_session`
        raise errors.export.unusable_file(path, str(error)) from error


@dataclass(frozen=True, slots=True)
class OnnxModel:
    """An open ONNX file of a classifier.

    Args:
        session: ONNX Runtime's session.
        input_names: ``input_ids``, ``attention_mask`` and, if the model uses them,
            ``token_type_ids``.
        pad_token_id: id that fills the end of short rows; the attention mask hides it.
        path: the file.
    """

    session: Any
    input_names: tuple[str, ...]
    pad_token_id: int
    path: Path

    @classmethod
    def open(cls, path: Path) -> "OnnxModel":
        """Open a file on the CPU, as ``open_session`` does.

        Raises:
            ExportError: as ``open_session``, or the file is no classifier.
        """
        session = open_session(path)
        names = tuple(tensor.name for tensor in session.get_inputs())
        facts = session.get_modelmeta().custom_metadata_map
        if PADDING_KEY not in facts or not set(names) <= INPUTS:
            raise errors.export.unusable_file(path, f"its inputs are {', '.join(names)}")
        return cls(session, names, int(facts[PADDING_KEY]), path)

    def logits(self, tokens: Tokens) -> FloatArray:
        """The logits of every row, in row order, float32 [N, C]; the mean over a row's windows.

        Args:
            tokens: at least one tokenised row.
        """
        windows = tokens.as_windows()
        batches = list(batches_by_length(windows.lengths))
        parts = [self.run(self.padded_batch(windows, rows)) for rows in batches]
        logits = np.empty((len(windows), parts[0].shape[1]), dtype=np.float32)
        logits[np.concatenate(batches)] = np.concatenate(parts)  # back to row order
        return mean_of_windows(logits, tokens.window_counts)

    def logits_of(self, examples: Examples) -> FloatArray:
        """The logits that the task reads, in the order of the examples: rows [N, C], or [A, C].

        Args:
            examples: at least one tokenised row.
        """
        if isinstance(examples.targets, ReadsTokens):
            return self._token_logits(examples.tokens, examples.targets)
        return self.logits(examples.tokens)

    def _token_logits(self, tokens: Tokens, targets: ReadsTokens) -> FloatArray:
        """The logits at the tokens that the head reads, in the order of ``targets``, [A, C]."""
        parts, read = [], []
        for rows in batches_by_length(tokens.lengths):
            indices, places, counts = targets.read_tokens(tokens, rows)
            found = self.run(self.padded_batch(tokens, rows))  # [B, L, C]
            parts.append(found[np.repeat(np.arange(len(rows)), counts), places])
            read.append(indices)
        order = np.concatenate(read)
        logits = np.empty((len(order), parts[0].shape[1]), dtype=np.float32)
        logits[order] = np.concatenate(parts)
        return logits

    def run(self, batch: dict[str, Ints]) -> FloatArray:
        """The logits of one padded batch, float32 [B, C] or [B, L, C].

        Args:
            batch: the inputs by name, int64 [B, L] each.
        """
        outputs = run_session(self.session, self.path, batch)
        logits: FloatArray = outputs[0] if len(outputs) == 1 else np.stack(outputs, axis=-1)
        return logits

    def padded_batch(self, tokens: Tokens, rows: Ints) -> dict[str, Ints]:
        """The inputs of a batch by name, int64 [B, L] each.

        Args:
            tokens: tokenised rows.
            rows: positions of the rows of the batch, int64 [B].
        """
        lengths = tokens.lengths[rows]
        columns = np.arange(lengths.max())
        real = columns < lengths[:, None]  # [B, L]
        # Index of each token in the array of all tokens [T]; any index at padding.
        places = np.where(real, tokens.offsets[rows][:, None] + columns, 0)
        types = tokens.token_type_ids
        inputs = {
            "input_ids": np.where(real, tokens.input_ids[places], self.pad_token_id),
            "attention_mask": real,
            "token_type_ids": real & False if types is None else np.where(real, types[places], 0),
        }
        return {name: inputs[name].astype(np.int64) for name in self.input_names}


def batches_by_length(lengths: Ints) -> Iterator[Ints]:
    """Batches of rows with similar length, longest first; every row is in one batch.

    Args:
        lengths: number of tokens of each row, int64 [N].

    >>> [rows.tolist() for rows in batches_by_length(np.array([9, 400, 9, 399]))]
    [[1, 3], [0, 2]]
    """
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        longest = int(lengths[order[start]])
        rows = order[start : start + max(1, MAX_TOKENS_PER_BATCH // longest)]
        padding = np.cumsum(longest - lengths[rows])
        rows = rows[padding <= CALL_TOKENS]
        yield rows
        start += len(rows)


def threads() -> int:
    """Threads per operator: ``OMP_NUM_THREADS``, at most one per processor; or one per core.

    As in PyTorch, the first of several numbers counts, and a text that is no number is ignored.
    """
    cores, processors = psutil.cpu_count(logical=False) or 1, os.cpu_count() or 1
    if sys.platform == "linux":  # the process may be restricted to some of the processors
        processors = len(os.sched_getaffinity(0))
    setting = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    asked = int(setting) if re.fullmatch("[0-9]{1,9}", setting) else 0
    return min(asked or cores, processors)
