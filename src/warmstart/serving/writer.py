"""Prompts in, texts out, from a run's kept model or from any decoder.

What can be wrong with settings and prompts is said before weights are loaded. The model runs in
float32: one token that rounding turned would change all that follow it. A run's verified ONNX file
stands in the place of PyTorch's model and goes the same way, so both write the same.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any, Literal

from warmstart import config_file, errors
from warmstart.config import GenerateConfig, ModelConfig, TrainConfig
from warmstart.data.examples.tokenise import CHUNK_ROWS
from warmstart.devices.device import choose_place
from warmstart.evaluation.novelty import Novelty, novelty
from warmstart.models.checkpoints.configuration import Head
from warmstart.models.checkpoints.load import Checkpoint, find, language_model
from warmstart.models.checkpoints.special_tokens import begin_and_end
from warmstart.models.exclusive_use import needs_exclusive_use
from warmstart.models.generation import (
    Generation,
    encode_prompts,
    generate,
    prepare_to_generate,
)
from warmstart.preparation.prepare import given_rows
from warmstart.preparation.stages import read_sources, split_tables
from warmstart.runs.directory import RunDirectory
from warmstart.runs.loaded_run import load_task
from warmstart.serving.onnx_runner import verified_file
from warmstart.serving.open_once import OpenOnce
from warmstart.tasks.capabilities import Generates

if TYPE_CHECKING:
    from transformers import PreTrainedModel

GENERATION_HEAD: Head = "causal-lm"
"""Head of every model that generates text."""

WriterName = Literal["torch", "onnx"]
"""What runs a model that writes."""


@dataclass(frozen=True, slots=True)
class OpenDecoder:
    """A decoder that is ready to generate.

    Args:
        model: never changed.
        turn: held by the thread that runs it; without effect if threads may run it together.
    """

    model: "PreTrainedModel"
    turn: AbstractContextManager[object]


@dataclass(frozen=True, slots=True)
class Writer:
    """A decoder that generates text; its weights are loaded at the first prompt.

    Any number of threads may use it.

    Args:
        checkpoint: found and checked.
        settings: how it writes where nothing else is said.
        train: whose device it runs on.
        begin: id of the token that every text begins with; None for none.
        end: id of the token that ends one.
        onnx: the file to run in place of the checkpoint's weights; None for these.
    """

    checkpoint: Checkpoint
    settings: GenerateConfig
    train: TrainConfig
    begin: int | None
    end: int
    onnx: Path | None = None
    _opened: OpenOnce[OpenDecoder] = field(
        default_factory=OpenOnce, init=False, repr=False, compare=False
    )

    def write(
        self,
        prompts: Sequence[str],
        changes: Mapping[str, Any],
        on_text: Callable[[str], None] | None = None,
    ) -> list[Generation]:
        """Go on with each prompt.

        Args:
            prompts: texts to go on with.
            changes: settings in place of the writer's own.
            on_text: given the text as it is made, for one prompt and one continuation.

        Raises:
            ConfigError: a setting is unknown or outside its limits.
            DataError: a prompt is longer than the model can read.
        """
        settings = config_file.generation(self.settings, changes)
        limit = self.checkpoint.max_positions
        encode_prompts(self.checkpoint.tokenizer, prompts, self.begin, limit)
        opened = self._opened.get("decoder", self._open)
        with opened.turn:
            return generate(
                opened.model,
                self.checkpoint.tokenizer,
                prompts,
                settings,
                bos=self.begin,
                eos=self.end,
                max_positions=limit,
                on_text=on_text,
            )

    def _open(self) -> OpenDecoder:
        if self.onnx is not None:
            from warmstart.export.decoder_session import OnnxDecoder, as_model

            model = as_model(OnnxDecoder.open(self.onnx))
        else:
            exact = self.train.model_copy(update={"precision": "float32"})
            model = language_model(self.checkpoint)
            model.to(choose_place(exact).device)  # type: ignore[arg-type]  # as in torch_runner
        prepare_to_generate(model)
        # Reentrant, because ``on_text`` may generate as well.
        return OpenDecoder(model, RLock() if needs_exclusive_use(model) else nullcontext())


def open_writer(name: str | Path, engine: WriterName = "torch") -> Writer:
    """The model of a run, or a checkpoint that no run here has trained.

    Args:
        name: a run directory, hub id or folder.
        engine: what runs it.

    Raises:
        ExportError: the ONNX model is not there, was changed, or cannot be run here.
        RunError: the run learned another task, kept no model yet, or is damaged.
        ModelError: there is no such checkpoint, or it is no decoder.
    """
    directory = RunDirectory(Path(name))
    settings, train = GenerateConfig(), TrainConfig()
    if directory.is_run:
        _, task = load_task(directory)
        if not isinstance(task, Generates):
            raise errors.run.does_not_write(directory.path, task.name)
        if not (directory.model / "model.safetensors").is_file():
            raise errors.run.no_model(directory.path)
        config = directory.read_config()
        settings, train = config.generate, config.train
    elif engine != "torch":
        raise errors.export.checkpoint_not_exported(str(name))
    onnx = None if engine == "torch" else verified_file(directory, engine)[0]
    found = directory.model if directory.is_run else name
    checkpoint = find(ModelConfig(name=str(found)), GENERATION_HEAD)
    begin, end = begin_and_end(checkpoint.tokenizer)
    # A checkpoint without a token to begin with was trained on texts that just began; no run was.
    own = directory.is_run or checkpoint.tokenizer.bos_token_id is not None
    return Writer(checkpoint, settings, train, begin if own else None, end, onnx)


def training_novelty(directory: RunDirectory, texts: Sequence[str]) -> Novelty:
    """Hold texts against the rows a run was trained on; warns where its files have changed since.

    Args:
        directory: of the run.
        texts: what was written.

    Raises:
        DataError: the training file is no longer there, or cannot be read.
    """
    return novelty(texts, _training_texts(directory))


def _training_texts(directory: RunDirectory) -> Iterator[str]:
    """The training split, text by text, as the run read it."""
    config = directory.read_config()
    table = split_tables(config, read_sources(config), given_rows(directory))["train"]
    known = {file["sha256"] for file in directory.read_json("data.json")["files"]["train"]}
    for file in table.files:
        if file.sha256 not in known:
            warnings.warn(f"{file.path} is not as it was when the run read it", stacklevel=3)
    for texts in table.chunks({"data.text": config.data.text}, CHUNK_ROWS):
        yield from texts
