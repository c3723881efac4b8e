"""Find and check pretrained checkpoints without their weights, and load them as models.

``find`` checks everything that can be checked with a few kilobytes: that the checkpoint exists, is
safe to open, has the right architecture for the task, and that its tokenizer fits it.
``sequence_classifier`` and similar functions read the weights after the data were checked, so that
errors are reported before a large download.

A checkpoint is a hub id, a folder or a bundled model; the last two need no network. Code from a
checkpoint is never executed. Pickle files are opened only if ``model.allow_pickle`` is set.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from warmstart import errors
from warmstart.config import ModelConfig
from warmstart.models.checkpoints import model_hub as hub
from warmstart.models.checkpoints.bundled import PREFIX, bundled_folder
from warmstart.models.checkpoints.checkpoint_tokenizer import SHORTEST, checked_tokenizer
from warmstart.models.checkpoints.classifier_heads import rows_to_keep
from warmstart.models.checkpoints.configuration import (
    BORDERS,
    Head,
    Problem,
    longest_input,
    natural_head,
    read_config,
    with_dropout,
    with_labels,
)
from warmstart.models.checkpoints.mean_pooling import added_weights, average_tokens
from warmstart.models.checkpoints.special_tokens import (
    add_special_tokens,
    grow_vocabulary,
    save_token_ids,
    vocabulary_size,
)
from warmstart.models.checkpoints.weight_files import (
    held_files,
    no_weights,
    weight_files,
)
from warmstart.models.checkpoints.weights import check_headers, read_by_label, read_model
from warmstart.models.checkpoints.weights_check import refuse_unfit_weights
from warmstart.models.output_scale import OutputScale, full_precision_output, scale_output

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checked checkpoint; its weights are not read yet and possibly not downloaded.

    Args:
        name: its name as the user wrote it.
        folder: folder with the configuration and tokenizer, and with the weights once downloaded.
        config: the configuration.
        tokenizer: the checkpoint's fast tokenizer (from the ``tokenizers`` library).
        weights: names of the weight files: one file, or several shards.
        head: the head that the task needs.
        commit: commit on the hub; None for a folder or a bundled model.
        new_tokens: ids of tokens that were added to the tokenizer.
        averages: whether the model reads the mean of all tokens; ``config`` is that of the model.
    """

    name: str
    folder: Path
    config: "PreTrainedConfig"
    tokenizer: "PreTrainedTokenizerBase"
    weights: tuple[str, ...]
    head: Head
    commit: str | None = None
    new_tokens: tuple[int, ...] = ()
    averages: bool = False

    @property
    def weight_paths(self) -> list[Path]:
        """Paths of the files with the weights; they may not be downloaded yet."""
        return [self.folder / name for name in self.weights]

    @property
    def max_positions(self) -> int | None:
        """Longest input in tokens, special tokens included; None if there is no limit."""
        limits = (longest_input(self.config, self.head), self.tokenizer.model_max_length)
        # A tokenizer without a limit has Transformers' VERY_LARGE_INTEGER (1e30) here.
        known = [int(limit) for limit in limits if limit is not None and limit < 1e9]
        return min(known, default=None)


def model_named(name: str | Path) -> ModelConfig:
    """The settings that name a model which was not named in a config.

    Args:
        name: hub id, folder, or a bundled model.

    Raises:
        ModelError: it can be neither a path nor a hub id.
    """
    refuse_unusable_name(str(name))
    return ModelConfig(name=str(name))


def refuse_unusable_name(name: str) -> None:
    """Raise if a name is empty, too long for a path, or no valid text.

    Args:
        name: hub id, folder, or a bundled model.

    Raises:
        ModelError: it can be neither a path nor a hub id.
    """
    try:
        if not name.encode().strip():
            raise ValueError("it is empty")
        Path(name).expanduser().exists()
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: ~ of an unknown user
        raise errors.checkpoint.unusable_name(name, str(error)) from error


