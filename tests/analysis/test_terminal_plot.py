"""Charts in a terminal: every point is drawn where it belongs, and no line is wider than asked for."""

from __future__ import annotations

import numpy as np
import pytest

from rasched.analysis.terminal_plot import Chart, Line, render_chart, render_legend


def line(y: list[float], x: list[float] | None = None, label: str = "rule=none") -> Line:
    return Line(label, np.array(x or list(range(len(y))), float), np.array(y), "#0072b2")


def dots(chart: Chart, width: int = 60, height: int = 4) -> list[str]:
    """The rows of dots, without the axes."""
    rows = render_chart(chart, width, height).plain.splitlines()[1 : 1 + height]
    return [row[10:].split(" ")[0] for row in rows]


def test_a_rising_line_goes_from_the_lower_left_to_the_upper_right() -> None:
    rows = dots(Chart("", "x", [line([0, 1])]))
    filled = [[index for index, character in enumerate(row) if character != "\u2800"] for row in rows]
    assert filled[-1][0] == 0 and filled[0][-1] == len(rows[0]) - 1
    starts = [own[0] for own in filled]
    assert starts == sorted(starts, reverse=True)


def test_a_line_on_a_log_axis_is_straight_if_it_is_exponential() -> None:
    x = np.linspace(0, 1, 50)
    linear = Chart("", "x", [line((3 * x).tolist(), x.tolist())])
    exponential = Chart("", "x", [line((10 ** (3 * x)).tolist(), x.tolist())], log_y=True)
    assert dots(linear) == dots(exponential)


@pytest.mark.parametrize("width", [40, 80, 120])
def test_no_row_is_wider_than_the_terminal(width: int) -> None:
    lines = [line([0.0, 1e9, -1e-9], label=f"rule=kelly optimizer.lr={index}") for index in range(8)]
    for row in render_chart(Chart("title", "environment steps", lines), width, 6).plain.splitlines():
        assert len(row) <= width
    for row in render_legend(lines, width).plain.splitlines():
        assert len(row) <= width


def test_each_line_has_its_letter_at_its_end() -> None:
    rows = render_chart(Chart("", "x", [line([0, 1]), line([1, 0]), line([0, 0])]), 60, 4).plain.splitlines()[1:5]
    assert rows[0].endswith(" a") and rows[3].endswith(" bc")
    assert render_legend([line([0], label="one"), line([0], label="two")], 80).plain == "a one   b two"


def test_constant_lines_single_points_and_missing_values_are_drawn() -> None:
    chart = Chart("", "x", [line([2.0, 2.0]), line([2.0]), line([]), line([float("nan"), 2.0])])
    assert any(character != "\u2800" for row in dots(chart) for character in row)
