"""What is peculiar to a run that pretrains: the checkpoint it starts from is made first.

From the training rows comes a tokenizer, from the seed come weights. ``prepare`` makes both in a
temporary folder, so that a check writes nothing; ``train_run`` moves them to ``start/`` in the run
directory, where a resume finds them as it finds any checkpoint. All else is an ordinary run.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from warmstart import errors
from warmstart.config import ModelConfig, RunConfig
from warmstart.data.examples.encode import CHUNK_ROWS
from warmstart.data.table import Table
from warmstart.models.checkpoints.load import Checkpoint
from warmstart.models.checkpoints.model_sizes import shape_of
from warmstart.models.checkpoints.new_model import new_checkpoint, tokenizer_for
from warmstart.runs.directory import RunDirectory, flush_to_disk, unfinished

_WRITING = frozenset({"text-generation"})
"""Tasks for a decoder; all others are for an encoder."""


def refuse_faulty(config: RunConfig) -> None:
    """Say early, before any file is read, that no model can be made.

    Args:
        config: of a run that is to pretrain.

    Raises:
        ConfigError: the architecture is not one for the task, its heads do not divide its width, or
            ``model.name`` is a checkpoint.
    """
    assert config.pretrain is not None
    architecture, writes = config.pretrain.architecture, config.task in _WRITING
    if (architecture == "gpt2") != writes:
        raise errors.config.architecture_for_task(architecture, config.task, writes=writes)
    shape_of(config.pretrain)
    name = config.model.name
    # In a run directory's config.yaml the name is that of the start it made.
    if name != ModelConfig().name and Path(name).name != RunDirectory(Path()).start.name:
        raise errors.config.model_and_pretrain(name)


def new_start(config: RunConfig, train: Table, folder: Path) -> ModelConfig:
    """Make the checkpoint that ``config.pretrain`` describes; the settings that name it.

    Args:
        config: with a part ``pretrain``.
        train: clean rows, which the tokenizer is learned from.
        folder: to be made.

    Raises:
        ConfigError: the rows do not give so many tokens.
        RunError: no room in ``folder``, or no right to write there.
    """
    assert config.pretrain is not None
    tokenizer = tokenizer_for(_Texts(train, config), config.pretrain)
    new_checkpoint(folder, tokenizer, config.pretrain, config.train.seed)
    return config.model.model_copy(update={"name": str(folder)})


def keep_start(checkpoint: Checkpoint, config: RunConfig, directory: RunDirectory) -> RunConfig:
    """Copy a new checkpoint into the run directory; the config that starts from it there.

    Args:
        checkpoint: from ``new_start``.
        config: of the run.
        directory: of the run.

    Raises:
        RunError: no room, or no right to write.
    """
    partial = unfinished(directory.start)
    try:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(checkpoint.folder, partial)
        for file in partial.iterdir():
            flush_to_disk(file)
        partial.replace(directory.start)
        flush_to_disk(directory.path)
    except OSError as error:
        raise errors.run.cannot_write(directory.start, error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    model = config.model.model_copy(update={"name": str(directory.start.absolute())})
    return config.model_copy(update={"model": model})


@dataclass(frozen=True, slots=True)
class _Texts:
    """Every text of the rows, as often as asked, some thousand alive at a time."""

    table: Table
    config: RunConfig

    def __iter__(self) -> Iterator[str]:
        for setting, column in self.config.data.text_columns.items():
            yield from chain.from_iterable(self.table.chunks({setting: column}, CHUNK_ROWS))
