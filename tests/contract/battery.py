"""What every task must do on the command line, from ``check`` to the reloaded model.

Each function of ``CHECKS`` is one test of one ``DrivenRun``. They use a task only through ``TASKS``
and the texts of its ``Case``; the same functions test the tasks of the package and a task that is
defined in a test.
"""

import ast
import json
import re
from collections.abc import Callable
from contextlib import chdir
from typing import Any

import pyarrow.parquet
import torch
import transformers

from tests.cli.conftest import ran
from tests.contract.driven_run import DrivenRun, one_object
from tests.contract.expectations import (
    AUTO_CLASSES,
    close,
    documented,
    one_prediction,
    refuse_strangers,
    shown_text,
)
from warmstart.runs.words import task_title
from warmstart.tasks import TASKS
from warmstart.tasks.capabilities import Exports, Generates, ShowsMistakes, metrics_of

EVERY_ROW = ("row", "file", "line", "text", "truncated")
"""Columns of every ``predictions.parquet``."""


def check(driven: DrivenRun) -> None:
    """``check`` shows rows, labels and lengths of every split."""
    text = driven.type("check", driven.config)
    assert text.code == 0, text.err
    found = one_object(driven.type("check", driven.config, "--json"))
    assert found.keys() == documented("check")
    assert [split["split"] for split in found["splits"]] == ["train", "validation"]
    for split in found["splits"]:
        assert f"{split['rows']}" in text.err
        for name in split["label_counts"]:
            assert name in text.err
    refuse_strangers(text.err, driven)


def refusal(driven: DrivenRun) -> None:
    """An export that is not possible is refused before training, and only there."""
    tried = driven.type(
        "train", driven.config, "--set", "export.onnx=true", "--dry-run", "--output", "none"
    )
    exported = [name for name, kind in TASKS.items() if "export.onnx" in kind.reads]
    if driven.task in exported:
        assert tried.code == 0, tried.err
        return
    assert tried.code == 1
    assert "export.onnx" in tried.err
    assert all(name in tried.err for name in exported)
    assert not (driven.folder / "none").exists()


def dry_run(driven: DrivenRun) -> None:
    """A dry run forecasts the training that then happens, and writes nothing."""
    text = driven.type("train", driven.config, "--dry-run", "--output", "none", "--json")
    found = one_object(text)
    assert found.keys() == documented("train --dry-run")
    assert found["forecast"]["steps"] == one_object(driven.trained)["steps"]
    assert all(seconds >= 0 for seconds in found["forecast"]["seconds"].values())
    assert found["forecast"]["memory_mib"] > found["forecast"]["disk_mib"]["end"] > 0
    refuse_strangers(text.err, driven)
    assert not (driven.folder / "none").exists()


def train(driven: DrivenRun) -> None:
    """``train --json`` ends with the scores of every metric, next to the baselines."""
    found = one_object(driven.trained)
    assert found.keys() == documented("train")
    assert found["run"] == "run"
    assert found["status"] == "finished"
    names = [metric.name for metric in metrics_of(driven.learned)]
    own = [metric.name for metric in driven.learned.metrics]
    assert names[: len(own)] == own
    assert list(found["scores"]) == ["validation"]
    assert list(found["scores"]["validation"]) == names
    assert all(score["n"] > 0 for score in found["scores"]["validation"].values())
    assert tuple(found["baselines"]) == driven.case.baselines
    for scores in found["baselines"].values():
        assert list(scores["validation"]) == names
    for name in names:
        assert name.replace("_", " ") in driven.trained.err
    facts = json.loads((driven.run / "task.json").read_text())
    assert facts["task"] == driven.task
    refuse_strangers(driven.trained.err, driven)


def resume(driven: DrivenRun) -> None:
    """Ctrl-C, then the printed command: the weights of a run that was never interrupted."""
    assert driven.run.is_dir()
    assert driven.interrupted.code == 130
    assert driven.interrupted.out == ""
    assert driven.resumed.code == 0, driven.resumed.err
    weights = "model/model.safetensors"
    resumed, whole = ((driven.folder / name / weights).read_bytes() for name in ("stopped", "run"))
    assert resumed == whole
    events = [
        json.loads(line)["event"]
        for line in (driven.folder / "stopped/events.jsonl").read_text().splitlines()
    ]
    assert "resume" in events


