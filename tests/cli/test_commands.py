"""The commands when all is correct: what they print, where, and which files they write."""

import codecs
import json
import re
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.csv
import pyarrow.parquet
import pytest

from tests.cli.conftest import Trained, Warmstart, own_process
from tests.glue_files import NAMES
from tests.tiny import tiny_checkpoint
from warmstart.api import Run
from warmstart.training import forecast

SCORE = {"value", "low", "high", "n", "higher_is_better"}
PREDICTION = {"row", "label", "probabilities", "truncated"}


def one_object(out: str) -> dict[str, Any]:
    """The only thing on stdout."""
    assert out.count("\n") == 1
    content: dict[str, Any] = json.loads(out)
    return content


def has_scores(scores: Mapping[str, Any], n: int) -> None:
    assert {"matthews_correlation", "accuracy", "macro_f1", "log_loss"} <= set(scores)
    for score in scores.values():
        assert set(score) == SCORE
        assert score["n"] == n


def test_train_by_flags_ends_with_one_object(trained: Trained) -> None:
    assert trained.ran.code == 0, trained.ran.err
    content = one_object(trained.ran.out)
    keys = ["run", "status", "steps", "seconds", "scores", "baselines", "advice"]
    assert list(content) == keys
    assert content["run"] == "run"
    assert content["status"] == "finished"
    assert content["steps"] == 8
    assert content["seconds"] > 0
    assert list(content["scores"]) == ["validation", "test"]
    has_scores(content["scores"]["validation"], n=17)
    has_scores(content["scores"]["test"], n=20)
    assert set(content["baselines"]) == {"majority", "tfidf"}
    for splits in content["baselines"].values():
        has_scores(splits["validation"], n=17)
        has_scores(splits["test"], n=20)


def test_a_run_directory_has_the_files_of_the_design(trained: Trained) -> None:
    for name in (
        *("config.yaml", "data.json", "task.json", "environment.json", "events.jsonl"),
        *("model/config.json", "model/model.safetensors", "model/tokenizer.json"),
        *("evaluation/test/predictions.parquet", "evaluation/validation/scores.json"),
        *("report.html", "README.md"),
    ):
        assert (trained.path / name).stat().st_size > 0


def test_progress_is_plain_lines_where_stderr_is_no_terminal(trained: Trained) -> None:
    assert "training" in trained.ran.err
    assert "epoch 1/1  step 1/8  loss 0." in trained.ran.err
    assert re.search(r"^epoch 1 .* validation .*best$", trained.ran.err, re.MULTILINE)
    assert "validation, n = 17" in trained.ran.err
    assert "\x1b" not in trained.ran.err
    assert "\r" not in trained.ran.err


@pytest.mark.usefixtures("quick_report")
def test_training_from_the_printed_config_repeats_the_run(
    trained: Trained, warmstart: Warmstart, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    printed = warmstart("train", str(trained.path), "--print-config")
    assert printed.code == 0
    Path("again.yaml").write_text(printed.out, encoding="utf-8")
    assert warmstart("train", "again.yaml", "--print-config").out == printed.out
    as_json = one_object(warmstart("train", "again.yaml", "--print-config", "--json").out)
    assert as_json["train"]["batch_size"] == 8

    again = warmstart("train", "again.yaml", "--output", "again")
    assert again.code == 0, again.err
    assert again.out.splitlines() == [
        "run     again",
        "report  again/report.html",
        'try     warmstart predict again --text "…"',
        # One epoch of eight steps: the model predicts one label for every row.
        "next    warmstart train again --set train.learning_rate=auto --set train.epochs=auto "
        "--output again-2",
    ]
    scores = "evaluation/test/scores.json"
    assert (tmp_path / "again" / scores).read_text() == (trained.path / scores).read_text()

    replaced = warmstart("train", "again.yaml", "--output", "again", "--overwrite", "--json")
    assert one_object(replaced.out)["status"] == "finished"


def test_a_dry_run_writes_nothing(
    tiny: Path, trained: Trained, warmstart: Warmstart, tmp_path: Path
) -> None:
    data = str(trained.folder / "reviews.csv")
    output = str(tmp_path / "run")
    words = ("train", "--model", str(tiny), "--train", data, "--output", output, "--dry-run")
    ran = warmstart(*words)
    assert (ran.code, ran.out) == (0, f"ready to train; output would be {output}\n")
    assert "label good" in ran.err
    assert re.search(r"^about .* steps .*", ran.err, re.MULTILINE)
    assert re.search(r"^memory .*; disk .*, at the end ", ran.err, re.MULTILINE)
    content = one_object(warmstart(*words, "--json").out)
    assert content.pop("forecast")["rows"] == 71
    assert content == {"run": None, "status": "checked", "output": output}
    assert not list(tmp_path.iterdir())


def test_a_dry_run_without_a_forecast_says_why(
    tiny: Path, trained: Trained, warmstart: Warmstart, monkeypatch: pytest.MonkeyPatch
) -> None:
    reason = "no forecast: the weights are not on this computer yet"
    monkeypatch.setattr(forecast, "why_no_forecast", lambda _: reason)
    data = str(trained.folder / "reviews.csv")
    ran = warmstart("train", "--model", str(tiny), "--train", data, "--dry-run", "--json")
    assert reason in ran.err
    assert one_object(ran.out)["forecast"] is None


def test_a_tilde_in_the_output_is_the_home_folder(
    tiny: Path, trained: Trained, warmstart: Warmstart, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(trained.folder))
    words = ("--model", str(tiny), "--train", str(trained.folder / "reviews.csv"), "--dry-run")
    ran = warmstart("train", *words, "--output=~/new")
    assert ran.out == f"ready to train; output would be {trained.folder}/new\n"


def test_a_recipe_is_meant_whatever_folders_lie_about(
    trained: Trained, warmstart: Warmstart, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "demo").symlink_to(trained.path)
    monkeypatch.chdir(tmp_path)
    assert "bundled/grammar/train" in warmstart("train", "demo", "--print-config").out
    assert "reviews.csv" in warmstart("train", "./demo", "--print-config").out


def test_evaluate(trained: Trained, warmstart: Warmstart) -> None:
    data = str(trained.folder / "test.csv")
    content = one_object(warmstart("evaluate", str(trained.path), "--data", data, "--json").out)
    assert list(content) == ["run", "data", "scores", "baselines", "output"]
    assert content["baselines"].keys() == {"majority", "tfidf"}
    of_run = one_object(trained.ran.out)["baselines"]
    assert content["baselines"]["tfidf"] == of_run["tfidf"]["test"]
    stored = json.loads((Path(content["output"]) / "scores.json").read_text("utf-8"))
    assert stored["baselines"] == content["baselines"]
    assert stored["files"] == [data]
    assert content["scores"] == one_object(trained.ran.out)["scores"]["test"]
    plain = warmstart("evaluate", str(trained.path), "--data", data)
    assert re.fullmatch(
        r"matthews correlation -?\d\.\d{3}\nscores +\S+scores.json\npredictions +\S+\n"
        rf"report +warmstart report {re.escape(str(trained.path))} adds these scores and figures\n",
        plain.out,
    )
    assert "TF-IDF" in plain.err
    assert "n = 20" in plain.err


@pytest.mark.usefixtures("quick_report")
def test_a_file_named_after_training_is_looked_up_here_not_in_the_data_folder(
    tiny: Path,
    trained: Trained,
    warmstart: Warmstart,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    sets = (f"data.dir={trained.folder}", "train.epochs=1", "train.batch_size=64")
    words = ("--model", str(tiny), "--train", "reviews.csv", "--output", "run")
    ran = warmstart("train", *words, *(word for one in sets for word in ("--set", one)))
    assert ran.code == 0, ran.err
    Path("reviews.csv").write_text("text,label\nnice,good\nawful,bad\n")
    ran = warmstart("predict", "run", "--data", "reviews.csv", "--json")
    assert len(one_object(ran.out)["predictions"]) == 2


def test_predict_texts(trained: Trained, warmstart: Warmstart) -> None:
    words = ("predict", str(trained.path), "--text", "so wonderful", "--text", "film " * 200)
    first, second = one_object(warmstart(*words, "--json").out)["predictions"]
    assert set(first) == PREDICTION
    assert set(first["probabilities"]) == {"bad", "good"}
    assert sum(first["probabilities"].values()) == pytest.approx(1)
    assert (first["row"], second["row"]) == (0, 1)
    assert (first["truncated"], second["truncated"]) == (False, True)
    assert first["label"] == max(first["probabilities"], key=first["probabilities"].__getitem__)
    plain = warmstart(*words)
    assert plain.out.splitlines() == [
        f"{first['label']}  {first['probabilities'][first['label']]:.3f}",
        f"{second['label']}  {second['probabilities'][second['label']]:.3f}  (truncated)",
    ]
    assert not plain.err


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".jsonl"])
def test_predictions_go_to_a_file(
    suffix: str, trained: Trained, warmstart: Warmstart, tmp_path: Path
) -> None:
    words = ("predict", str(trained.path), "--data", str(trained.folder / "test.csv"))
    answers = one_object(warmstart(*words, "--json").out)["predictions"]
    output = tmp_path / f"answers{suffix}"
    content = one_object(warmstart(*words, "--output", str(output), "--json").out)
    assert content == {"predictions": 20, "output": str(output)}
    if suffix == ".jsonl":
        assert [json.loads(line) for line in output.read_text().splitlines()] == answers
        return
    read = pyarrow.csv.read_csv if suffix == ".csv" else pyarrow.parquet.read_table
    table = read(output).to_pylist()
    assert [row["prediction"] for row in table] == [answer["label"] for answer in answers]
    assert [row["probability:good"] for row in table] == pytest.approx(
        [answer["probabilities"]["good"] for answer in answers]
    )
    assert table[0]["line"] == 2


