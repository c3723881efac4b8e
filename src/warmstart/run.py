"""``Run``: a training run on disk, with methods to read its scores and to use its model.

For scripts and notebooks: what the commands after training do; the others are in ``warmstart.api``.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warmstart.config import ControlTokens, RunConfig
from warmstart.config.overrides import Overrides, override_texts
from warmstart.runs.directory import RunDirectory
from warmstart.serving.open_once import OpenOnce

if TYPE_CHECKING:
    import pyarrow as pa

    from warmstart.data.reading.python_tables import Data
    from warmstart.models.tuning.features import Floats32
    from warmstart.serving.embedder import Embedder, Pooling
    from warmstart.serving.engine import Engine, EngineName
    from warmstart.serving.writer import Writer, WriterName
    from warmstart.tasks.task import Usage

Metrics = dict[str, dict[str, Any]]
"""``{metric: {"value", "low", "high", "n", "higher_is_better"}}``."""


@dataclass(frozen=True)
class Run:
    """One training run on disk. The model is opened at its first use and stays open.

    Any number of threads may predict, evaluate and generate with one ``Run``.

    Args:
        path: the run directory.
    """

    path: Path
    _engines: "OpenOnce[Engine]" = field(
        default_factory=OpenOnce, init=False, repr=False, compare=False
    )
    _writers: "OpenOnce[Writer]" = field(
        default_factory=OpenOnce, init=False, repr=False, compare=False
    )

    _embedders: "OpenOnce[Embedder]" = field(
        default_factory=OpenOnce, init=False, repr=False, compare=False
    )

    @property
    def config(self) -> RunConfig:
        """Every setting of the run."""
        return RunDirectory(self.path).read_config()

    @property
    def usage(self) -> "Usage":
        """How the trained model is used: a command, and lines of Python."""
        from warmstart.runs.loaded_run import load_task

        return load_task(RunDirectory(self.path))[1].usage()

    @property
    def scores(self) -> dict[str, Metrics]:
        """Scores of the kept model: ``{split: {metric: {"value", "low", "high", "n"}}}``."""
        return {name: content["scores"] for name, content in self._evaluations().items()}

    @property
    def baselines(self) -> dict[str, dict[str, Metrics]]:
        """Scores of the baselines: ``{baseline: {split: {metric: …}}}``."""
        found: dict[str, dict[str, Metrics]] = {}
        for split, content in self._evaluations().items():
            for baseline, metrics in content["baselines"].items():
                found.setdefault(baseline, {})[split] = metrics
        return found

    def predict(
        self,
        texts: Iterable[str],
        text_pairs: Iterable[str] | None = None,
        *,
        engine: "EngineName | None" = None,
        top_k: int | None = None,
    ) -> list[dict[str, Any]]:
        """Predictions for texts, in order.

        The content of a prediction depends on the task; ``predict --json`` prints the same:
        ``{"row", "label", "probabilities", "truncated"}`` for a classifier, ``"labels"`` for
        several labels per row, ``"value"`` for a regression, ``"score"`` and ``"logit"`` for a
        ranking, ``"masks"`` for texts with masks.

        Args:
            texts: a list or any other sequence of texts, such as a tuple, an array, or a column of
                a table; none of them empty.
            text_pairs: the second text of each, for a run that was trained on pairs.
            engine: ``torch``, ``onnx`` or ``int8``; by default ``onnx`` if ``export`` wrote it and
                ONNX Runtime is installed.
            top_k: only the probabilities of this many labels, the most probable first.

        Raises:
            ConfigError: ``top_k`` is larger than the number of labels, or there are no labels.
            DataError: a text is empty or has no mask, or second texts are missing or not expected.
            ExportError: this ONNX model does not exist, or was changed.
            RunError: the run has no kept model yet.
        """
        from warmstart.serving.predictor import predict_texts

        found = predict_texts(self._engine(engine), texts, text_pairs, top_k=top_k)
        return [prediction.to_json() for prediction in found]

    def predict_file(
        self,
        data: "Data",
        overrides: Overrides = (),
        *,
        engine: "EngineName | None" = None,
        top_k: int | None = None,
        keep_columns: bool = False,
    ) -> "pa.Table":
        """Predictions for every row of a file: row, file, line, text(s), prediction, probabilities.

        A row without a text stays in the table, with nulls for its prediction.

        Args:
            data: the file(s), or a table as for ``train``.
            overrides: what is different in them, e.g. ``["data.format=csv", "data.text=body"]`` or
                ``{"data.format": "csv", "data.text": "body"}``.
            engine: as for ``predict``.
            top_k: as for ``predict``; the columns are then ``label_1``, ``probability_1``, ….
            keep_columns: whether the table has the other columns of the file, too.

        Raises:
            DataError: the file cannot be read or lacks the text column.
            ExportError: this ONNX model does not exist, or was changed.
            RunError: the run has no kept model yet.
        """
        from warmstart.data.reading.python_tables import paths_of
        from warmstart.serving.file_settings import file_config
        from warmstart.serving.predictor import predict_file

        overrides, files = override_texts(overrides), paths_of(data, "data")
        # Refuse wrong settings before opening the model.
        file_config(self.config, overrides, files, labelled=False)
        found = predict_file(
            self._engine(engine), files, overrides, top_k=top_k, keep_columns=keep_columns
        )
        return found.table

    def embed(
        self,
        texts: Iterable[str],
        text_pairs: Iterable[str] | None = None,
        *,
        pooling: "Pooling" = "auto",
        layer: int = -1,
        normalize: bool = False,
    ) -> "Floats32":
        """One vector for each text, in order, float32 [N, H]; warns about texts that were cut.

        Args:
            texts: as for ``predict``.
            text_pairs: the second text of each, for a run that was trained on pairs.
            pooling: ``first``, ``mean`` or ``last``: which tokens stand for the text. ``auto``:
                what the classifier reads; the last token of a decoder; otherwise the mean.
            layer: index into Transformers' ``hidden_states``: 0 for the embeddings, a negative one
                counts from the end.
            normalize: whether vectors have length 1, for cosine similarity.

        Raises:
            ConfigError: there is no such layer, or the pooling has no meaning for the model.
            DataError: a text is empty, or second texts are missing or not expected.
            RunError: the run has no kept model yet.
        """
        return self._embedder(pooling, layer, normalize=normalize).texts(texts, text_pairs)[0]

    def embed_file(
        self,
        data: "Data",
        overrides: Overrides = (),
        *,
        pooling: "Pooling" = "auto",
        layer: int = -1,
        normalize: bool = False,
        keep_columns: bool = False,
    ) -> "pa.Table":
        """Vectors for every row of a file: row, file, line, text(s), vector, truncated.

        A row without a text stays in the table, with nulls. For files whose vectors do not fit into
        memory use the command, which writes them in blocks.

        Args:
            data: the file(s), or a table as for ``train``.
            overrides: as for ``predict_file``.
            pooling: as for ``embed``.
            layer: as for ``embed``.
            normalize: as for ``embed``.
            keep_columns: whether the table has the other columns of the file, too.

        Raises:
            ConfigError: as for ``embed``.
            DataError: the file cannot be read or lacks the text column.
            RunError: the run has no kept model yet.
        """
        import pyarrow as pa

        from warmstart.data.reading.python_tables import paths_of
        from warmstart.serving.embedder import embed_file

        embedder = self._embedder(pooling, layer, normalize=normalize)
        files, sets = paths_of(data, "data"), override_texts(overrides)
        return pa.concat_tables(
            embed_file(embedder, files, sets, keep_columns=keep_columns).blocks()
        )

    def open(self, engine: "EngineName | None" = None) -> "Engine":
        """The engine that runs the model, opened at its first use and kept open.

        Args:
            engine: as for ``predict``.
        """
        return self._engine(engine)

    def evaluate(self, data: "Data", overrides: Overrides = ()) -> Metrics:
        """Score the kept model on labelled file(s), and keep the result in ``evaluation/``.

        Args:
            data: the file(s), or a table as for ``train``.
            overrides: what is different in them, e.g. ``["data.format=csv", "data.label=y"]`` or
                ``{"data.format": "csv", "data.label": "y"}``.

        Raises:
            DataError: the file cannot be read, or contains a label that was not seen in training.
            RunError: the run has no kept model yet.
        """
        from warmstart.data.reading.python_tables import paths_of
        from warmstart.serving.file_evaluation import evaluate_file
        from warmstart.serving.file_settings import file_config

        overrides, files = override_texts(overrides), paths_of(data, "data")
        file_config(self.config, overrides, files)  # refuse wrong settings before opening the model
        engine = self._engine("torch")
        return evaluate_file(engine, RunDirectory.open(self.path), files, overrides).scores

    def export(self, *, int8: bool = False, max_drop: float = 0.01) -> dict[str, Any]:
        """Write ``export/model.onnx``, verified against PyTorch; return what ``parity.json`` has.

        Args:
            int8: also write ``model.int8.onnx``, with 8-bit weights; only for classifiers.
            max_drop: how much of the task's main metric int8 may lose.

        Raises:
            ExportError: packages are missing, the run is not finished, PyTorch cannot export its
                model, or the ONNX model's outputs differ from PyTorch's; an earlier export is kept.
            RunError: the run directory cannot be written.
        """
        from warmstart.export.export_run import export_run

        content = export_run(RunDirectory.open(self.path), int8=int8, max_drop=max_drop)
        self._engines.forget("onnx", "int8")
        self._writers.forget("onnx")
        return content

    def generate(
        self,
        prompts: Iterable[str],
        *,
        engine: "WriterName | None" = None,
        on_text: Callable[[str], None] | None = None,
        control_tokens: ControlTokens | None = None,
        **settings: Any,
    ) -> list[dict[str, Any]]:
        """Continue each prompt: ``{"prompt", "text", "finish"}``, in order.

        Args:
            prompts: texts to continue; an empty prompt starts a new text.
            engine: ``torch`` or ``onnx``; by default as for ``predict``.
            on_text: called with the text during generation, for one prompt and one continuation.
            control_tokens: how the name of a control token in a prompt is read, ``text`` or
                ``tokens``; by default as in training (``data.control_tokens``).
            settings: settings of the group ``generate`` in place of the run's: ``temperature=0.7``.

        Raises:
            WarmstartError: a setting or a prompt is not valid, the run has another task, or the
                model does not exist or was changed.
        """
        from warmstart.serving.engine import engine_name
        from warmstart.serving.writer import open_writer

        path = RunDirectory.open(self.path).path
        name = engine or engine_name(RunDirectory(path))
        writer = self._writers.get(name, lambda: open_writer(path, name))
        found = writer.write(prompts, settings, on_text, control_tokens)
        return [made.to_json() for made in found]

    def novelty(self, texts: Sequence[str]) -> dict[str, Any]:
        """How much of these texts occurs in the training rows: see ``evaluation/novelty.py``.

        Raises:
            DataError: the training file no longer exists, or cannot be read.
        """
        from warmstart.serving.writer import training_novelty

        return training_novelty(RunDirectory.open(self.path), texts).to_json()

    def report(self) -> Path:
        """Write ``report.html`` and the model card again from the run's files; return the path."""
        from warmstart.report.html import write_report
        from warmstart.runs.model_card import write_card

        directory = RunDirectory(self.path)
        with directory.holding(directory.identity):
            write_card(self.path)
            return write_report(self.path)

    def _repr_html_(self) -> str:
        """The scores with their intervals, and the paths, for notebooks."""
        from warmstart.runs.notebook import run_html

        return run_html(self.path)

    def _engine(self, asked: "EngineName | None") -> "Engine":
        """The engine, opened at its first use."""
        from warmstart.serving.engine import engine_name, open_engine

        name = asked or engine_name(RunDirectory(self.path))
        return self._engines.get(name, lambda: open_engine(RunDirectory.open(self.path), name))

    def _embedder(self, pooling: "Pooling", layer: int, *, normalize: bool) -> "Embedder":
        """The model as one for vectors, with its checks, made at its first use."""
        from warmstart.serving.embedder import run_embedder

        return self._embedders.get(
            f"{pooling} {layer} {normalize}",
            lambda: run_embedder(
                RunDirectory(self.path),
                lambda: self._engine("torch"),
                pooling=pooling,
                layer=layer,
                normalize=normalize,
            ),
        )

    def _evaluations(self) -> dict[str, Any]:
        directory = RunDirectory(self.path)
        return {
            split: directory.read_json(f"evaluation/{split}/scores.json")
            for split in ("validation", "test")
            if (directory.evaluation(split) / "scores.json").exists()
        }
