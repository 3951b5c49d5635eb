"""Line charts of text for a terminal: two by four dots per character, by the Braille patterns of Unicode."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from rich.text import Text

Floats = NDArray[np.float64]

_EMPTY = 0x2800  # the Braille pattern without dots
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # by row and column in a character
_MARGIN = 10  # characters at the left for the numbers of the y axis
_TOO_DARK = "#222222"  # on a dark terminal: drawn in its own colour for text


@dataclass(frozen=True)
class Line:
    """A line of a chart: points ``x`` and ``y`` of shape ``(num_points,)``, and a colour such as ``#0072b2``."""

    label: str
    x: Floats
    y: Floats
    colour: str


@dataclass(frozen=True)
class Chart:
    """Lines over a common axis; values that are not finite, or not positive on a log axis, are left out."""

    title: str
    x_name: str
    lines: Sequence[Line]
    log_x: bool = False
    log_y: bool = False


def render_chart(chart: Chart, width: int, height: int) -> Text:
    """Return a chart of ``height`` rows of dots, at most ``width`` characters wide.

    A letter at the right end of each line stands for its label, since a terminal may have no colours.
    """
    columns = max(10, width - _MARGIN - len(chart.lines) - 2)
    scaled = [(_scale(line.x, chart.log_x), _scale(line.y, chart.log_y)) for line in chart.lines]
    x_range, y_range = _range([x for x, _ in scaled]), _range([y for _, y in scaled])
    canvas = _Canvas(columns, height)
    ends: dict[int, str] = {}
    for index, (x, y) in enumerate(scaled):
        row = canvas.draw(_place(x, x_range, 2 * columns), _place(y, y_range, 4 * height), index)
        if row is not None:
            ends[row] = ends.get(row, "") + _letter(index)
    text = Text(f"{chart.title}\n")
    for row in range(height):
        text.append(_y_tick(row, height, y_range, chart.log_y))
        for character, line_index in canvas.row(row):
            text.append(character, _style(chart.lines[line_index].colour) if line_index is not None else "")
        text.append(f" {ends.get(row, '')}\n")
    text.append(_x_ticks(columns, x_range, chart) + "\n")
    return text


def render_legend(lines: Sequence[Line], width: int) -> Text:
    """Return the letters and labels of lines, as many per row as fit."""
    text, used = Text(), 0
    for index, line in enumerate(lines):
        entry = f"{_letter(index)} {line.label}"
        if used and used + len(entry) + 3 > width:
            text.append("\n")
            used = 0
        elif used:
            text.append("   ")
        text.append(entry, _style(line.colour))
        used += len(entry) + 3
    return text


@dataclass
class _Canvas:
    """Dots of several lines; a character has the colour of the last line in it."""

    columns: int
    height: int
    _dots: NDArray[np.int64] = field(init=False)
    _line: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self._dots = np.zeros((self.height, self.columns), np.int64)
        self._line = np.full((self.height, self.columns), -1)

    def draw(self, x: NDArray[np.int64], y: NDArray[np.int64], index: int) -> int | None:
        """Connect points, in dots from the lower left; return the row of the last one, None if there is none."""
        if not len(x):
            return None
        for left, right in zip(range(len(x)), [*range(1, len(x)), len(x) - 1], strict=True):
            steps = int(max(abs(x[right] - x[left]), abs(y[right] - y[left]), 1))
            for share in np.linspace(0, 1, steps + 1):
                self._set(round(x[left] + share * (x[right] - x[left])), round(y[left] + share * (y[right] - y[left])))
                self._line[self._at] = index
        return self._at[0]

    def _set(self, x: int, y: int) -> None:
        down = 4 * self.height - 1 - y
        self._at = (down // 4, x // 2)
        self._dots[self._at] |= _DOTS[down % 4][x % 2]

    def row(self, row: int) -> list[tuple[str, int | None]]:
        """Return the characters of a row, and the line of each."""
        lines = (None if index < 0 else index for index in self._line[row].tolist())
        return [(chr(_EMPTY + dots), line) for dots, line in zip(self._dots[row].tolist(), lines, strict=True)]


def _scale(values: Floats, is_log: bool) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log10(values) if is_log else np.asarray(values, np.float64)


def _range(values: Sequence[Floats]) -> tuple[float, float]:
    joined = np.concatenate(values) if values else np.empty(0)
    finite = joined[np.isfinite(joined)]
    if not len(finite):
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _place(values: Floats, span: tuple[float, float], size: int) -> NDArray[np.int64]:
    values = np.nan_to_num(values, nan=span[0], posinf=span[1], neginf=span[0])
    share = (values - span[0]) / (span[1] - span[0])
    return np.clip((share * (size - 1)).round().astype(np.int64), 0, size - 1)


def _y_tick(row: int, height: int, span: tuple[float, float], is_log: bool) -> str:
    """Return the left margin of a row, with a number at the top, in the middle and at the bottom."""
    if row not in (0, (height - 1) // 2, height - 1):
        return " " * (_MARGIN - 2) + "│ "
    value = span[1] - (span[1] - span[0]) * row / max(1, height - 1)
    return f"{10**value if is_log else value:>{_MARGIN - 3}.3g} ┤ "


def _x_ticks(columns: int, span: tuple[float, float], chart: Chart) -> str:
    first, last = (f"{10**value if chart.log_x else value:,.6g}" for value in span)
    middle = chart.x_name.center(max(0, columns - len(first) - len(last)))
    return " " * _MARGIN + first + middle + last


def _letter(index: int) -> str:
    return string.ascii_letters[index % len(string.ascii_letters)]


def _style(colour: str) -> str:
    return "bold" if colour == _TOO_DARK else colour
