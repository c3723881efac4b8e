"""Open a finished run: its settings, its task and its best model."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from warmstart import errors
from warmstart.config import RunConfig
from warmstart.runs.directory import RunDirectory
from warmstart.runs.manifest import MANIFEST, damage_in
from warmstart.runs.stored import reading
from warmstart.tasks import TASKS, task_type
from warmstart.tasks.capabilities import facts_of, label_names_of
from warmstart.tasks.task import AnyTask

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from warmstart.models.checkpoints.configuration import Head


WEIGHTS = "model.safetensors"


@dataclass(frozen=True, slots=True)
class LoadedRun:
    """A run and its kept model.

    Args:
        directory: the run directory.
        config: its settings.
        task: the task, with its facts.
        model: the best weights, on the CPU, in evaluation mode.
        tokenizer: the checkpoint's tokenizer.
        max_tokens: longest input in tokens.
        identity: that of the run, see ``RunDirectory.identity``.
    """

    directory: RunDirectory
    config: RunConfig
    task: AnyTask
    model: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerBase"
    max_tokens: int
    identity: str | None

    @property
    def head(self) -> "Head":
        """The head of its model."""
        return self.task.head

    @property
    def pairs(self) -> bool:
        """Whether it was trained on pairs of texts."""
        return self.config.data.text_pair is not None


@dataclass(frozen=True, slots=True)
class RunTokenizer:
    """A run's tokenizer without Transformers, whose import takes a second.

    Args:
        backend_tokenizer: the tokenizer of the Rust library, from ``tokenizer.json``.
        model_input_names: names of the model's inputs.
    """

    backend_tokenizer: "Tokenizer"
    model_input_names: list[str]

    @classmethod
    def open(cls, directory: RunDirectory, model_input_names: list[str]) -> "RunTokenizer":
        """Read the tokenizer from ``model/``.

        Args:
            directory: the run directory.
            model_input_names: names of the model's inputs.

        Raises:
            RunError: it is missing or damaged.
        """
        from tokenizers import Tokenizer

        path = directory.model / "tokenizer.json"
        try:
            return cls(Tokenizer.from_file(str(path)), model_input_names)
        except Exception as error:  # the Rust library raises bare Exceptions
            raise errors.run.unreadable(path, error) from error


def task_json(task: AnyTask) -> dict[str, Any]:
    """The content of ``task.json``."""
    return {"task": task.name, "facts": facts_of(task)}


def load_task(directory: RunDirectory) -> tuple[RunConfig, AnyTask]:
    """The settings and the task of a run, without its model.

    Raises:
        RunError: the folder is not a run directory, or is damaged; or its model has other labels.
    """
    config = directory.read_config()
    content = directory.read_json("task.json")
    with reading(directory.entry("task.json")):
        if TASKS.get(content["task"]) is not task_type(config):
            raise ValueError(f"task is {content['task']}, and config.yaml has {config.task}")
        task = task_type(config).from_facts(config, content["facts"])
        names, outputs = label_names_of(task), _outputs_of(directory)
        if names and outputs is not None and names != outputs:
            raise errors.run.other_labels(directory.entry("task.json"), names, outputs)
    return config, task


def _outputs_of(directory: RunDirectory) -> tuple[str, ...] | None:
    """The names of the model's outputs; None if no model was saved yet, or its file is damaged.

    Transformers omits the names from ``config.json`` if they are its defaults, LABEL_0 and LABEL_1.
    The commands that open the model report a damaged file.
    """
    try:
        content = json.loads(directory.model.joinpath("config.json").read_bytes())
        if not content.get("architectures"):
            return None
        names = content.get("id2label", {0: "LABEL_0", 1: "LABEL_1"})
        return tuple(names[key] for key in sorted(names, key=int))
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return None


def no_model(directory: RunDirectory) -> NoReturn:
    """Raise the error for a run without a saved model, which another process may be training.

    Args:
        directory: the run directory.

    Raises:
        RunError: always.
    """
    if directory.in_use:
        raise errors.run.no_model_yet(directory.path)
    raise errors.run.no_model(directory.path)


def refuse_damaged_model(directory: RunDirectory, without: Collection[str] = ()) -> None:
    """Raise if a file of ``model/`` is missing, or is not as the finished run saved it.

    Transformers would replace a missing file by a guess, and read weights with a changed bit.

    Args:
        directory: the run directory.
        without: names of files that are not compared and may be missing.

    Raises:
        RunError: no model was saved yet, or the folder has lost a file or was changed.
    """
    if not (directory.model / WEIGHTS).is_file() and WEIGHTS not in without:
        no_model(directory)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        if not (directory.model / name).is_file():
            raise errors.run.incomplete_model(directory.model, name)
    if (directory.model / MANIFEST).is_file():
        damage = damage_in(directory.model, without)
        if damage is not None:
            raise errors.run.changed_model(directory.model, damage)


def refuse_damaged_start(folder: Path) -> None:
    """Raise if a checkpoint is the model of a finished run, and is not as the run saved it.

    Args:
        folder: the folder of any checkpoint.

    Raises:
        RunError: a file of the model is missing or was changed.
    """
    directory = RunDirectory(folder.parent)
    if folder.name == directory.model.name and directory.is_run:
        refuse_damaged_model(directory)


def load_run(directory: RunDirectory) -> LoadedRun:
    """Open the best model of a run.

    Raises:
        RunError: no model was saved yet, the folder is damaged, or the run was replaced.
    """
    identity = directory.identity
    with directory.holding(identity):
        return _load(directory, identity)


def _load(directory: RunDirectory, identity: str | None) -> LoadedRun:
    from warmstart.models.checkpoints.checkpoint_tokenizer import open_tokenizer, refuse_ids_beyond
    from warmstart.models.checkpoints.load import load_run_model

    config, task = load_task(directory)
    refuse_damaged_model(directory)
    model = load_run_model(directory.model, task.head)
    model.requires_grad_(requires_grad=False)
    model.train(mode=False)
    try:
        tokenizer = open_tokenizer(directory.model, model.config)
    except Exception as error:  # the Rust library raises bare Exceptions
        raise errors.run.unreadable(directory.model / "tokenizer.json", error) from error
    refuse_ids_beyond(str(directory.model), tokenizer, model.config.vocab_size)
    return LoadedRun(
        directory=directory,
        config=config,
        task=task,
        model=model,
        tokenizer=tokenizer,
        max_tokens=directory.read_json("data.json")["max_tokens"],
        identity=identity,
    )