def usage(driven: DrivenRun) -> None:
    """Training ends with paths and with a command that works on the run."""
    assert driven.resumed.code == 0, driven.resumed.err
    lines = dict(line.split(maxsplit=1) for line in driven.resumed.out.splitlines())
    assert lines.keys() - {"next"} == {"run", "report", "try"}
    assert (driven.folder / lines["run"]).is_dir()
    assert (driven.folder / lines["report"]).is_file()
    tried = driven.type_advice(lines["try"])
    assert tried.code == 0, tried.err
    assert tried.out


def evaluate(driven: DrivenRun) -> None:
    """``evaluate`` scores a labelled file and keeps its predictions."""
    assert driven.run.is_dir()
    found = one_object(driven.type("evaluate", "run", "--data", driven.labelled, "--json"))
    assert found.keys() == documented("evaluate")
    assert found["data"] == [driven.labelled]
    assert list(found["scores"]) == [metric.name for metric in metrics_of(driven.learned)]
    text = driven.type("evaluate", "run", "--data", driven.labelled)
    assert text.code == 0
    assert text.out.startswith(driven.learned.metrics[0].name.replace("_", " "))
    refuse_strangers(text.out + text.err, driven)
    stored = sorted((driven.run / "evaluation").glob("file-held_out-*"))[-1]
    scores = json.loads((stored / "scores.json").read_text())
    assert scores["scored_unit"] == driven.learned.scored_unit
    table = pyarrow.parquet.read_table(stored / "predictions.parquet")
    assert len(table) == scores["n"] == driven.case.rows
    if not isinstance(driven.learned, Generates):
        assert set(driven.case.columns) <= set(table.column_names) | {"tokens", "probabilities"}


def compare(driven: DrivenRun) -> None:
    """``compare`` reads the stored predictions: the run has its score, and a stronger baseline."""
    words = ("compare", str(driven.run.relative_to(driven.folder)), "--split", "validation")
    found = one_object(driven.type(*words, "--json"))
    assert found.keys() == documented("compare")
    trained = one_object(driven.trained)
    main = next(iter(trained["scores"]["validation"]))
    assert found["metric"] == main
    score, (run, baseline) = trained["scores"]["validation"][main], found["runs"]
    for part in ("value", "low", "high", "n"):
        assert run[part] == score[part]
    values = {one["validation"][main]["value"] for one in trained["baselines"].values()} - {None}
    assert baseline["value"] == (max(values) if score["higher_is_better"] else min(values))
    (pair,) = found["pairs"]
    assert (pair["a"], pair["b"]) == (run["name"], baseline["name"])
    assert close(pair["difference"], run["value"] - baseline["value"])
    text = driven.type(*words)
    assert pair["verdict"].partition(",")[0] in text.out
    refuse_strangers(text.err + text.out, driven)


def predict_text(driven: DrivenRun) -> None:
    """``predict`` on one text; a model that generates refuses and names the command that works."""
    generates = isinstance(driven.learned, Generates)
    prediction = one_prediction(driven)
    own = set(driven.case.prediction) | (set() if generates else {"row", "truncated"})
    assert prediction.keys() == own
    verb = "generate" if generates else "predict"
    text = driven.type(verb, "run", *driven.case.predict)
    assert text.code == 0, text.err
    assert re.fullmatch(driven.case.shown, text.out), text.out
    refuse_strangers(text.out + text.err, driven)
    if generates:
        refused = driven.type("predict", "run", "--text", "a text")
        assert refused.code == 1
        advice = re.search(r"warmstart generate [^;\n]+", refused.err)
        assert advice, refused.err
        tried = driven.type_advice(advice[0].replace("RUN", "run"))
        assert tried.code == 0, tried.err


