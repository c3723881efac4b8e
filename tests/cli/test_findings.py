"""The findings in the terminal: they fit, they are complete, and they do not depend on colour."""

import io
import subprocess
import sys
from collections.abc import Mapping

import pytest
from rich.console import Console

from warmstart.cli.findings import rendered_findings
from warmstart.data.checking.check import Findings, SplitFindings
from warmstart.data.checking.label_messages import Finding
from warmstart.data.checking.lengths import Lengths


def lengths(max_tokens: int, counts: tuple[int, ...], longest: int = 40) -> Lengths:
    """Five bins of ten tokens: 0 to 10, 11 to 20, …"""
    return Lengths(
        mean=12.0,
        median=11.0,
        p95=30.0,
        longest=longest,
        max_tokens=max_tokens,
        truncated_rows=5,
        tokens=1000,
        lost_tokens=10,
        edges=(0, 11, 21, 31, 41, 51),
        counts=counts,
    )


def split(
    name: str,
    labels: Mapping[str, int],
    of_rows: Lengths | None = None,
    dropped: Mapping[str, int] | None = None,
) -> SplitFindings:
    of_rows = of_rows or lengths(20, (8, 4, 0, 1, 0))
    return SplitFindings(name, sum(labels.values()), dropped or {}, labels, of_rows)


def shown(findings: Findings, width: int = 80) -> str:
    """The output of a terminal without colour."""
    console = Console(width=width, file=io.StringIO(), color_system=None, force_terminal=True)
    console.print(rendered_findings(findings))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines()]


TWO = Findings(
    (
        split("train", {"no": 300, "yes": 700}, dropped={"ragged": 3, "empty_text": 1}),
        split("validation", {"no": 30, "yes": 70}),
    ),
    (),
    (Finding("warning", "something to mend"), Finding("info", "something to know")),
)


def test_rows_labels_and_what_was_left_out_stand_side_by_side() -> None:
    text = lines(shown(TWO))
    cells = [line.split() for line in text]
    assert ["rows", "1,000", "100"] in cells
    assert ["dropped", "rows", "4", "0"] in cells
    assert ["label", "yes", "700", "70.0%", "70", "70.0%"] in cells
    assert ["truncated", "at", "20", "5", "0.5%", "5", "5.0%"] in cells


def test_the_histogram_has_a_line_at_the_limit() -> None:
    text = lines(shown(TWO))
    assert "train       █▄│ ▁" in text
    assert "0 to 50 tokens; │ marks the limit of 20" in text


def test_a_limit_that_no_row_reaches_is_said() -> None:
    far = split("train", {"a": 5, "b": 5}, lengths(512, (8, 4, 0, 1, 0)))
    text = shown(Findings((far,), (), ()))
    assert "no row exceeds the limit of 512" in text
    assert "│" not in text


def test_rows_beyond_the_last_bin_are_said() -> None:
    far = split("train", {"a": 5, "b": 5}, lengths(20, (8, 4, 0, 1, 3), longest=900))
    assert "0 to 50 tokens and more; │ marks the limit of 20" in shown(Findings((far,), (), ()))


def test_a_warning_is_marked_without_colour() -> None:
    text = lines(shown(TWO))
    assert "! something to mend" in text
    assert "· something to know" in text


def test_no_word_is_cut_beside_a_label_of_wide_characters() -> None:
    text = (
        "3 of 3 labels have fewer than 10 validation rows ('差评' has 8): "
        "too few for a reliable score"
    )
    out = shown(Findings(TWO.splits, (), (Finding("warning", text),)))
    assert " ".join(out.split()).endswith(text)


def test_a_hundred_labels_do_not_fill_the_screen() -> None:
    names = {f"class {number:03}": 10 for number in range(100)}
    text = shown(Findings((split("train", names),), (), ()))
    assert len(text.splitlines()) < 25
    assert ["92", "rarer", "labels", "920", "92.0%"] in [line.split() for line in lines(text)]


def test_unlabelled_rows_have_no_label_lines() -> None:
    unlabelled = SplitFindings("test", 10, {}, {}, lengths(20, (8, 4, 0, 1, 0)))
    assert "label" not in shown(Findings((unlabelled,), (), ()))


@pytest.mark.parametrize(
    ("label", "cell"),
    [("[red]x[/red]", "[red]x[/red]"), ("x" * 200, "x" * 34 + "…"), ("[/]", "[/]")],
)
def test_labels_are_shown_as_they_are_and_cut_to_fit(label: str, cell: str) -> None:
    splits = tuple(split(name, {label: 10, "b": 5}) for name in ("train", "validation", "test"))
    warning = Finding("warning", f"the label {label!r} has 10 training rows")
    text = shown(Findings(splits, (), (warning,)))
    assert ["label", cell] in [line.split()[:2] for line in lines(text)]
    assert max(map(len, text.splitlines())) <= 80


def test_showing_findings_loads_no_torch() -> None:
    program = "import sys, warmstart.cli.findings; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_the_most_frequent_of_many_labels_are_shown() -> None:
    names = {f"class {number:03}": 10 + number for number in range(100)}
    text = shown(Findings((split("train", names),), (), ()))
    assert "class 099" in text
    assert "class 000" not in text
    assert "92 rarer labels" in text


@pytest.mark.parametrize(("width", "length"), [(80, 40), (120, 52)])
def test_a_terminal_shows_as_much_of_a_label_as_fits(width: int, length: int) -> None:
    """Its numbers are never cut."""
    names = {"label " * 20 + str(number): 1234 for number in range(2)}
    text = shown(Findings((split("train", names), split("validation", names)), (), ()), width)
    rows = [line.strip() for line in text.splitlines() if "…" in line]
    assert len(rows) == 2
    for row in rows:
        assert row.endswith("1,234  50.0%   1,234  50.0%")
        assert row.index("…") >= length
