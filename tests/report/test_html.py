"""The page: self-contained, well-formed, escaped, and complete even for an unfinished run."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.contract.driven_run import without_figures
from tests.report.example_run import example_run, write_json
from warmstart.metrics.scores import Score
from warmstart.report.html import leader, write_report
from warmstart.runs.run_record import EvaluationRecord

VOID = {"meta", "br", "link", "img", "hr"}
TRAINS = "layers 0-11: none of 85,054,464 parameters; head: all 1,538 parameters"
HOSTILE = "</td><script>alert(1)</script>"


class Page(HTMLParser):
    """Collects the content for the tests and checks that every element is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        named = dict(attrs)
        self.ids += [named["id"] or ""] if "id" in named else []
        self.addresses += [
            named[key] or "" for key in ("src", "href", "xlink:href") if key in named
        ]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def text_of(run: Path) -> str:
    """The page of a run, with empty figures: drawing them takes longest."""
    with without_figures():
        return write_report(run).read_text(encoding="utf-8")


def page_of(run: Path) -> Page:
    """The page with empty figures, parsed."""
    return Page(text_of(run))


def test_a_finished_run_has_every_figure_and_needs_no_server(tmp_path: Path) -> None:
    run = example_run(tmp_path / "run")
    page = Page(write_report(run).read_text(encoding="utf-8"))
    names = {
        "scores",
        "loss",
        "metric",
        "confusion",
        "calibration",
        "matthews_per_batch",
        "lengths",
    }
    assert {path.stem for path in (run / "figures").glob("*.png")} == names
    assert page.tags.count("svg") == len(names)
    assert all(address.startswith("#") for address in page.addresses)
    assert not {"script", "link", "img", "iframe"} & set(page.tags)
    assert "url(http" not in (run / "report.html").read_text()
    assert "@import" not in (run / "report.html").read_text()
    assert len(page.ids) == len(set(page.ids))
    assert list(run.rglob("*.partial")) == []


def test_the_page_shows_the_content_of_the_files(tmp_path: Path) -> None:
    run = example_run(tmp_path / "run")
    content = json.loads((run / "evaluation" / "test" / "scores.json").read_text())
    page = page_of(run)
    score = content["scores"]["matthews_correlation"]
    assert f"{score['value']:.3f}" in page.text
    assert f"[{score['low']:.3f}, {score['high']:.3f}]" in page.text
    assert "Validation loss only rises after epoch 2" in page.text
    assert "3 of 855 validation rows have the same text as a training row" in page.text
    assert "a5" * 32 in page.text
    assert "train.seed=2018" in page.text
    assert "finished in 3 min 35 s" in page.text
    assert TRAINS in page.text
    assert "{'" not in page.text
    assert "lora{rank: 4, alpha: 16, " in page.text


def test_text_labels_and_names_are_escaped(tmp_path: Path) -> None:
    run = example_run(tmp_path / "run", labels=(HOSTILE, "可以接受"), model=HOSTILE)
    page = page_of(run)
    assert "script" not in page.tags
    assert f"{HOSTILE} on in_domain_train.tsv" in page.text
    assert "John <b>tried</b> & failed" in page.text
    assert "这本书我看完了" in page.text


def test_a_run_that_never_began(tmp_path: Path) -> None:
    page = page_of(example_run(tmp_path / "run", epochs=0, scored=False))
    assert "Training has not started, so there is no result yet." in page.text
    assert "No step has been made yet." in page.text
    assert page.text.count("No split has been scored yet.") == 1
    assert_no_empty_section(page)


def test_an_interrupted_run(tmp_path: Path) -> None:
    run = example_run(tmp_path / "run", epochs=2, scored=False)
    page = page_of(run)
    assert (
        "Training was interrupted after 120 of 120 steps; no split has been scored yet."
        in page.text
    )
    assert {path.stem for path in (run / "figures").glob("*.png")} == {"loss", "metric", "lengths"}


def test_a_run_of_nothing_but_its_settings(tmp_path: Path) -> None:
    run = example_run(tmp_path / "run", epochs=0, scored=False)
    for name in ("data.json", "environment.json", "events.jsonl"):
        (run / name).unlink()
    page = page_of(run)
    assert "The data have not been read yet." in page.text
    assert "svg" not in page.tags


def test_a_run_killed_in_mid_line_and_before_its_first_evaluation(tmp_path: Path) -> None:
    run = example_run(tmp_path / "run", epochs=1, scored=False)
    lines = (run / "events.jsonl").read_text().splitlines(keepends=True)
    (run / "events.jsonl").write_text("".join(lines[:20]) + lines[20][:30])
    page = page_of(run)
    assert "Training had reached 19 of 60 steps; no split has been scored yet." in page.text
    assert "has not been evaluated during training yet" in page.text


def test_a_step_whose_loss_was_not_finite(tmp_path: Path) -> None:
    run = example_run(tmp_path / "run", epochs=1, scored=False)
    text = (run / "events.jsonl").read_text()
    events = [json.loads(line) for line in text.splitlines()]
    for event in events[5:]:
        event.update({key: None for key in ("loss", "train_loss") if key in event})
    (run / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    assert "–" in page_of(run).text


def test_many_labels_get_a_table_instead_of_a_matrix(tmp_path: Path) -> None:
    run = example_run(
        tmp_path / "run", labels=tuple(f"label {i}" for i in range(50)), rows=300, epochs=1
    )
    page = page_of(run)
    assert "Largest confusions of 50 labels" in page.text
    assert not (run / "figures" / "confusion.png").exists()


def test_scores_without_details_baselines_or_predictions(tmp_path: Path) -> None:
    run = example_run(tmp_path / "run")
    for split in ("validation", "test"):
        path = run / "evaluation" / split / "scores.json"
        content = json.loads(path.read_text())
        (run / "evaluation" / split / "predictions.parquet").unlink()
        write_json(path, {key: content[key] for key in ("split", "n", "loss", "scores")})
    page = page_of(run)
    assert "No baseline was scored." in page.text
    assert_no_empty_section(page)


def assert_no_empty_section(page: Page) -> None:
    """Sections about errors and mistakes are left out, in the navigation too, if there are none."""
    assert "Errors" not in page.text
    assert "Mistakes" not in page.text


def test_a_model_without_mistakes(tmp_path: Path) -> None:
    page = page_of(example_run(tmp_path / "run", skill=40.0))
    assert "The model made no mistake on these rows." in page.text


@pytest.mark.parametrize(
    ("model", "majority", "tfidf", "best"),
    [
        (0.5, 0.2, 0.3, "model"),
        (0.2, 0.3, 0.5, "tfidf"),
        (0.5, 0.5, 0.3, None),
        (None, 0.5, None, "majority"),
    ],
)
def test_the_best_of_a_row_may_be_a_baseline(
    model: float | None, majority: float, tfidf: float | None, best: str | None
) -> None:
    found = {
        name: {"accuracy": Score(value, None, None, 9, higher_is_better=True)}
        for name, value in {"model": model, "majority": majority, "tfidf": tfidf}.items()
    }
    scores = found.pop("model")
    assert leader(EvaluationRecord("test", 9, "rows", None, scores, {}, found), "accuracy") == best


def test_a_leading_baseline_is_bold(tmp_path: Path) -> None:
    run = example_run(tmp_path / "run", skill=-1.0)
    text = text_of(run)
    tfidf = json.loads((run / "evaluation" / "test" / "scores.json").read_text())["baselines"][
        "tfidf"
    ]
    value = f"{tfidf['accuracy']['value']:.3f}"
    assert re.search(rf'<td class="n best">{value} ', text)
