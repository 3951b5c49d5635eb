"""Tables of plain text lose no character, and fit the terminal."""

from __future__ import annotations

import os
import sys

import pytest

from rasched.cli.plain_table import print_table

ROWS = [("out/0_rule=kelly,seed=0,steps=300", "1", "done"), ("a" * 70, "1,000", "failed"), ("", "2", "")]


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_table_fits_the_terminal_and_loses_no_character(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("shutil.get_terminal_size", lambda fallback: os.terminal_size((width, 24)))
    print_table(("folder", "runs", "status"), ROWS, ("runs",), [False, True, False])
    output = capsys.readouterr().out
    assert output.count("\x1b[31m") == 1  # the failed one is red
    lines = output.replace("\x1b[1m", "").replace("\x1b[31m", "").replace("\x1b[0m", "").splitlines()
    assert max(map(len, lines)) <= width
    cells = "".join(cell for row in ROWS for cell in row)
    assert sorted("".join(lines[1:]).replace(" ", "")) == sorted(cells.replace(" ", ""))


def test_a_pipe_gets_whole_lines(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("folder", "runs", "status"), ROWS, ("runs",), [False, True, False])
    assert len(capsys.readouterr().out.splitlines()) == 1 + len(ROWS)
