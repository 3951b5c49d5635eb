"""The picture of a run: reward, what the rule observes, and learning rate over the same steps."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from rasched.records.files import write_file

Floats = NDArray[np.float64]

COLUMNS = 1_000  # intervals of steps: more than a printed column has dots to show
SMOOTHING = 50  # the running mean covers this part of the run
DARK, FAINT, BLUE, ORANGE = "#111111", "#c8c8c8", "#0b4f8a", "#d55e00"  # different in grey and to the colour-blind
EPISODE_RETURN = "rollout/ep_rew_mean"
_MAX_SWITCHES = 40  # more lines would hide the curves
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.xmargin": 0.01,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
}


@dataclass(frozen=True)
class RunMarks:
    """What a run's picture shows beside its curves.

    ``base_lr`` is the base rate, ``bounds`` are (min_lr, max_lr), ``switches`` the environment steps at which the task
    changes, and ``control`` the metrics of the same seed at a constant rate. ``signal`` says in words what the rule
    observes; without it, the picture has no panel of the signal.
    """

    title: str = ""
    signal: str = ""
    base_lr: float | None = None
    bounds: tuple[float, float] | None = None
    switches: Sequence[int] = ()
    control: pl.DataFrame | None = None

    @classmethod
    def of(cls, config: Mapping[str, Any], control: pl.DataFrame | None = None) -> RunMarks:
        """Return the marks of a run with this configuration; what the configuration does not hold is left out."""
        try:
            env, lr = config["env"], float(config["optimizer"]["lr"])
            low, high = (config["scheduler"][name] for name in ("min_lr", "max_lr"))
            title = (
                f"{_name(config['rule'])} on {env.get('id') or _name(env)} ({_name(config['agent'])}, "
                f"seed {config['seed']})"
            )
        except (KeyError, TypeError, ValueError, AttributeError):  # of another version, or damaged
            return cls(control=control)
        every = env.get("switch_every")
        switches = range(every, config["steps"], every) if isinstance(every, int) and every > 0 else ()
        bounds = (low or lr / 100, high or lr * 100)
        signal = "" if _name(config["rule"]) == "none" else _describe_signal(config.get("signal"))
        return cls(title, signal, lr, bounds, switches if len(switches) <= _MAX_SWITCHES else (), control)


def _describe_signal(settings: Any) -> str:
    """Return what a rule observes, as ``episode return, standardised, smoothed``."""
    if not isinstance(settings, Mapping):
        return "signal"
    parts = [str(settings.get("source", "reward")).replace("_", " ")]
    parts += {"center": ["centred"], "standardize": ["standardised"]}.get(str(settings.get("normalize")), [])
    parts += ["smoothed"] if settings.get("ema_reward_beta") else []
    return ", ".join(parts)


def _name(node: Mapping[str, Any]) -> str:
    return str(node.get("name") or str(node.get("_target_", "")).rpartition(".")[2])


def lr_vs_reward(metrics: pl.DataFrame, path: str | Path, marks: RunMarks | None = None) -> None:
    """Draw reward and learning rate of one run over its steps, and write the picture; the suffix sets the format.

    The upper panel has the episode return if the run has episodes, else the reward: faint at full resolution (in a long
    run: its range), dark as a running mean over a fiftieth of the run. Evaluations are circles. The mean of the control
    is dashed. The panel below has the signal that the rule observes. The last has the learning rate on a log scale,
    because rules multiply it. ``metrics`` are those of :attr:`rasched.analysis.load.Run.metrics`. A ValueError says
    that there is nothing to draw.
    """
    marks = marks or RunMarks()
    if not any(len(_points(metrics, name)[0]) for name in ("train/reward", "train/lr")):
        raise ValueError("there is nothing to draw: the run recorded neither a reward nor a learning rate")
    import matplotlib

    with matplotlib.rc_context(STYLE):
        has_signal = bool(marks.signal) and len(_points(metrics, "train/signal")[0]) > 0
        figure = Figure(figsize=(6.5, 5.4 if has_signal else 4.3), layout="constrained")
        above, *middle, below = figure.subplots(
            2 + has_signal, 1, sharex=True, height_ratios=[3, 1.5, 2] if has_signal else [3, 2]
        )
        _draw_reward(above, metrics, marks.control)
        if has_signal:
            _draw_signal(middle[0], *_points(metrics, "train/signal"), marks.signal)
        _draw_rate(below, *_points(metrics, "train/lr"), marks)
        for axes in (above, *middle, below):
            for step in marks.switches:
                axes.axvline(step, color=DARK, linewidth=0.6, linestyle=(0, (4, 3)), zorder=0)
        figure.align_ylabels()
        if marks.title:
            switches = "; the task changes at the vertical lines" if marks.switches else ""
            figure.suptitle(f"{marks.title}{switches}", fontsize=9, x=0.01, ha="left")
        save_figure(figure, path)


def save_figure(figure: Figure, path: str | Path, dpi: int = 200) -> None:
    """Write a figure in the format of the path's suffix: whole or not at all, and never through a symbolic link."""
    path, buffer = Path(path), io.BytesIO()
    figure.savefig(buffer, format=path.suffix[1:] or "png", dpi=dpi)
    write_file(path, buffer.getvalue())


def _points(metrics: pl.DataFrame, name: str) -> tuple[NDArray[np.int64], Floats]:
    """Pick the steps that have a finite value, and the values."""
    if name not in metrics.columns:
        return np.empty(0, np.int64), np.empty(0)
    steps, values = metrics["step"].to_numpy(), metrics[name].fill_null(np.nan).to_numpy()
    finite = np.isfinite(values)
    return steps[finite], values[finite]


