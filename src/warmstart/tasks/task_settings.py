"""The settings that each task reads.

Most settings are used by every task. Those listed here are used only by some tasks; a task lists
the ones that it reads in ``Task.reads``. A given setting that is not read is refused, with the
names of the tasks that read it, because a setting that is silently ignored is misleading.

The groups are for convenience: ``reads = LABELS | PAIRS``.
"""

from collections.abc import Mapping
from typing import Any

from warmstart.config.file_formats import NO_ROWS

LABELS = frozenset({"data.label", "data.missing"})
"""A label for each row."""
CLASSES = frozenset({"data.stratify"})
"""Labels whose proportions a validation share can preserve."""
NAMES = frozenset({"data.label_names"})
"""Labels may be ids that have names."""
LABEL_LISTS = frozenset({"data.label_separator", "data.label_columns"})
"""Several labels for a row."""
PAIRS = frozenset({"data.text_pair", "data.truncation"})
"""Rows may be pairs of texts."""
SEGMENTS = frozenset({"data.text_pair", "data.segment_characters"})
"""Documents are cut into segments, and pairs of these are the rows."""
PROMPTS = frozenset({"data.prompt"})
"""A part of the text is given as a prompt and not learned."""
OVERLAP = frozenset({"data.overlap_tokens"})
"""Windows or chunks of a long text overlap."""
DOCUMENTS = OVERLAP | {"data.long_documents"}
"""Long texts may be cut into chunks."""
POOLING = frozenset({"model.pooling"})
"""The model reads a row as one vector."""
TEXTS = PAIRS | DOCUMENTS | POOLING
"""A row is a text, which may be cut into chunks, or a pair of texts, and is read as one vector."""
MASKS = frozenset({"data.mask_share", "data.whole_words"})
"""Tokens are hidden and predicted."""
LOSS = frozenset({"train.loss"})
"""The task has several losses."""
RARE_LABELS = frozenset({"train.focal_gamma", "train.class_weights", "train.choose_threshold"})
"""Settings for rare labels."""
CALIBRATION = frozenset({"train.calibrate"})
"""Predictions have probabilities that can be calibrated after training."""
FREEZING = frozenset({"train.freeze"})
"""Lower layers can be frozen."""
NEW_WEIGHTS = frozenset({"train.unfreeze_layers_per_epoch", "train.retry"})
"""A new head can be trained alone first; and its training can fail."""
UNFREEZING = NEW_WEIGHTS | {"train.head_start"}
"""A new head can also be fitted before the first step."""
GENERATION = frozenset(
    {
        "generate.max_new_tokens",
        "generate.temperature",
        "generate.top_k",
        "generate.top_p",
        "generate.repetition_penalty",
        "generate.beams",
        "generate.count",
        "generate.stop",
        "generate.seed",
        "train.sample_every_steps",
        "model.special_tokens.bos",
        "model.special_tokens.eos",
        "model.special_tokens.pad",
    }
)
"""The model generates text."""
ONNX = frozenset({"export.onnx"})
"""The model can be exported."""
INT8 = frozenset({"export.int8", "export.max_drop"})
"""The exported model can be quantised."""
NEW_HEAD = FREEZING | UNFREEZING | ONNX | INT8
"""A new head is trained on an encoder, and both can be exported."""
WORDS_AND_TAGS = frozenset(
    {"data.words", "data.tags", "data.spans", "data.tag_scheme", "data.missing"}
)
"""Rows are lists of words with tags, or texts with character spans."""
ANSWERS = frozenset({"data.answers", "data.answer_start", "data.max_answer_tokens", "data.missing"})
"""Rows are questions about a text; the answers are spans of it."""
CONTEXTS = frozenset({"data.text_pair"}) | OVERLAP
"""Rows are pairs of texts, of which the second may be long and is never cut."""
THRESHOLD = frozenset({"train.choose_threshold"})
"""A threshold is chosen on the validation rows."""