def predict_file(driven: DrivenRun) -> None:
    """``predict --data`` writes the same predictions to JSON lines, Parquet and stdout."""
    assert driven.run.is_dir()
    name = driven.labelled
    if isinstance(driven.learned, Generates):
        refused = driven.type("predict", "run", "--data", name, "--output", "p.jsonl")
        assert refused.code == 1
        assert "generate" in refused.err
        assert not (driven.folder / "p.jsonl").exists()
        return
    if driven.case.unlabelled is not None:
        name = driven.case.unlabelled(driven.folder).name
    found = one_object(driven.type("predict", "run", "--data", name, "--json"))["predictions"]
    assert len(found) == driven.case.rows
    assert {frozenset(one) for one in found} == {
        frozenset({"row", "truncated", *driven.case.prediction})
    }
    written = driven.type("predict", "run", "--data", name, "--output", "p.jsonl", "--json")
    assert one_object(written) == {"predictions": driven.case.rows, "output": "p.jsonl"}
    lines = (driven.folder / "p.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line) for line in lines] == found
    text = driven.type("predict", "run", "--data", name, "--output", "p.parquet")
    assert text.code == 0, text.err
    assert f"{driven.case.rows} predictions in p.parquet" in text.out
    table = pyarrow.parquet.read_table(driven.folder / "p.parquet")
    assert table["row"].to_pylist() == [one["row"] for one in found]
    assert {*EVERY_ROW, *driven.case.columns} - {"label"} == set(table.column_names)


def embed(driven: DrivenRun) -> None:
    """``embed`` gives a vector for each text or pair of texts, whatever the task is."""
    texts = ["--text", "a nice cat"]
    if driven.settings.data.text_pair is not None:
        texts += ["--text-pair", "a poor house"]
    found = one_object(driven.type("embed", str(driven.run), *texts, "--json"))
    assert found.keys() | {"output"} == documented("embed") | {"output"}
    (row,) = found["vectors"]
    assert row.keys() == {"row", "vector", "truncated"}
    assert len(row["vector"]) == found["width"] == 32
    assert not row["truncated"]


def export(driven: DrivenRun) -> None:
    """``export`` writes a verified ONNX file with the same predictions, or refuses in full."""
    assert driven.run.is_dir()
    assert isinstance(driven.learned, Exports) == ("export.onnx" in driven.learned.reads)
    if not isinstance(driven.learned, Exports):
        refused = driven.type("export", "run")
        assert refused.code == 1
        assert driven.task in refused.err
        assert not (driven.run / "export").exists()
        return
    before = one_prediction(driven)
    int8 = ("--int8", "--max-drop", "1") if "export.int8" in driven.learned.reads else ()
    found = one_object(driven.type("export", "run", *int8, "--json"))
    assert bool(found["int8"]) == bool(int8)
    if int8:
        assert found["int8"]["metric"]["name"] == driven.learned.metrics[0].name
    assert found == json.loads((driven.run / "export/parity.json").read_text())
    assert found["task"] == driven.task
    generates = isinstance(driven.learned, Generates)
    verb, key = ("generate", "generations") if generates else ("predict", "predictions")
    again = driven.type(verb, "run", *driven.case.predict, "--engine", "onnx", "--json")
    assert close(one_object(again)[key][0], before)


def report(driven: DrivenRun) -> None:
    """The report shows every metric and label of the task, and nothing of another."""
    assert driven.run.is_dir()
    found = one_object(driven.type("report", "run", "--json"))
    assert found.keys() == documented("report")
    page = shown_text((driven.folder / found["report"]).read_text("utf-8"))
    assert task_title(driven.task) in page
    for metric in metrics_of(driven.learned):
        assert metric.title in page
    if isinstance(driven.learned, ShowsMistakes):
        place = driven.run / "evaluation/validation/predictions.parquet"
        mistakes = driven.learned.mistakes(place, 3)
        assert mistakes.heading in page
    checked = one_object(driven.type("check", driven.config, "--json"))
    for label in checked["splits"][0]["label_counts"]:
        assert label in page
    refuse_strangers(page, driven)


def card(driven: DrivenRun) -> None:
    """The model card has the task's metadata, usage and limits, and nothing of another task."""
    header, body = driven.card
    task = driven.learned
    assert header["pipeline_tag"] == task.pipeline_tag
    assert driven.task in header["tags"]
    (index,) = header["model-index"]
    result = next(one for one in index["results"] if one["dataset"]["split"] == "validation")
    titles = {metric.title for metric in metrics_of(task)}
    assert result["task"]["type"] == task.pipeline_tag
    assert {metric["name"] for metric in result["metrics"]} <= titles
    usage = task.usage()
    assert usage.python in body
    assert usage.note in body
    for limit in usage.limits:
        assert limit in body
    for label in driven.case.labels:
        assert label in body
    everything = body + shown_text((driven.run / "report.html").read_text("utf-8"))
    assert all(mark in everything for mark in driven.case.marks)
    # In the snippet, the Python value None is correct.
    refuse_strangers(body.replace(usage.python, ""), driven)


def snippet(driven: DrivenRun) -> None:
    """The card's lines of Python run with the libraries that they import, and agree with us."""
    _, body = driven.card
    code = re.search(r"```python\n(.*?)```", body, re.DOTALL)
    assert code
    assert "warmstart" not in code[1]
    tree = ast.parse(code[1])
    last = tree.body.pop()
    assert isinstance(last, ast.Expr)
    names: dict[str, Any] = {}
    with chdir(driven.run):
        exec(compile(tree, "card", "exec"), names)
        value = eval(compile(ast.Expression(last.value), "card", "eval"), names)
    assert driven.case.same(value, one_prediction(driven)), value


def info(driven: DrivenRun) -> None:
    """``info RUN`` describes the model with the task's head and labels."""
    assert driven.run.is_dir()
    found = one_object(driven.type("info", "run", "--json"))
    assert found.keys() == documented("info") | {"trains"}
    assert tuple(found["labels"]) == driven.case.labels
    expected = AUTO_CLASSES[TASKS[driven.task].head].from_pretrained(driven.run / "model")
    assert found["architecture"] == type(expected).__name__
    assert found["parameters"] == sum(part.numel() for part in expected.parameters())
    text = driven.type("info", "run")
    assert text.code == 0, text.err
    assert found["architecture"] in text.out
    for label in driven.case.labels:
        assert label in text.out
    refuse_strangers(text.out, driven)


def reload(driven: DrivenRun) -> None:
    """Transformers alone opens ``model/`` with no weight missing, and names the same labels."""
    place = driven.run / "model"
    auto = AUTO_CLASSES[TASKS[driven.task].head]
    model, loading = auto.from_pretrained(place, output_loading_info=True)
    assert not [kind for kind, names in loading.items() if names]
    if driven.case.labels:
        assert tuple(model.config.id2label.values()) == driven.case.labels
    tokenizer = transformers.AutoTokenizer.from_pretrained(place)
    with torch.no_grad():
        output = model(**tokenizer("a text", return_tensors="pt"))
    tensors = [value for value in output.to_tuple() if isinstance(value, torch.Tensor)]
    assert tensors
    assert all(torch.isfinite(logits).all() for logits in tensors)


def other_labels(driven: DrivenRun) -> None:
    """Every command refuses a ``task.json`` whose labels are not those of the saved model."""
    path = driven.run / "task.json"
    content = json.loads(saved := path.read_bytes())
    if "label_names" not in content["facts"]:
        return
    content["facts"]["label_names"].append("one more")
    count = len(driven.case.labels)
    try:
        path.write_text(json.dumps(content))
        for words in (
            ("predict", "run", *driven.case.predict, "--engine", "torch"),
            ("evaluate", "run", "--data", driven.labelled, "--json"),
            ("export", "run", "--json"),
            ("info", "run", "--json"),
            ("report", "run", "--json"),
        ):
            with chdir(driven.folder):
                refused = ran(*words)
            assert (refused.code, refused.out) == (1, ""), refused.err
            said = f"cannot read run/task.json: it has {count + 1} labels, and the model in "
            assert f"{said}run/model has {count}" in refused.err
    finally:
        path.write_bytes(saved)


CHECKS: tuple[Callable[[DrivenRun], None], ...] = (
    check,
    refusal,
    dry_run,
    train,
    resume,
    usage,
    evaluate,
    compare,
    predict_text,
    predict_file,
    embed,
    export,
    report,
    card,
    snippet,
    info,
    reload,
    other_labels,
)
"""Every check, in the order in which a user meets it; each also runs alone."""
