"""Files scored by ``evaluate`` in the report, the card and a notebook: their names and figures."""

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml

from tests.report.example_run import example_run, write_json
from warmstart import api
from warmstart.report import html
from warmstart.report.html import write_report
from warmstart.runs.model_card import write_card
from warmstart.runs.words import sentence_case, task_title

FILE = "data/my notes & <b>.conll"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = example_run(tmp_path_factory.mktemp("files") / "run", rows=64)
    folder = path / "evaluation" / "file-my notes & <b>-38270a80"
    shutil.copytree(path / "evaluation" / "test", folder)
    scores = json.loads((folder / "scores.json").read_text("utf-8"))
    overrides = ["data.label=y"]
    write_json(folder / "scores.json", {**scores, "files": [FILE], "overrides": overrides})
    return path


@pytest.fixture(scope="module")
def page(run: Path) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(html, "to_png", lambda _figure, path: path.touch())
        return write_report(run).read_text("utf-8")


def test_the_report_shows_the_file_as_it_was_written_and_its_figures(run: Path, page: str) -> None:
    assert "data/my notes &amp; &lt;b&gt;.conll (data.label=y), 64 rows" in page
    assert "38270a80" not in page
    assert "<h2>Errors in data/my notes &amp; &lt;b&gt;.conll (data.label=y)</h2>" in page
    assert page.count("<h3>Confusion matrix</h3>") == 2
    ids = re.findall(r'\bid="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"[\w.-]+", found) for found in ids)
    assert list(run.glob("figures/file-*/confusion.png"))


def test_the_card_shows_the_file_without_its_folder(run: Path) -> None:
    card = write_card(run).read_text("utf-8")
    results = yaml.safe_load(card.split("---\n")[1])["model-index"][0]["results"]
    assert results[-1]["dataset"] == {"type": "file", "name": "my notes & <b>.conll"}
    assert "my notes & \\<b\\>.conll (data.label=y), 64 rows" in card
    assert "38270a80" not in card


def test_a_notebook_shows_scores_intervals_and_paths(run: Path) -> None:
    shown = api.load(run)._repr_html_()
    test = json.loads((run / "evaluation" / "test" / "scores.json").read_text("utf-8"))
    accuracy = test["scores"]["accuracy"]
    interval = f"<small>[{accuracy['low']:.3f}, {accuracy['high']:.3f}]</small>"
    assert f"{accuracy['value']:.3f} {interval}" in shown
    # Not every notebook aligns the cells of a table.
    assert all("text-align" in cell for cell in re.findall(r"<t[dh]\b[^>]*>", shown))
    assert f"<code>{run}</code>" in shown
    assert "majority class" in shown
    assert "my notes &amp; &lt;b&gt;.conll" in shown
    assert not re.search("<script|<link|<img|<style|href|src=|<b>.conll", shown)


def test_a_notebook_shows_a_run_without_scores_and_a_damaged_one(tmp_path: Path) -> None:
    path = example_run(tmp_path / "<i>run", scored=False, epochs=0)
    run = api.load(path)
    assert "No split has been scored yet." in run._repr_html_()
    assert "&lt;i&gt;run" in run._repr_html_()
    (path / "task.json").write_text("{")
    assert run._repr_html_().startswith("<pre>")
    assert "&lt;i&gt;run" in run._repr_html_()


@pytest.mark.parametrize(
    "text", ["notes.conll: read", "max_tokens is", "train: 3 rows", "my notes: empty", "a/b c"]
)
def test_a_sentence_that_starts_with_a_name_is_unchanged(text: str) -> None:
    assert sentence_case(text, ["train", "my notes"]) == text


def test_titles() -> None:
    assert sentence_case("two-sided rows, all") == "Two-sided rows, all"
    assert task_title("multi-label-classification") == "multi-label classification"


def test_threads_are_shown_with_what_depends_on_them(run: Path, page: str) -> None:
    assert "cpu, float32, 2 threads" in page
    assert "(OMP_NUM_THREADS=2)" in page
    assert "(OMP_NUM_THREADS=2)" in write_card(run).read_text("utf-8")