def find(model: ModelConfig, head: Head | None = None) -> Checkpoint:
    """Find a checkpoint and check everything that does not need its weights.

    Args:
        model: the settings; for a hub id, configuration and tokenizer are downloaded, not weights.
        head: the head that the task needs; None for ``natural_head``.

    Raises:
        ModelError: the checkpoint does not exist, lacks a file, is unsafe to open, has a revision
            without being on the Hub, does not support the head, its tokenizer does not fit it, or
            the hub cannot be reached.
    """
    refuse_unusable_name(model.name)
    path, commit = Path(model.name).expanduser(), None
    if model.name.startswith(PREFIX):
        folder = bundled_folder(model.name)
        files = held_files(folder)
    elif path.is_dir():
        # For a run directory, use the model that the run saved.
        is_run = (path / "config.yaml").is_file() and (path / "model" / "config.json").is_file()
        folder = path / "model" if is_run else path
        files = held_files(folder)
    elif (
        path.exists()
        or model.name[0] in "/.~\\"
        or model.name.endswith("/")
        or path.is_absolute()
        or len(path.parts) > 2
    ):
        raise errors.model.no_folder(path)
    else:
        snapshot = hub.snapshot(model)
        folder, files, commit = snapshot.folder, snapshot.files, snapshot.commit
    if commit is None and model.revision is not None:
        raise errors.model.revision_without_hub(model.name, model.revision)
    config = with_dropout(read_config(model.name, folder, head), model.dropout)
    head = head or natural_head(config)
    tokenizer = checked_tokenizer(model.name, folder, files, config, head)
    new_tokens = add_special_tokens(tokenizer, model) if head == "causal-lm" else ()
    weights = weight_files(folder, files, allow_pickle=model.allow_pickle)
    if weights is None:
        raise no_weights(model.name, folder, files)
    checkpoint = Checkpoint(
        model.name, folder, config, tokenizer, weights, head, commit, new_tokens
    )
    paths = checkpoint.weight_paths
    check_headers([path for path in paths if path.exists()])
    refuse_unfit_weights(paths, config, head)
    return checkpoint


def resolve_max_tokens(checkpoint: Checkpoint, max_tokens: int | Literal["auto"]) -> int:
    """The longest input of a run in tokens, special tokens included.

    Args:
        checkpoint: checkpoint whose number of positions is the limit.
        max_tokens: ``model.max_tokens``; ``auto`` is the model's own limit.

    Raises:
        ModelError: ``max_tokens`` is above the limit, or is ``auto`` and the model has no limit.
    """
    limit = checkpoint.max_positions
    if max_tokens == "auto":
        if limit is None:
            raise errors.model.unknown_limit(checkpoint.name)
        if limit < SHORTEST:
            raise errors.checkpoint.too_few_positions(checkpoint.name, limit, SHORTEST)
        return limit
    if limit is not None and max_tokens > limit:
        raise errors.model.too_many_tokens(max_tokens, limit, checkpoint.name)
    return max_tokens


def sequence_classifier(
    checkpoint: Checkpoint,
    label_names: Sequence[str],
    seed: int,
    problem: Problem | None = "single_label_classification",
) -> "PreTrainedModel":
    """The checkpoint's body in float32 with a sequence-classification head for these labels.

    Weights that the checkpoint lacks (the head; BERT's pooler, if it was pretrained without one)
    are initialised with ``seed``; no global generator changes. A checkpoint that is already
    such a classifier keeps the rows of its head for labels of the same name
    (``classifier_heads``). Pretraining heads are dropped.

    Args:
        checkpoint: Result of ``find``; its weights are downloaded now if necessary.
        label_names: Names of the labels, in the order of the logits.
        seed: Seed of the new weights.
        problem: ``problem_type`` of the saved configuration, from which Transformers' pipeline
            chooses softmax or sigmoid; None for the sigmoid of one logit.

    Raises:
        ModelError: The download failed, a file is damaged, or the weights do not match config.json.
    """
    return _classifier(checkpoint, with_labels(checkpoint.config, label_names, problem), seed)


def regressor(checkpoint: Checkpoint, seed: int, scale: OutputScale) -> "PreTrainedModel":
    """The checkpoint's body in float32 with a head of one number, which learns standardised labels.

    As ``sequence_classifier``; a head that predicts numbers already predicts the same ones.

    Args:
        checkpoint: Result of ``find``; its weights are downloaded now if necessary.
        seed: Seed of the new weights.
        scale: Mean and standard deviation of the labels.

    Raises:
        ModelError: The download failed, a file is damaged, or the weights do not match config.json.
    """
    config, head = with_labels(checkpoint.config, ("value",), "regression"), checkpoint.head
    model = _classifier(checkpoint, config, seed)
    kept = rows_to_keep(checkpoint.config, config, head, _downloaded(checkpoint))
    scale_output(model, head, scale, trained=kept == (0,))
    return model


def token_classifier(
    checkpoint: Checkpoint, label_names: Sequence[str], seed: int
) -> "PreTrainedModel":
    """The checkpoint's body in float32 with a token-classification head for these labels.

    As ``sequence_classifier``; this model has no pooler, so a pooler in the checkpoint is dropped.

    Args:
        checkpoint: Result of ``find``; its weights are downloaded now if necessary.
        label_names: Names of the labels, in the order of the logits.
        seed: Seed of the new weights.

    Raises:
        ModelError: The download failed, a file is damaged, or the weights do not match config.json.
    """
    # A problem_type describes whole texts; Transformers' token classifiers do not use it.
    return _classifier(checkpoint, with_labels(checkpoint.config, label_names, None), seed)


def span_finder(checkpoint: Checkpoint, seed: int) -> "PreTrainedModel":
    """The checkpoint's body in float32 with a question-answering head: start and end at each token.

    As ``token_classifier``; a head that was trained for answers is kept.

    Args:
        checkpoint: Result of ``find``; its weights are downloaded now if necessary.
        seed: Seed of the new weights.

    Raises:
        ModelError: The download failed, a file is damaged, or the weights do not match config.json.
    """
    return _classifier(checkpoint, with_labels(checkpoint.config, BORDERS, None), seed)


