"""CoLA with the settings of recipe ``cola-offline``: all rows, the first rows, or repeated rows.

Every engine takes rows, split and settings from ``prepare`` with this config, so all engines use
the same rows. All measurements are on the CPU: the device is set here.

Source: Warstadt, Singh & Bowman 2019, arXiv:1805.12471.
"""

from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory

from warmstart import config_file
from warmstart.config import RunConfig

DATA = Path("../shared/data/cola")
TRAIN, TEST = "in_domain_train.tsv", "out_of_domain_dev.tsv"
NAMES = {"bundled/minilm-l6": "cola-minilm", "google-bert/bert-base-uncased": "cola-bert-base"}


def add_options(parser: ArgumentParser) -> None:
    """Add the options that select rows and model."""
    parser.add_argument(
        "--data",
        type=Path,
        default=DATA,
        metavar="FOLDER",
        help=f"folder with CoLA's {TRAIN} and {TEST}; default {DATA}",
    )
    parser.add_argument(
        "--model",
        default="bundled/minilm-l6",
        metavar="NAME",
        help="model.name: a folder, or bundled/minilm-l6 (default)",
    )
    parser.add_argument(
        "--limit",
        type=int,
        metavar="ROWS",
        help="use only the first rows of each file, to test the suite",
    )


def settings(data: Path, model: str, *overrides: str) -> RunConfig:
    """Recipe ``cola-offline`` with local files, on the CPU.

    Args:
        data: folder with the two files.
        model: ``model.name``.
        overrides: further settings, ``KEY=VALUE``.
    """
    local = [f"data.dir={data}", f"model.name={model}", "train.device=cpu"]
    return config_file.load("cola-offline", [*local, *overrides])


def workload(model: str) -> str:
    """The name of this workload in results.

    >>> workload("bundled/minilm-l6")
    'cola-minilm'
    """
    return NAMES.get(model, f"cola-{Path(model).name}")


@contextmanager
def resized(data: Path, rows: int | None, *, repeat: bool = False) -> Iterator[Path]:
    """A temporary copy of ``data`` whose files have ``rows`` rows, for the ``with`` block.

    Args:
        data: folder with the two files.
        rows: rows per file, or fewer if a file has fewer; None yields ``data`` itself.
        repeat: repeat the training file if it has fewer rows.
    """
    if rows is None:
        yield data
        return
    with TemporaryDirectory() as folder:
        for name in (TRAIN, TEST):
            lines = (data / name).read_text(encoding="utf-8").splitlines()
            kept = islice(cycle(lines) if repeat and name == TRAIN else lines, rows)
            text = "".join(f"{line}\n" for line in kept)
            (Path(folder) / name).write_text(text, encoding="utf-8")
        yield Path(folder)
