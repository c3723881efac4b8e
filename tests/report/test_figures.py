"""The figures show the correct numbers, and their SVG can be used in a page with others."""

import itertools
import re
from collections.abc import Iterable
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.patches import Patch, Rectangle

from warmstart.data.checking.lengths import describe_lengths
from warmstart.metrics.scores import Score
from warmstart.report import figures
from warmstart.report import svg as svg_module
from warmstart.report.canvas import MAX_POINTS
from warmstart.report.svg import Colour, can_draw, drawing, to_png, to_svg
from warmstart.runs.run_record import Check, Step

LINEAR_A = "\U00010600\U00010601"
"""Letters that common fonts do not have."""


def texts(svg: str) -> set[str]:
    return set(re.findall(r"<text[^>]*>([^<]*)</text>", svg))


def heights(bars: Iterable[Patch]) -> list[float]:
    return [bar.get_height() for bar in bars if isinstance(bar, Rectangle)]


def steps(count: int) -> list[Step]:
    return [Step(i, (i + 1) / count, 1 / (i + 1), 1e-5) for i in range(count)]


def test_svg_takes_its_colours_and_ids_from_the_page() -> None:
    with drawing():
        svg = to_svg(figures.loss(steps(40), [], None), "loss", 'A "curve" <falls>')
    assert svg.startswith("<svg viewBox=")
    assert 'aria-label="A &quot;curve&quot; &lt;falls&gt;"' in svg
    assert "var(--model)" in svg
    colours = [colour for name, colour in vars(Colour).items() if name.isupper()]
    assert colours
    assert not any(colour in svg for colour in colours)
    assert all(name.startswith("loss-") for name in re.findall(r'\bid="([^"]*)"', svg))
    assert all(name.startswith("loss-") for name in re.findall(r"url\(#([^)]*)\)", svg))
    assert "loss (nats)" in texts(svg)


def test_drawing_leaves_matplotlib_as_it_was(tmp_path: Path) -> None:
    before = dict(matplotlib.rcParams)
    with drawing():
        to_png(figures.loss(steps(3), [], None), tmp_path / "loss.png")
    assert dict(matplotlib.rcParams) == before


def test_an_undefined_batch_is_a_cross_and_no_bar() -> None:
    figure = figures.matthews_per_batch([0.5, None, -0.2, None], 32, 0.3)
    axes = figure.axes[0]
    assert heights(axes.patches) == [0.5, -0.2]
    crosses = next(line for line in axes.lines if line.get_marker() == "x")
    assert np.asarray(crosses.get_xdata()).tolist() == [2, 4]


def test_batches_that_are_all_undefined_are_drawn() -> None:
    with drawing():
        svg = to_svg(figures.matthews_per_batch([None], 32, None), "batches", "")
    assert "undefined: one class" in texts(svg)


@pytest.mark.parametrize("classes", [2, 3, 6, 7, figures.MAX_CLASSES])
def test_every_filled_cell_of_a_confusion_matrix_has_its_count(classes: int) -> None:
    matrix = np.arange(1000, 1000 + classes**2).reshape(classes, classes)
    with drawing():
        svg = to_svg(figures.confusion(matrix.tolist(), [f"c{i}" for i in range(classes)]), "x", "")
    assert {f"{count:,}" for count in matrix.flat} <= texts(svg)


def test_labels_in_any_script_are_text_for_the_browser_and_numbers_in_a_picture(
    tmp_path: Path,
) -> None:
    labels = [LINEAR_A, "投诉建议", "$b_$"]
    matrix = [[3, 1, 0], [0, 4, 5], [2, 2, 2]]
    with drawing(labels):
        svg = to_svg(figures.confusion(matrix, labels), "x", "")
        numbered = figures.confusion(matrix, labels, numbered=True)
        to_png(numbered, tmp_path / "numbered.png")
    assert {*labels} <= texts(svg)
    assert "font-family" not in svg  # the fonts of the page
    assert not can_draw(LINEAR_A)
    names = [label.get_text() for label in numbered.axes[0].get_yticklabels()]
    assert names == ["0", "1", "2"]
    assert "numbered" in numbered.axes[0].get_xlabel()


def test_other_installed_fonts_are_found_for_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(svg_module, "FONTS", ())
    with drawing(["Zürich"]):
        assert matplotlib.rcParams["font.family"] != []
    assert can_draw("Zürich")


