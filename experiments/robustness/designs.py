"""The table of all designs that were tried, from ``designs.csv``: ``python experiments/robustness/designs.py``."""

from __future__ import annotations

from pathlib import Path

import polars as pl


def to_markdown(designs: pl.DataFrame) -> str:
    """Return what each design kept per task; the number of seeds stands behind it if it is not 16."""
    tasks = designs["task"].unique(maintain_order=True).to_list()
    lines = [f"| design | {' | '.join(tasks)} |", "| --- " * (len(tasks) + 1) + "|"]
    for design in designs["design"].unique(maintain_order=True):
        rows = designs.filter(pl.col("design") == design)
        cells = [_cell(rows.filter(pl.col("task") == task).sort("seeds", descending=True)) for task in tasks]
        lines.append(f"| {design} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(rows: pl.DataFrame) -> str:
    return ", ".join(
        f"{kept:.2f}" + (f" ({seeds})" if seeds != 16 else "") for seeds, kept in rows.select("seeds", "kept").rows()
    )


if __name__ == "__main__":
    print(to_markdown(pl.read_csv(Path(__file__).with_name("designs.csv"))))
