"""Vectors of texts, from a run's model or from any checkpoint, for other programs to use.

Everything that can be refused without weights is refused when the model is named; the weights are
loaded for the first text. Texts are tokenised and run as for predictions (``torch_runner``), file
by file in blocks of rows, so that the vectors of a large file are never in memory at the same time.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa

from warmstart.config import DataConfig, RunConfig
from warmstart.data.examples.batches import Examples
from warmstart.data.examples.long_rows import encode_rows
from warmstart.data.examples.targets import NoTargets
from warmstart.data.examples.tokens import Bools
from warmstart.data.labels import clean_rows
from warmstart.data.reading.paths import given_path
from warmstart.data.table import Table
from warmstart.devices.device import choose_place
from warmstart.evaluation.store import prediction_table
from warmstart.models.checkpoints.configuration import Head, read_config
from warmstart.models.checkpoints.load import (
    Checkpoint,
    find,
    language_model,
    model_named,
    resolve_max_tokens,
    sequence_classifier,
    token_classifier,
)
from warmstart.models.checkpoints.vector_pooling import (
    VectorPooling,
    hidden_layer,
    vector_pooling,
)
from warmstart.models.tuning.features import Floats32
from warmstart.runs.directory import RunDirectory
from warmstart.runs.loaded_run import refuse_damaged_model
from warmstart.serving.engine import Engine, open_engine
from warmstart.serving.file_settings import Source, file_config
from warmstart.serving.given_texts import text_table
from warmstart.serving.open_once import OpenOnce
from warmstart.serving.predictor import answerable_rows, warn_of_truncated_rows, with_columns
from warmstart.serving.torch_runner import TorchRunner, runner_for

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Pooling = VectorPooling | Literal["auto"]
"""``auto`` is what suits the checkpoint, see ``vector_pooling``."""

ROWS_IN_MEMORY = 4096
"""Rows of a file whose vectors are in memory at the same time; long enough to sort by length."""


@dataclass(frozen=True, slots=True)
class LoadedCheckpoint:
    """A checkpoint in memory, as ``torch_runner.Loaded`` describes it."""

    model: "PreTrainedModel"
    head: Head
    tokenizer: "PreTrainedTokenizerBase"
    max_tokens: int
    pairs: bool = False


@dataclass(frozen=True, slots=True)
class OpenEncoder:
    """A model that is ready to run, with what is needed to tokenise for it.

    Args:
        tokenizer: its tokenizer; no call changes it.
        max_tokens: its longest input in tokens.
        runner: the model.
    """

    tokenizer: Any
    max_tokens: int
    runner: TorchRunner


@dataclass(frozen=True, slots=True)
class Embedder:
    """A model that turns texts into vectors; any number of threads may use it.

    Args:
        config: settings that name the columns.
        pooling: which tokens of a text stand for it.
        layer: index into Transformers' ``hidden_states``, from 0.
        normalize: whether vectors have length 1.
        open_model: loads the weights; called once.
    """

    config: RunConfig
    pooling: VectorPooling
    layer: int
    normalize: bool
    open_model: Callable[[], OpenEncoder]
    _opened: OpenOnce[OpenEncoder] = field(
        default_factory=OpenOnce, init=False, repr=False, compare=False
    )

    def texts(
        self, texts: Iterable[str], text_pairs: Iterable[str] | None = None
    ) -> tuple[Floats32, Bools]:
        """The vectors of texts, or of pairs of texts, in order.

        Args:
            texts: any sequence of texts, see ``given_texts``.
            text_pairs: the second text of each.

        Returns:
            The vectors, float32 [N, H], and whether each text was truncated, bool [N].

        Raises:
            DataError: a text is empty or not a string; a single string is given instead of a list;
                second texts are given and the model reads single texts, or the reverse.
        """
        table = text_table(self.config.data, texts, text_pairs)
        opened = self._open()
        width: int = opened.runner.model.config.hidden_size
        found = np.empty((len(table), width), dtype=np.float32)
        truncated = np.zeros(len(table), dtype=np.bool_)
        for start in range(0, len(table), ROWS_IN_MEMORY):
            part = slice(start, start + ROWS_IN_MEMORY)
            found[part], truncated[part] = self.rows(table.part(start, ROWS_IN_MEMORY))
        warn_of_truncated_rows(int(truncated.sum()), len(table), "text", opened.max_tokens)
        return found, truncated

    def rows(self, table: Table, data: DataConfig | None = None) -> tuple[Floats32, Bools]:
        """The vectors of the rows of a table, float32 [N, H], and which were truncated, bool [N].

        Args:
            table: N rows with texts, at least one.
            data: names the columns; by default as ``config`` does.
        """
        opened, data = self._open(), data or self.config.data
        if len(data.text_columns) > 1:  # only single texts are read in windows
            data = data.model_copy(update={"long_documents": "truncate"})
        tokens = encode_rows(table, data, opened.tokenizer, opened.max_tokens)
        vectors = opened.runner.vectors(Examples(tokens, NoTargets()), self.pooling, self.layer)
        if self.normalize:
            vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        return vectors, tokens.truncated

    @property
    def max_tokens(self) -> int:
        """The model's longest input in tokens; opens the model."""
        return self._open().max_tokens

    @property
    def width(self) -> int:
        """Length of a vector, H; opens the model."""
        found: int = self._open().runner.model.config.hidden_size
        return found

    def _open(self) -> OpenEncoder:
        return self._opened.get("model", self.open_model)


