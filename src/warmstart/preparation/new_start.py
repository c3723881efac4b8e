"""The new checkpoint for a pretraining run.

The tokenizer is learned from the training rows; the weights are initialised with the seed.
``prepare`` creates both in a temporary folder, so that a check writes nothing; ``train_run`` moves
them to ``start/`` in the run directory, where a resumed run finds them like any checkpoint.
Everything else is an ordinary run.
"""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import psutil

from warmstart import errors
from warmstart.config import ModelConfig, RunConfig
from warmstart.data.examples.tokenise import CHUNK_ROWS
from warmstart.data.table import Table
from warmstart.models.checkpoints.load import Checkpoint
from warmstart.models.checkpoints.model_sizes import HEADS, refuse_too_large
from warmstart.models.checkpoints.new_model import SPECIAL_TOKENS, new_checkpoint, tokenizer_for
from warmstart.runs.directory import RunDirectory
from warmstart.runs.safe_files import write_folder
from warmstart.tasks import task_type


def refuse_faulty(config: RunConfig) -> None:
    """Refuse settings with which no model can be created, before any file is read.

    Args:
        config: settings of a pretraining run.

    Raises:
        ConfigError: the architecture does not fit the task, its heads do not divide its width, or
            ``model.name`` is a checkpoint, or the new model does not fit into memory.
    """
    assert config.pretrain is not None
    architecture, head = config.pretrain.architecture, task_type(config).head
    if head not in HEADS[architecture]:
        fitting = next(name for name, heads in HEADS.items() if head in heads)
        raise errors.config.architecture_for_task(architecture, config.task, fitting)
    refuse_too_large(config.pretrain, _memory(config))
    name = config.model.name
    # The config.yaml of a pretraining run names its own start/ as the checkpoint.
    if name != ModelConfig().name and Path(name).name != RunDirectory(Path()).start.name:
        raise errors.config.model_and_pretrain(name)


def _memory(config: RunConfig) -> int:
    """Bytes of memory to train in: those of the machine, or of its GPU if it has more."""
    import torch

    memory: int = psutil.virtual_memory().total
    if config.train.device == "auto" and torch.cuda.is_available():
        memory = max(memory, torch.cuda.mem_get_info()[1])
    return memory


def new_start(config: RunConfig, train: Table, folder: Path) -> ModelConfig:
    """Create the checkpoint that ``config.pretrain`` describes; return the settings that name it.

    Args:
        config: settings with the group ``pretrain``.
        train: clean rows, from which the tokenizer is learned.
        folder: the folder to create.

    Raises:
        ConfigError: the rows are too few for this number of tokens.
        RunError: ``folder`` cannot be written, or the disk is full.
    """
    assert config.pretrain is not None
    tokenizer = tokenizer_for(_Texts(train, config), config.pretrain)
    seed, head = config.train.seed_of("initialization"), task_type(config).head
    new_checkpoint(folder, tokenizer, config.pretrain, seed, head)
    return config.model.model_copy(update={"name": str(folder)})


def keep_start(checkpoint: Checkpoint, config: RunConfig, directory: RunDirectory) -> RunConfig:
    """Copy a new checkpoint into the run directory; return the config that starts from it.

    Args:
        checkpoint: a checkpoint made by ``new_start``.
        config: settings of the run.
        directory: the run directory.

    Raises:
        RunError: the disk is full, or writing is not permitted.
    """
    write_folder(
        directory.start,
        lambda folder: shutil.copytree(checkpoint.folder, folder, dirs_exist_ok=True),
    )
    model = config.model.model_copy(update={"name": str(directory.start.absolute())})
    return config.model_copy(update={"model": model})


@dataclass(frozen=True, slots=True)
class _Texts:
    """All texts of the rows; can be iterated again; a few hundred are in memory at a time.

    Control tokens that act as tokens are no text, so nothing is learned from their names.
    """

    table: Table
    config: RunConfig

    def __iter__(self) -> Iterator[str]:
        assert self.config.pretrain is not None
        names = SPECIAL_TOKENS[self.config.pretrain.architecture]
        control = re.compile("|".join(map(re.escape, names)))
        for setting, column in self.config.data.text_columns.items():
            for text in chain.from_iterable(self.table.chunks({setting: column}, CHUNK_ROWS)):
                if self.config.data.control_tokens == "tokens":
                    yield from control.split(text)
                else:
                    yield text