@pytest.mark.parametrize("letter", ["w", "长"])
@pytest.mark.parametrize("classes", [2, 3, 4, 5, 6])
def test_names_of_columns_are_whole_or_numbers(classes: int, letter: str) -> None:
    """A name that is cut or broken in a word cannot be told from others."""
    wide = 2 if letter == "长" else 1
    for length in (2 // wide, 12, 40):
        labels = [f"{letter * length}_{number}" for number in range(classes)]
        with drawing(labels):
            axes = figures.confusion([[1] * classes] * classes, labels).axes[0]
        columns = [label.get_text() for label in axes.get_xticklabels()]
        if length == 2 // wide:
            assert [name.replace("\n", "") for name in columns] == labels
        if length == 40:
            assert columns == [str(number) for number in range(classes)]
            rows = [label.get_text() for label in axes.get_yticklabels()]
            assert all(row.endswith(f"… · {number}") for number, row in enumerate(rows))
        for name in columns:
            assert len(lines := name.split("\n")) <= 2
            assert max(map(len, lines)) * wide <= 36 // classes + 1


def test_names_of_labels_are_broken_between_words() -> None:
    labels = ["airline_delay", "lost_luggage", "seat/legroom", "other"]
    with drawing(labels):
        axes = figures.confusion([[1] * 4] * 4, labels).axes[0]
    columns = [label.get_text() for label in axes.get_xticklabels()]
    assert columns == ["airline_\ndelay", "lost_\nluggage", "seat/\nlegroom", "other"]


def test_a_calibrated_model_has_two_curves() -> None:
    def bins(accuracy: float) -> list[dict[str, float | None]]:
        parts = [(0.6, 0.8, 5, 0.7, accuracy), (0.8, 1.0, 0, None, None)]
        return [dict(zip(("low", "high", "n", "confidence", "accuracy"), one, strict=True))
                for one in parts]  # fmt: skip

    with drawing():
        one, two = figures.calibration(bins(0.7)), figures.calibration(bins(0.7), bins(0.4))
        assert "uncalibrated" not in texts(to_svg(one, "one", ""))
        assert "uncalibrated" in texts(to_svg(two, "two", ""))
    points = [line.get_xydata() for line in two.axes[0].lines[1:]]
    assert np.array(points).tolist() == [[[0.7, 0.4]], [[0.7, 0.7]]]


def test_a_score_of_zero_has_no_scale_below_it() -> None:
    score = Score(0.0, 0.0, 0.0, 9, higher_is_better=True)
    check = Check(0, 1.0, 1.0, 1.0, 1.0, 1.0, best=True, scores={"f1": score})
    with drawing():
        low, high = figures.metric([check], "f1", "F1").axes[0].get_ylim()
    assert -0.05 < low <= 0
    assert high == 1


def test_ticks_of_a_large_loss_are_written_in_full() -> None:
    large = [Step(step.step, step.epoch, 3e10 * step.loss, 1e-5) for step in steps(20)]
    with drawing():
        figure = figures.loss(large, [], None)
        svg = to_svg(figure, "loss", "")
    assert "1e10" not in texts(svg)
    assert "3e+10" in texts(svg)


def test_ticks_of_large_numbers_do_not_overlap() -> None:
    values = np.array([1e5, 4e5, 8.5e5])
    with drawing():
        figure = figures.scatter(values, values)
        figure.draw_without_rendering()
        boxes = [label.get_window_extent() for label in figure.axes[0].get_xticklabels()]
        svg = to_svg(figure, "scatter", "")
    assert "400,000" in texts(svg)
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))


def test_the_truncated_part_of_a_histogram_stands_out() -> None:
    found = describe_lengths({"train": np.array([4, 5, 9, 9, 30])}, max_tokens=8)["train"]
    axes = figures.lengths(found).axes[0]
    names = axes.get_legend_handles_labels()[1]
    assert names == ["limit: 8 tokens", "not truncated", "truncated"]
    cut = [bar for bar in axes.patches if isinstance(bar, Rectangle) and bar.get_x() > 8]
    assert sum(heights(cut)) == found.truncated_rows == 3


def test_a_far_limit_does_not_squeeze_the_histogram() -> None:
    found = describe_lengths({"train": np.array([4, 5, 9])}, max_tokens=512)["train"]
    axes = figures.lengths(found).axes[0]
    assert axes.get_xlim()[1] < 20
    assert any("512" in name for name in axes.get_legend_handles_labels()[1])


def test_a_long_curve_is_thinned_to_means() -> None:
    line = figures.loss(steps(10 * MAX_POINTS), [], None).axes[0].lines[0]
    drawn = np.asarray(line.get_ydata())
    assert len(drawn) == MAX_POINTS
    assert drawn[0] == pytest.approx(np.mean([1 / (i + 1) for i in range(10)]))


def test_a_rising_validation_loss_stays_in_sight() -> None:
    late = [Check(i, i / 4, i * 1.0, 0.0, 1.0, 1.0, best=False, scores={}) for i in range(5)]
    assert figures.loss(steps(1000), late, None).axes[0].get_ylim()[1] > 4


@settings(max_examples=15)
@given(st.lists(st.floats(0, 50) | st.just(float("nan")), min_size=1, max_size=60))
def test_any_loss_curve_can_be_drawn(losses: list[float]) -> None:
    curve = [Step(i, float(i), loss, 1e-5) for i, loss in enumerate(losses)]
    checks = [Check(0, 1.0, losses[-1], 0.0, 1.0, 1.0, best=True, scores={})]
    with drawing():
        assert "var(--model)" in to_svg(figures.loss(curve, checks, checks[0]), "loss", "")


@pytest.mark.parametrize("last", [1.0, 1.5, 2.0, 3.0])
def test_epochs_have_plain_ticks(last: float) -> None:
    """Halves of one epoch, and whole numbers of several."""
    many = [Step(i, last * (i + 1) / 8, 1.0, 1e-5) for i in range(8)]
    ticks = figures.loss(many, [], None).axes[0].get_xticks()
    unit = 0.5 if last < 2 else 1.0
    assert all(float(tick / unit).is_integer() for tick in ticks)


def test_lengths_have_whole_numbers_at_their_ticks() -> None:
    """A tick at 2.5 tokens would be written as 2."""
    found = describe_lengths({"train": np.arange(4, 20)}, max_tokens=128)["train"]
    axes = figures.lengths(found).axes[0]
    assert all(float(tick).is_integer() for tick in [*axes.get_xticks(), *axes.get_yticks()])


def test_a_long_label_without_spaces_shows_its_beginning() -> None:
    labels = [f"unbreakable_{number}_{'x' * 60}" for number in range(10)]
    axes = figures.confusion([[1] * 10] * 10, labels).axes[0]
    shown = [label.get_text() for label in axes.get_yticklabels()]
    assert all(text.startswith("unbreak") and text.endswith(str(n)) for n, text in enumerate(shown))