@dataclass(frozen=True, slots=True)
class FileVectors:
    """The rows of file(s), and their vectors once they are asked for.

    Args:
        embedder: the model.
        data: names the columns.
        table: N rows.
        answered: whether a row has a text, bool [N].
        keep_columns: whether the other columns of the file(s) are wanted.
    """

    embedder: Embedder
    data: DataConfig
    table: Table
    answered: Bools
    keep_columns: bool

    def blocks(self) -> Iterator[pa.Table]:
        """The rows in blocks: row, file, line, text(s), vector, truncated.

        A row without a text has nulls. All blocks have the same columns. After the last one, warns
        about rows that were truncated.
        """
        cut = 0
        for start in range(0, len(self.table), ROWS_IN_MEMORY):
            part = self.table.part(start, ROWS_IN_MEMORY)
            answered = self.answered[start : start + ROWS_IN_MEMORY]
            block, truncated = self._block(part, answered)
            cut += truncated
            yield block
        rows = int(self.answered.sum())
        warn_of_truncated_rows(cut, rows, "row", self.embedder.max_tokens)

    def _block(self, part: Table, answered: Bools) -> tuple[pa.Table, int]:
        """One block, and how many of its rows were truncated."""
        vectors = np.zeros((len(part), self.embedder.width), dtype=np.float32)
        truncated = np.zeros(len(part), dtype=np.bool_)
        if answered.any():
            vectors[answered], truncated[answered] = self.embedder.rows(
                part.filter(answered), self.data
            )
        rows = prediction_table(None, part, self.data, labels=None)
        listed = pa.FixedSizeListArray.from_arrays(
            pa.array(vectors.ravel()), vectors.shape[1], mask=pa.array(~answered)
        )
        rows = rows.append_column("vector", listed)
        rows = rows.append_column("truncated", pa.array(truncated, mask=~answered))
        if self.keep_columns:
            rows = with_columns(rows, part.columns, self.data)
        return rows, int(truncated.sum())


def embed_file(
    embedder: Embedder,
    source: Source | Sequence[Source],
    overrides: Sequence[str] = (),
    *,
    keep_columns: bool = False,
) -> FileVectors:
    """Read file(s) whose rows are to become vectors; no weights are loaded yet.

    As in ``predict_file``, a row without a text stays in the result, without a vector.

    Args:
        embedder: the model.
        source: the file(s).
        overrides: settings in which they differ from the training file.
        keep_columns: whether the result has all columns of the file(s).

    Raises:
        ConfigError: an override is not a setting for reading files.
        DataError: a file cannot be read or lacks the text column.
    """
    config = file_config(embedder.config, overrides, source, labelled=False)

    def clean(data: DataConfig, table: Table) -> tuple[Table, dict[str, int]]:
        return clean_rows(table, data, labelled=False)

    found = answerable_rows(config.data, clean, source, overrides, "vector")
    return FileVectors(embedder, config.data, found.table, found.answered, keep_columns)


