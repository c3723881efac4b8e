"""Generated texts for prompts, from a run's kept model or from any decoder.

Settings and prompts are checked before weights are loaded. The model runs in float32: one token
that rounding changed would change all tokens after it. A run's verified ONNX file can be used
instead of PyTorch's model; the loop around it is the same, and so are the texts.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any, Literal, get_args

from warmstart import config_file, errors
from warmstart.config import ControlTokens, GenerateConfig, TrainConfig
from warmstart.data.examples.tokenise import CHUNK_ROWS, control_in_text
from warmstart.data.reading.paths import given_path
from warmstart.devices.device import choose_place
from warmstart.evaluation.novelty import Novelty, novelty
from warmstart.models.checkpoints.configuration import Head
from warmstart.models.checkpoints.load import (
    Checkpoint,
    find,
    language_model,
    model_named,
)
from warmstart.models.checkpoints.special_tokens import begin_and_end, vocabulary_size
from warmstart.models.exclusive_use import needs_exclusive_use
from warmstart.models.generation import (
    Generation,
    encode_prompts,
    generate,
    prepare_to_generate,
)
from warmstart.preparation.training_rows import training_splits
from warmstart.runs.directory import RunDirectory
from warmstart.runs.loaded_run import load_task, refuse_damaged_model
from warmstart.serving.engine import engine_name, warn_if_unfinished
from warmstart.serving.given_texts import listed
from warmstart.serving.onnx_runner import verified_file
from warmstart.serving.open_once import OpenOnce
from warmstart.tasks.capabilities import Generates

if TYPE_CHECKING:
    from transformers import PreTrainedModel

GENERATION_HEAD: Head = "causal-lm"
"""Head of every model that generates text."""

WriterName = Literal["torch", "onnx"]
"""The runtime of a decoder."""


@dataclass(frozen=True, slots=True)
class OpenDecoder:
    """A decoder that is ready to generate.

    Args:
        model: the model; never changed.
        turn: a lock for the thread that runs it; no effect if threads may run it at the same time.
    """

    model: "PreTrainedModel"
    turn: AbstractContextManager[object]


@dataclass(frozen=True, slots=True)
class Writer:
    """A decoder that generates text; its weights are loaded at the first prompt.

    Any number of threads may use it.

    Args:
        checkpoint: a checked checkpoint.
        settings: the default settings of generation.
        train: the training settings, which name the device.
        begin: id of the token at the beginning of every text; None if there is none.
        end: id of the token at the end of a text.
        max_positions: the model's longest input, new tokens included; None if there is no limit.
        control_tokens: how the name of a control token in a prompt is read by default.
        onnx: the file to run instead of the checkpoint's weights; None for the weights.
    """

    checkpoint: Checkpoint
    settings: GenerateConfig
    train: TrainConfig
    begin: int | None
    end: int
    max_positions: int | None
    control_tokens: ControlTokens
    onnx: Path | None = None
    _opened: OpenOnce[OpenDecoder] = field(
        default_factory=OpenOnce, init=False, repr=False, compare=False
    )

    def write(
        self,
        prompts: Iterable[str],
        changes: Mapping[str, Any],
        on_text: Callable[[str], None] | None = None,
        control_tokens: ControlTokens | None = None,
    ) -> list[Generation]:
        """Continue each prompt.

        Args:
            prompts: texts.
            changes: settings that replace the defaults.
            on_text: called with each new piece of text; for one prompt and continuation only.
            control_tokens: how the name of a control token in a prompt is read; None for the
                default.

        Raises:
            ConfigError: a setting is unknown or outside its limits.
            DataError: a prompt is longer than the model's longest input.
        """
        settings = config_file.generation(self.settings, changes)
        if (texts := listed(prompts)) is None:
            raise errors.prompt.unusable("prompts", prompts)
        tokenizer, read_as = self.checkpoint.tokenizer, control_tokens or self.control_tokens
        if read_as not in get_args(ControlTokens):
            raise errors.prompt.control_tokens(read_as, get_args(ControlTokens))
        control = control_in_text(tokenizer, read_as)
        # Before weights are loaded, so that an unusable prompt is refused at once.
        encode_prompts(tokenizer, texts, self.begin, self.max_positions, control)
        opened = self._opened.get("decoder", self._open)
        with opened.turn:
            return generate(
                opened.model,
                tokenizer,
                texts,
                settings,
                bos=self.begin,
                eos=self.end,
                max_positions=self.max_positions,
                control=control,
                on_text=on_text,
            )

    def _open(self) -> OpenDecoder:
        if self.onnx is not None:
            from warmstart.export.decoder_session import OnnxDecoder, as_model

            decoder = OnnxDecoder.open(self.onnx)
            tokens = vocabulary_size(self.checkpoint.tokenizer)
            if decoder.vocabulary < tokens:
                reason = f"it has {decoder.vocabulary} outputs, and the run has {tokens} tokens"
                raise errors.export.unusable_file(self.onnx, reason)
            model = as_model(decoder)
        else:
            exact = self.train.model_copy(update={"precision": "float32"})
            model = language_model(self.checkpoint)
            model.to(choose_place(exact).device)  # type: ignore[arg-type]  # as in torch_runner
        prepare_to_generate(model)
        # Reentrant, because ``on_text`` may generate as well.
        return OpenDecoder(model, RLock() if needs_exclusive_use(model) else nullcontext())


def open_writer(name: str | Path, engine: WriterName | None = None) -> Writer:
    """Open the model of a run, or any other decoder; warns if the run is not finished.

    Args:
        name: a run directory, hub id or folder.
        engine: the runtime; None for ``onnx`` if the run was exported, as in ``engine_name``.

    Raises:
        ExportError: the ONNX model does not exist, was changed, or cannot run on this machine.
        RunError: the run has another task, has no kept model yet, or is damaged.
        ModelError: there is no such checkpoint, or it is not a decoder.
    """
    model, directory = model_named(name), RunDirectory(given_path(name, "name"))
    directory.recover()
    settings, train = GenerateConfig(), TrainConfig()
    control: ControlTokens = "text"
    if directory.is_run:
        directory = RunDirectory.open(directory.path)
        _, task = load_task(directory)
        if not isinstance(task, Generates):
            raise errors.run.does_not_write(directory.path, task.name)
        refuse_damaged_model(directory)
        config = directory.read_config()
        settings, train = config.generate, config.train
        control = config.data.control_tokens
        engine = engine or engine_name(directory)
        warn_if_unfinished(directory)
    elif engine == "onnx":
        raise errors.export.checkpoint_not_exported(str(name))
    onnx = None if engine != "onnx" else verified_file(directory, engine)[0]
    if directory.is_run:
        model = model_named(directory.model)
    checkpoint = find(model, GENERATION_HEAD)
    begin, end = begin_and_end(checkpoint.tokenizer)
    # A plain checkpoint may have been trained without a begin token; a run always has one.
    own = directory.is_run or checkpoint.tokenizer.bos_token_id is not None
    # The limit is determined by building an empty model: once, not in every call.
    limit = checkpoint.max_positions
    return Writer(checkpoint, settings, train, begin if own else None, end, limit, control, onnx)


def training_novelty(directory: RunDirectory, texts: Sequence[str]) -> Novelty:
    """Compare texts with the training rows of a run; warns about files that have changed since.

    Args:
        directory: the run directory.
        texts: generated texts.

    Raises:
        DataError: ``texts`` are no list of texts, or the training file cannot be read.
    """
    if (values := listed(texts)) is None or not all(isinstance(text, str) for text in values):
        raise errors.data.not_a_list("texts", texts)
    return novelty(values, _training_texts(directory))


def _training_texts(directory: RunDirectory) -> Iterator[str]:
    """The texts of the training split, in the same form as in training."""
    config = directory.read_config()
    table = training_splits(directory)["train"]
    for texts in table.chunks({"data.text": config.data.text}, CHUNK_ROWS):
        yield from texts
