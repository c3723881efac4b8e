"""What a new classifier keeps of the head of a checkpoint that is already a classifier.

The output layer of a head has one row per label. A row is kept for the label of the same name, at
whatever position; a label that the checkpoint does not know gets a new row. If the checkpoint was
trained for another kind of problem, or no label has the same name, the whole head is new. The
number of labels proves nothing.

Transformers names labels ``LABEL_0``, ``LABEL_1``, … if none are given: ``LABEL_1`` is the label
``1``. A head with one output has no labels, so its row is kept if the problem is the same.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warmstart.models.checkpoints.configuration import CLASSIFIERS, Head, skeleton, with_labels
from warmstart.models.checkpoints.weight_files import weight_shapes

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

Rows = tuple[int | None, ...]
"""For each label the checkpoint's row that is kept for it; None for a new row."""

PROBLEMS: Mapping[str, str] = {
    "single_label_classification": "one label per text",
    "multi_label_classification": "several labels per text",
    "regression": "numbers",
    "score": "scores",
    "tags": "tags of words",
    "answers": "answers in a context",
}
"""Kinds of problems -> what the head predicts, for use in a sentence."""

_SHOWN = 5
"""Number of labels that a sentence names."""


def rows_to_keep(
    old: "PreTrainedConfig", new: "PreTrainedConfig", head: Head, paths: Sequence[Path]
) -> Rows | None:
    """The rows of a checkpoint's head that a new model keeps.

    Args:
        old: the checkpoint's configuration.
        new: configuration of the model, with its labels.
        head: the head of the model.
        paths: the checkpoint's weight files, on disk.

    Returns:
        One entry per label; None if the checkpoint has no such head.
    """
    if not _has_head(old, new, head, paths):
        return None
    labels = _names(new)
    was, now = _problems(old, new, head)
    if was != now or _rows_held(new, head, paths) not in (None, old.num_labels):
        return (None,) * len(labels)
    if old.num_labels == new.num_labels == 1:
        return (0,)
    if head == "question-answering":
        return (0, 1)  # start and end, whatever a checkpoint calls them
    names = _names(old)
    counts = Counter(names)  # a name that occurs twice does not identify a row
    row = {name: index for index, name in enumerate(names) if counts[name] == 1}
    return tuple(row.get(label, row.get(f"LABEL_{label}")) for label in labels)


def label_weights(config: "PreTrainedConfig", head: Head) -> list[str]:
    """Names of the weights with one row per label.

    Args:
        config: configuration of a classifier.
        head: its head.
    """
    if head == "question-answering":
        return _span_weights(config, head)
    labels = _names(config)
    more = with_labels(config, [*labels, "one more"], None)
    wider = {name: p.shape for name, p in skeleton(more, head).named_parameters()}
    named = skeleton(config, head).named_parameters()
    return [name for name, p in named if p.shape != wider[name]]


def _span_weights(config: "PreTrainedConfig", head: Head) -> list[str]:
    """Names of the weights of the layer above the body with two outputs, start and end.

    Some families accept no other number of outputs, so it cannot be found as for other heads.
    """
    model = skeleton(config, head)
    body = f"{model.base_model_prefix}."
    named = [(name, p) for name, p in model.named_parameters() if not name.startswith(body)]
    return [name for name, p in named if p.shape[0] == 2]


def last_layer(model: "PreTrainedModel", head: Head) -> tuple[Any, list[str]]:
    """The linear layer with one row per label, and the names of its weights.

    Args:
        model: a classifier.
        head: its head.
    """
    names = label_weights(model.config, head)
    return model.get_submodule(names[0].rpartition(".")[0]), names


def is_new_head(
    old: "PreTrainedConfig", new: "PreTrainedConfig", head: Head, paths: Sequence[Path]
) -> bool:
    """Whether a model keeps nothing of its checkpoint's head.

    Args:
        old: as for ``rows_to_keep``.
        new: as for ``rows_to_keep``.
        head: as for ``rows_to_keep``.
        paths: as for ``rows_to_keep``.
    """
    rows = rows_to_keep(old, new, head, paths)
    return rows is None or all(row is None for row in rows)