def test_check(trained: Trained, warmstart: Warmstart, tiny: Path) -> None:
    data = str(trained.folder / "reviews.csv")
    words = ("check", data, "--text", "text", "--label", "label", "--set", f"model.name={tiny}")
    assert list(one_object(warmstart(*words, "--json").out)) == ["splits", "repeats", "messages"]
    plain = warmstart(*words)
    assert re.fullmatch(r"1 warning\n", plain.out)
    assert "label good" in plain.err
    of_run = one_object(warmstart("check", str(trained.path), "--json").out)
    assert [split["split"] for split in of_run["splits"]] == ["train", "validation", "test"]


def test_info(trained: Trained, warmstart: Warmstart, tiny: Path) -> None:
    content = one_object(warmstart("info", str(tiny), "--labels", "3", "--json").out)
    assert content["labels"] == ["LABEL_0", "LABEL_1", "LABEL_2"]
    assert content["groups"][0]["tensors"][0]["shape"] == [393, 32]
    assert one_object(warmstart("info", str(trained.path), "--json").out)["labels"] == [
        "bad",
        "good",
    ]
    assert f"{content['named_parameters']} named parameters" in warmstart("info", str(tiny)).out


def test_report(trained: Trained, warmstart: Warmstart, monkeypatch: pytest.MonkeyPatch) -> None:
    report = trained.path / "report.html"
    report.unlink()
    content = one_object(warmstart("report", str(trained.path), "--json").out)
    assert content == {"run": str(trained.path), "report": str(report)}
    assert "</html>" in report.read_text(encoding="utf-8")
    monkeypatch.setattr(Run, "report", lambda run: run.path / "report.html")
    assert warmstart("report", str(trained.path)).out == f"{report}\n"


def test_recipes(warmstart: Warmstart) -> None:
    assert one_object(warmstart("recipes", "--json").out) == {
        "recipes": [
            "btc-offline",
            "cola",
            "cola-offline",
            "cord19",
            "demo",
            *(f"glue/{name}" for name in sorted(NAMES)),
            "gpt2-bios",
            "gpt2-bios-offline",
            "wikiqa-offline",
            "xquad-offline",
        ]
    }
    assert warmstart("recipes").out.startswith("btc-offline ")
    yaml = warmstart("recipes", "cola").out
    content = one_object(warmstart("recipes", "cola", "--json").out)
    assert (content["recipe"], content["yaml"]) == ("cola", yaml)


@pytest.mark.slow
def test_chinese_from_end_to_end(
    warmstart: Warmstart, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tiny_checkpoint(tmp_path / "模型", vocabulary=tuple("这本书很好看不我们他的喜欢读"))
    rows = [f"这本书{n}{mark}好看,{label}" for n in range(12)
            for mark, label in (("很", "好评"), ("不", "差评"))]  # fmt: skip
    Path("评论.csv").write_text("\n".join(["正文,标签", *rows, ""]), encoding="gb18030")
    words = "train --model 模型 --train 评论.csv --text 正文 --label 标签 --output 结果 --json"
    ran = warmstart(*words.split(), "--set", "train.epochs=1")
    assert ran.code == 0, ran.err
    assert "label 好评" in ran.err
    assert one_object(ran.out)["run"] == "结果"
    data = json.loads(Path("结果/data.json").read_text(encoding="utf-8"))
    assert data["files"]["train"][0]["encoding"] == "gb18030"
    assert "好评" in Path("结果/report.html").read_text(encoding="utf-8")

    ran = warmstart("predict", "结果", "--text", "我喜欢这本书", "--json")
    assert set(one_object(ran.out)["predictions"][0]["probabilities"]) == {"好评", "差评"}
    assert "好评" in ran.out
    ran = warmstart("predict", "结果", "--data", "评论.csv", "--output", "答案.csv")
    assert ran.out == "24 predictions in 答案.csv\n"
    # Excel reads a CSV file as UTF-8 only if it begins with a byte order mark.
    assert Path("答案.csv").read_bytes().startswith(codecs.BOM_UTF8)
    assert "这本书0很好看" in Path("答案.csv").read_text(encoding="utf-8-sig")
    ran = warmstart("predict", "结果", "--data", "答案.csv", "--set", "data.text=text", "--json")
    assert ran.code == 0, ran.err
    assert len(one_object(ran.out)["predictions"]) == 24


@pytest.mark.slow
@pytest.mark.usefixtures("quick_report")
def test_interrupted_and_resumed(
    tiny: Path,
    trained: Trained,
    warmstart: Warmstart,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    data = str(trained.folder / "reviews.csv")
    words = ("train", "--model", str(tiny), "--train", data, "--output", "run", "--json")
    process = own_process(*words, "--set", "train.epochs=12", "--set", "train.batch_size=8",
                         cwd=tmp_path)  # fmt: skip
    events = tmp_path / "run" / "events.jsonl"
    while process.poll() is None and not (events.exists() and '"step": 2' in events.read_text()):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert not out
    assert "stopped after step" in err
    assert err.splitlines()[-1].startswith("  try:  ")
    assert err.endswith("warmstart train run --resume\n")

    ran = warmstart("train", "run", "--resume", "--json")
    assert ran.code == 0, ran.err
    assert "resumed after step" in ran.err
    assert one_object(ran.out)["steps"] == 108