TASK_SETTINGS = (
    LABELS
    | CLASSES
    | NAMES
    | LABEL_LISTS
    | PAIRS
    | SEGMENTS
    | PROMPTS
    | TEXTS
    | MASKS
    | LOSS
    | RARE_LABELS
    | CALIBRATION
    | NEW_HEAD
    | GENERATION
    | WORDS_AND_TAGS
    | ANSWERS
)
"""Settings that only some tasks read."""

NEEDS: Mapping[str, tuple[str, Any]] = {
    "data.overlap_tokens": ("data.long_documents", "chunk"),
    "data.truncation": ("data.text_pair", "COLUMN"),
    "data.label": ("data.label_columns", None),
    "data.label_separator": ("data.label_columns", None),
    "data.label_names": ("data.label_columns", None),
    "data.stratify": ("data.validation", "SHARE"),
    "data.split_seed": ("data.validation", "SHARE"),
    "train.best_metric": ("data.validation", "ROWS"),
    "train.evaluations_per_epoch": ("data.validation", "ROWS"),
    "train.early_stopping": ("data.validation", "ROWS"),
    "train.choose_threshold": ("data.validation", "ROWS"),
    "train.calibrate": ("data.validation", "ROWS"),
    "train.extend": ("train.budget_minutes", "MINUTES"),
    "train.focal_gamma": ("train.loss", "focal"),
    "export.max_drop": ("export.int8", True),
    "generate.top_k": ("generate.temperature", "POSITIVE"),
    "generate.top_p": ("generate.temperature", "POSITIVE"),
    "generate.seed": ("generate.temperature", "POSITIVE"),
}
"""Settings that are read only if another one has a value: ``COLUMN`` and ``MINUTES`` mean any,
``SHARE`` a share of the training rows (or ``data.limit``, which also samples rows), ``ROWS`` any
but ``none``, ``POSITIVE`` a number above 0, and None that it is not set."""

VALUE_NEEDS: Mapping[tuple[str, Any], tuple[str, Any]] = {
    ("data.duplicates", "together"): ("data.validation", "SHARE"),
    ("data.long_documents", "chunk"): ("data.text_pair", None),
    ("train.extend", True): ("data.validation", "ROWS"),
    ("train.retry", True): ("data.validation", "ROWS"),
}
"""The same for settings of which only one value needs another setting."""


def is_read(name: str, reads: frozenset[str], values: Mapping[str, Any]) -> bool:
    """Whether a setting has an effect.

    Args:
        name: dotted name of the setting.
        reads: the settings of ``TASK_SETTINGS`` that the task reads.
        values: value of every setting by its dotted name.
    """
    if name in TASK_SETTINGS and name not in reads:
        return False
    needed = needed_value(name, values)
    # A task that does not have the other setting always reads this one.
    return needed is None or (needed[0] in TASK_SETTINGS and needed[0] not in reads)


def needed_value(name: str, values: Mapping[str, Any]) -> tuple[str, Any] | None:
    """The setting and the value that ``name`` requires to have an effect; None if it has an effect.

    Args:
        name: dotted name of a setting.
        values: value of every setting by its dotted name.

    >>> needed_value("train.focal_gamma", {"train.loss": None})
    ('train.loss', 'focal')
    """
    needs = [NEEDS[name]] if name in NEEDS else []
    needs += [need for one, need in VALUE_NEEDS.items() if one == (name, values.get(name))]
    return next((need for need in needs if not _is_fulfilled(*need, values)), None)


def _is_fulfilled(other: str, value: Any, values: Mapping[str, Any]) -> bool:
    """Whether the other setting has a value that ``NEEDS`` describes as ``value``."""
    given = values.get(other)
    if value in ("COLUMN", "MINUTES"):
        return given is not None
    if value == "SHARE":
        return isinstance(given, float) or values.get("data.limit") is not None
    if value == "ROWS":
        return given != NO_ROWS
    if value == "POSITIVE":
        return given != 0
    return bool(given == value)