def head_in_words(
    name: str,
    old: "PreTrainedConfig",
    new: "PreTrainedConfig",
    head: Head,
    paths: Sequence[Path],
) -> str | None:
    """A sentence on what a model keeps of its checkpoint's head; None if there is no such head.

    Args:
        name: the checkpoint's name.
        old: as for ``rows_to_keep``.
        new: as for ``rows_to_keep``.
        head: as for ``rows_to_keep``.
        paths: as for ``rows_to_keep``.
    """
    rows = rows_to_keep(old, new, head, paths)
    if rows is None:
        return None
    if _rows_held(new, head, paths) not in (None, old.num_labels):
        return _other_size(name, old)
    was, now = _problems(old, new, head)
    if was != now:
        return (
            f"{name} has a head that predicts {PROBLEMS[was]}; this run predicts {PROBLEMS[now]}: "
            "a new head is trained"
        )
    names, labels = _names(old), _names(new)
    if head == "question-answering":
        return f"{name} has a head that predicts {PROBLEMS[was]}, which is kept"
    if all(row is None for row in rows):
        return f"{name} has a head for other labels ({_listed(names)}): a new head is trained"
    if rows == tuple(range(len(names))):
        return f"{name} has a head for the same labels, which is kept"
    kept = [label for label, row in zip(labels, rows, strict=True) if row is not None]
    added = [label for label, row in zip(labels, rows, strict=True) if row is None]
    dropped = [one for index, one in enumerate(names) if index not in rows]
    parts = [f"kept for {_listed(kept)}"]
    parts += [f"new for {_listed(added)}"] * bool(added)
    parts += [f"dropped for {_listed(dropped)}"] * bool(dropped)
    return f"the rows of the head of {name} go by the names of the labels: {'; '.join(parts)}"


def head_before_labels(
    name: str, old: "PreTrainedConfig", head: Head, paths: Sequence[Path]
) -> str | None:
    """A sentence on what a run can keep of its checkpoint's head, while its labels are not known.

    Args:
        name: the checkpoint's name.
        old: as for ``rows_to_keep``.
        head: as for ``rows_to_keep``.
        paths: as for ``rows_to_keep``.

    Returns:
        None if the checkpoint has no such head.
    """
    if head not in CLASSIFIERS or not _has_head(old, old, head, paths):
        return None
    if _rows_held(old, head, paths) not in (None, old.num_labels):
        return _other_size(name, old)
    was, _ = _problems(old, old, head)
    predicts = f"{name} has a head that predicts {PROBLEMS[was]}"
    if old.num_labels == 1 or head == "question-answering":
        return f"{predicts}; a run that predicts the same keeps it"
    return (
        f"{predicts} ({_listed(_names(old))}); a run that predicts the same keeps the rows of the "
        "labels that its training rows have: warmstart check CONFIG names them"
    )


def _other_size(name: str, old: "PreTrainedConfig") -> str:
    return (
        f"{name} has a head that does not fit the {old.num_labels} labels of its config.json: "
        "a new head is trained"
    )


def _problem(config: "PreTrainedConfig", head: Head) -> str:
    """The kind of problem that a head is for, a key of ``PROBLEMS``."""
    if head == "token-classification":
        return "tags"  # Transformers' token classifiers do not use problem_type
    if head == "question-answering":
        return "answers"
    if config.problem_type is not None:
        return str(config.problem_type)
    return "score" if config.num_labels == 1 else "single_label_classification"


def _problems(old: "PreTrainedConfig", new: "PreTrainedConfig", head: Head) -> tuple[str, str]:
    """The kind of problem that the checkpoint was trained for, and that of the new model."""
    made_for = next(
        (
            kind
            for kind, ending in CLASSIFIERS.items()
            if any(name.endswith(ending) for name in old.architectures or ())
        ),
        head,
    )
    return _problem(old, made_for), _problem(new, head)


def _has_head(
    old: "PreTrainedConfig", new: "PreTrainedConfig", head: Head, paths: Sequence[Path]
) -> bool:
    """Whether the weights contain the head's output layer."""
    if not weight_shapes(paths):  # a pickle
        return any(name.endswith(CLASSIFIERS[head]) for name in old.architectures or ())
    return _rows_held(new, head, paths) is not None


def _rows_held(new: "PreTrainedConfig", head: Head, paths: Sequence[Path]) -> int | None:
    """The number of labels of the head in the weights; None if no head is known there.

    A head with a missing weight has no label, since it cannot be kept.
    """
    shapes = weight_shapes(paths)
    names = label_weights(new, head)
    rows = {shapes[name][0] if name in shapes else 0 for name in names}
    return min(rows) if any(name in shapes for name in names) else None


def _names(config: "PreTrainedConfig") -> list[str]:
    """The names of the labels, in the order of the logits."""
    names: Mapping[Any, Any] = config.id2label or {}
    return [str(names.get(index, f"LABEL_{index}")) for index in range(len(names))]


def _listed(names: Sequence[str]) -> str:
    """The first names and the number of the others."""
    shown = ", ".join(names[:_SHOWN])
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown
