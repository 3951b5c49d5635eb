"""Print the final returns of ours.csv beside those of sb3.csv: interquartile means with 95 % bootstrap intervals.

python experiments/parity/compare.py
"""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

import numpy as np
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
    """Print both tables."""
    for title, of in (("final return, 100 episodes", finals), ("mean of the ten points before it", late)):
        ours, sb3 = of(HERE / "ours.csv"), of(HERE / "sb3.csv")
        print(f"{title}\n| row | ours | seeds | Stable-Baselines3 | seeds | not worse |")
        print("| --- | ---: | ---: | ---: | ---: | --- |")
        for row in (row for row in sb3 if row in ours):
            not_worse = "yes" if interval(ours[row])[2] >= interval(sb3[row])[1] else "NO"
            print(f"| {row} | {cells(ours[row])} | {cells(sb3[row])} | {not_worse} |")
        print()


def cells(values: Numbers) -> str:
    """Return the interquartile mean with its interval, and the number of seeds."""
    middle, low, high = interval(values)
    return f"{middle:.1f} [{low:.1f}, {high:.1f}] | {len(values)}"


if __name__ == "__main__":
    main()
