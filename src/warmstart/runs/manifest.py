"""A manifest: the SHA-256 of every file of a folder, so that damage is found when it is read back.

A disk or a copy can change a bit, and a killed copy can truncate a file. The numbers would still be
read, and the run would continue with another result.
"""

import json
from collections.abc import Collection
from pathlib import Path

from warmstart.data.reading.fetch import sha256_of
from warmstart.runs.safe_files import write_atomically

MANIFEST = "manifest.json"


def write_manifest(folder: Path) -> None:
    """Write ``manifest.json`` for the files that are in ``folder`` now.

    Args:
        folder: a folder without sub-folders.

    Raises:
        RunError: the disk is full or the folder is not writable.
    """
    files = [file for file in sorted(folder.iterdir()) if file.name != MANIFEST and file.is_file()]
    text = json.dumps({file.name: sha256_of(file) for file in files}, indent=1)
    write_atomically(folder / MANIFEST, lambda temporary: temporary.write_text(text, "utf-8"))


def damage_in(folder: Path, without: Collection[str] = ()) -> str | None:
    """What differs from the manifest of ``folder``, as a short text; None if nothing does.

    Args:
        folder: a folder with the files that were there when its manifest was written.
        without: names of files that are not compared.
    """
    try:
        hashes = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        for name, expected in hashes.items():
            if name not in without and sha256_of(folder / name) != expected:
                return f"the content of {name} has changed"
    except OSError as error:
        name = Path(error.filename or MANIFEST).name
        return f"{name} cannot be read ({error.strerror or error})"
    except (ValueError, AttributeError, TypeError):
        return f"{MANIFEST} is damaged"
    return None
