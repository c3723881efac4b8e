"""Download checkpoints from the Hugging Face Hub: small files first, weights when needed.

All files are stored in the hub client's cache, one folder per commit, where other tools find them
too. The client itself respects ``HF_ENDPOINT`` (a mirror), ``HF_HOME`` (location of the cache),
``HF_HUB_OFFLINE`` and the token of ``hf auth login``. If a commit is cached, one short request
checks whether the branch has a newer commit; without a network the cached commit is used.

Source: https://huggingface.co/docs/huggingface_hub/guides/download and .../guides/manage-cache.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from warmstart import errors
from warmstart.config import ModelConfig
from warmstart.models.checkpoints.quiet import quiet
from warmstart.models.checkpoints.weight_files import SMALL_FILES, held_files, weight_files


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One commit of a hub checkpoint whose small files are in the cache.

    Args:
        folder: the commit's folder in the cache.
        files: names of all files of the commit, cached or not.
        commit: commit hash, 40 hexadecimal digits.
    """

    folder: Path
    files: tuple[str, ...]
    commit: str


def snapshot(model: ModelConfig) -> Snapshot:
    """Download configuration and tokenizer of a hub checkpoint, and list its other files.

    Args:
        model: settings whose ``name`` is a hub id.

    Raises:
        ModelError: there is no such model or revision, access is not allowed, or the download
            failed.
    """
    from huggingface_hub import HfApi

    folder = _download(model, SMALL_FILES)
    files = held_files(folder)
    if weight_files(folder, files, allow_pickle=model.allow_pickle) is None:
        if model.local_files_only:
            raise errors.model.not_cached(model.name)
        try:
            files = tuple(HfApi().list_repo_files(model.name, revision=folder.name))
        except Exception as error:  # as in _download
            raise _download_error(model, error) from error
    return Snapshot(folder, files, folder.name)


def download_weights(name: str, commit: str, weights: Sequence[str]) -> None:
    """Download a commit's weights into its cache folder, with a progress bar in a terminal.

    Args:
        name: hub id.
        commit: commit hash, as in ``Snapshot``.
        weights: names of the weight files.

    Raises:
        ModelError: the download failed.
    """
    _download(ModelConfig(name=name, revision=commit), weights, bars=sys.stderr.isatty())


def _download(model: ModelConfig, names: Sequence[str], *, bars: bool = False) -> Path:
    """Download those of ``names`` that exist, and return the commit's folder in the cache."""
    from huggingface_hub import snapshot_download

    try:
        with quiet(bars=bars):
            folder = snapshot_download(
                model.name,
                revision=model.revision,
                allow_patterns=list(names),
                local_files_only=model.local_files_only,
            )
    except Exception as error:
        # Catch everything: the client's HTTP library differs between versions, and its transfer
        # library raises plain RuntimeErrors. `_download_error` sorts them out.
        raise _download_error(model, error) from error
    return Path(folder)


def _download_error(model: ModelConfig, error: Exception) -> errors.ModelError:
    """Convert an exception of the hub client to our error."""
    from huggingface_hub import constants
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    if isinstance(error, GatedRepoError):
        return errors.model.not_allowed(model.name)
    if isinstance(error, RepositoryNotFoundError | HFValidationError):
        return errors.model.unknown_model(model.name)
    if isinstance(error, RevisionNotFoundError):
        return errors.model.unknown_revision(model.name, str(model.revision))
    if isinstance(error, LocalEntryNotFoundError | OfflineModeIsEnabled):
        if model.local_files_only or constants.HF_HUB_OFFLINE:
            return errors.model.not_cached(model.name)
        if isinstance(error.__cause__, Exception):
            return _download_error(model, error.__cause__)
    if isinstance(error, HfHubHTTPError) and error.response.status_code in (401, 403):
        return errors.model.not_allowed(model.name)
    first_line = next(iter(str(error).strip().splitlines()), "")
    reason = f"{type(error).__name__} {first_line}".strip()
    return errors.model.download_failed(model.name, reason, constants.ENDPOINT)