def _classifier(checkpoint: Checkpoint, config: "PreTrainedConfig", seed: int) -> "PreTrainedModel":
    """Read the body's weights and what is kept of the head; raise if the body lacks any weight."""
    paths, head = _downloaded(checkpoint), checkpoint.head
    rows = rows_to_keep(checkpoint.config, config, head, paths)
    if rows is None or rows == tuple(range(len(checkpoint.config.id2label or ()))):
        model, report = read_model(checkpoint.folder, paths, config, head, seed)
    else:
        model, report = read_by_label(paths, config, head, seed, rows)
    body = model.base_model_prefix + "."
    added = added_weights(config) if checkpoint.averages else None
    missing = [
        name
        for name in sorted(report["missing_keys"])
        if name.startswith(body)
        and "pooler" not in name.split(".")
        and not (added and name.startswith(body + added))
    ]
    wrong = sorted(entry for entry in report["mismatched_keys"] if entry[0].startswith(body))
    if missing:
        raise errors.model.missing_weights(checkpoint.name, missing)
    if wrong:
        raise errors.model.wrong_shapes(checkpoint.name, wrong)
    if checkpoint.averages:
        average_tokens(model)
    return model


def language_model(checkpoint: Checkpoint) -> "PreTrainedModel":
    """Load the checkpoint's decoder in float32, with an embedding for every tokenizer token.

    The embedding of an added token is the mean of all others, so that it is not an outlier.

    Args:
        checkpoint: from ``find``; its weights are downloaded if necessary.

    Raises:
        ModelError: the download failed, a file is damaged, or the weights do not match
            config.json.

    Source: Hewitt 2021, "Initializing new word embeddings for pretrained language models".
    """
    paths = _downloaded(checkpoint)
    model, report = read_model(checkpoint.folder, paths, checkpoint.config, checkpoint.head, seed=0)
    _refuse_incomplete(checkpoint.name, report)
    grow_vocabulary(model, vocabulary_size(checkpoint.tokenizer))
    save_token_ids(model, checkpoint.tokenizer)
    return model


def pretraining_model(
    checkpoint: Checkpoint, seed: int, label_names: Sequence[str] = ()
) -> "PreTrainedModel":
    """Load the checkpoint's encoder in float32 with a head of its pretraining, or both.

    If the checkpoint has no such head, or no pooler, a new one is initialised with ``seed``; the
    output layer of a masked-language-model head is tied to the word embedding if the model family
    does so. ``new_parts`` reports this. With only that head, the model has no pooler.

    Args:
        checkpoint: from ``find``; its weights are downloaded if necessary.
        seed: seed of the new weights.
        label_names: names of the labels of a next-sentence head, for ``config.json``.

    Raises:
        ModelError: the download failed, a file is damaged, or the weights do not match
            config.json.
    """
    paths, config = _downloaded(checkpoint), checkpoint.config
    if label_names:
        config = with_labels(config, label_names)
    model, report = read_model(checkpoint.folder, paths, config, checkpoint.head, seed)
    body = model.base_model_prefix + "."
    missing = [
        name
        for name in sorted(report["missing_keys"])
        if name.startswith(body) and "pooler" not in name.split(".")
    ]
    _refuse_incomplete(checkpoint.name, {**report, "missing_keys": missing})
    return model


def _downloaded(checkpoint: Checkpoint) -> list[Path]:
    """The files with the weights, downloaded now if they are not in the cache."""
    paths = checkpoint.weight_paths
    if checkpoint.commit is not None and not all(path.exists() for path in paths):
        hub.download_weights(checkpoint.name, checkpoint.commit, checkpoint.weights)
    return paths


def load_run_model(folder: Path, head: Head) -> "PreTrainedModel":
    """Load the trained model from a run directory's ``model/`` in float32.

    Args:
        folder: folder with ``config.json`` and ``model.safetensors``.
        head: the head of the run's task.

    Raises:
        ModelError: a file is missing or damaged, or weights are missing.
    """
    config = read_config(str(folder), folder, head)
    weights = weight_files(folder, held_files(folder), allow_pickle=False)
    if weights is None:
        raise no_weights(str(folder), folder, held_files(folder))
    model, report = read_model(folder, [folder / name for name in weights], config, head, seed=0)
    _refuse_incomplete(str(folder), report)
    if config.problem_type == "regression":
        full_precision_output(model, head)
    return model


def _refuse_incomplete(name: str, report: Mapping[str, Any]) -> None:
    """Raise if weights are missing or have the wrong shapes."""
    if report["missing_keys"]:
        raise errors.model.missing_weights(name, sorted(report["missing_keys"]))
    if report["mismatched_keys"]:
        raise errors.model.wrong_shapes(name, sorted(report["mismatched_keys"]))
