"""Tables of plain text for lists of thousands of lines: rich takes 0.6 ms per line, this 10 us."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence

_GAP = "  "
_BOLD, _RED, _END = "\x1b[1m", "\x1b[31m", "\x1b[0m"


def print_table(
    names: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[str], is_red: Sequence[bool]
) -> None:
    """Print rows of cells below the names of their columns; cells that are too wide continue on the next line.

    Args:
        names: The names of the columns.
        rows: One sequence of cells per row.
        numbers: The names of the columns that end at the right.
        is_red: Which rows are red on a terminal.

    """
    widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]
    is_terminal = sys.stdout.isatty()
    _shrink(widths, shutil.get_terminal_size((80, 24)).columns if is_terminal else 10_000)
    rights = [name in numbers for name in names]
    lines = [_style(_lines(names, widths, rights), _BOLD * is_terminal)]
    for cells, red in zip(rows, is_red, strict=True):
        lines.append(_style(_lines(cells, widths, rights), _RED * (red and is_terminal)))
    sys.stdout.write("\n".join(lines) + "\n")


def _shrink(widths: list[int], available: int) -> None:
    """Take columns from the widest until the table fits, but leave 8 to each."""
    excess = sum(widths) + len(_GAP) * (len(widths) - 1) - available
    while excess > 0 and max(widths) > 8:
        widths[widths.index(max(widths))] -= 1
        excess -= 1


def _lines(cells: Sequence[str], widths: Sequence[int], rights: Sequence[bool]) -> str:
    lines: list[str] = []
    rest = list(cells)
    while any(rest) or not lines:
        parts = [_first_line(cell, width) for cell, width in zip(rest, widths, strict=True)]
        rest = [cell[len(part) :] for cell, part in zip(rest, parts, strict=True)]
        padded = (
            part.rjust(width) if right else part.ljust(width)
            for part, width, right in zip(parts, widths, rights, strict=True)
        )
        lines.append(_GAP.join(padded).rstrip())
    return "\n".join(lines)


def _first_line(cell: str, width: int) -> str:
    """Return as much of a cell as fits, up to a space, comma or slash if one is in the second half."""
    if len(cell) <= width:
        return cell
    end = 1 + max(cell.rfind(separator, width // 2, width) for separator in " ,/")
    return cell[: end or width]


def _style(text: str, style: str) -> str:
    return f"{style}{text}{_END}" if style else text
