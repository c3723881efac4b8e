"""The report of runs with many labels: order, folded rows, and figures that say something."""

import re
from pathlib import Path

import pytest

from tests.report.example_run import example_run
from warmstart.report.html import SHOWN_MISTAKES, SHOWN_ROWS, draw, render
from warmstart.report.report_content import gather
from warmstart.report.svg import drawing

LABELS = tuple(f"why_is_my_card_payment_number_{number}_not_working" for number in range(77))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    run = example_run(tmp_path_factory.mktemp("many") / "run", LABELS, rows=1540)
    return render(gather(run), {"loss": "", "metric": "", "scores": "", "lengths": ""})


def test_the_lowest_f1_is_first(tmp_path: Path) -> None:
    content = gather(example_run(tmp_path / "run", LABELS[:10]))
    found = [part["f1"] for part in content.labels]
    assert found == sorted(found)
    assert sorted(part["number"] for part in content.labels) == list(range(10))
    assert all(part["label"] == LABELS[part["number"]] for part in content.labels)


def test_further_rows_can_be_opened(page: str) -> None:
    assert page.count("<details>") == 3  # per label, mistakes, labels of the data
    assert page.count(f"{77 - SHOWN_ROWS} more labels") == 2
    assert f"{20 - SHOWN_MISTAKES} more rows" in page
    assert all(page.replace("<wbr>", "").count(f">{label}</th>") >= 2 for label in LABELS)


def test_labels_may_be_broken_into_lines(page: str) -> None:
    """A table is then never wider than the page, a phone or a sheet of paper."""
    cells = re.findall(r"<t[hd][^>]*>why_<wbr>is_<wbr>my[^<]*", page)
    assert len(cells) > 77
    assert all("label" in cell.split(">")[0] for cell in cells)
    assert re.search(r"\.label \{[^}]*overflow-wrap: anywhere", page)


@pytest.mark.parametrize(("labels", "shown"), [(2, True), (10, False), (77, False)])
def test_batches_are_shown_for_two_labels(tmp_path: Path, labels: int, shown: bool) -> None:
    content = gather(example_run(tmp_path / "run", LABELS[:labels]))
    with drawing():
        assert ("matthews_per_batch" in draw(content)) == shown
    assert ("shown only for two labels" in content.batch_note) == (not shown)


def test_batches_of_one_label_are_not_shown(tmp_path: Path) -> None:
    content = gather(example_run(tmp_path / "run"))
    assert content.evaluation is not None
    content.evaluation.details["matthews_per_batch"] = [None, None, 0.3]
    with drawing():
        assert "matthews_per_batch" not in draw(content)
    assert "have rows of one label only" in content.batch_note
    content.evaluation.details["matthews_per_batch"] = [0.3]
    assert "in one batch" in content.batch_note