def _draw_reward(axes: Any, metrics: pl.DataFrame, control: pl.DataFrame | None) -> None:
    has_episodes = len(_points(metrics, EPISODE_RETURN)[0]) > 0
    column, quantity = (EPISODE_RETURN, "return") if has_episodes else ("train/reward", "reward")
    steps, reward = _points(metrics, column)
    if len(steps):
        window = len(steps) // SMOOTHING
        middles, minimum, maximum = _ranges(steps, reward)
        if len(middles) < len(steps):
            axes.fill_between(middles, minimum, maximum, color=FAINT, linewidth=0, label=f"{quantity}: range")
        else:
            colour, marker = (FAINT, "") if window > 1 else (DARK, ".")
            axes.plot(steps, reward, color=colour, linewidth=0.6, marker=marker, label=quantity)
        if window > 1:
            centres, means = _running_mean(steps, reward, window)
            span = EngFormatter(sep="")(round(window * (steps[-1] - steps[0]) / (len(steps) - 1)))
            axes.plot(centres, means, color=DARK, linewidth=1.4, label=f"mean over {span} steps")
    if control is not None:
        _draw_control(axes, *_points(control, column))
    axes.set_ylabel("episode return" if has_episodes else "reward per step")
    evaluated, returns = _points(metrics, "eval/return")
    if len(evaluated):  # sums over episodes: on a scale of their own beside rewards per step
        right = axes if has_episodes else axes.twinx()
        right.spines["right"].set_visible(not has_episodes)
        right.plot(evaluated, returns, "o", color=BLUE, markersize=3.5, markerfacecolor="white", label="evaluation")
        if not has_episodes:
            right.set_ylabel("return in evaluation (o)", color=BLUE)
    if axes.get_legend_handles_labels()[0]:
        _legend(axes)


def _draw_control(axes: Any, steps: NDArray[np.int64], reward: Floats) -> None:
    if len(steps):
        window = max(1, len(steps) // SMOOTHING)
        axes.plot(
            *_running_mean(steps, reward, window), color=ORANGE, linewidth=1.2, linestyle="--", label="constant rate"
        )


def _draw_signal(axes: Any, steps: NDArray[np.int64], signal: Floats, description: str) -> None:
    axes.axhline(0.0, color=FAINT, linewidth=0.8, zorder=0)
    middles, minimum, maximum = _ranges(steps, signal)
    marker = "." if len(steps) < SMOOTHING else ""
    label = f"what the rule observes: {description}"
    axes.plot(
        np.repeat(middles, 2),
        np.stack([minimum, maximum], 1).ravel(),
        color=DARK,
        linewidth=0.8,
        marker=marker,
        label=label,
    )
    axes.set_ylabel("signal")
    _legend(axes)


def _draw_rate(axes: Any, steps: NDArray[np.int64], rate: Floats, marks: RunMarks) -> None:
    axes.set_yscale("log")
    axes.set_ylabel("learning rate")
    axes.set_xlabel("environment steps")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    steps, rate = steps[rate > 0], rate[rate > 0]
    if not len(steps):
        return
    middles, minimum, maximum = _ranges(steps, rate)
    axes.plot(np.repeat(middles, 2), np.stack([minimum, maximum], 1).ravel(), color=BLUE, linewidth=1.1)
    base_lr = rate[0] if marks.base_lr is None else marks.base_lr
    axes.axhline(base_lr, color=ORANGE, linewidth=1.0, linestyle="--", label=f"base rate {base_lr:.3g}")
    low, high, bounds = min(rate.min(), base_lr), max(rate.max(), base_lr), marks.bounds
    if bounds:
        for bound in bounds:
            label = f"bounds {bounds[0]:.3g}, {bounds[1]:.3g}" if bound == bounds[0] else None
            axes.axhline(bound, color=DARK, linewidth=0.8, linestyle=(0, (1, 3)), label=label)
        low, high = min(low, bounds[0]), max(high, bounds[1])
    _legend(axes)
    if high < 4 * low:  # a log scale needs room: a decade around what hardly moves
        low, high = low / 3, high * 3
        axes.set_ylim(low, high)
    is_wide = high > 1e3 * low
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0,) if is_wide else (1.0, 3.0), numticks=9))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _legend(axes: Any) -> None:
    """Explain the marks above the panel, outside the curves."""
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, frameon=False, borderaxespad=0.1, handlelength=1.6)


def _ranges(steps: NDArray[np.int64], values: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the middle step, minimum and maximum of at most 1,000 intervals of the points."""
    if len(steps) <= 2 * COLUMNS:
        return steps.astype(np.float64), values, values
    cuts = np.linspace(0, len(steps), COLUMNS + 1).astype(np.int64)[:-1]
    ends = np.append(cuts[1:], len(steps)) - 1
    return (steps[cuts] + steps[ends]) / 2, np.minimum.reduceat(values, cuts), np.maximum.reduceat(values, cuts)


def _running_mean(steps: NDArray[np.int64], values: Floats, window: int) -> tuple[Floats, Floats]:
    """Mean of the values around a point, of fewer at the ends, if the window is cut off."""
    centres = np.unique(np.linspace(0, len(values) - 1, COLUMNS).astype(np.int64))
    first, last = np.maximum(centres - window // 2, 0), np.minimum(centres + (window + 1) // 2, len(values))
    summed = np.concatenate([[0.0], np.cumsum(values)])
    return steps[centres].astype(np.float64), (summed[last] - summed[first]) / (last - first)
