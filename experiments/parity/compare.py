"""Print the final returns of ours.csv beside those of sb3.csv, and draw the learning curves into curves.png.

python experiments/parity/compare.py

All middles are interquartile means over seeds, with 95 % bootstrap intervals.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

HERE = Path(__file__).parent
RESAMPLES = 10_000
Numbers = NDArray[np.float64]


def finals(path: Path) -> dict[str, Numbers]:
    """Return each row's final returns, one a seed."""
    found: dict[str, list[float]] = defaultdict(list)
    with path.open(newline="") as file:
        for line in csv.DictReader(file):
            if line["eval_episodes"] == "100":
                found[line["row"]].append(float(line["eval_return_mean"]))
    return {row: np.array(values) for row, values in found.items()}


def late(path: Path) -> dict[str, Numbers]:
    """Return each row's means over the last ten points before the final one, one a seed: less noisy than one policy."""
    curves: dict[tuple[str, str], list[tuple[int, float]]] = defaultdict(list)
    with path.open(newline="") as file:
        for line in csv.DictReader(file):
            if line["eval_episodes"] != "100":
                curves[line["row"], line["seed"]].append((int(line["step"]), float(line["eval_return_mean"])))
    found: dict[str, list[float]] = defaultdict(list)
    for (row, _), points in curves.items():
        found[row].append(float(np.mean([value for _, value in sorted(points)[-10:]])))
    return {row: np.array(values) for row, values in found.items()}


def curves(path: Path) -> dict[str, dict[int, Numbers]]:
    """Return each row's returns at every evaluation but the final one, one a seed, by the nominal part of the run."""
    found: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    point: dict[tuple[str, str], int] = defaultdict(int)
    with path.open(newline="") as file:
        for line in csv.DictReader(file):
            key = line["row"], line["seed"]
            found[line["row"]][point[key]].append(float(line["eval_return_mean"]))
            point[key] += 1
    return {row: {at: np.array(values) for at, values in points.items()} for row, points in found.items()}


def draw(path: Path) -> None:
    """Draw both sides' interquartile means over the run, a panel a row, with their intervals as bands."""
    ours, sb3 = curves(HERE / "ours.csv"), curves(HERE / "sb3.csv")
    figure = Figure(figsize=(10, 5.6), layout="constrained")
    panels = figure.subplots(2, 3).ravel()
    for axes, row in zip(panels, sb3, strict=False):
        for name, side, colour, line in (
            ("Stable-Baselines3", sb3, "#8a8a8a", "--"),
            ("rasched", ours, "#0b4f8a", "-"),
        ):
            part = np.array(sorted(side[row])) / max(side[row])
            middle, low, high = np.array([interval(side[row][at]) for at in sorted(side[row])]).T
            axes.fill_between(part, low, high, color=colour, alpha=0.25, linewidth=0)
            axes.plot(part, middle, line, color=colour, label=name)
        axes.set_title(row, fontsize=10)
        axes.set_xlabel("part of the run")
        axes.set_ylabel("return of the deterministic policy")
    panels[-1].axis("off")
    panels[-1].legend(*panels[0].get_legend_handles_labels(), loc="center", frameon=False)
    figure.savefig(path, dpi=150)


def iqm(values: Numbers) -> Numbers:
    """Return the mean of the middle half along the last axis; what lies across its border counts in part."""
    ordered, count = np.sort(values, axis=-1), values.shape[-1]
    edges = np.arange(count + 1)
    weight = np.clip(np.minimum(edges[1:], 0.75 * count) - np.maximum(edges[:-1], 0.25 * count), 0, 1)
    mean: Numbers = (ordered * weight).sum(-1) / weight.sum()
    return mean


def interval(values: Numbers) -> tuple[float, float, float]:
    """Return the interquartile mean and its 95 % percentile bootstrap interval."""
    random = np.random.default_rng(0)
    means = iqm(values[random.integers(len(values), size=(RESAMPLES, len(values)))])
    low, high = np.percentile(means, [2.5, 97.5])
    return float(iqm(values)), float(low), float(high)


def main() -> None:
    """Print both tables and draw the curves."""
    for title, of in (("final return, 100 episodes", finals), ("mean of the ten points before it", late)):
        ours, sb3 = of(HERE / "ours.csv"), of(HERE / "sb3.csv")
        print(f"{title}\n| row | ours | seeds | Stable-Baselines3 | seeds | not worse |")
        print("| --- | ---: | ---: | ---: | ---: | --- |")
        for row in (row for row in sb3 if row in ours):
            not_worse = "yes" if interval(ours[row])[2] >= interval(sb3[row])[1] else "NO"
            print(f"| {row} | {cells(ours[row])} | {cells(sb3[row])} | {not_worse} |")
        print()
    draw(HERE / "curves.png")


def cells(values: Numbers) -> str:
    """Return the interquartile mean with its interval, and the number of seeds."""
    middle, low, high = interval(values)
    return f"{middle:.1f} [{low:.1f}, {high:.1f}] | {len(values)}"


if __name__ == "__main__":
    main()
