"""Error messages about folders of ``.txt`` files, each of which is one text."""

import shlex

from warmstart.errors.base import DataError
from warmstart.errors.files import _typed

_FOLDER = "a folder of .txt files, or a folder with a sub-folder of .txt files for each label"


def texts_beside_folders(path: str, setting: str, name: str) -> DataError:
    """``.txt`` files and sub-folders in one folder; ``name``: the first file."""
    return DataError(
        f"{setting}: {path} has .txt files, such as {name}, beside its sub-folders",
        _FOLDER,
        f"move the .txt files that are not in a sub-folder to another place: "
        f"mv {shlex.quote(path)}/*.txt OTHER; or, for the texts without labels, move the "
        "sub-folders",
    )


def other_data(path: str, setting: str, file: str) -> DataError:
    """A data file of another format among the ``.txt`` files."""
    return DataError(
        f"{setting}: {path} has .txt files and other data files, such as {file}",
        f"{_FOLDER}, without data files of other formats",
        f"{_typed(setting, file)}, to read this file; or move it to another place",
    )


def no_class(path: str, *, nested: bool) -> DataError:
    """A sub-folder without ``.txt`` files, or with folders in it."""
    return DataError(
        f"{path} has {'folders in it' if nested else 'no .txt file'}",
        f"{_FOLDER}; each of these sub-folders has only .txt files",
        "name the folder whose sub-folders are the labels; or move this one to another place",
    )
