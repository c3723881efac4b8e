"""The settings that are chosen when nothing is set: ``auto``.

Each rule uses only what is known before the first step: the model's width, the task's head, and the
number of training rows. A value that was set by hand is never changed. The numbers are written to
the run's ``config.yaml``, so a repeated run does not choose again.

Sources: Devlin et al. 2019, arXiv:1810.04805, appendix A.3 (BERT-base: 2e-5 to 5e-5, 2 to 4 epochs,
batches of 16 or 32); Mosbach et al. 2021, arXiv:2006.04884 (small data need more epochs, with a
warm-up of a tenth); Yang et al. 2021, arXiv:2203.03466 (Adam's rate falls with the width); Malladi
et al. 2022, arXiv:2205.10287 (it grows with the root of the batch size); Kumar et al. 2022,
arXiv:2202.10054 (linear probe first). What they give is measured in ``benchmarks/log.md``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, log10, prod, sqrt
from typing import TYPE_CHECKING, Any, NamedTuple

from warmstart.config import SEEDS, ResolvedTrainConfig, TrainConfig
from warmstart.errors.counts import counted
from warmstart.models.checkpoints.configuration import Head

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

WIDTH, BATCH_ROWS = 768, 32
"""Hidden size of BERT-base and GPT-2, and the batch size of the rates below."""

RATE, WRITING_RATE, HEAD_RATE, NEW_MODEL_RATE = 3e-5, 1e-4, 1e-3, 6e-4
"""Peak learning rates at this width: of an encoder and of a decoder that is fine-tuned,
of a head alone, and of a model that starts from random weights (GPT-2 in nanoGPT, ``train.py``)."""

WRITING_BATCH_ROWS = 8
"""Batch size for text generation, whose rows fill the context."""

HIGHEST_RATE, HIGHEST_OTHER_RATE = 3e-4, 1e-3
"""Highest rates that ``auto`` chooses: for a pretrained encoder, and for a decoder, adapters or a
new model."""

LORA_FACTOR = 10
"""Adapters need a higher rate than whole matrices (Hu et al. 2021, arXiv:2106.09685, table 9)."""

STEPS, FEWEST_EPOCHS, MOST_EPOCHS = 1500, 3, 20
"""Steps that ``auto`` aims at, and limits of the number of epochs."""


class Learned(NamedTuple):
    """What the rules know of the task.

    Args:
        head: its head.
        probes: whether it reads ``train.head_start``.
        new_model: whether all weights start at random (``pretrain``).
        validates: whether there are validation rows.
    """

    head: Head
    probes: bool
    new_model: bool = False
    validates: bool = True

    @property
    def generates(self) -> bool:
        """Whether the model is a decoder that generates text."""
        head = self.head
        return head == "causal-lm"


@dataclass(frozen=True, slots=True)
class Choice:
    """One setting that was chosen.

    Args:
        setting: its dotted name.
        value: what was chosen.
        reason: why, as a part of a sentence; empty for a constant.
        shown: whether it is printed; what may happen later is announced when it happens.
    """

    setting: str
    value: Any
    reason: str = ""
    shown: bool = True

    def __str__(self) -> str:
        reason = f" ({self.reason})" if self.reason else ""
        _, _, name = self.setting.rpartition(".")
        return f"{name}={self.value}{reason}"


def resolved(
    config: TrainConfig,
    model: "PreTrainedConfig",
    learned: Learned,
    batches: Callable[[int], int] | None = None,
) -> tuple[ResolvedTrainConfig, list[Choice]]:
    """Replace every ``auto`` by a value.

    Args:
        config: the settings.
        model: configuration of the checkpoint.
        learned: what is learned.
        batches: number of batches per epoch for a batch size; None if the rows are not known.

    Returns:
        The settings without ``auto``, and what was chosen, in the order of the choices.
    """
    chosen: dict[str, Choice] = {}

    def choose(name: str, value: Any, reason: str = "", *, shown: bool = True) -> None:
        if getattr(config, name) == "auto":
            chosen[name] = Choice(f"train.{name}", value, reason, shown)

    size = config.batch_size
    if size == "auto":
        size = WRITING_BATCH_ROWS if learned.generates else BATCH_ROWS
    choose("batch_size", size)
    choose("learning_rate", *_rate(config, model, learned, size * config.gradient_accumulation))
    probe = learned.probes and not learned.new_model
    if learned.probes:
        choose("head_start", "linear-probe" if probe else "random")
        again = learned.validates and not config.model_fields_set.intersection(SEEDS)
        choose("retry", again, shown=False)
    if probe and config.head_start != "random" and config.freeze == "backbone":
        choose("epochs", 0, "the linear probe is the whole training")
    else:
        steps = None if batches is None else ceil(batches(size) / config.gradient_accumulation)
        choose("epochs", *_epochs(config, model, steps))
    if config.budget_minutes is not None:
        epochs = chosen.get("epochs")
        more = learned.validates and epochs is not None and epochs.value > 0
        choose("extend", more, shown=False)
    given = config.model_dump(exclude_unset=True) | {n: c.value for n, c in chosen.items()}
    # What is still auto is not read by this run, or has it as its default.
    given = {name: value for name, value in given.items() if value != "auto"}
    return ResolvedTrainConfig.model_validate(given), list(chosen.values())


def _rate(
    config: TrainConfig, model: "PreTrainedConfig", learned: Learned, rows: int
) -> tuple[float, str]:
    """The learning rate, and why. ``rows``: rows per step."""
    if config.freeze == "backbone":
        return HEAD_RATE, "only the head is trained"
    start = WRITING_RATE if learned.generates else RATE
    if learned.new_model:
        start = NEW_MODEL_RATE
    width = getattr(model, "hidden_size", None)
    factors = {
        f"{WIDTH}/{width} (width)": WIDTH / width if width else 1.0,
        f"√({rows}/{BATCH_ROWS}) (rows per step)": sqrt(rows / BATCH_ROWS),
        f"{LORA_FACTOR} (adapters)": LORA_FACTOR if config.lora is not None else 1.0,
    }
    reason = " × ".join([f"{start:g}", *(name for name, by in factors.items() if by != 1.0)])
    rate = start * prod(factors.values())
    others = learned.generates or learned.new_model or config.lora is not None
    highest = HIGHEST_OTHER_RATE if others else HIGHEST_RATE
    if rate > highest:
        return highest, f"the highest; {reason} is more"
    return _two_digits(rate), reason


def _epochs(config: TrainConfig, model: "PreTrainedConfig", steps: int | None) -> tuple[int, str]:
    """The number of epochs, and why. ``steps``: steps per epoch."""
    fewest = FEWEST_EPOCHS
    if config.unfreeze_layers_per_epoch is not None:  # until all layers are trained
        depth = getattr(model, "num_hidden_layers", 12)
        fewest = max(fewest, ceil((depth + 1) / config.unfreeze_layers_per_epoch) + 1)
    if steps is None:
        return fewest, ""
    epochs = min(max(round(STEPS / steps), fewest), max(MOST_EPOCHS, fewest))
    return epochs, counted(epochs * steps, "step")


def _two_digits(rate: float) -> float:
    """A rate with two significant digits.

    >>> _two_digits(3e-5 * 2 * 2), _two_digits(1.0666e-05)
    (0.00012, 1.1e-05)
    """
    return round(rate, 1 - int(log10(rate) // 1))
