"""Estimators for scikit-learn: texts to vectors, and a classifier that is fine-tuned.

    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from warmstart.sklearn import TextClassifier, TextFeatures
    make_pipeline(TextFeatures(), LogisticRegression(max_iter=1000)).fit(texts, labels)
    TextClassifier(epochs=3).fit(texts, labels).predict_proba(["Could not put it down."])

Both take a list of texts (or an array, or a column of a table) where other estimators take a
matrix. Their base classes are those of scikit-learn, which its ``clone``, ``Pipeline`` and
``GridSearchCV`` require.

Letters: N texts, H width of a vector, C classes.

Source: scikit-learn documentation, "Developing scikit-learn estimators".
"""

from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any, Self
from weakref import finalize
from zipfile import ZipFile

import numpy as np
import pyarrow as pa
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from sklearn.utils.validation import check_consistent_length, check_is_fitted, column_or_1d

from warmstart import api, config_file, errors
from warmstart.config import RunConfig
from warmstart.config.overrides import Overrides, override_texts
from warmstart.run import Run
from warmstart.serving.embedder import Embedder, Pooling, open_embedder
from warmstart.serving.given_texts import usable_texts
from warmstart.serving.open_once import OpenOnce
from warmstart.training.monitoring.listeners import listening
from warmstart.training.train_run import train_run

if TYPE_CHECKING:
    from warmstart.models.tuning.features import Floats32

Labels = np.ndarray[Any, Any]
"""Labels of any type that numpy can sort, [N] or [C]."""

_RUN = "run"
"""The run directory within a temporary folder."""


