"""The workload: CoLA as recipe ``cola-offline`` reads it, whole, shortened or repeated.

Every engine takes rows, split and settings from ``prepare`` on this config, so that all see the
same rows. The figures are of the CPU alone: the device is fixed here, not left to be found.

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
    """The options that say which rows and which model."""
    parser.add_argument(
        "--data",
        type=Path,
        default=DATA,
        metavar="FOLDER",
        help=f"holds CoLA's {TRAIN} and {TEST}; by default {DATA}",
    )
    parser.add_argument(
        "--model",
        default="bundled/minilm-l6",
        metavar="NAME",
        help="model.name: a folder, or bundled/minilm-l6 (the default)",
    )
    parser.add_argument(
        "--limit",
        type=int,
        metavar="ROWS",
        help="only the first rows of each file, to try the suite out",
    )


def settings(data: Path, model: str, *overrides: str) -> RunConfig:
    """Recipe ``cola-offline`` on local files, on the CPU.

    Args:
        data: folder with the two files.
        model: ``model.name``.
        overrides: further settings, ``KEY=VALUE``.
    """
    places = [f"data.dir={data}", f"model.name={model}", "train.device=cpu"]
    return config_file.load("cola-offline", [*places, *overrides])


def workload(model: str) -> str:
    """What a result calls CoLA with this model.

    >>> workload("bundled/minilm-l6")
    'cola-minilm'
    """
    return NAMES.get(model, f"cola-{Path(model).name}")


@contextmanager
def resized(data: Path, rows: int | None, *, repeat: bool = False) -> Iterator[Path]:
    """A folder like ``data`` in which each file has ``rows`` rows, while the block lasts.

    Args:
        data: folder with the two files.
        rows: of each file, fewer where it has fewer; None leaves everything as it is.
        repeat: begin the training file anew where it runs out.
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
