"""An ONNX file and ONNX Runtime: tokenised rows in, logits out; no torch.

The same function runs the model while it is verified and when it predicts, so what is served is
what was checked. Rows are batched by length: where lengths are equal nothing is padded, and rows of
other lengths join a batch only while their padding costs less than a call of its own would.

A file has logits for each row, [B, C], or for each token, [B, L, C]; of these only the first token
of each word is kept.

Shapes: N rows, T tokens, W words, B rows of a batch, L its longest row, C classes.

Source: ONNX Runtime documentation, "Thread management" (one thread for each core, operators of a
BERT one after the other).
"""

import hashlib
import os
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
from warmstart.data.examples.token_targets import WordTags
from warmstart.data.examples.tokens import Ints, Tokens
from warmstart.tasks.task import FloatArray

FILES = {"onnx": "model.onnx", "int8": "model.int8.onnx"}
"""The file that each engine runs, in a run's ``export/``."""

PARITY = "export/parity.json"
"""What was checked, in the run directory."""

PADDING_KEY = "pad_token_id"
"""Under which the file itself says what fills short rows."""

MAX_TOKENS_PER_BATCH = 1024
"""Rectangle of one batch; 512 and 4,096 are within 3 % in float32, and slower in int8."""

CALL_TOKENS = 24
"""Tokens of padding that cost as much as one more call does."""


def refuse_missing(*names: str) -> None:
    """Say which packages are not installed.

    Args:
        names: as Python imports them.

    Raises:
        ExportError: one is missing.
    """
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        raise errors.export.packages_missing(missing)


def open_session(path: Path, profile: Path | None = None) -> Any:
    """ONNX Runtime's session on the CPU.

    Args:
        path: as ``warmstart export`` writes it.
        profile: beginning of the file in which ONNX Runtime notes every operator it runs.

    Raises:
        ExportError: ONNX Runtime is not installed.
    """
    refuse_missing("onnxruntime")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # its warnings are about graphs, which a reader cannot mend
    if profile is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile)
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


@dataclass(frozen=True, slots=True)
class OnnxModel:
    """An open file.

    Args:
        session: ONNX Runtime's.
        input_names: ``input_ids``, ``attention_mask`` and, where the model has them,
            ``token_type_ids``.
        pad_token_id: fills the end of short rows; the mask hides it.
    """

    session: Any
    input_names: tuple[str, ...]
    pad_token_id: int

    @classmethod
    def open(cls, path: Path) -> "OnnxModel":
        """Open a file on the CPU.

        Args:
            path: as ``warmstart export`` writes it.

        Raises:
            ExportError: ONNX Runtime is not installed.
        """
        session = open_session(path)
        return cls(
            session,
            tuple(given.name for given in session.get_inputs()),
            int(session.get_modelmeta().custom_metadata_map[PADDING_KEY]),
        )

    def logits(self, tokens: Tokens) -> FloatArray:
        """The logits of every row, in row order, float32 [N, C].

        Args:
            tokens: tokenised rows; one at least.
        """
        batches = list(batches_by_length(tokens.lengths))
        parts = [self.run(self.rectangle(tokens, rows)) for rows in batches]
        found = np.empty((len(tokens), parts[0].shape[1]), dtype=np.float32)
        found[np.concatenate(batches)] = np.concatenate(parts)
        return found

    def logits_of(self, examples: Examples) -> FloatArray:
        """The logits that the task reads, in the order of the examples: rows [N, C], words [W, C].

        Args:
            examples: tokenised rows; one at least.
        """
        if isinstance(examples.targets, WordTags):
            return self._word_logits(examples.tokens, examples.targets)
        return self.logits(examples.tokens)

    def _word_logits(self, tokens: Tokens, targets: WordTags) -> FloatArray:
        """The logits at the first token of each word, in the order of ``targets``, [W, C]."""
        parts, read = [], []
        for rows in batches_by_length(tokens.lengths):
            words, counts = targets.words_of(rows)
            found = self.run(self.rectangle(tokens, rows))  # [B, L, C]
            parts.append(found[np.repeat(np.arange(len(rows)), counts), targets.places[words]])
            read.append(words)
        logits = np.empty((len(targets.places), parts[0].shape[1]), dtype=np.float32)
        logits[np.concatenate(read)] = np.concatenate(parts)
        return logits

    def run(self, rectangle: dict[str, Ints]) -> FloatArray:
        """The logits of one rectangle, float32 [B, C] or [B, L, C].

        Args:
            rectangle: the inputs by name, int64 [B, L] each.
        """
        found: FloatArray = self.session.run(None, rectangle)[0]
        return found

    def rectangle(self, tokens: Tokens, rows: Ints) -> dict[str, Ints]:
        """The inputs of a batch, int64 [B, L] each.

        Args:
            tokens: tokenised rows.
            rows: positions of those of the batch, int64 [B].
        """
        lengths = tokens.lengths[rows]
        columns = np.arange(lengths.max())
        real = columns < lengths[:, None]
        places = np.where(real, tokens.offsets[rows][:, None] + columns, 0)
        types = tokens.token_type_ids
        inputs = {
            "input_ids": np.where(real, tokens.input_ids[places], self.pad_token_id),
            "attention_mask": real,
            "token_type_ids": real & False if types is None else np.where(real, types[places], 0),
        }
        return {name: inputs[name].astype(np.int64) for name in self.input_names}


def batches_by_length(lengths: Ints) -> Iterator[Ints]:
    """Batches of rows of like length, the longest first; each row once.

    Args:
        lengths: tokens of each row, int64 [N].

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


def sha256(path: Path) -> str:
    """A file's hash, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def threads() -> int:
    """Threads of one operator: ``OMP_NUM_THREADS`` if it is set, else the cores at hand."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    if wanted.isdigit() and int(wanted):
        return int(wanted)
    cores = psutil.cpu_count(logical=False) or 1
    if sys.platform == "linux":  # this process may be allowed fewer
        cores = min(cores, len(os.sched_getaffinity(0)))
    return cores