def open_embedder(
    name: str | Path, *, pooling: Pooling = "auto", layer: int = -1, normalize: bool = False
) -> Embedder:
    """Name the model of a run, or any other checkpoint, and how a text becomes a vector.

    Args:
        name: a run directory, hub id or folder.
        pooling: which tokens of a text stand for it; ``auto``: what suits the checkpoint.
        layer: index into Transformers' ``hidden_states``; a negative one counts from the end.
        normalize: whether vectors have length 1.

    Raises:
        ConfigError: there is no such layer, or the pooling has no meaning for the model.
        ModelError: there is no such checkpoint.
        RunError: the run has no kept model yet, or is damaged.
    """
    model, directory = model_named(name), RunDirectory(given_path(name, "name"))
    directory.recover()
    if directory.is_run:
        return run_embedder(
            directory,
            lambda: open_engine(directory, "torch"),
            pooling=pooling,
            layer=layer,
            normalize=normalize,
        )
    checkpoint = find(model)
    max_tokens = resolve_max_tokens(checkpoint, "auto")
    # The name of a training file is never read, but a config has one.
    config = RunConfig(model=model, data=DataConfig(train="texts"))

    def load() -> OpenEncoder:
        found = LoadedCheckpoint(
            _natural_model(checkpoint), checkpoint.head, checkpoint.tokenizer, max_tokens
        )
        runner = runner_for(found, choose_place(config.train))
        return OpenEncoder(checkpoint.tokenizer, max_tokens, runner)

    return Embedder(
        config,
        vector_pooling(checkpoint.config, checkpoint.folder, pooling),
        hidden_layer(checkpoint.config, layer),
        normalize,
        load,
    )


def run_embedder(
    directory: RunDirectory,
    open_run: Callable[[], Engine],
    *,
    pooling: Pooling = "auto",
    layer: int = -1,
    normalize: bool = False,
) -> Embedder:
    """The same for the kept model of a run.

    Args:
        directory: the run directory.
        open_run: opens its ``torch`` engine.
        pooling: as for ``open_embedder``, like the other arguments.
        layer: as for ``open_embedder``.
        normalize: as for ``open_embedder``.
    """
    directory = RunDirectory.open(directory.path)
    refuse_damaged_model(directory)
    model = read_config(str(directory.model), directory.model, None)
    config = directory.read_config()
    # A prompt is context for a text that is to be generated; here the text is there.
    data = config.data.model_copy(update={"prompt": None})

    def load() -> OpenEncoder:
        engine = open_run()
        assert isinstance(engine.runner, TorchRunner)
        return OpenEncoder(engine.tokenizer, engine.max_tokens, engine.runner)

    return Embedder(
        config.model_copy(update={"data": data}),
        vector_pooling(model, directory.model, pooling),
        hidden_layer(model, layer),
        normalize,
        load,
    )


def embed(
    name: str | Path,
    texts: Iterable[str],
    text_pairs: Iterable[str] | None = None,
    *,
    pooling: Pooling = "auto",
    layer: int = -1,
    normalize: bool = False,
) -> Floats32:
    """One vector for each text, from a run's model or any checkpoint; see ``Run.embed``.

    Args:
        name: a run directory, hub id, folder, or a bundled model.
        texts: as for ``Run.embed``, like the other arguments.
        text_pairs: the second text of each, for a run that was trained on pairs.
        pooling: ``auto``, ``first``, ``mean`` or ``last``.
        layer: index into Transformers' ``hidden_states``.
        normalize: whether vectors have length 1.

    Returns:
        float32 [N, H].
    """
    found = open_embedder(name, pooling=pooling, layer=layer, normalize=normalize)
    return found.texts(texts, text_pairs)[0]


def _natural_model(checkpoint: Checkpoint) -> "PreTrainedModel":
    """Load a checkpoint for its hidden states, with the head that it has or a new one.

    Args:
        checkpoint: from ``find`` without a head; its weights are downloaded if necessary.

    Raises:
        ModelError: the download failed, a file is damaged, or the weights do not match
            config.json.
    """
    if checkpoint.head == "causal-lm":
        return language_model(checkpoint)
    labels = tuple(map(str, (checkpoint.config.id2label or {}).values()))
    if checkpoint.head == "token-classification":
        return token_classifier(checkpoint, labels, seed=0)
    return sequence_classifier(checkpoint, labels, seed=0)
