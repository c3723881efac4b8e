"""Read the weights of a checkpoint into a model.

Weights that are missing are initialised with a seed; no global generator changes. Files are checked
before they are read: they are complete, and large enough for the model.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warmstart import errors
from warmstart.models.checkpoints.classifier_heads import Rows, label_weights
from warmstart.models.checkpoints.configuration import Head, skeleton
from warmstart.models.checkpoints.quiet import quiet
from warmstart.models.checkpoints.weights_check import refuse_not_finite, refuse_unfit_weights

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel


def read_model(
    folder: Path | None,
    paths: Sequence[Path],
    config: "PreTrainedConfig",
    head: Head,
    seed: int,
    weights: Mapping[str, Any] | None = None,
) -> tuple["PreTrainedModel", dict[str, Any]]:
    """Load a model in float32; missing weights are initialised.

    Args:
        folder: folder of the checkpoint; None with ``weights``.
        paths: its weight files.
        config: configuration of the model.
        head: head of the model.
        seed: seed of missing weights.
        weights: tensors by name, instead of those of the files.

    Returns:
        The model, and Transformers' report of missing and mismatched weights.

    Raises:
        ModelError: a file is damaged, does not fit the configuration, or has NaN.
    """
    import torch

    check_headers(paths)
    refuse_unfit_weights(paths, config, head)
    # Not the auto class, which follows other settings of the folder.
    model_class: Any = type(skeleton(config, head))
    safetensors = all(path.suffix == ".safetensors" for path in paths)
    try:
        with quiet(), torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            model, report = model_class.from_pretrained(
                folder,
                config=config,
                dtype=torch.float32,
                use_safetensors=safetensors,
                weights_only=True,
                local_files_only=True,
                # Report wrong shapes: a head is replaced, for others the caller raises an error.
                ignore_mismatched_sizes=True,
                output_loading_info=True,
                state_dict=weights,
            )
    except Exception as error:
        if safetensors:  # `_check_headers` found these files valid, so this is a different error
            raise
        raise errors.model.damaged_weights(paths[0], str(error).split("\n")[0]) from error
    refuse_not_finite(paths[0], model)
    return model, report


def read_by_label(
    paths: Sequence[Path], config: "PreTrainedConfig", head: Head, seed: int, rows: Rows
) -> tuple["PreTrainedModel", dict[str, Any]]:
    """Load a classifier that keeps these rows of the checkpoint's head, or nothing of it.

    Args:
        paths: the checkpoint's weight files.
        config: configuration of the model, with its labels.
        head: head of the model.
        seed: seed of new weights.
        rows: from ``rows_to_keep``.

    Returns:
        As ``read_model``.

    Raises:
        ModelError: as ``read_model``.
    """
    import torch

    weights = _tensors(paths)
    with_rows = {name: weights.pop(name, None) for name in label_weights(config, head)}
    kept = [(label, row) for label, row in enumerate(rows) if row is not None]
    if not kept:
        empty = skeleton(config, head)
        body = empty.base_model_prefix + "."
        for name, _ in empty.named_parameters():
            if not name.startswith(body):
                weights.pop(name, None)
    model, report = read_model(None, paths, config, head, seed, weights)
    with torch.no_grad():
        for name, tensor in with_rows.items():
            for label, row in kept:
                model.get_parameter(name)[label] = tensor[row]  # [H], or a single bias
    return model, report


def _tensors(paths: Sequence[Path]) -> dict[str, Any]:
    """Every tensor of the weight files by name; those of safetensors files are memory-mapped."""
    import torch
    from safetensors.torch import load_file

    check_headers(paths)
    weights: dict[str, Any] = {}
    for path in paths:
        try:
            safetensors = path.suffix == ".safetensors"
            weights.update(load_file(path) if safetensors else torch.load(path, weights_only=True))
        except Exception as error:  # `torch.load` raises different errors for damaged files
            raise errors.model.damaged_weights(path, str(error).split("\n")[0]) from error
    return weights


def check_headers(paths: Sequence[Path]) -> None:
    """Raise if a safetensors file is damaged; its header determines the length of the file.

    Args:
        paths: weight files; other formats are not checked.

    Raises:
        ModelError: a file is damaged.
    """
    from safetensors import SafetensorError, safe_open

    for path in paths:
        if path.suffix == ".safetensors":
            try:
                with safe_open(path, framework="np"):
                    pass
            except (SafetensorError, OSError) as error:
                raise errors.model.damaged_weights(path, str(error)) from error
