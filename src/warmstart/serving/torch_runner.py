"""PyTorch as a runner of the engine, packed if the architecture allows it.

Opening loads the model, switches it to evaluation mode, moves it to its device, and chooses packed
or padded execution with two made-up rows. Only then can other threads use it, and nothing in it
changes afterwards: no call switches the mode, moves the model, or replaces a module.
"""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from warmstart import errors
from warmstart.data.examples.batches import Batch, Examples
from warmstart.data.examples.targets import BatchTargets, NoBatchTargets
from warmstart.data.examples.token_targets import TokenBatchTargets, WordBatchTargets
from warmstart.devices.device import choose_place
from warmstart.devices.place import Place
from warmstart.evaluation.evaluate import MAX_TOKENS_PER_BATCH, predict
from warmstart.models.checkpoints.configuration import READS, Head
from warmstart.models.checkpoints.vector_pooling import VectorPooling
from warmstart.models.exclusive_use import needs_exclusive_use
from warmstart.models.packed.forward import Forward, forward_verified_on, padded_forward
from warmstart.models.packed.pooled_states import pooled_states
from warmstart.models.packed.row_logits import for_rows
from warmstart.models.tuning.features import Floats32, compute_features
from warmstart.runs.directory import RunDirectory
from warmstart.runs.loaded_run import load_run
from warmstart.serving.engine import Engine
from warmstart.tasks.task import AnyTask, Predictions

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

TRIED_LENGTHS = (5, 256)
"""Lengths of the two made-up rows in tokens. The second exceeds ModernBERT's local window (128
tokens; Warner et al. 2024, arXiv:2412.13663, section 2.1.2)."""


@dataclass(frozen=True, slots=True)
class TorchRunner:
    """A model in evaluation mode.

    Args:
        model: on its device; never changed.
        forward: how the model is run.
        place: device and precision.
        turn: a lock for the thread that runs the model; no effect if threads may run it at the same
            time.
    """

    model: "PreTrainedModel"
    forward: Forward
    place: Place
    turn: AbstractContextManager[object]

    def predictions(self, task: AnyTask, examples: Examples) -> Predictions:
        """Predictions for tokenised rows, in their order."""
        found: Predictions
        found, _, _ = predict(task, self.model, self.forward, examples, self.place)
        return found

    def vectors(self, examples: Examples, pooling: VectorPooling, layer: int) -> Floats32:
        """One vector for each tokenised row, in their order, float32 [N, H].

        For a row that is cut into windows, it is the mean over them.

        Args:
            examples: N rows.
            pooling: which tokens of a row stand for it.
            layer: index into Transformers' ``hidden_states``, from 0.

        Raises:
            ModelError: the model's outputs are not finite numbers.
        """
        run = for_rows(pooled_states(self.forward, pooling, layer))

        def of_batch(batch: Batch) -> torch.Tensor:
            with self.turn, self.place.autocast():
                found: torch.Tensor = run(self.model, batch)
            return found

        found = np.empty((len(examples), self.model.config.hidden_size), dtype=np.float32)
        device = self.place.device
        budget = MAX_TOKENS_PER_BATCH.get(device.type, 8192)
        compute_features(found, examples, of_batch, device, budget, by_row=True)
        if not np.isfinite(found).all():
            raise errors.checkpoint.outputs_not_finite()
        return found


class Loaded(Protocol):
    """A model in memory that is not prepared yet: that of a run, or a checkpoint."""

    @property
    def model(self) -> "PreTrainedModel":
        """The model, on the CPU; not used by any other thread yet."""
        ...

    @property
    def head(self) -> Head:
        """Its head."""
        ...

    @property
    def tokenizer(self) -> "PreTrainedTokenizerBase":
        """Its tokenizer."""
        ...

    @property
    def max_tokens(self) -> int:
        """Its longest input in tokens."""
        ...

    @property
    def pairs(self) -> bool:
        """Whether it reads pairs of texts."""
        ...


def open_torch(directory: RunDirectory) -> Engine:
    """Open the kept model of a run.

    Args:
        directory: the run directory.

    Raises:
        RunError: the run has no kept model yet, or its directory is damaged.
    """
    run = load_run(directory)
    runner = runner_for(run, choose_place(run.config.train))
    return Engine(run.config, run.task, run.tokenizer, run.max_tokens, runner, run.identity)


def runner_for(loaded: Loaded, place: Place) -> TorchRunner:
    """Prepare a loaded model for predictions.

    Args:
        loaded: the model.
        place: device and precision.
    """
    model, head = loaded.model, loaded.head
    model.requires_grad_(requires_grad=False)
    model.to(place.device)  # type: ignore[arg-type]  # Transformers' decorator hides the type
    try:
        forward = forward_verified_on(made_up_rows(loaded), model, head, place.autocast)
    except Exception as error:  # a model must remain usable if the trial fails
        padded = padded_forward(model, head)
        forward = replace(padded, path=f"{padded.path}: {type(error).__name__} in the trial")
    # After the trial, which may have replaced modules: a new module is in training mode.
    model.train(mode=False)
    turn: AbstractContextManager[object] = nullcontext()
    if needs_exclusive_use(model):
        turn = Lock()
        forward = _in_turns(forward, turn)
    return TorchRunner(model, forward, place, turn)


def made_up_rows(loaded: Loaded) -> Batch:
    """Two rows of different lengths to verify packed execution, always the same for a model.

    The ids are random, without padding and special tokens. For pairs, each row has type ids 0 and
    1. The head reads every token that it can read.

    Args:
        loaded: its tokenizer and ``max_tokens`` limit the rows.
    """
    tokenizer = loaded.tokenizer
    vocabulary = min(len(tokenizer), loaded.model.config.vocab_size)
    plain = np.setdiff1d(np.arange(vocabulary), tokenizer.all_special_ids)  # padding is special
    lengths = np.minimum(TRIED_LENGTHS, loaded.max_tokens)
    ids = torch.from_numpy(np.random.default_rng(0).choice(plain, int(lengths.sum())))  # [T]
    typed = loaded.pairs and "token_type_ids" in tokenizer.model_input_names
    # 0 for the first half of each row, 1 for the second.
    types = np.concatenate([np.arange(length) >= length / 2 for length in lengths])
    return Batch(
        input_ids=ids,
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        rows=np.arange(2),
        truncated=np.zeros(2, dtype=np.bool_),
        targets=_asking_everywhere(loaded.head, ids, lengths),
        token_type_ids=torch.from_numpy(types.astype(np.int64)) if typed else None,
    )


def _asking_everywhere(head: Head, ids: torch.Tensor, lengths: np.ndarray) -> BatchTargets:
    """Targets for which the head reads all tokens, or each row."""
    tokens = len(ids)
    if READS[head] == "first":
        return NoBatchTargets()
    if READS[head] == "asked":
        asked = torch.arange(tokens)
        return WordBatchTargets(asked, ids, lengths, asked.numpy(), tokens)
    return TokenBatchTargets(ids, lengths, tokens)


def _in_turns(forward: Forward, turn: AbstractContextManager[object]) -> Forward:
    """The same forward, used by only one thread at a time."""

    def run(model: Any, batch: Batch) -> Any:
        with turn:
            return forward.run(model, batch)

    return replace(forward, run=run)