class TextFeatures(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Vectors of texts, from a run's model or any checkpoint; nothing is trained.

    Args:
        model: a run directory, hub id, folder, or a bundled model.
        pooling: ``auto``, ``first``, ``mean`` or ``last``, as for ``warmstart.embed``.
        layer: index into Transformers' ``hidden_states``; a negative one counts from the end.
        normalize: whether vectors have length 1.
    """

    def __init__(
        self,
        model: str | Path = "bundled/minilm-l6",
        *,
        pooling: Pooling = "auto",
        layer: int = -1,
        normalize: bool = False,
    ) -> None:
        self.model = model
        self.pooling = pooling
        self.layer = layer
        self.normalize = normalize

    def fit(self, X: Iterable[str], y: Any = None) -> Self:  # noqa: N803 (scikit-learn's name)
        """Open the model, and check the texts.

        Args:
            X: N texts, none of them empty.
            y: not used.

        Raises:
            WarmstartError: a text cannot be used, or the model has no such layer or pooling.
        """
        usable_texts(X, "text")
        # Its copies, also in another process, open the model again.
        self._opened: OpenOnce[Embedder] = OpenOnce()
        self._n_features_out = self._embedder().width
        return self

    def transform(self, X: Iterable[str]) -> "Floats32":  # noqa: N803
        """The vectors of texts, float32 [N, H]; warns about texts that were cut.

        Args:
            X: N texts, none of them empty.

        Raises:
            DataError: a text cannot be used.
        """
        check_is_fitted(self, "_n_features_out")
        return self._embedder().texts(X)[0]

    def _embedder(self) -> Embedder:
        def opened() -> Embedder:
            return open_embedder(
                self.model, pooling=self.pooling, layer=self.layer, normalize=self.normalize
            )

        return self._opened.get("model", opened)

    def __sklearn_tags__(self) -> Any:
        return _reads_texts(super().__sklearn_tags__())


class TextClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier of texts that ``fit`` fine-tunes, with the defaults of ``warmstart train``.

    The run is in a temporary folder that exists as long as the estimator. A pickle of the estimator
    contains it, or, with ``output``, its path.

    Args:
        model: the checkpoint to start from: a run directory, hub id, folder, or a bundled model.
        epochs: ``train.epochs``.
        batch_size: ``train.batch_size``.
        learning_rate: ``train.learning_rate``.
        seed: ``train.seed``; None for the default.
        overrides: further settings, as for ``warmstart.train``: ``{"model.max_tokens": 128}``.
        output: the run directory, for a single fit; None for a temporary one.
        overwrite: replace an earlier run in ``output``.
        progress: show live progress on stderr.
    """

    _remove_folder: "finalize[..., Self]"

    def __init__(
        self,
        model: str | Path = "bundled/minilm-l6",
        *,
        epochs: int | str = "auto",
        batch_size: int | str = "auto",
        learning_rate: float | str = "auto",
        seed: int | None = None,
        overrides: Overrides = (),
        output: str | Path | None = None,
        overwrite: bool = False,
        progress: bool = False,
    ) -> None:
        self.model = model
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.seed = seed
        self.overrides = overrides
        self.output = output
        self.overwrite = overwrite
        self.progress = progress

    def fit(self, X: Iterable[str], y: Iterable[Any]) -> Self:  # noqa: N803
        """Train a run; a share of the texts (``data.validation``) selects its best epoch.

        Args:
            X: N texts, none of them empty.
            y: the label of each, N.

        Raises:
            WarmstartError: a text, a label or a setting cannot be used.
        """
        texts = usable_texts(X, "text")
        labels = column_or_1d(y)
        check_consistent_length(texts, labels)
        if any(label is None or label != label for label in labels.tolist()):
            raise ValueError("y contains NaN or None: give every text a label")
        classes, codes = np.unique(labels, return_inverse=True)
        names = names_of_classes(classes)
        table = pa.table({"text": texts, "label": [names[code] for code in codes.tolist()]})
        seed = {} if self.seed is None else {"seed": self.seed}
        settings = {
            "model": {"name": str(self.model)},
            "data": {"train": table},
            "train": {
                "epochs": self.epochs,
                "batch_size": self.batch_size,
                "learning_rate": self.learning_rate,
                **seed,
            },
        }
        self.run_ = self._trained(config_file.load(settings, override_texts(self.overrides)))
        self.classes_ = classes
        return self

    def _trained(self, config: RunConfig) -> Run:
        """A new run with these settings.

        A temporary one has neither baselines nor a report: nobody would read them, and for few
        texts they take longer than the training.
        """
        if self.output is not None:
            return api.train(
                config, output=self.output, overwrite=self.overwrite, progress=self.progress
            )
        path = self._new_folder() / _RUN
        watching = listening(path, config.train, progress=self.progress)
        with api.prepared_for(config) as prepared, watching as display:
            train_run(prepared, path, listeners=display, baselines=False)
        return Run(path)

    def _new_folder(self) -> Path:
        """A temporary folder that is removed with the estimator, or with its next one."""
        if "_remove_folder" in vars(self):
            self._remove_folder()
        folder = mkdtemp(prefix="warmstart-")
        self._remove_folder = finalize(self, rmtree, folder, ignore_errors=True)
        return Path(folder)

    def predict(self, X: Iterable[str]) -> Labels:  # noqa: N803
        """The label of each text, [N].

        Args:
            X: N texts, none of them empty.

        Raises:
            DataError: a text cannot be used.
        """
        names = names_of_classes(self._fitted())
        found = [names.index(one["label"]) for one in self.run_.predict(X)]
        return self.classes_[np.array(found, dtype=np.int64)]

    def predict_proba(self, X: Iterable[str]) -> np.ndarray[Any, np.dtype[np.float64]]:  # noqa: N803
        """The probability of each class in ``classes_``, [N, C].

        Args:
            X: N texts, none of them empty.

        Raises:
            DataError: a text cannot be used.
        """
        names = names_of_classes(self._fitted())
        found = [one["probabilities"] for one in self.run_.predict(X)]
        return np.array([[one[name] for name in names] for one in found]).reshape(-1, len(names))

    def _fitted(self) -> Labels:
        """The classes.

        Raises:
            NotFittedError: ``fit`` was not called.
        """
        check_is_fitted(self, "run_")
        return self.classes_

    def __sklearn_tags__(self) -> Any:
        return _reads_texts(super().__sklearn_tags__())

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles: with the files of a temporary run in place of its folder."""
        state = dict(super().__getstate__())
        if state.pop("_remove_folder", None) is not None and "run_" in state:
            state["run_"] = _packed(self.run_.path)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Write the files of a temporary run to a new folder."""
        if isinstance(files := state.get("run_"), bytes):
            path = self._new_folder() / _RUN
            with ZipFile(BytesIO(files)) as packed:
                packed.extractall(path)
            state = {**state, "run_": Run(path)}
        super().__setstate__(state)


def _reads_texts(tags: Any) -> Any:
    """The tags of an estimator whose input is a list of texts."""
    tags.input_tags.two_d_array = False
    tags.input_tags.one_d_array = tags.input_tags.string = True
    return tags


def _packed(folder: Path) -> bytes:
    """The files of a folder as one zip file, which is not compressed."""
    content = BytesIO()
    with ZipFile(content, "w") as packed:
        for path in sorted(folder.rglob("*")):
            packed.write(path, path.relative_to(folder))
    return content.getvalue()


def names_of_classes(classes: Labels) -> list[str]:
    """The text of each class; whole floats, as from a column with gaps, are whole numbers.

    Args:
        classes: distinct labels, [C].

    Raises:
        DataError: two classes have the same text.
    """
    names: dict[str, Any] = {}
    for label in classes.tolist():
        whole = isinstance(label, float) and label.is_integer()
        name = str(int(label) if whole else label)
        if name in names:
            raise errors.vectors.labels_look_alike(names[name], label, name)
        names[name] = label
    return list(names)
