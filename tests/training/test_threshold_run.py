"""A threshold chosen on validation rows is saved with the run and used by every later command."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest

from tests.cli.conftest import ran
from tests.runs_in_memory import BAD, GOOD, settings
from warmstart import api, config_file
from warmstart.api import Run
from warmstart.baselines.linear import tfidf
from warmstart.evaluation.baseline_scores import baseline_scores
from warmstart.preparation.prepare import prepare
from warmstart.preparation.stages import learn, read_sources, split_tables
from warmstart.tasks.row_baselines import texts_of
from warmstart.training.train_run import train_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Few rows are bad and training is short, so its probability never reaches one half."""
    folder = tmp_path_factory.mktemp("threshold")
    config = settings(folder, epochs=1, choose_threshold=True)
    lines = ["text,label"]
    for number in range(160):
        rare = number % 6 == 0
        word = (BAD if rare else GOOD)[number % 5]
        lines.append(f"the {word} story {number},{'rare' if rare else 'common'}")
    data = folder / "uneven.csv"
    data.write_text("\n".join(lines) + "\n")
    config["data"] |= {"train": str(data), "validation": 0.4}
    train_run(prepare(config_file.load(config)), folder / "run")
    return api.load(folder / "run")


def test_it_is_kept_and_beats_one_half(run: Run) -> None:
    threshold = json.loads((run.path / "task.json").read_text())["facts"]["threshold"]
    rows = pyarrow.parquet.read_table(run.path / "evaluation/validation/predictions.parquet")
    shares = rows["probability:rare"].to_numpy()
    said = np.array(["common", "rare"])[(shares >= threshold).astype(int)]
    assert rows["prediction"].to_pylist() == said.tolist()
    right = np.array(rows["label"].to_pylist())
    assert (shares < 0.5).all()
    value = run.scores["validation"]["matthews_correlation"]["value"]
    assert value == pytest.approx(np.corrcoef(said == "rare", right == "rare")[0, 1])
    assert value > 0


def test_every_later_command_uses_it(run: Run, tmp_path: Path) -> None:
    rows = pyarrow.parquet.read_table(
        run.path / "evaluation/validation/predictions.parquet"
    ).to_pylist()
    texts = [row["text"] for row in rows]
    expected = [row["prediction"] for row in rows]
    assert set(expected) == {"common", "rare"}
    assert [answer["label"] for answer in run.predict(texts)] == expected
    run.export()
    assert [answer["label"] for answer in run.predict(texts, engine="onnx")] == expected
    file = tmp_path / "again.csv"
    lines = [f"{row['text']},{row['label']}" for row in rows]
    file.write_text("\n".join(["text,label", *lines]) + "\n")
    again = run.evaluate(str(file))["matthews_correlation"]["value"]
    assert again == pytest.approx(run.scores["validation"]["matthews_correlation"]["value"])


def test_a_baseline_has_a_threshold_of_its_own(tmp_path: Path) -> None:
    """One word makes the rare label more likely, but never more likely than the other label."""
    lines = ["text,label"]
    for number in range(1000):
        word = "odd" if number % 10 < 3 else "plain"
        label = "rare" if word == "odd" and number // 10 < 40 else "common"
        lines.append(f"the {word} story,{label}")
    file = tmp_path / "told.csv"
    file.write_text("\n".join(lines) + "\n")
    data = {"train": str(file), "validation": 0.5}
    config = config_file.load({"data": data, "train": {"choose_threshold": True}})
    task, splits = learn(config, split_tables(config, read_sources(config)))
    found, _ = baseline_scores(task, config, splits["train"], {"validation": splits["validation"]})

    texts = {name: texts_of(split.table, config.data) for name, split in splits.items()}
    fitted = tfidf(texts["train"], splits["train"].labels, 2)
    shares = np.asarray(fitted.predict(texts["validation"]))[:, 1]
    right = splits["validation"].labels == 1
    best = max(
        np.corrcoef(shares >= threshold, right)[0, 1]
        for threshold in np.unique(shares)
        if not (shares >= threshold).all()
    )
    assert (shares < 0.5).all(), "without a threshold it is the common label, which scores 0"
    assert best > 0.5
    value = found["tfidf"]["validation"].scores.metrics["matthews_correlation"].value
    assert value == pytest.approx(best)
    assert found["majority"]["validation"].scores.metrics["matthews_correlation"].value == 0


def test_baselines_answer_the_likelier_label(run: Run) -> None:
    assert run.baselines["majority"]["validation"]["matthews_correlation"]["value"] == 0


def test_with_three_labels_it_is_refused(tmp_path: Path) -> None:
    settings(tmp_path)
    file = tmp_path / "three.csv"
    file.write_text("text,label\n" + "".join(f"a {n},{n % 3}\n" for n in range(30)))
    words = ["train", "--model", str(tmp_path / "checkpoint"), "--train", str(file)]
    out = ran(*words, "--set", "train.choose_threshold=true", "--output", str(tmp_path / "run"))
    assert out.code == 1
    assert "the training rows have 3 labels" in out.err
    assert "--set train.choose_threshold=false" in out.err
    assert not (tmp_path / "run").exists()
