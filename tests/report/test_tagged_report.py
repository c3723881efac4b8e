"""Report, model card and description of a token-classification run."""

import re
from pathlib import Path

import pytest
import yaml

from tests.tagging_runs import tagging_settings, write_conll
from warmstart import api, cli, config_file
from warmstart.preparation.prepare import prepare
from warmstart.tasks.span_mistakes import segments
from warmstart.training.train_run import train_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("tags")
    config = tagging_settings(folder, epochs=2)
    config["data"]["test"] = str(write_conll(folder / "test.conll", rows=40, seed=3, every=4))
    train_run(prepare(config_file.load(config)), folder / "run")
    api.load(folder / "run").report()
    return folder / "run"


def test_the_report_marks_spans_and_counts_errors(run: Path) -> None:
    page = (run / "report.html").read_text("utf-8")
    assert re.search(r'<span class="entity (wrong|missed|invented)">', page)
    # Each kind that occurs in a text is explained, and has a style that does not need colour.
    kinds = set(re.findall(r'class="entity (\w+)"', page))
    for kind in kinds:
        assert f'<span class="entity {kind}">{kind}</span>' in page
        assert re.search(rf"\.entity\.{kind} {{[^}}]*(text-decoration-line|outline)", page)
    assert "<h3>Per type, the lowest F1 first</h3>" in page
    assert "<li>2 types</li>" in page
    assert ">PER</th>" in page
    assert ">THING</th>" in page
    for kind in ("wrong type", "wrong border", "missed", "invented"):
        assert f'<th scope="row">{kind}</th>' in page
    assert "95 % bootstrap intervals over documents" in page
    assert "Entity F1" in page
    assert re.search(r"<th class=\"n\">[^<]*frequent[^<]*</th>", page)  # the baseline
    assert "no confusion matrix" not in page


def test_the_card_fits_the_task(run: Path) -> None:
    card = (run / "README.md").read_text("utf-8")
    header = yaml.safe_load(card.split("---")[1])
    assert header["pipeline_tag"] == "token-classification"
    assert header["metrics"] == ["f1", "precision", "recall", "accuracy"]
    assert 'aggregation_strategy="first"' in card
    assert "warmstart predict . --data your_file.conll --output predictions.conll" in card
    assert "Labels, in the order of the model's outputs: O, B-PER, I-PER, B-THING, I-THING." in card
    assert "texts are truncated" not in card
    assert "punctuation belongs to the word before it" in card
    assert "BIO: " in card  # how the scheme was recognised


def test_info_shows_the_tags(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["info", str(run)]) == 0
    shown = capsys.readouterr().out
    assert "BertForTokenClassification" in shown
    assert "O, B-PER, I-PER, B-THING, I-THING" in shown


@pytest.mark.parametrize(
    ("annotated", "predicted", "expected"),
    [
        ([(0, 4, "PER")], [(0, 4, "PER")], [("Anna", "right", "PER")]),
        ([(0, 4, "PER")], [], [("Anna", "missed", "missed PER")]),
        ([], [(0, 4, "PER")], [("Anna", "invented", "invented PER")]),
        ([(0, 4, "PER")], [(0, 4, "LOC")], [("Anna", "wrong", "LOC, not PER")]),
        (
            [(0, 7, "PER")],
            [(0, 4, "PER")],
            [("Anna", "wrong", "PER, wrong border"), (" Bo", "wrong", "left out")],
        ),
        (
            [(0, 4, "PER")],
            [(0, 7, "PER")],
            [("Anna", "wrong", "PER, wrong border"), (" Bo", "wrong", "too much")],
        ),
    ],
)
def test_every_piece_of_a_text_has_its_error(
    annotated: list[tuple[int, int, str]],
    predicted: list[tuple[int, int, str]],
    expected: list[tuple[str, str, str]],
) -> None:
    found = segments("Anna Bo left", annotated, predicted)
    assert [tuple(part) for part in found if part.kind] == expected
    assert "".join(part.text for part in found) == "Anna Bo left"
